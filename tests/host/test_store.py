"""A file of the store is opened as what it has to be: a regular file of its size, below real folders."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from builders import hosts
from builders.hosts import Host
from modseal import limits
from modseal.host.store import record_name
from modseal.trust.examination import Verdict


@pytest.fixture
def host(tmp_path: Path) -> Host:
    found = hosts.host(tmp_path)
    found.installed(found.bundle())
    return found


def stored_program(host: Host) -> Path:
    run = host.image / "opt/acme-agent/bin/run"
    (found,) = (one for one in host.root.glob("var/lib/modseal/objects/*/*") if one.samefile(run))
    return found


def decision(host: Host) -> Path:
    with host.store() as store:
        (module,) = store.generation(store.newest).modules
        return store.path / record_name(store.module(module.record).decision)


@contextmanager
def sparse(path: Path) -> Iterator[None]:
    path.touch()
    os.truncate(path, 15 << 40)
    yield


@contextmanager
def pipe_with_a_writer(path: Path) -> Iterator[None]:
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    yield
    os.close(descriptor)


@contextmanager
def endless_device(path: Path) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.mknod(path, 0o020000, os.makedev(1, 5))
    yield


@pytest.mark.parametrize("endless", [sparse, pipe_with_a_writer, endless_device])
@pytest.mark.parametrize("what", [stored_program, decision])
def test_what_has_no_end_is_found_and_not_read(host: Host, what: Callable[[Host], Path], endless: Callable) -> None:
    path = what(host)
    mode = path.stat().st_mode & 0o7777
    path.unlink()
    with endless(path):
        path.chmod(mode)
        assert host.codes() == ["installed-changed" if what is stored_program else "host-invalid"]
        expected = Verdict.REJECTED if what is stored_program else Verdict.ACCEPTED
        assert host.install(host.bundle("other"), dry_run=True).verdict is expected


def test_who_holds_the_lock_keeps_nobody_from_verifying(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HOST_LOOKS", 1)
    monkeypatch.setattr(limits, "HOST_CHANGE_LOOKS", 1)
    (tmp_path / "outside").hardlink_to(host.image / "opt/acme-agent/bin/run")
    descriptor = os.open(host.root / "var/lib/modseal", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    assert host.codes() == ["io-error", "host-invalid"]
    assert host.verify().findings[0].failure.evidence["cause"] == "busy"
    os.close(descriptor)
    assert host.codes() == ["installed-shared"]
