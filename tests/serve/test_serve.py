"""`modseal serve`: what may be done from outside, and what becomes of it, over real TLS to real processes."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from builders import recalls
from builders.bundles import make as make_bundle
from builders.pki import Identity, leaf, root
from builders.served import Served, make, served
from modseal.format import recall as recall_format
from modseal.serve import routes

INVENTORY, ACTIONS = routes.INVENTORY, routes.ACTIONS


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("served")) as found:
        yield found


def test_a_pushed_bundle_is_installed_and_shown_with_what_is_proved_of_it(one: Served) -> None:
    task = one.ended(one.push(one.host.bundle("acme-agent", "1.0")))
    assert (task["TaskState"], task["Messages"]) == ("Completed", [])
    assert task["Oem"]["Modseal"]["installed"][0]["name"] == "acme-agent"
    shown = one.ask("GET", f"{INVENTORY}/acme-agent")
    assert (shown.status, shown.document["Version"]) == (200, "1.0")
    assert (shown.own["claimed_level"], shown.own["proven_level"]) == ("partner", "partner")
    assert f"{INVENTORY}/acme-agent" in shown.data.decode()
    who = one.ask("GET", routes.ENTRIES).document["Members"][-1]["Oem"]["Modseal"]["by"]
    assert who["name"] == "CN=Test operator,OU=modseal:operator"
    assert who["key"].startswith("key-sha256:")


def test_a_refused_bundle_changes_nothing_and_has_the_codes_of_verify(one: Served) -> None:
    before = one.ask("GET", routes.MANAGER).own
    stranger = leaf(issuer=root(7))
    task = one.ended(one.push(one.host.bundle("stranger", "1.0", stranger)))
    assert (task["TaskState"], task["TaskStatus"]) == ("Exception", "Critical")
    message = task["Messages"][0]
    assert (message["MessageId"], message["Oem"]["Modseal"]["code"]) == ("Modseal.1.0.NoPath", "no-path")
    assert message["Resolution"]
    damaged = bytearray(make_bundle("seal").data)
    damaged[-1] ^= 1
    assert one.ended(one.push(bytes(damaged)))["TaskState"] == "Exception"
    assert one.ask("GET", routes.MANAGER).own["generation"] == before["generation"]


def test_a_dry_run_says_what_would_be_and_changes_nothing(one: Served) -> None:
    before = one.ask("GET", routes.MANAGER).own
    task = one.ended(one.push(one.host.bundle("tried", "1.0"), DryRun=True))
    assert task["Oem"]["Modseal"]["installed"][0]["name"] == "tried"
    assert one.ask("GET", routes.MANAGER).own == before


def test_modules_are_removed_generations_gone_back_to_and_the_host_verified(one: Served) -> None:
    one.ended(one.push(one.host.bundle("short-lived", "1.0")))
    assert one.ended(one.ask("DELETE", f"{INVENTORY}/short-lived", "operator"))["TaskState"] == "Completed"
    assert one.ask("GET", f"{INVENTORY}/short-lived").codes == ["not-installed"]
    assert one.ended(one.ask("POST", f"{ACTIONS}.Rollback", "operator"))["TaskState"] == "Completed"
    assert one.ask("GET", f"{INVENTORY}/short-lived").status == 200
    found = one.ended(one.ask("POST", f"{ACTIONS}.Verify", "operator"))
    assert (found["TaskState"], found["Oem"]["Modseal"]["verdict"]) == ("Completed", "accepted")
    assert [each["state"] for each in one.ask("GET", routes.GENERATIONS).own["generations"]].count("active") == 1


def test_old_generations_are_removed(one: Served) -> None:
    before = len(one.ask("GET", routes.GENERATIONS).own["generations"])
    tried = one.ended(one.ask("POST", f"{ACTIONS}.Prune", "operator", {"Keep": 1, "DryRun": True}))
    assert len(one.ask("GET", routes.GENERATIONS).own["generations"]) == before
    done = one.ended(one.ask("POST", f"{ACTIONS}.Prune", "operator", {"Keep": 1}))
    assert done["Oem"]["Modseal"] == tried["Oem"]["Modseal"]
    assert len(done["Oem"]["Modseal"]["kept"]) == len(one.ask("GET", routes.GENERATIONS).own["generations"])
    assert one.ask("POST", f"{ACTIONS}.Prune", "operator", {"Keep": 0}).status == 400


def test_the_policy_is_shown_and_recalls_are_kept(one: Served) -> None:
    shown = one.ask("GET", routes.POLICY).own
    assert (shown["schema"], shown["not_accepted"]) == ("modseal/host-policy@1", [])
    assert one.ask("GET", routes.RECALLS).own["recalls"] == []
    kept = one.ask("POST", f"{ACTIONS}.KeepRecalls", "operator", recall())
    assert [each["new"] for each in kept.own["recalls"]] == [True]
    assert [each["new"] for each in one.ask("GET", routes.RECALLS).own["recalls"]] == [False]
    assert one.ask("GET", routes.ENTRIES).document["Members"][-1]["Name"] == "recall"
    foreign = one.ask("POST", f"{ACTIONS}.KeepRecalls", "operator", recall(leaf(issuer=root(7)), name="foreign"))
    assert foreign.codes == ["recall-not-trusted"]
    damaged = {"Recalls": [base64.b64encode(b"no recall").decode()]}
    assert one.ask("POST", f"{ACTIONS}.KeepRecalls", "operator", damaged).codes == ["recall-invalid"]
    assert one.ask("POST", f"{ACTIONS}.KeepRecalls", "operator", {"Recalls": ["/etc/passwd"]}).status == 400


def recall(*by: Identity, name: str = "acme-recalls") -> dict[str, list[str]]:
    """What is sent of a recall that is current."""
    now = datetime.now(UTC).replace(microsecond=0)
    times = {"issued": now - timedelta(days=1), "expires": now + timedelta(days=30)}
    made = recalls.make(recalls.entry("nothing"), name=name, by=by or None, **times)
    return {"Recalls": [base64.b64encode(recall_format.encode(made)).decode()]}


def test_levels_are_set_by_administrators(one: Served) -> None:
    assert one.ask("POST", f"{ACTIONS}.SetAcceptance", "operator", {"Level": "partner"}).codes == ["role-too-low"]
    assert one.ask("POST", f"{ACTIONS}.SetAcceptance", "admin", {"Level": "sky-high"}).status == 400
    done = one.ask("POST", f"{ACTIONS}.SetAcceptance", "admin", {"Level": "partner"})
    assert (done.status, done.own["level"]) == (200, "partner")


@pytest.mark.parametrize(
    "body",
    [
        *(b"{", b"[]", b'{"Level": 7}', b'{"Level": "partner", "force": true}', b'{"root": "/"}'),
        *(b"\xff" * 70_000, b"[" * 60_000, b"\0{"),
    ],
    ids=["no JSON", "no object", "another kind", "an unknown argument", "a path", "too much", "deep", "UTF-16"],
)
def test_a_body_that_does_not_fit_is_refused(one: Served, body: bytes) -> None:
    reply = one.ask("POST", f"{ACTIONS}.SetAcceptance", "admin", body, Content_Type="application/json")
    assert reply.status in (400, 413)
    assert reply.document["error"]


def test_what_is_not_there_is_said_so(one: Served) -> None:
    for path in (
        f"{routes.TASKS}/20260101T000000Z-00000000",
        f"{routes.TASKS}/..%2f..%2fetc",
        f"{routes.ENTRIES}/9999",
    ):
        reply = one.ask("GET", path)
        assert (reply.status, reply.codes) == (404, ["unknown-item"]), path
    assert one.ask("GET", f"{routes.ENTRIES}/first").status == 404


def test_parts_that_cannot_be_read_are_refused(one: Served) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="\x0f\xf1"\r\n\r\n{}\r\n--x--\r\n'
    deep = part.replace(b"\x0f\xf1", b"UpdateParameters").replace(b"{}", b"[" * 60_000)
    for body in (part, b"--x\r\n", b"", deep):
        reply = one.ask("POST", routes.PUSH, "operator", body, Content_Type="multipart/form-data; boundary=x")
        assert reply.status == 400, body[:80]


def test_names_of_files_are_those_of_the_parts(one: Served) -> None:
    for names in ("agent", ["../agent"]):
        assert one.push(b"no bundle", Files=names).status == 400


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"Force": True}, "unknown key 'Force'; did you mean 'ForceUpdate'?"),
        ({"Targets": ["/redfish/v1/UpdateService/SoftwareInventory/other"]}, "Targets"),
        ({"@Redfish.OperationApplyTime": "OnReset"}, "OperationApplyTime"),
        ({"Oem": {"Modseal": {"Files": ["../agent"]}}}, "Files"),
        ({"Oem": {"Modseal": {"DryRun": "yes"}}}, "Oem.Modseal.DryRun"),
        ([], "must be a table"),
    ],
)
def test_parameters_that_are_not_understood_are_refused_and_not_passed_over(
    one: Served, parameters: object, said: str
) -> None:
    """Whatever the order of the parts is."""
    head = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    parts = [("UpdateParameters", json.dumps(parameters)), ("UpdateFile", "agent")]
    for order in (parts, parts[::-1]):
        body = "".join(head.format(*part) for part in order) + "--x--\r\n"
        reply = one.ask("POST", routes.PUSH, "operator", body.encode(), Content_Type="multipart/form-data; boundary=x")
        assert (reply.status, said in reply.document["error"]["message"]) == (400, True), reply.data


def test_parameters_may_come_in_pieces(one: Served) -> None:
    head = '--x\r\nContent-Disposition: form-data; name="UpdateParameters"\r\n\r\n{"Oem": {"Modseal": '
    tail = '{"DryRun": true}}}\r\n--x\r\nContent-Disposition: form-data; name="UpdateFile"\r\n\r\nagent\r\n--x--\r\n'

    def pieces() -> Iterator[bytes]:
        yield head.encode()
        time.sleep(0.1)  # so that they are not one for the reader
        yield tail.encode()

    sent = {"Content_Type": "multipart/form-data; boundary=x", "Content_Length": str(len(head) + len(tail))}
    task = one.ended(one.ask("POST", routes.PUSH, "operator", pieces(), **sent))
    assert task["Oem"]["ModsealTask"]["arguments"] == {"DryRun": True, "Files": [""]}


def test_nothing_is_forced(one: Served) -> None:
    head = '--x\r\nContent-Disposition: form-data; name="UpdateParameters"\r\n\r\n{"ForceUpdate": true}\r\n--x--\r\n'
    reply = one.ask("POST", routes.PUSH, "operator", head.encode(), Content_Type="multipart/form-data; boundary=x")
    assert (reply.status, "ForceUpdate" in reply.document["error"]["message"]) == (400, True)


def test_the_log_is_streamed_as_it_is_written(one: Served) -> None:
    one.ended(one.push(one.host.bundle("streamed", "1.0")))
    import http.client

    connection = http.client.HTTPSConnection("127.0.0.1", one.port, context=one.tls(one.clients["reader"]), timeout=30)
    connection.request("GET", routes.EVENTS, headers={"Last-Event-ID": "0"})
    response = connection.getresponse()
    assert response.getheader("Content-Type") == "text/event-stream"
    assert response.readline() == b"id: 1\n"
    assert b"#Event.v1_7_0.Event" in response.readline()
    response.close()
    connection.close()


def test_state_is_there_in_numbers_and_the_table_as_openapi(one: Served) -> None:
    assert "modseal_lockdown_strict 0\n" in one.ask("GET", "/metrics").data.decode()
    paths = one.ask("GET", "/openapi.json").document["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == {
        (route.method, route.path) for route in routes.ROUTES if route.path not in routes.PAGES
    }


def test_it_ends_when_it_is_told_to_and_leaves_nothing_of_what_was_pushed(tmp_path: Path) -> None:
    with served(tmp_path) as one:
        one.push(one.host.bundle("last", "1.0"))
        assert one.stop() == (0, "")
        assert not [*one.host.root.glob("var/lib/modseal-serve/uploads/*")]
        assert one.host.modules() == {"last": "1.0"}, "what was begun was finished"


@pytest.mark.parametrize("victim", ["broker", "front"])
def test_a_killed_process_leaves_the_old_generation_or_the_new_and_the_task_says_which(
    tmp_path: Path, victim: str
) -> None:
    one = make(tmp_path).start()
    assert one.process
    killed = one.front if victim == "front" else one.process.pid
    reply = one.push(one.host.bundle("agent", "1.0"))
    os.kill(killed, signal.SIGKILL)
    code, said = one.process.wait(120), one.process.stderr.read() if one.process.stderr else ""
    assert code == (3 if victim == "front" else -signal.SIGKILL), said
    one.process.stderr.close() if one.process.stderr else None
    one.start()
    task = one.ask("GET", reply.document["@odata.id"]).document
    is_there = "agent" in one.host.modules()
    assert (task["TaskState"] == "Completed") == is_there
    assert one.ended(one.ask("POST", f"{ACTIONS}.Verify", "operator"))["TaskState"] == "Completed"
    one.stop()


def test_what_it_needs_is_said_before_it_starts(tmp_path: Path) -> None:
    one = make(tmp_path)
    (tmp_path / "server.key").write_text("no key")
    with pytest.raises(AssertionError, match=r"next: Name the PEM files of the server's certificate"):
        one.start()
    assert one.process
    assert one.process.wait(30) == 3
    one.process.stderr.close() if one.process.stderr else None


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    one = make(tmp_path)
    (tmp_path / "server.key").unlink()
    with pytest.raises(AssertionError, match=r"server\.key: No such file or directory"):
        one.start()
    assert one.process
    assert one.process.wait(30) == 3
    one.process.stderr.close() if one.process.stderr else None
