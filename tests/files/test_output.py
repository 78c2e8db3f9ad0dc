"""An output file replaces a regular file as a whole, writes reports to streams, and destroys nothing."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from builders.bundles import snapshot
from modseal.errors import InputError, UsageError
from modseal.files import folder
from modseal.files.output import output_file, require_output

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
OTHER = 65534


def write(path: Path, data: bytes = b"new", **how: bool) -> None:
    with output_file(path, **how) as file:
        file.write(data)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_file_is_there_with_its_mode_whatever_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    old = os.umask(umask)
    try:
        with output_file(tmp_path / "f", mode) as file:
            file.write(b"data")
            assert not (tmp_path / "f").exists()
    finally:
        os.umask(old)
    assert snapshot(tmp_path) == {"f": b"data"}
    assert (tmp_path / "f").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, OSError])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "f").write_bytes(b"old")

    def fail() -> None:
        with output_file(tmp_path / "f") as file:
            file.write(b"new")
            raise error

    with pytest.raises(InputError if error is OSError else error):
        fail()
    assert snapshot(tmp_path) == {"f": b"old"}


def test_a_file_cannot_be_written_where_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        write(tmp_path / "absent" / "f")


@pytest.mark.parametrize("path", [".", "..", "/", "d/.."])
def test_what_names_nothing_in_a_folder_is_usage(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        write(Path(path))


def make_socket(path: Path) -> None:
    """By a short relative name: the address of a socket has little room."""
    listening = socket.socket(socket.AF_UNIX)
    descriptor = os.open(path.parent, os.O_RDONLY)
    listening.bind(f"/proc/self/fd/{descriptor}/{path.name}")
    listening.close()
    os.close(descriptor)


@pytest.mark.parametrize("is_report", [False, True])
@pytest.mark.parametrize("kind", ["folder", "socket"])
def test_a_folder_and_a_socket_are_refused_and_stay(tmp_path: Path, kind: str, is_report: bool) -> None:
    if kind == "folder":
        (tmp_path / "x").mkdir()
    else:
        make_socket(tmp_path / "x")
    before = os.lstat(tmp_path / "x")
    with pytest.raises(UsageError, match=f"x is a {kind}; name a file to write"):
        write(tmp_path / "x", is_report=is_report)
    assert os.path.samestat(before, os.lstat(tmp_path / "x"))
    assert len(os.listdir(tmp_path)) == 1


def test_a_pipe_is_refused_but_for_reports_which_go_through_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    before = os.lstat(tmp_path / "p")
    with pytest.raises(UsageError, match="is a named pipe"):
        write(tmp_path / "p")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "p").read_bytes()))
    reader.start()
    write(tmp_path / "p", b"report", is_report=True)
    reader.join()
    assert read == [b"report"]
    assert os.path.samestat(before, os.lstat(tmp_path / "p"))
    assert os.listdir(tmp_path) == ["p"]


@as_root
@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_OUT_04_a_device_stays_a_device(tmp_path: Path, kind: int) -> None:
    number = os.makedev(1, 3) if kind == stat.S_IFCHR else os.makedev(240, 77)  # what null is; no driver at all
    try:
        os.mknod(tmp_path / "n", kind | 0o666, number)
    except PermissionError:
        pytest.skip("no devices can be made here")
    for is_report in (False, True):
        if is_report and kind == stat.S_IFCHR:
            write(tmp_path / "n", is_report=True)
        else:
            with pytest.raises(UsageError, match=r"is a (block )?device"):
                write(tmp_path / "n", is_report=is_report)
        status = os.lstat(tmp_path / "n")
        assert (stat.S_IFMT(status.st_mode), status.st_rdev) == (kind, number)
    assert os.listdir(tmp_path) == ["n"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build/x").write_bytes(b"old")
    (tmp_path / "current").symlink_to("build/x")
    (tmp_path / "twice").symlink_to("current")
    (tmp_path / "dangling").symlink_to("build/none")
    write(tmp_path / "twice")
    write(tmp_path / "dangling", b"made")
    assert snapshot(tmp_path) == {
        "build": "folder",
        "build/none": b"made",
        "build/x": b"new",
        "current": "-> build/x",
        "dangling": "-> build/none",
        "twice": "-> current",
    }


def test_a_ring_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="symbolic links"):
        write(tmp_path / "a")


@pytest.mark.parametrize("how", ["the folder is open to all", "the folder is another's", "the link is another's"])
def test_OUT_03_a_link_that_others_could_have_put_there_is_not_followed(tmp_path: Path, how: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    there = tmp_path / "there"
    there.mkdir()
    (there / "out").symlink_to(victim)
    if how == "the folder is open to all":
        there.chmod(0o777)
    elif os.geteuid():
        pytest.skip("only root can give files to others")
    elif how == "the folder is another's":
        os.chown(there, OTHER, OTHER)
    else:
        os.lchown(there / "out", OTHER, OTHER)
    for is_report in (False, True):
        with pytest.raises(UsageError, match="is a symbolic link that others could have put there"):
            write(there / "out", is_report=is_report)
    assert victim.read_bytes() == b"precious"
    assert snapshot(there) == {"out": f"-> {victim}"}


def test_a_link_of_ones_own_in_a_sticky_folder_is_followed(tmp_path: Path) -> None:
    there = tmp_path / "tmp"
    there.mkdir()
    there.chmod(0o1777)
    (there / "out").symlink_to(tmp_path / "mine")
    write(there / "out")
    assert (tmp_path / "mine").read_bytes() == b"new"


@as_root
def test_OUT_06_a_pipe_that_others_could_have_put_there_gets_no_report(tmp_path: Path) -> None:
    there = tmp_path / "tmp"
    there.mkdir()
    there.chmod(0o1777)
    os.mkfifo(there / "out")
    os.chown(there / "out", OTHER, OTHER)
    reader = os.open(there / "out", os.O_RDONLY | os.O_NONBLOCK)
    try:
        for check in (require_output, write):
            with pytest.raises(UsageError, match="is a named pipe that others could have put there"):
                check(there / "out", is_report=True)
        assert os.read(reader, 1) == b""
        there.chmod(0o755)  # as in /dev/pts: only root can have put it there, and gave it to that user
        write(there / "out", b"report", is_report=True)
        assert os.read(reader, 9) == b"report"
    finally:
        os.close(reader)


def test_OUT_06_a_pipe_that_becomes_a_file_meanwhile_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "out")
    open_ = os.open

    def exchange(name: str, flags: int, *args: int, **how: int) -> int:
        if name == "out":
            (tmp_path / "out").unlink()
            (tmp_path / "out").write_bytes(b"precious")
        return open_(name, flags, *args, **how)

    monkeypatch.setattr(os, "open", exchange)
    with pytest.raises(InputError, match="it was exchanged"):
        write(tmp_path / "out", is_report=True)
    monkeypatch.undo()
    assert snapshot(tmp_path) == {"out": b"precious"}


def test_what_has_a_private_key_in_it_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"Bag Attributes\n-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
    before = snapshot(tmp_path)
    for is_report in (False, True):
        with pytest.raises(UsageError, match="has a private key in it"):
            write(tmp_path / "k", is_report=is_report)
    assert snapshot(tmp_path) == before


def test_what_must_be_new_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    (tmp_path / "l").symlink_to("nowhere")
    before = snapshot(tmp_path)
    for name in ("f", "l"):
        with pytest.raises(UsageError, match="never replaced"):
            write(tmp_path / name, new=True)
    assert snapshot(tmp_path) == before
    write(tmp_path / "g", new=True)
    assert (tmp_path / "g").read_bytes() == b"new"


def test_what_must_be_new_does_not_replace_what_came_meanwhile(tmp_path: Path) -> None:
    def meet() -> None:
        with output_file(tmp_path / "f", new=True) as file:
            file.write(b"mine")
            (tmp_path / "f").write_bytes(b"theirs")

    with pytest.raises(UsageError, match="never replaced"):
        meet()
    assert snapshot(tmp_path) == {"f": b"theirs"}


def test_another_file_under_the_staged_name_is_not_taken_for_the_output(tmp_path: Path) -> None:
    def exchange() -> None:
        with output_file(tmp_path / "f") as file:
            file.write(b"mine")
            [staged] = tmp_path.iterdir()
            staged.rename(tmp_path / "aside")
            staged.write_bytes(b"theirs")

    with pytest.raises(InputError, match="it was exchanged"):
        exchange()
    assert not (tmp_path / "f").exists()
    assert sorted(snapshot(tmp_path).values()) == [b"mine", b"theirs"]


def test_it_is_said_before_work_is_done_in_vain(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for is_report in (False, True):
        with pytest.raises(UsageError):
            require_output(tmp_path / "d", is_report=is_report)
    with pytest.raises(InputError):
        require_output(tmp_path / "none" / "f")
    require_output(tmp_path / "f")
    assert snapshot(tmp_path) == {"d": "folder"}


@as_root
def test_a_folder_that_may_not_be_written_is_an_input_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another user, who has no way to the folder but the one that is the current one."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"old")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").chmod(0o555)
    os.seteuid(OTHER)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            write(Path("d/f"))
    finally:
        os.seteuid(0)
    assert snapshot(tmp_path) == {"d": "folder", "d/f": b"old"}


@as_root
@pytest.mark.parametrize(
    ("owner", "mode", "shared"),
    [(0, 0o755, False), (0, 0o1777, False), (0, 0o777, True), (OTHER, 0o755, True), (OTHER, 0o1777, True)],
)
def test_a_folder_is_shared_where_others_can_rename_in_it(tmp_path: Path, owner: int, mode: int, shared: bool) -> None:
    (tmp_path / "d").mkdir()
    os.chown(tmp_path / "d", owner, -1)
    (tmp_path / "d").chmod(mode)
    descriptor = os.open(tmp_path / "d", os.O_RDONLY)
    assert folder.is_shared(descriptor) is shared
    os.close(descriptor)


def test_a_group_that_only_its_user_is_in_is_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o770)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    monkeypatch.setattr(folder, "_is_own_group", lambda number: number == tmp_path.stat().st_gid)
    assert not folder.is_shared(descriptor)
    monkeypatch.setattr(folder.os, "listxattr", lambda _descriptor: ["system.posix_acl_access"])
    assert folder.is_shared(descriptor)
    monkeypatch.undo()
    monkeypatch.setattr(folder, "_is_own_group", lambda _number: False)
    assert folder.is_shared(descriptor)
    os.close(descriptor)
