"""Recalls on a host: what was installed before is found, and a list that the host keeps never lapses."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders import hosts, recalls
from builders.hosts import LIVE, Host, tree
from builders.pki import NOW, leaf, root, signer
from modseal import limits
from modseal.errors import FormatError, RefusedError, UndecidedError
from modseal.format import recall as recall_format
from modseal.format.recall import Recall
from modseal.host import event_log, learned
from modseal.host.look import show_modules
from modseal.host.values import list_values
from modseal.host.verify import verify
from modseal.report import host_text
from modseal.trust.examination import Verdict


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host with acme-agent 1.0 and another module."""
    host = hosts.host(tmp_path)
    host.installed(host.bundle(), host.bundle("other"))
    return host


def written(host: Host, recall: Recall, name: str = "r.recall") -> Path:
    path = host.root.parent / name
    path.write_bytes(recall_format.encode(recall))
    return path


def keep(host: Host, *changes: Any, **fields: Any) -> tuple[Recall, ...]:
    return learned.keep_recalls(host.root, [written(host, recalls.make(*changes, **fields))], NOW)


def test_an_installed_module_that_is_recalled_is_found(host: Host) -> None:
    assert host.codes() == []
    keep(host)
    (finding,) = host.verify().findings
    assert (finding.module, finding.failure.code) == ("acme-agent", "recalled")
    assert "it burns" in finding.failure.detail
    assert host.verify().verdict is Verdict.REJECTED


def test_a_recall_that_is_given_counts_for_one_verification(host: Host) -> None:
    path = written(host, recalls.make())
    before = tree(host.root)
    found = verify(host.root, NOW, None, [path])
    assert [one.failure.code for one in found.findings] == ["recalled"]
    assert tree(host.root) == before
    assert host.codes() == []


def test_a_recalled_bundle_is_neither_installed_nor_an_update(host: Host) -> None:
    keep(host, recalls.entry(versions=((">=", "2"),)))
    new = host.bundle(version="2.0")
    for update in (False, True):
        done = host.install(new, update=update)
        assert done.results[0].examination.primary.code == "recalled"
        assert host.install(new, update=update, dry_run=True) == done
    assert host.modules()["acme-agent"] == "1.0"


def test_the_recalled_module_can_be_removed_and_updated(host: Host) -> None:
    keep(host, recalls.entry(versions=(("<<", "2"),)))
    assert [one.code for one in host.install(host.bundle("third")).failures] == ["recalled"]
    host.installed(host.bundle(version="2.0"))
    assert host.codes() == []


def test_a_kept_list_counts_when_it_has_run_out(host: Host) -> None:
    keep(host, expires=NOW + timedelta(days=1))
    found = verify(host.root, NOW + timedelta(days=2))
    assert [(one.module, one.failure.code) for one in found.findings] == [("acme-agent", "recalled")]


def test_a_list_that_has_run_out_leaves_the_others_alone(host: Host) -> None:
    keep(host, recalls.entry("nothing-here"), expires=NOW + timedelta(days=1))
    assert verify(host.root, NOW + timedelta(days=2)).findings == ()


def test_a_list_of_signers_that_the_policy_has_withdrawn_counts_no_more(host: Host) -> None:
    keep(host)
    host.set_policy(more=f'[deny]\nsigners = ["sha256:{signer().fingerprint}"]\n', name="deny.toml")
    assert "recalled" not in host.codes()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"expires": NOW - timedelta(hours=1)}, "recall-expired"),
        ({"by": [leaf("Stranger", issuer=root(7))]}, "recall-not-trusted"),
        ({"by": []}, "recall-not-trusted"),
    ],
)
def test_a_list_that_does_not_count_is_refused(host: Host, fields: dict[str, Any], code: str) -> None:
    path = written(host, recalls.make(**fields))
    before = tree(host.root)
    for attempt in (
        lambda: learned.keep_recalls(host.root, [path], NOW),
        lambda: verify(host.root, NOW, None, [path]),
    ):
        with pytest.raises(UndecidedError) as caught:
            attempt()
        assert caught.value.failure.code == code
    assert tree(host.root) == before


def test_an_older_list_is_refused(host: Host) -> None:
    keep(host, version=2)
    old = written(host, recalls.make(recalls.entry("other"), version=1), "old.recall")
    for attempt in (
        lambda: learned.keep_recalls(host.root, [old], NOW),
        lambda: verify(host.root, NOW, None, [old]),
    ):
        with pytest.raises(UndecidedError) as caught:
            attempt()
        assert caught.value.failure.code == "recall-rollback"


def test_a_newer_list_takes_the_place_of_the_older_one(host: Host) -> None:
    keep(host)
    keep(host, recalls.entry("other"), version=2)
    assert [(one.module, one.failure.code) for one in host.verify().findings] == [("other", "recalled")]
    with host.store() as store:
        assert len(store.state.recalls) == 1


def test_a_list_that_is_kept_already_changes_nothing(host: Host) -> None:
    assert len(keep(host)) == 1
    before = tree(host.root)
    assert keep(host) == ()
    assert tree(host.root) == before


def test_what_is_no_recall_is_refused(host: Host) -> None:
    path = host.root.parent / "r.recall"
    path.write_bytes(b"!<arch>\n")
    with pytest.raises(FormatError):
        learned.keep_recalls(host.root, [path], NOW)


def test_the_log_names_what_came(host: Host) -> None:
    keep(host)
    with host.store() as store:
        newest = list(event_log.events(store))[-1]
    assert (newest.event, newest.facts["recalls"]) == ("recall", "acme-recalls version 1")


def test_a_kept_recall_that_was_changed_decides_nothing(host: Host) -> None:
    keep(host)
    with host.store() as store:
        path = store.path / "records" / store.state.recalls[0][:2] / store.state.recalls[0][2:]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])
    assert host.codes() == ["host-invalid"]
    with pytest.raises(UndecidedError) as caught:
        host.install(host.bundle("other"))
    assert caught.value.failure.code == "host-invalid"


LOW = '\n[[anchor]]\nname = "Low"\ncertificate = "low.pem"\ngrants = "certified"\nvendors = ["Low*"]\n'


@pytest.fixture
def shared(tmp_path: Path) -> Host:
    """A host whose policy trusts a second vendor, for its own modules alone."""
    (tmp_path / "low.pem").write_bytes(root(7).pem)
    host = hosts.host(tmp_path, more=LOW)
    host.installed(host.bundle())
    return host


def low_list(number: int = 0, **fields: Any) -> Recall:
    """A list of the second vendor about a module of its own."""
    by = leaf("Low", issuer=root(7))
    return recalls.make(recalls.entry(f"m{number}", "Low Inc"), by=[by], **fields)


def test_nobody_takes_the_name_of_a_list_from_another_signer(shared: Host) -> None:
    assert len(learned.keep_recalls(shared.root, [written(shared, low_list(version=2**31 - 1))], NOW)) == 1
    path = written(shared, recalls.make(version=7))
    assert [one.failure.code for one in verify(shared.root, NOW, None, [path]).findings] == ["recalled"]
    assert len(learned.keep_recalls(shared.root, [path], NOW)) == 1
    assert shared.codes() == ["recalled"]


def test_nobody_fills_the_room_for_the_lists_of_others(shared: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HOST_RECALLS_OF_ANCHOR", 2)
    for number in range(2):
        learned.keep_recalls(shared.root, [written(shared, low_list(number, name=f"low-{number}"))], NOW)
    with pytest.raises(RefusedError, match="recalls of the anchor"):
        learned.keep_recalls(shared.root, [written(shared, low_list(2, name="low-2"))], NOW)
    keep(shared)
    assert shared.codes() == ["recalled"]


def test_lists_of_who_is_trusted_no_more_make_room(shared: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HOST_RECALLS_OF_ANCHOR", 1)
    learned.keep_recalls(shared.root, [written(shared, low_list(name="low"))], NOW)
    shared.set_policy()
    keep(shared)
    with shared.store() as store:
        assert len(store.state.recalls) == 1


def test_a_list_of_modules_says_what_the_policy_does_not_accept(host: Host) -> None:
    host.installed(host.bundle("driver", kind="vib", vib=LIVE))
    keep(host)
    found = show_modules(host.root, NOW)
    rows = {one["name"]: (one["proven_level"], one["verdict"]) for one in list_values(found)["modules"]}
    good = ("partner", "accepted")
    assert rows == {"acme-agent": (None, "rejected"), "other": good, "driver": good}
    assert "rejected: recalled" in host_text.modules(found)


def test_a_clock_that_was_set_back_proves_nothing(host: Host) -> None:
    found = show_modules(host.root, NOW - timedelta(days=1))
    assert [one.failure.code for one in found.findings] == ["clock-set-back"]
    assert {one["verdict"] for one in list_values(found)["modules"]} == {"undecided"}
