"""Generations: back to an earlier one, on to the one that waits; each is proved before the host goes there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builders import hosts
from builders.hosts import Host, tree
from modseal.errors import RefusedError
from modseal.host.store import record_name
from modseal.trust.examination import Verdict


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = hosts.host(tmp_path)
    found.installed(found.bundle(version="1.0"))
    found.installed(found.bundle(version="2.0"))
    return found


def refused(host: Host, to: int | None = None) -> list[str]:
    before = tree(host.root)
    done = host.rollback(to)
    assert done.verdict is Verdict.REJECTED
    assert tree(host.root) == before
    return [failure.code for failure in done.failures]


def test_a_rollback_goes_to_the_generation_before(host: Host) -> None:
    assert host.rollback().generation == 1
    assert host.modules() == {"acme-agent": "1.0"}
    assert (host.image / "opt/acme-agent/bin/run").read_bytes() == b"acme-agent 1.0"
    assert host.codes() == []
    assert host.rollback(2).generation == 2
    assert host.rollback(0).generation == 0
    assert host.modules() == {}


def test_the_generation_after_a_rollback_has_a_number_of_its_own(host: Host) -> None:
    host.rollback()
    assert host.installed(host.bundle(version="3.0")).generation == 3
    with host.store() as store:
        assert [(one.number, store.generation(one).parent) for one in store.state.kept] == [
            *((0, None), (1, 0), (2, 1), (3, 1))
        ]


@pytest.mark.parametrize("to", [7, None])
def test_there_must_be_such_a_generation(host: Host, to: int | None) -> None:
    if to is None:
        host.rollback(0)
    with pytest.raises(RefusedError) as error:
        host.rollback(to)
    assert error.value.failure.code == "no-generation"


def test_a_host_does_not_go_back_to_what_the_policy_refuses_by_now(host: Host) -> None:
    assert host.set_policy(more='[versions]\nacme-agent = "1.5"\n') == ()
    assert refused(host) == ["version-below-floor"]
    assert host.rollback(0).verdict is Verdict.ACCEPTED


def test_a_host_does_not_go_back_to_what_is_damaged(host: Host) -> None:
    (host.root / "var/lib/modseal/generations/1/image/opt/acme-agent/bin/run").write_bytes(b"acme-agent 9.9")
    assert refused(host) == ["installed-changed"]


@pytest.mark.parametrize("lost", ["", "generation.json", "image"])
def test_a_generation_that_is_lost_is_the_one_reason_not_to_go_there(host: Host, lost: str) -> None:
    path = host.root / "var/lib/modseal/generations/1" / lost
    path.unlink() if path.is_file() else shutil.rmtree(path)
    tried, done = host.rollback(1, dry_run=True), host.rollback(1)
    assert tried == done
    assert [one.code for one in done.failures] == ["generation-lost"]
    assert done.verdict is Verdict.UNDECIDED


def test_the_generation_that_waits_is_lost(host: Host) -> None:
    host.installed(host.bundle("driver", kind="vib"))
    shutil.rmtree(host.root / "var/lib/modseal/generations/3")
    assert [one.code for one in host.activate().failures] == ["generation-lost"]


def test_a_repair_puts_the_file_right_in_every_generation_that_has_it(host: Host) -> None:
    shared = {"opt/acme/shared": b"shared"}
    host.installed(host.bundle("a", "1", files={**shared, "opt/acme/v": b"1"}))
    newer = host.bundle("a", "2", files={**shared, "opt/acme/v": b"2"})
    host.installed(newer)
    (host.image / "opt/acme/shared").write_bytes(b"SHARED")
    assert refused(host) == ["installed-changed"]
    host.installed(newer)
    assert host.codes() == []
    assert host.rollback(3).verdict is Verdict.ACCEPTED
    assert host.modules()["a"] == "1"
    assert host.codes() == []


def test_what_waits_is_proved_again_before_it_becomes_active(host: Host) -> None:
    host.installed(host.bundle("driver", kind="vib"))
    host.set_policy(more='[deny]\nnames = ["driver"]\n')
    before = tree(host.root)
    assert [failure.code for failure in host.activate().failures] == ["denied"]
    assert tree(host.root) == before


def test_a_rollback_over_what_is_not_for_a_running_host_waits(host: Host) -> None:
    host.installed(host.bundle("driver", kind="vib"))
    host.activate()
    assert host.rollback().waits
    assert host.modules() == {"acme-agent": "2.0", "driver": "1.0"}
    host.activate()
    assert host.modules() == {"acme-agent": "2.0"}


def test_nothing_waits_nothing_to_do(host: Host) -> None:
    assert host.activate().generation is None


def test_a_host_leaves_a_generation_of_which_a_module_is_lost(host: Host) -> None:
    with host.store() as store:
        (module,) = store.generation(store.newest).modules
        (store.path / record_name(module.record)).unlink()
    tried, done = host.rollback(dry_run=True), host.rollback()
    assert tried == done
    assert done.plan
    assert [one.name for one in done.plan.lost] == ["acme-agent"]
    assert (done.verdict, host.modules()) == (Verdict.ACCEPTED, {"acme-agent": "1.0"})


def test_a_host_leaves_a_generation_whose_document_is_spoilt(host: Host) -> None:
    (host.root / "var/lib/modseal/generations/2/generation.json").unlink()
    with pytest.raises(RefusedError, match="name one with --to"):
        host.rollback()
    assert host.rollback(1).verdict is Verdict.ACCEPTED
    assert host.codes() == ["generation-lost"]
    host.prune(32)
    assert host.codes() == []
    assert host.installed(host.bundle("other")).generation == 3


def test_what_waits_is_given_up_whatever_is_lost_of_it(host: Host) -> None:
    host.installed(host.bundle("driver", kind="vib"))
    with host.store() as store:
        for module in store.generation(store.newest).modules:
            (store.path / record_name(module.record)).unlink()
    assert host.rollback().generation == 2
    with host.store() as store:
        assert store.state.pending is None
