"""The content of files that are to run: hashed while nobody can write to them, and remembered where that is sound."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from modseal import limits
from modseal.errors import Failure, UndecidedError
from modseal.files.identity import Identity, has_no_writer, identity_of, is_still, settled_identity
from modseal.files.mounts import Mount, mount_number, mount_of
from modseal.host.admission import HEAD_SIZE, arguments, interpreter

_BLOCK = 1 << 20
_WRITABLE = 0o022
_ACCESS_LIST = "system.posix_acl_access"
_CAPABILITIES = "security.capability"


class FoundContent(NamedTuple):
    """What was found of an open file. `sha256` is None where it was not read; `trouble` says why that failed.

    `arguments` is how many a script's interpreter is given before the script's name. `identity` is what the file had
    before it was judged and read.
    """

    mode: int
    sha256: bytes | None = None
    interpreter: str | None = None
    script: bool = False
    arguments: int = 0
    trouble: Failure | None = None
    identity: Identity | None = None


def unreadable(error: Exception) -> Failure:
    """What to say where a file could not be read."""
    return Failure("content-unreadable", f"{type(error).__name__}: {error}")


def require_leases() -> None:
    """Raises `UndecidedError` (guard-impossible) without leases: every file would count as being written to."""
    with contextlib.suppress(OSError), open("/proc/sys/fs/leases-enable", encoding="ascii") as file:
        if file.read().strip() == "0":
            detail = "fs.leases-enable is 0: without leases nobody can tell whether a file is being written to"
            raise UndecidedError("guard-impossible", detail)


class Lease(NamedTuple):
    """A file that nobody has written to since it was read, what it has, and the threads that were let start it.

    It is kept so until a time, and for longer, but not past the latest one, while one of them is within execve. What it
    has counts until `known`, however often it starts: root can have writes under way that no lease shows.
    """

    until: float
    latest: float
    known: float
    identity: Identity
    descriptor: int
    content: FoundContent
    threads: tuple[int, ...]


class GuardedContents:
    """Reads files, and remembers what it found: of some for good, and of each while nobody else can write to it.

    All but `read` is for one thread at a time.
    """

    def __init__(self) -> None:
        self._found: dict[Identity, FoundContent] = {}
        self._leases: dict[Identity, Lease] = {}
        self._lock = threading.Lock()

    def known(self, descriptor: int) -> FoundContent | None:
        """What is remembered of an open file. Nobody can write to it from now on until the descriptor is closed."""
        status = os.fstat(descriptor)
        if _others_may_write(status):  # within one step of the clock it has the identity that it had before
            return None
        identity = identity_of(status)
        lease = self._leases.get(identity)
        if (
            lease
            and lease.known > time.monotonic()
            and fcntl.fcntl(lease.descriptor, fcntl.F_GETLEASE) == fcntl.F_RDLCK
        ):
            content: FoundContent | None = lease.content
        else:
            content = self._found.get(identity)
        if content is None or content.mode != status.st_mode:  # not even rights that it lends since show in it then
            return None
        return content if has_no_writer(descriptor, keep=True) else None

    def keep(self, descriptor: int, content: FoundContent, thread: int) -> None:
        """Keep the lease on a file that is known or was read, until the thread has started it, and close it then.

        So nobody writes to it until the kernel itself keeps writers away from a running program, and it is not read
        again with each start of many. The lease stops no change of the owner or the mode: what was found counts for the
        identity that the file had then, and not for the one that it has by now.
        """
        identity = content.identity
        if identity is None:  # it was not read
            os.close(descriptor)
            return
        before = self._leases.pop(identity, None)
        if before:
            os.close(before.descriptor)
        now = time.monotonic()
        threads = (*(before.threads if before else ()), thread)[-limits.GUARD_LEASE_STARTS :]
        self._leases[identity] = Lease(
            now + limits.GUARD_LEASE_TIME,
            now + limits.GUARD_LEASE_LONGEST,
            before.known if before and before.content is content else now + limits.GUARD_LEASE_TIME,
            identity,
            descriptor,
            content,
            threads,
        )
        if len(self._leases) > limits.GUARD_LEASES:
            self._end(next(iter(self._leases)))

    def end_leases(self, now: float) -> list[Lease]:
        """Close what has been kept for longest, and give what can be closed if its threads have left execve."""
        due = []
        while self._leases:
            identity, lease = next(iter(self._leases.items()))
            if lease.until > now:
                break
            if lease.latest <= now:
                self._end(identity)
                continue
            lease = self._leases.pop(identity)._replace(until=min(now + limits.GUARD_LEASE_TIME, lease.latest))
            self._leases[identity] = lease
            due.append(lease)
        return due

    def end_lease(self, lease: Lease, starting: Sequence[int]) -> None:
        """Close what `end_leases` gave, if none of its threads is `starting` still."""
        if self._leases.get(lease.identity) is not lease:
            return  # it has been started again since, or is closed
        if starting:
            self._leases[lease.identity] = lease._replace(threads=tuple(starting))
        else:
            self._end(lease.identity)

    def _end(self, identity: Identity) -> None:
        os.close(self._leases.pop(identity).descriptor)

    def forget(self) -> None:
        """Forget everything: other file systems can have the same numbers."""
        with self._lock:
            self._found.clear()

    def read(
        self, descriptor: int, thread: int, lately: Callable[[str], Mount | None] = lambda _number: None
    ) -> FoundContent:
        """Hash a file while nobody can write to it: the lease on it stays until the descriptor is closed.

        It counts only where nobody but root can write to it later. Whoever owns a file can cut it off and write to it
        while it runs: a script that its interpreter reads on, or a library that is mapped. `thread` is the one that
        opens it; `lately` gives a mount that nobody sees any more. Raises `OSError`.
        """
        status = os.fstat(descriptor)
        mount = _mount_of(descriptor, thread) or lately(mount_number(descriptor))
        trouble = _why_not(status, os.listxattr(descriptor), mount)
        if trouble:
            return FoundContent(status.st_mode, trouble=trouble)
        settled = settled_identity(descriptor, mount.kind if mount else "")
        if not has_no_writer(descriptor, keep=True):
            return FoundContent(status.st_mode, trouble=Failure("content-writable", "somebody has it open for writing"))
        digest = hashlib.sha256()
        offset = 0
        while data := os.pread(descriptor, _BLOCK, offset):
            digest.update(data)
            offset += len(data)
        head = os.pread(descriptor, HEAD_SIZE, 0)
        script = head.startswith(b"#!")
        identity, given = identity_of(status), arguments(head) if script else 0
        content = FoundContent(status.st_mode, digest.digest(), interpreter(head), script, given, identity=identity)
        if is_still(descriptor, settled):
            with self._lock:
                if len(self._found) >= limits.GUARD_CONTENTS:
                    self._found.clear()
                self._found[identity] = content
        return content


def _others_may_write(status: os.stat_result) -> bool:
    """Whether others than root may write to a file. An access list that lets somebody sets the group's bit, too."""
    return status.st_uid != 0 or bool(status.st_mode & _WRITABLE)


def _why_not(status: os.stat_result, attributes: list[str], mount: Mount | None) -> Failure | None:
    """Why a file counts for nothing, whatever is in it."""
    if _others_may_write(status) or _ACCESS_LIST in attributes:
        return Failure("content-writable", "others than root may write to it")
    if mount is None:
        return Failure("content-writable", "it is opened through a mount that nobody can see, maybe with other owners")
    if "idmapped" in mount.options:
        return Failure("content-writable", "it is opened through an idmapped mount, which shows other owners")
    if _CAPABILITIES in attributes:
        return Failure("rights-not-installed", "the file lends capabilities, and no module can bring any")
    return None


def _mount_of(descriptor: int, thread: int) -> Mount | None:
    """The mount that a thread opens a file through. It can be of another mount namespace than the guard's."""
    number = mount_number(descriptor)
    for process in ("self", str(thread), "1"):
        with contextlib.suppress(OSError):
            if found := mount_of(number, process):
                return found
    return None
