"""The content of files that are to run: hashed while nobody can write to them, and remembered where that is sound."""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from typing import NamedTuple

from modseal import limits
from modseal.errors import Failure
from modseal.files.identity import (
    Identity,
    forget_mounts,
    has_no_writer,
    identity_of,
    is_read_only,
    is_still,
    settled_identity,
)
from modseal.host.admission import HEAD_SIZE, arguments, interpreter

_BLOCK = 1 << 20
_WRITABLE = 0o022
_ACCESS_LIST = "system.posix_acl_access"


class FoundContent(NamedTuple):
    """What was found of an open file. `sha256` is None where it was not read; `trouble` says why that failed.

    `arguments` is how many a script's interpreter is given before the script's name.
    """

    mode: int
    sha256: bytes | None = None
    interpreter: str | None = None
    script: bool = False
    arguments: int = 0
    trouble: Failure | None = None


def unreadable(error: Exception) -> Failure:
    """What to say where a file could not be read."""
    return Failure("content-unreadable", f"{type(error).__name__}: {error}")


class _Lease(NamedTuple):
    """A file that nobody has written to since it was read, until when it is kept so, and what it has."""

    until: float
    descriptor: int
    content: FoundContent


class GuardedContents:
    """Reads files, and remembers what it found: of some for good, and of each while nobody else can write to it.

    All but `read` is for one thread at a time.
    """

    def __init__(self) -> None:
        self._found: dict[Identity, FoundContent] = {}
        self._leases: dict[Identity, _Lease] = {}
        self._lock = threading.Lock()

    def known(self, status: os.stat_result) -> FoundContent | None:
        """What is remembered of a file with this status."""
        identity = identity_of(status)
        lease = self._leases.get(identity)
        if lease and fcntl.fcntl(lease.descriptor, fcntl.F_GETLEASE) == fcntl.F_RDLCK:
            return lease.content
        return self._found.get(identity)

    def keep(self, descriptor: int, content: FoundContent) -> None:
        """Keep the lease on a file that was read for a moment, and close it then.

        So nobody writes to it until the kernel itself keeps writers away from a running program, and it is not read
        again with each start of many.
        """
        identity = identity_of(os.fstat(descriptor))
        before = self._leases.pop(identity, None)
        if before:
            os.close(before.descriptor)
        self._leases[identity] = _Lease(time.monotonic() + limits.GUARD_LEASE_TIME, descriptor, content)
        if len(self._leases) > limits.GUARD_LEASES:
            self._end(next(iter(self._leases)))

    def end_leases(self, now: float) -> None:
        """Close what has been kept for long enough."""
        while self._leases:
            oldest, lease = next(iter(self._leases.items()))
            if lease.until > now:
                return
            self._end(oldest)

    def _end(self, identity: Identity) -> None:
        os.close(self._leases.pop(identity).descriptor)

    def forget(self) -> None:
        """Forget everything: other mounts can have the same numbers."""
        with self._lock:
            self._found.clear()
        forget_mounts()

    def read(self, descriptor: int) -> FoundContent:
        """Hash a file while nobody can write to it: the lease on it stays until the descriptor is closed.

        It counts only where nobody but root can write to it later. Whoever owns a file can cut it off and write to it
        while it runs: a script that its interpreter reads on, or a library that is mapped. Raises `OSError`.
        """
        status = os.fstat(descriptor)
        if status.st_uid != 0 or status.st_mode & _WRITABLE or _ACCESS_LIST in os.listxattr(descriptor):
            return FoundContent(status.st_mode, trouble=Failure("content-writable", "others than root may write to it"))
        settled = settled_identity(descriptor)
        if not has_no_writer(descriptor, keep=True):
            return FoundContent(status.st_mode, trouble=Failure("content-writable", "somebody has it open for writing"))
        digest = hashlib.sha256()
        offset = 0
        while data := os.pread(descriptor, _BLOCK, offset):
            digest.update(data)
            offset += len(data)
        head = os.pread(descriptor, HEAD_SIZE, 0)
        script = head.startswith(b"#!")
        content = FoundContent(
            status.st_mode, digest.digest(), interpreter(head), script, arguments(head) if script else 0
        )
        if is_still(descriptor, settled) or is_read_only(descriptor):
            with self._lock:
                if len(self._found) >= limits.GUARD_CONTENTS:
                    self._found.clear()
                self._found[identity_of(status)] = content
        return content
