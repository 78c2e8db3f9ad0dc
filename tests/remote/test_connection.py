"""A desk does not trust a host with itself: what comes back is bounded, judged by its form, and shown harmless."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from builders import managed
from builders.managed import Desk, Say, handler, lying, oem, server_certificate
from builders.pki import ca, root
from builders.transcript import Transcript, run
from builders.web import reply, serving
from modseal import limits
from modseal.host import values

LOG = {"schema": values.LOG, "verdict": "accepted", "head": None, "events": [], "findings": []}
LEVEL = {"schema": values.ACCEPTANCE, "level": "partner", "policy_minimum": "partner", "was": None}
ASK = ("acceptance", "get")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return managed.desk(tmp_path_factory.mktemp("desk"))


def ask(desk: Desk, say: Say, *words: object) -> Transcript:
    with desk.hosts(web=say):
        return run("remote", "--inventory", "remote.toml", *(words or ("web", *ASK)), cwd=desk.folder)


def test_a_good_answer_is_taken(desk: Desk) -> None:
    done = ask(desk, lying(200, oem(LEVEL)))
    assert (done.code, done.out) == (0, "acceptance level partner; the policy's minimum is partner\n")


@pytest.mark.parametrize(
    ("say", "why"),
    [
        (lying(200, b"<html>"), "it is not JSON"),
        (lying(200, b'{"a":1,"a":2}'), "it is not JSON"),
        (lying(200, b"[" * 100_000), "it is not JSON"),
        (lying(200, b""), "HTTP 200 without a result"),
        (lying(200, oem(LEVEL), Content_Length=500), "it ends early"),
        (lying(200, []), "HTTP 200 without a result"),
        (lying(200, oem([])), "must be a table"),
        (lying(200, oem({**LEVEL, "more": 1})), "unknown key 'more'"),
        (lying(200, oem({**LEVEL, "level": "\x1b[31mred"})), r"level: is '\x1b[31mred'"),
        (lying(200, oem({**LEVEL, "schema": values.LOG})), "unknown key 'level'"),
        (lying(200, oem(LOG)), "does not answer acceptance get"),
        (lying(400, {"error": oem(LEVEL)}), "HTTP 400 is not an accepted result"),
        (lying(404, {}), "HTTP 404 without a result"),
        (lying(302, {}, Location="https://127.0.0.1:1/"), "it sends us elsewhere (HTTP 302)"),
        (lying(202, {}, Location="https://elsewhere.example/redfish/v1/x"), "not one of its own"),
        (lying(202, {}, Location="//elsewhere.example/redfish/v1/x"), "not one of its own"),
        (lying(202, {}, Location="/redfish/v1/../../x"), "not one of its own"),
        (lying(202, {}, Location="/redfish/v1/x?y"), "not one of its own"),
        (lying(202, {}), "not one of its own"),
        (lying(202, {"TaskState": "Odd"}, Location="/redfish/v1/TaskService/Tasks/1"), "in no state that is known"),
        (lambda to: to.wfile.write(b"SSH-2.0-x\r\n\r\n"), "it is not HTTP"),
    ],
)
def test_an_answer_that_no_host_gives_decides_nothing(desk: Desk, say: Say, why: str) -> None:
    done = ask(desk, say)
    assert done.code == 3
    assert done.out.startswith("undecided: host-reply-invalid: the answer of web cannot be used: ")
    assert why in done.out
    assert done.out.replace("\n", "").isprintable()


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"])
def test_a_drip_of_bytes_ends_with_the_time_for_all_of_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    def drip(to: BaseHTTPRequestHandler) -> None:
        to.wfile.write(begun)
        for _ in range(60):
            to.wfile.write(b"1")
            time.sleep(0.1)

    monkeypatch.setattr(limits, "REMOTE_REPLY_TIME", 0.5)
    done = ask(desk, drip)
    assert (done.code, done.out.splitlines()[0]) == (
        3,
        "undecided: host-unreachable: web: it did not answer within 0.5 seconds",
    )


def test_text_of_a_host_moves_no_cursor(desk: Desk) -> None:
    event = {"number": 1, "time": "2026-01-01T00:00:00Z", "by": {"user": "\x1b[2Jx"}, "event": "a\nb", "previous": None}
    found = {**LOG, "events": [{**event, "facts": {"\x07": "\u202e"}, "proved": True}]}
    done = ask(desk, lying(200, oem(found)), "web", "log")
    assert done.code == 0
    assert done.out.count("\n") == 1
    assert done.out.strip().isprintable()
    shown = ask(desk, lying(200, oem(found)), "--format", "json", "web", "log")
    assert shown.out.replace("\n", "").isprintable()


def test_whoever_is_not_the_host_hears_nothing(desk: Desk) -> None:
    for wrong in (server_certificate(ca("Elsewhere")), server_certificate(root(7), "127.0.0.2")):
        heard: list[str] = []
        with serving(handler(lambda to, heard=heard: heard.append(to.path)), desk.context(wrong)) as place:
            given = ("--ca", "ca.pem", "--cert", "desk.pem", "--key", "desk.key")
            done = run("remote", *given, place, *ASK, cwd=desk.folder)
        assert (done.code, heard) == (3, [])
        assert "its certificate is not proved" in done.out


def test_a_host_that_does_not_know_the_desk_refuses_it(desk: Desk) -> None:
    given = ("--cert", "stranger.pem", "--key", "stranger.key")
    done = ask(desk, lying(200, oem(LEVEL)), *given, "web", *ASK)
    assert done.code == 3
    assert done.out.startswith("undecided: host-unreachable: web: ")


def test_a_role_that_may_not_is_a_refusal(desk: Desk) -> None:
    done = ask(desk, lying(403, {"error": {}}))
    assert done.code == 1
    assert done.out.startswith("rejected: host-denied: web: the certificate ")


def test_a_host_that_takes_too_long_is_said_to_be_at_work(desk: Desk) -> None:
    say = lying(202, {"TaskState": "Running"}, Location="/redfish/v1/TaskService/Tasks/7")
    done = ask(desk, say, "--wait", 1, "web", "rollback")
    assert done.code == 3
    assert "it is still at work after 1 seconds (/redfish/v1/TaskService/Tasks/7)" in done.out
    assert "whether anything was changed is not known" in done.out


@pytest.mark.parametrize(
    ("say", "verdict", "code"),
    [
        (lying(403, {}), "rejected", "host-denied"),
        (lying(503, {}), "undecided", "host-unreachable"),
        (lying(200, {}), "undecided", "host-reply-invalid"),
    ],
)
def test_scripts_get_the_code_of_what_kept_a_host_from_answering(desk: Desk, say: Say, verdict: str, code: str) -> None:
    (found,) = json.loads(ask(desk, say, "--format", "json", "web", *ASK).out)["hosts"]
    assert (found["verdict"], found["result"], found["problem"]["code"]) == (verdict, None, code)


def test_a_busy_host_is_asked_later(desk: Desk) -> None:
    done = ask(desk, lambda to: reply(to, 503, b""))
    assert (done.code, "it is busy" in done.out) == (3, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ca", "desk.key"), "desk.key has no CA certificates in PEM"),
        (("--ca", "none.pem"), "none.pem: No such file or directory"),
        (("--key", "stranger.key"), "stranger.key are not a certificate and its private key in PEM"),
    ],
)
def test_what_is_wrong_at_the_desk_is_said_before_any_host_is_asked(
    desk: Desk, options: tuple[str, ...], said: str
) -> None:
    done = ask(desk, lambda to: pytest.fail("asked"), *options, "web", *ASK)
    assert done.code == 3
    assert said in done.err


def test_a_key_with_a_passphrase_is_not_asked_for_it(desk: Desk, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = root(7).key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    (desk.folder / "locked.key").write_bytes(key)
    done = ask(desk, lying(200, oem(LEVEL)), "--key", "locked.key", "web", *ASK)
    assert done.code == 3
    assert "locked.key has a passphrase" in done.err


def test_a_place_that_is_not_the_hosts_own_gets_no_bundle(desk: Desk) -> None:
    (desk.folder / "a.seal").write_bytes(b"bundle")
    done = ask(desk, lying(200, {"MultipartHttpPushUri": "https://elsewhere.example/x"}), "web", "install", "a.seal")
    assert done.code == 3
    assert "it names a place that is not one of its own" in done.out
    assert run("remote", "--inventory", "remote.toml", "web", "install", "none.seal", cwd=desk.folder).code == 3
