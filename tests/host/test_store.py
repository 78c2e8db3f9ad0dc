"""A file of the store is opened as what it has to be: a regular file of its size, below real folders."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import hosts
from builders.hosts import Host
from builders.pki import NOW
from modseal import limits
from modseal.errors import UndecidedError
from modseal.host import documents, export, image, write
from modseal.host.installed import prove
from modseal.host.look import show_module
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


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stored(host: Host, content: bytes) -> Path:
    digest = sha(content)
    return host.root / f"var/lib/modseal/objects/{digest[:2]}/{digest[2:]}.0644"


@pytest.mark.parametrize("killed", [False, True])
def test_a_repair_puts_a_file_where_it_belongs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, killed: bool
) -> None:
    """The damaged file of one module is that of another one, by a hard link."""
    host = hosts.host(tmp_path)
    one, other = host.bundle("one", files={"opt/one/f": b"1111"}), host.bundle("other", files={"opt/other/f": b"2222"})
    host.installed(one, other)
    stored(host, b"1111").unlink()
    stored(host, b"1111").hardlink_to(stored(host, b"2222"))
    (host.image / "opt/one/f").unlink()
    (host.image / "opt/one/f").hardlink_to(stored(host, b"2222"))
    images = host.root / "var/lib/modseal/generations"
    if killed:
        with monkeypatch.context() as patch:
            patch.setattr(write, "switch", lambda *_: 1 // 0)
            with pytest.raises(ZeroDivisionError):
                host.install(one)
    else:
        assert host.installed(one).generation == 2
    assert (images / "1/image/opt/other/f").read_bytes() == b"2222"
    assert (images / "1/image/opt/one/f").read_bytes() == b"1111"
    assert host.codes() == []


def out_of_the_root(name: str) -> Callable[[Host, Path], None]:
    def change(host: Host, outside: Path) -> None:
        path = host.root / "var/lib/modseal" / name
        if path.exists():
            path.rename(outside / "moved")
            path.symlink_to(outside / "moved")
        else:
            path.symlink_to(outside)

    return change


@pytest.mark.parametrize(
    "spoil", [*map(out_of_the_root, ["objects", "records", "generations", "states"]), out_of_the_root("objects/ab")]
)
def test_nothing_is_written_out_of_the_root(host: Host, tmp_path: Path, spoil: Callable[[Host, Path], None]) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    content = next(data for number in range(10_000) if sha(data := b"%d" % number).startswith("ab"))
    bundle = host.bundle("second", files={"opt/second/x": content})
    spoil(host, outside)
    before = hosts.tree(outside)
    said = []
    for dry_run in (True, False):
        try:
            done = host.install(bundle, dry_run=dry_run)
            said.append([one.code for one in done.failures])
        except UndecidedError as error:
            said.append([error.failure.code])
    assert said == [["host-invalid"], ["host-invalid"]]
    assert hosts.tree(outside) == before


def test_what_is_swept_is_below_the_root(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of the store is exchanged for a link once its names were listed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = host.root / "var/lib/modseal/records/zz"
    for place in (folder, outside):
        place.mkdir(exist_ok=True)
        (place / "f").write_bytes(b"precious")
    (host.root / "var/lib/modseal/states/9").mkdir()  # something to clean
    status_of = write.folder.status_of

    def exchange(name: str, parent: int) -> os.stat_result | None:
        if name.endswith("f") and folder.is_dir() and not folder.is_symlink():
            folder.rename(tmp_path / "before")
            folder.symlink_to(outside)
        return status_of(name, parent)

    monkeypatch.setattr(write.folder, "status_of", exchange)
    host.install(host.bundle("other"))
    assert (outside / "f").exists()


def test_the_log_is_never_another_file_of_the_system(host: Host, tmp_path: Path) -> None:
    victim, log = tmp_path / "victim", host.root / "var/lib/modseal/log.jsonl"
    victim.write_bytes(b"root:x:0:0\n")
    victim.chmod(0o644)
    log.unlink()
    log.hardlink_to(victim)
    host.installed(host.bundle("other"))
    assert (victim.read_bytes(), victim.stat().st_mode & 0o7777) == (b"root:x:0:0\n", 0o644)
    assert host.codes() == ["log-broken"]


def test_a_backup_of_the_log_by_a_hard_link_stays_as_it_is(host: Host, tmp_path: Path) -> None:
    backup, log = tmp_path / "backup", host.root / "var/lib/modseal/log.jsonl"
    backup.hardlink_to(log)
    before = backup.read_bytes()
    host.installed(host.bundle("other"))
    assert backup.read_bytes() == before
    assert host.codes() == []


def test_what_is_linked_is_what_was_looked_at(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the store is exchanged while a change links to it."""
    good = stored_program(host)
    build = image.build

    def exchanged(*given: Any) -> None:
        good.unlink()
        good.write_bytes(b"acme-agent 6.6")
        good.chmod(0o644)
        build(*given)

    monkeypatch.setattr(image, "build", exchanged)
    with pytest.raises(UndecidedError, match="somebody changed the store meanwhile") as raised:
        host.install(host.bundle("other"))
    assert raised.value.failure.code == "host-invalid"
    assert host.modules() == {"acme-agent": "1.0"}
    assert (host.image / "opt/acme-agent/bin/run").read_bytes() == b"acme-agent 1.0"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_is_mounted_over_a_part_of_the_store_is_found(host: Host, tmp_path: Path) -> None:
    """A good copy is shown in the place of a changed file, which the merge would have."""
    copy = tmp_path / "a copy"
    shutil.copytree(host.image / "opt", copy, copy_function=os.link)
    (host.image / "opt/acme-agent/bin/run").unlink()
    (host.image / "opt/acme-agent/bin/run").write_bytes(b"acme-agent 6.6")
    program = f"{sys.executable} -m modseal host"
    script = f"""mount --bind '{copy}' {host.image}/opt || exit 99
        {program} verify --root {host.root} --at-boot; echo $?
        {program} install {host.bundle("other")} --root {host.root} --dry-run; echo $?"""
    unshared = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    done = subprocess.run(
        unshared, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)}
    )
    if done.returncode == 99:
        pytest.skip("nothing can be mounted here")
    assert "installed-mount" in done.stdout, done
    assert "something is mounted at 'generations/1/image/opt' of the store" in done.stderr + done.stdout
    assert [line for line in done.stdout.splitlines() if line.isdigit()] == ["3", "3"]
    assert host.codes() == ["installed-changed"]


def test_a_record_that_hides_a_kernel_module_is_found_by_all_who_go_by_it(tmp_path: Path) -> None:
    """The signer may not bring kernel modules any more, and the record says that there is none."""
    host = hosts.host(tmp_path)
    host.installed(host.bundle(files={"opt/driver": b"\x7fELF" + bytes(12) + b"\1\0" + bytes(60)}))
    host.set_policy(more="[anchor.may]\nkernel-modules = false\n")
    with host.store() as store:
        generation = store.generation(store.newest)
        hidden = documents.encode(replace(store.module(generation.modules[0].record), relocatable=()))
        digest = sha(hidden)
        (store.path / record_name(digest)).parent.mkdir(exist_ok=True)
        (store.path / record_name(digest)).write_bytes(hidden)
        (store.path / record_name(digest)).chmod(0o400)
        forged = documents.encode(replace(generation, modules=(replace(generation.modules[0], record=digest),)))
        path = store.path / "generations/1/generation.json"
        path.chmod(0o600)
        path.write_bytes(forged)
        reference = documents.Reference(1, sha(forged))
        state = replace(store.state, generation=reference, kept=(store.state.kept[0], reference))
        path = store.path / store.state_name / "state.json"
        path.chmod(0o600)
        path.write_bytes(documents.encode(documents.bound(state)))
    assert "host-invalid" in host.codes()
    assert "host-invalid" in [one.failure.code for one in show_module(host.root, "acme-agent", NOW).findings]
    assert [one.code for one in host.install(host.bundle("other")).failures] == ["host-invalid"]
    with host.store() as store, pytest.raises(UndecidedError, match="ELF relocatable"):
        export.proved_modules(store, NOW)


def test_a_record_that_lacks_a_payload_proves_nothing(host: Host) -> None:
    with host.store() as store:
        module = store.generation(store.newest).modules[0]
        record = store.module(module.record)
        other = documents.encode(replace(record, payloads=(replace(record.payloads[0], name="x"),)))
        place = store.path / record_name(sha(other))
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(other)
        with pytest.raises(UndecidedError, match="which its manifest names") as raised:
            prove(store, replace(module, record=sha(other)), store.policy, NOW)
    assert raised.value.failure.code == "host-invalid"
