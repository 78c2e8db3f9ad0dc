"""A host image that is managed from outside: it shows and proves what runs, and follows its owner alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.image_hosts import ImageHost, generation_of, make
from builders.pki import NOW, leaf, root
from builders.slots import STRANGER, Image
from modseal.boot import slots, update
from modseal.boot.requests import Running
from modseal.host import event_log
from modseal.host.actor import Actor
from modseal.host.store import open_store
from modseal.process_1 import prepare
from modseal.trust.examination import Verdict

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the files of an image belong to root")
OLGA = Actor("key-sha256:" + "1" * 64, "Olga")
TWO = Image(2, 2)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[ImageHost]:
    made = make(tmp_path, "agent", "web")
    yield made
    made.shown.receiver.close()


def events(host: ImageHost) -> list[tuple[str, str | None]]:
    """What is logged, and by whom."""
    with open_store(host.root) as store:
        return [(one.event, one.by.get("name")) for one in event_log.events(store)]


def codes(answer: dict[str, object]) -> list[str]:
    return [one["code"] for one in answer["problems"]]  # type: ignore[attr-defined]


def test_what_runs_is_listed_with_what_is_proved_of_it_today(host: ImageHost) -> None:
    found = host.ask("modules").document
    assert (found["generation"], found["shown"], found["level"]) == (1, 1, "partner")
    assert [(one["name"], one["proven_level"]) for one in found["modules"]] == [
        ("agent", "partner"),
        ("web", "partner"),
    ]
    assert host.ask("module", name="web").document["files"][-1]["path"] == "opt/web/run"
    assert [one["verdict"] for one in host.ask("inventory").document["modules"]] == ["accepted", "accepted"]
    assert host.ask("proof", name="web").document["checks"]
    state = host.ask("state").document
    assert (state["generation"], state["modules"], state["level"], state["lockdown"]) == (1, 2, "partner", "normal")
    history = host.ask("history").document
    assert [(one["number"], one["state"]) for one in history["generations"]] == [(1, "active")]


def test_a_module_that_does_not_run_is_not_there(host: ImageHost) -> None:
    assert host.code("module", name="other") == "not-installed"


def test_what_is_as_it_was_signed_is_verified(host: ImageHost) -> None:
    found = host.ask("verify")
    assert (found.verdict, found.document["findings"], found.document["paths"]) == (Verdict.ACCEPTED, [], 2)


def test_a_file_that_was_changed_is_found(host: ImageHost) -> None:
    Path(host.shown.images[0].place, "opt/agent/run").write_bytes(b"other")
    found = host.ask("verify")
    assert [(one["module"], one["code"]) for one in found.document["findings"]] == [("agent", "installed-changed")]
    assert found.verdict is Verdict.REJECTED


def test_a_bundle_that_was_exchanged_on_the_disk_proves_nothing(host: ImageHost) -> None:
    folder = host.disk.data / "generations/1"
    (folder / "web-1.0.seal").write_bytes((folder / "agent-1.0.seal").read_bytes())
    listed = host.ask("modules")
    assert listed.verdict is not Verdict.ACCEPTED
    assert [(one["name"], one["proven_level"]) for one in listed.document["modules"]] == [
        ("agent", "partner"),
        ("web", None),
    ]
    assert [one["code"] for one in listed.document["findings"]] == ["installed-changed"]
    assert [one["module"] for one in host.ask("verify").document["findings"]] == ["web"]


def test_a_log_that_was_changed_is_found(host: ImageHost) -> None:
    log = host.root / "var/lib/modseal/log.jsonl"
    log.chmod(0o600)
    log.write_bytes(log.read_bytes().replace(b"init", b"tini"))
    assert [one["code"] for one in host.ask("verify").document["findings"]] == ["log-broken"]


def test_a_bundle_that_is_refused_has_the_codes_of_verify(host: ImageHost) -> None:
    good = host.maker.bundle("agent", "2.0").read_bytes()
    bad = host.maker.root.parent / "bad.seal"
    bad.write_bytes(good[:-300] + bytes([good[-300] ^ 1]) + good[-299:])
    found = host.ask("install", bad)
    assert found.verdict is Verdict.REJECTED
    assert found.document["results"][0]["verdict"] == "rejected"
    stranger = host.ask("install", host.maker.bundle("agent", "2.0", leaf(issuer=root(7))))
    assert "no-path" in str(stranger.document["results"])


def test_a_good_bundle_is_the_owner_s_to_install(host: ImageHost) -> None:
    found = host.ask("install", host.maker.bundle("agent", "2.0"))
    assert (found.verdict, codes(found.document), found.document["installed"]) == (
        Verdict.REJECTED,
        ["owner-decides"],
        [],
    )
    older = host.ask("install", host.maker.bundle("agent", "0.9"))
    assert codes(older.document) == ["version-downgraded"]


def test_what_runs_already_changes_nothing(host: ImageHost) -> None:
    found = host.ask("install", host.disk.data / "generations/1/agent-1.0.seal")
    assert (found.verdict, found.document["skipped"][0]["name"]) == (Verdict.ACCEPTED, "agent")


@pytest.mark.parametrize("operation", ["remove", "activate", "rollback", "acceptance", "prune", "recall"])
def test_nothing_that_the_owner_has_signed_is_changed_by_a_client(host: ImageHost, operation: str) -> None:
    assert host.code(operation) == "owner-decides"


def test_what_the_owner_has_signed_is_tried_and_logged_with_who_has_brought_it(host: ImageHost) -> None:
    found = host.pushed(TWO.update(), OLGA)
    assert (found.verdict, found.document["generation"], found.document["waits"]) == (Verdict.ACCEPTED, 2, True)
    assert [one["name"] for one in found.document["removed"]] == ["agent", "web"]
    trial = update.load(host.disk.data).trial
    assert trial == slots.Trial("b", "a", Running(2, 2))
    assert events(host) == [("init", None), ("install", "Olga")]


def test_of_a_new_generation_what_is_newer_is_told(host: ImageHost) -> None:
    folder = host.disk.data / "generations/1"
    _, files = generation_of(2, host.maker.bundle("agent", "2.0"), folder / "web-1.0.seal")
    policy = {f"{host.shown.running.root}.p7b": b"policy"}
    found = host.pushed(Image(1, 2, files={**files, **policy}).update(first=2)).document
    assert (found["generation"], found["installed"], found["removed"]) == (2, [], [])
    assert [(one["name"], one["from"], one["version"]) for one in found["updated"]] == [("agent", "1.0", "2.0")]


def test_what_somebody_else_has_signed_is_not_followed(host: ImageHost) -> None:
    found = host.pushed(TWO.asked(TWO.request(), owner=STRANGER), OLGA)
    assert (found.verdict, codes(found.document)) == (Verdict.REJECTED, ["bad-signature"])
    assert update.load(host.disk.data).trial is None
    assert events(host) == [("init", None)]


def test_in_strict_mode_a_controller_alone_brings_what_the_owner_has_signed(host: ImageHost) -> None:
    controller = Actor("key-sha256:" + "2" * 64, "Ann")
    keys = {"Controllers": [controller.key], "BreakGlassKeys": ["key-sha256:" + "3" * 64], "Threshold": 1}
    host.ask("lockdown", Mode="strict", **keys)
    for data in (TWO.update(), host.maker.bundle("agent", "2.0").read_bytes()):
        path = host.disk.folder / "pushed"
        path.write_bytes(data)
        assert host.code("install", path, actor=OLGA) == "host-locked-down"
    assert update.load(host.disk.data).trial is None
    assert host.pushed(TWO.update(), controller).verdict is Verdict.ACCEPTED


def test_what_the_owner_has_signed_comes_by_itself(host: ImageHost) -> None:
    path = host.disk.folder / "pushed"
    path.write_bytes(TWO.update())
    assert host.code("install", path, path) == "usage"
    assert host.code("install", path, DryRun=True) == "usage"


def test_a_receiver_that_is_gone_leaves_it_undecided(host: ImageHost) -> None:
    assert host.pushed(TWO.update()).verdict is Verdict.ACCEPTED, "it ends then, for the restart"
    assert host.code("install", host.disk.folder / "pushed") == "io-error"


def test_the_log_stays_when_the_host_starts_again(host: ImageHost) -> None:
    prepare(host.root, host.shown, NOW)
    assert events(host) == [("init", None)]


def test_what_a_power_cut_left_of_the_first_start_is_made_anew(tmp_path: Path) -> None:
    host = make(tmp_path)
    (host.root / "var").rename(host.root / "new")
    (host.root / "new/current").write_text("half of it")
    prepare(host.root, host.shown, NOW)
    assert events(host) == [("init", None)]
    host.shown.receiver.close()
