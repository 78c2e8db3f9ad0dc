"""Who may rename around the destination exchanges the staging folder, at every step: only the command fails.

The folder around the destination is open to all, and `extract` was told to use it all the same. At one step of the
unpacking, the staging folder gets another name, and something of the victim's gets its own.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from builders.bundles import FILES, Bundle, make, snapshot
from builders.pki import NOW
from builders.policies import trusting
from modseal.bundle.extract import TreeWriter, extract
from modseal.errors import InputError, UsageError
from modseal.files import folder
from modseal.files.staging import StagingFolder, require_free
from modseal.files.tree import Tree
from modseal.trust.examination import Verdict

OTHER = 65534
BUNDLE, SHARED, VICTIM, OUT = Path("b"), Path("shared"), Path("victim"), Path("shared/out")


def with_tool(content: bytes) -> Bundle:
    modes = {"opt/tool": 0o4755, "opt/d": 0o700}
    return make("vib", files={**FILES, "opt/d": None, "opt/tool": content}, modes=modes)


GOOD = with_tool(b"\x7fELF")
TAMPERED = GOOD.with_member(GOOD.members[2].name, data=with_tool(b"evil").members[2].data)
"""A payload that is whole, and another than the one that was signed: known by its digest at its end alone."""

Planted = Callable[[Path], None]
rename = os.rename
"""The attacker's own, whatever becomes of ours."""


def as_link(name: Path) -> None:
    name.symlink_to("../victim")


def as_folder(name: Path) -> None:
    rename(VICTIM, name)


def as_empty_folder(name: Path) -> None:
    name.mkdir()
    if os.geteuid() == 0:
        os.chown(name, OTHER, OTHER)


def not_at_all(name: Path) -> None:
    assert not name.exists()


@pytest.fixture(params=["root", "another user"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The current folder, with a shared one and a victim's. All is named from here: another user has no way here."""
    monkeypatch.chdir(tmp_path)
    if request.param == "root" and os.geteuid():
        pytest.skip("this is not root")
    BUNDLE.write_bytes(GOOD.data)
    extract(BUNDLE, Path("once"), trusting(), NOW)  # loads what another user might not be able to
    shutil.rmtree("once")
    SHARED.mkdir()
    (VICTIM / "inner").mkdir(parents=True)
    for name, mode in (("precious", 0o640), ("inner/setuid", 0o4755)):
        (VICTIM / name).write_bytes(name.encode())
        (VICTIM / name).chmod(mode)
    VICTIM.chmod(0o711)
    SHARED.chmod(0o777)
    if request.param == "another user" and os.geteuid() == 0:
        for path in (tmp_path, *tmp_path.rglob("*")):
            mode = stat.S_IMODE(path.stat().st_mode)
            os.chown(path, OTHER, OTHER)
            path.chmod(mode)  # a change of owner takes setuid away
        os.seteuid(OTHER)
        yield
        os.seteuid(0)
    else:
        yield


def state(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything in and of a folder: the modes, the inodes, and the content."""
    found = {}
    for each in (path, *path.rglob("*")):
        status = each.lstat()
        data = each.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(each.relative_to(path))] = (status.st_mode, status.st_ino, data)
    return found


def find_victim(inode: int) -> Path:
    return next(path for path in (VICTIM, *SHARED.iterdir()) if path.exists() and path.lstat().st_ino == inode)


class Attack:
    """Once, before `function` of `owner` does its work, or after it: exchanges the staging folder."""

    def __init__(self, planted: Planted, owner: Any, name: str, *, after: bool = False) -> None:
        self.done = False
        real = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if not after:
                self._exchange(planted)
            try:
                return real(*arguments, **named)
            finally:
                if after:
                    self._exchange(planted)

        self.owner, self.name, self.call = owner, name, call

    def _exchange(self, planted: Planted) -> None:
        staged = [path for path in SHARED.glob(".modseal-*") if not path.is_symlink()]
        if staged and not self.done:
            self.done = True
            rename(staged[0], SHARED / "aside")
            planted(staged[0])


STEPS = {
    "begin": (TreeWriter, "begin"),
    "write": (TreeWriter, "write"),
    "end": (TreeWriter, "end"),
    "finish": (TreeWriter, "finish"),
    "special bits": (Tree, "set_mode"),
    "commit": (StagingFolder, "commit"),
    "rename": (os, "rename"),
    "clean-up": (folder, "empty"),
}


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("step", [*STEPS, "made"])
@pytest.mark.parametrize("planted", [as_link, as_folder, as_empty_folder, not_at_all])
@pytest.mark.parametrize("bundle", [GOOD, TAMPERED], ids=["good", "tampered"])
def test_OUT_01_nothing_of_the_victim_is_touched(
    bundle: Any, planted: Planted, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    BUNDLE.write_bytes(bundle.data)
    before, inode = state(VICTIM), VICTIM.lstat().st_ino
    attack = Attack(planted, *STEPS.get(step, (os, "mkdir")), after=step == "made")
    with monkeypatch.context() as patch:
        patch.setattr(attack.owner, attack.name, attack.call)
        verdict = None
        with suppress(InputError):
            verdict = extract(BUNDLE, OUT, trusting(), NOW, shared=True).verdict
    moment_comes = bundle is GOOD or step in ("begin", "write", "end", "clean-up", "made")
    moment_comes = moment_comes and not (bundle is GOOD and step == "clean-up")
    assert attack.done == moment_comes
    assert state(find_victim(inode)) == before
    if not attack.done:
        assert verdict is (Verdict.ACCEPTED if bundle is GOOD else Verdict.REJECTED)
        return
    if step == "made" and planted is as_empty_folder and os.geteuid():  # an empty folder of one's own will do
        assert verdict is (Verdict.ACCEPTED if bundle is GOOD else Verdict.REJECTED)
        return
    assert verdict is not Verdict.ACCEPTED
    if step != "made":
        assert list((SHARED / "aside").iterdir()) == []
    if OUT.exists():  # what the attacker put there got the name, and it is said that this failed
        assert step == "rename"
        assert verdict is None


@pytest.mark.usefixtures("desk")
def test_a_destination_that_comes_meanwhile_is_neither_followed_nor_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    for planted in (as_link, as_empty_folder, as_folder):
        before, inode = state(VICTIM), VICTIM.lstat().st_ino

        def finish(writer: TreeWriter, planted: Planted = planted) -> None:
            planted(OUT)
            TreeWriter.close(writer)

        with monkeypatch.context() as patch:
            patch.setattr(TreeWriter, "finish", finish)
            with pytest.raises(InputError, match="it was exchanged"):
                extract(BUNDLE, OUT, trusting(), NOW, shared=True)
        assert state(find_victim(inode)) == before
        assert [path.name for path in SHARED.iterdir()] == ["out"]
        if planted is not as_folder:
            OUT.unlink() if OUT.is_symlink() else OUT.rmdir()


@pytest.mark.usefixtures("desk")
def test_OUT_02_no_file_has_special_bits_before_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked for after every single change that is made to the file system."""
    BUNDLE.write_bytes(TAMPERED.data)
    looked = 0

    def look() -> None:
        nonlocal looked
        looked += 1
        for path in SHARED.rglob("*"):
            assert not path.lstat().st_mode & 0o6000, path

    def watched(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return function(*arguments, **named)
            finally:
                look()

        return call

    with monkeypatch.context() as patch:
        for name in ("write", "fchmod", "mkdir", "unlink", "rmdir"):
            patch.setattr(os, name, watched(getattr(os, name)))
        assert extract(BUNDLE, OUT, trusting(), NOW, shared=True).verdict is Verdict.REJECTED
    assert looked > 10
    assert list(SHARED.iterdir()) == []
    BUNDLE.write_bytes(GOOD.data)
    assert extract(BUNDLE, OUT, trusting(), NOW, shared=True).verdict is Verdict.ACCEPTED
    assert stat.S_IMODE((OUT / "opt/tool").stat().st_mode) == 0o4755


@pytest.mark.usefixtures("desk")
def test_OUT_02_special_bits_go_to_no_other_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(writer: TreeWriter, real: Callable[[TreeWriter], None] = TreeWriter.finish) -> None:
        [staged] = SHARED.glob(".modseal-*")
        (staged / "another").write_bytes(b"\x7fELF")
        (staged / "another").rename(staged / "opt/tool")
        real(writer)

    monkeypatch.setattr(TreeWriter, "finish", finish)
    with pytest.raises(InputError, match="it was exchanged"):
        extract(BUNDLE, OUT, trusting(), NOW, shared=True)
    assert list(SHARED.iterdir()) == []


@pytest.mark.usefixtures("desk")
def test_a_folder_in_which_others_can_rename_has_to_be_meant() -> None:
    with pytest.raises(UsageError, match="shared is a folder in which others can exchange"):
        extract(BUNDLE, OUT, trusting(), NOW)
    assert list(SHARED.iterdir()) == []
    SHARED.chmod(0o1777)
    assert extract(BUNDLE, OUT, trusting(), NOW).verdict is Verdict.ACCEPTED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_OUT_07_a_folder_that_others_could_have_put_there_is_not_filled(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(GOOD.data)
    there = tmp_path / "tmp"
    (there / "out").mkdir(parents=True)
    there.chmod(0o1777)
    os.chown(there / "out", OTHER, OTHER)
    with pytest.raises(UsageError, match="out belongs to another user, who could have put it there"):
        extract(tmp_path / "b", there / "out", trusting(), NOW)
    with pytest.raises(UsageError, match="who could have put it there"):
        require_free(there / "out")
    assert snapshot(there) == {"out": "folder"}
    assert extract(tmp_path / "b", there / "out", trusting(), NOW, shared=True).verdict is Verdict.ACCEPTED


def test_a_path_goes_where_the_kernel_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    BUNDLE.write_bytes(GOOD.data)
    Path("far/away").mkdir(parents=True)
    Path("link").symlink_to("far/away")
    assert extract(BUNDLE, Path("link/../out"), trusting(), NOW).verdict is Verdict.ACCEPTED
    assert Path("far/out/opt").is_dir()
    assert not Path("out").exists()
    for name in (".", "..", "link/..", "/"):
        with pytest.raises(UsageError):
            extract(BUNDLE, Path(name), trusting(), NOW)


def test_an_empty_destination_keeps_its_mode_and_its_owner(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(GOOD.data)
    (tmp_path / "out").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "out", OTHER, OTHER)
    (tmp_path / "out").chmod(0o2710)
    before = (tmp_path / "out").stat()
    assert extract(tmp_path / "b", tmp_path / "out", trusting(), NOW).verdict is Verdict.ACCEPTED
    after = (tmp_path / "out").stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert "out/opt/tool" in snapshot(tmp_path)


def test_few_descriptors_are_open_however_large_the_tree_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = "/".join("abcdefghij")
    parts = [deep[: 2 * n + 1] for n in range(10)]
    files = {**dict.fromkeys(parts), **{f"{deep}/{number}": b"x" for number in range(40)}}
    files |= {f"w{number}": None for number in range(40)} | {f"w{number}/f": b"x" for number in range(40)}
    (tmp_path / "b").write_bytes(make("seal", files=files).data)
    most = 0

    def end(writer: TreeWriter, entry: Any, real: Callable[..., None] = TreeWriter.end) -> None:
        nonlocal most
        most = max(most, len(os.listdir("/proc/self/fd")))
        real(writer, entry)

    monkeypatch.setattr(TreeWriter, "end", end)
    at_rest = len(os.listdir("/proc/self/fd"))
    assert extract(tmp_path / "b", tmp_path / "out", trusting(), NOW).verdict is Verdict.ACCEPTED
    assert most - at_rest < 20
    assert len(os.listdir("/proc/self/fd")) == at_rest
