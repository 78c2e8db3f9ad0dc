"""The file systems that are guarded: what is mounted at some folders, also when something else is mounted there.

Nobody is asked before something is mounted. `systemd-sysext refresh` mounts a new overlay with every generation, so the
guard is told by the kernel of each change of its mounts (proc_pid_mountinfo(5)), and holds what stands there then.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

import modseal
from modseal import limits
from modseal.errors import ModsealError, UndecidedError, UsageError
from modseal.files.mounts import Mount, mount_number, mount_of
from modseal.host.fanotify import Fanotify
from modseal.host.guard_log import GuardLog
from modseal.host.kernel import mount_of_our_own

_SYSTEM = (
    "/",
    "/usr",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/bin/sh",
    "/lib/ld-linux.so.2",
    "/sbin/init",
)
"""What no system runs without, wherever each of them lies."""
_PROCESSES = ("self", "1")
"""This guard and the first process: what they have mapped is what they run from."""
_LOCAL = frozenset(
    [
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "btrfs",
        "bcachefs",
        "f2fs",
        "jfs",
        "nilfs2",
        "reiserfs",
        "zfs",
        "ubifs",
        "vfat",
        "exfat",
        "ntfs3",
        "tmpfs",
        "ramfs",
        "overlay",
        "squashfs",
        "erofs",
        "iso9660",
        "udf",
        "cramfs",
        "romfs",
    ]
)
"""File systems of this kernel alone. A server (FUSE, NFS, 9p, SMB) can give the guard other bytes than the program's
start, or no answer."""
_FOR_NOW = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What says nothing of a folder."""


class _Held(NamedTuple):
    """A mount that is guarded, and one of our own of the same file system, open.

    Only that one is marked later on. What the folder's name leads to by then is up to whoever owns a folder above it,
    and can be the file system that the system runs from.
    """

    mount: Mount
    descriptor: int


class GuardedMounts:
    """Holds the file systems at some folders, in the mount namespace of this process."""

    def __init__(
        self, kernel: Fanotify, folders: Sequence[str], log: GuardLog, *, audit: bool, libraries: bool
    ) -> None:
        """Raises `UsageError` where a folder is none that can be guarded, `UndecidedError` (guard-impossible)."""
        self._kernel, self._log, self._audit = kernel, log, audit
        self._folders = [os.path.realpath(one) for one in folders]
        self._always, self._opens = libraries, libraries
        for folder in self._folders:
            with self._mount(folder):
                pass
        self._held: dict[str, _Held] = {}
        self._let_go_until: dict[Mount, float] = {}
        self._lost: dict[str, str] = {}
        self.unsettled = False
        """Whether `follow` has to be called again, although nothing is mounted meanwhile."""
        self.changes: int = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        """`poll` finds POLLERR on it when something was mounted or unmounted."""

    def hold(self) -> None:
        """Begin. Raises as for a new one."""
        for folder in self._folders:
            self._hold(folder)

    def follow(self) -> list[str]:
        """Hold what stands at the folders now. Gives those where that is something else than before.

        What cannot be held runs: to stop everything there could stop the machine. So it is said, once for each.
        """
        new = []
        self.unsettled = False
        for folder in self._folders:
            try:
                mount = self._hold(folder)
            except ModsealError as error:
                self._let_go(folder)
                if self._lost.get(folder) != str(error):
                    self._log.write("not-guarded", mount=folder, code="guard-impossible", detail=str(error))
                self._lost[folder] = str(error)
                continue
            except OSError:  # too many files are open: what is held stays so, and this is asked again
                self.unsettled = True
                continue
            self._lost.pop(folder, None)
            if mount:
                self._log.write("mount-guarded", mount=folder, device=mount.device)
                new.append(folder)
        return new

    def hold_opens(self, *, needed: bool) -> None:
        """Have the kernel ask before any file is opened, or no longer: each would cost something.

        Raises `UndecidedError` (guard-impossible).
        """
        needed = needed or self._always
        if needed == self._opens:
            return
        for held in self._held.values():
            self._mark(held.descriptor, opens=needed)
        self._opens = needed

    @property
    def unguarded(self) -> list[str]:
        """The folders where nothing is held at the moment."""
        return [one for one in self._folders if one not in self._held]

    def lately(self, number: str) -> Mount | None:
        """A mount of this number that was held a moment ago, of unknown kind: a program can wait longer than it stays.

        Another mount can have its number by now.
        """
        held = [*(one.mount for one in self._held.copy().values()), *self._let_go_until.copy()]
        return next((one._replace(kind="") for one in held if one.number == number), None)

    def close(self) -> None:
        """End it. What is held stays so while the `Fanotify` is open."""
        for held in self._held.values():
            os.close(held.descriptor)
        os.close(self.changes)

    def _hold(self, folder: str) -> Mount | None:
        """Hold the file system at a folder, all of it. Gives the mount if it was not held before."""
        with self._mount(folder) as (descriptor, mount):
            if folder in self._held and self._held[folder].mount == mount:
                return None
            try:
                own = mount_of_our_own(descriptor)
            except OSError as error:
                if error.errno in _FOR_NOW:
                    raise
                raise UndecidedError("guard-impossible", f"{folder}: open_tree: {error.strerror}") from None
        self._let_go(folder)
        self._held[folder] = _Held(mount, own)
        try:
            self._mark(own, opens=self._opens)
        except ModsealError:
            self._let_go(folder)
            raise
        return mount

    def _let_go(self, folder: str) -> None:
        """Hold no longer what was mounted at a folder.

        It can still be mounted elsewhere, and programs are judged there all the same. Nobody can tell the kernel later
        to ask before files are opened there while a script is awaited. So it asks always from now on.
        """
        held, now = self._held.get(folder), time.monotonic()
        if held:
            still = {one: until for one, until in self._let_go_until.items() if until > now}
            self._let_go_until = {**still, held.mount: now + limits.GUARD_DEADLINE}
            del self._held[folder]
            with suppress(ModsealError):
                self._mark(held.descriptor, opens=True)
            os.close(held.descriptor)

    def _mark(self, own: int, *, opens: bool) -> None:
        place = f"/proc/self/fd/{own}"
        self._kernel.mark(place, opens=opens)
        if not opens:
            self._kernel.unmark_opens(place)

    @contextmanager
    def _mount(self, folder: str) -> Iterator[tuple[int, Mount]]:
        """What is mounted at a folder, open. It must not be what the system runs from: the machine would stop."""
        try:
            opened = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in _FOR_NOW:
                raise
            raise UsageError(f"{folder}: {error.strerror}") from None
        with _closing(opened) as descriptor:
            mount = _mount_of(descriptor)
            if mount is None or mount.point != folder:
                raise UsageError(f"{folder} is not where a file system is mounted; the guard holds whole file systems")
            if mount.kind not in _LOCAL:
                why = (
                    f"a file system of the kind {mount.kind} cannot be guarded: its server can show each reader another"
                )
                raise UsageError(f"{folder}: {why} content, or keep everybody waiting")
            if not self._audit and mount.device in _devices_of_the_system():
                why = "the system itself runs from this file system, and would stop; use --audit there"
                raise UsageError(f"{folder}: {why}")
            yield descriptor, mount


def _devices_of_the_system() -> set[str]:
    """The file systems that the system's programs, its first process and this guard run from."""
    found = set()
    for place in (*_SYSTEM, os.__file__, modseal.__file__, *(f"/proc/{one}/exe" for one in _PROCESSES)):
        with suppress(OSError), _closing(os.open(place, os.O_PATH | os.O_CLOEXEC)) as descriptor:
            if mount := _mount_of(descriptor):
                found.add(mount.device)
    for process in _PROCESSES:
        with suppress(OSError), open(f"/proc/{process}/maps", encoding="utf-8", errors="replace") as lines:
            for device in {line.split()[3] for line in lines}:
                major, _, minor = device.partition(":")
                found.add(f"{int(major, 16)}:{int(minor, 16)}")
    return found


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _mount_of(descriptor: int) -> Mount | None:
    """The mount through which a file was opened; None for one of another mount namespace."""
    return mount_of(mount_number(descriptor))
