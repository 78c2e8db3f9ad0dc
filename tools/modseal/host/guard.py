"""The guard: a file of the guarded file systems runs only if its content is in the active generation.

The kernel holds each program that is to run until `Fanotify.answer`. Content is hashed while a read lease proves that
nobody can write to it, and the answer is remembered for files alone that nobody but root can write to: a write through
a shared mapping need not show in any of a file's times (tmpfs never shows it).

It must not stop the machine. Each event has a deadline; its own threads are let through; what is logged never waits for
whoever reads the log; if it dies, the kernel allows everything, and the service manager starts it again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import select
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

from modseal import limits
from modseal.errors import Failure, ModsealError, UsageError
from modseal.files.identity import Identity, has_no_writer, identity_of
from modseal.host import plan as planning
from modseal.host.admission import ELF, HEAD_SIZE, Admission, interpreter
from modseal.host.fanotify import Fanotify, OpenEvent
from modseal.host.guard_log import GuardLog, notify
from modseal.host.installed import prove
from modseal.host.starts import FileId, Starts, file_of, is_regular
from modseal.host.store import CURRENT, open_place, open_store

_BLOCK = 1 << 20
_WORKERS = 4
"""Threads that hash. One slow disk must not hold up what another one has."""


class _Content(NamedTuple):
    """What was found of an open file. `sha256` is None where it was not read; `trouble` says why that failed."""

    mode: int
    sha256: bytes | None = None
    interpreter: str | None = None
    script: bool = False
    trouble: Failure | None = None


class _Loaded(NamedTuple):
    """What a state of the store lets run."""

    state: str
    generation: int
    admission: Admission
    proved_at: float


class Guard:
    """The guard of some mounts for the host below a root. `serve` runs it until `stop`."""

    def __init__(
        self,
        root: Path,
        mounts: Sequence[Path],
        clock: Callable[[], datetime],
        log: IO[str],
        *,
        audit: bool = False,
        libraries: bool = False,
        allow_late: bool = False,
    ) -> None:
        """Proves the active generation, then begins to hold what is to run.

        `audit`: report only. `libraries`: ELF files are held as soon as they are opened. `allow_late`: what cannot be
        answered within `limits.GUARD_DEADLINE` is let through instead of denied.
        Raises `UsageError`, `UndecidedError` (host-invalid, guard-impossible), `PolicyError`.
        """
        for mount in mounts:
            _require_mount(mount, audit=audit)
        self._root, self._clock = root, clock
        self._audit, self._libraries, self._allow_late = audit, libraries, allow_late
        self._log = GuardLog(log, clock)
        self._loaded: _Loaded | None = self._prove()
        self._fresh: _Loaded | None = None
        self._loading = False
        self._held: list[OpenEvent] = []
        self._waiting: dict[int, tuple[OpenEvent, float]] = {}
        self._starts = Starts()
        self._holds_opens = libraries
        self._contents: dict[Identity, _Content] = {}
        self._leases: list[tuple[float, int]] = []
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stopping = False
        self._place = open_place(root)
        self._pool = ThreadPoolExecutor(_WORKERS)
        self._kernel = Fanotify()
        self._mounts = [str(one) for one in mounts]
        for one in self._mounts:
            self._kernel.mark(one, opens=libraries)
        self._log.write("started", mounts=self._mounts, audit=audit, libraries=libraries)

    def stop(self) -> None:
        """End `serve`. May be called by a signal handler."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def serve(self) -> None:
        """Answer until `stop`. What waits then is answered as what is late."""
        poll = select.poll()
        poll.register(self._kernel.descriptor, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        notify("READY=1")
        notified = 0.0
        try:
            while not self._stopping:
                ready = dict(poll.poll(limits.GUARD_TICK * 1000))
                if self._wake in ready:
                    os.eventfd_read(self._wake)
                arrived = self._arrived()  # before the state is looked at: what starts after a switch is judged by it
                for event in self._follow_state():
                    self._begin(event)
                for event in arrived:
                    self._take(event)
                now = time.monotonic()
                self._end_late(now)
                if now - notified >= limits.GUARD_TICK:  # not with every program: each is a message
                    notify("WATCHDOG=1")
                    notified = now
        finally:
            self._end_late(float("inf"))
            self._log.write("stopped")
            self._kernel.close()
            self._pool.shutdown()
            for descriptor in (self._place, self._wake, *(one for _, one in self._leases)):
                os.close(descriptor)
            self._log.close()

    # ---- what may run

    def _prove(self) -> _Loaded:
        """The active generation, with the modules that today's policy accepts for the host's level."""
        with open_store(self._root) as store:
            at = self._clock()
            store.require_clock(at)
            modules = [prove(store, one, store.policy, at) for one in store.generation(store.state.generation).modules]
            unfit = planning.unfit(modules, store.state.level)
            refused = {str(failure.evidence["module"]): failure for failure in unfit}
            for name, failure in refused.items():
                self._log.write("module-refused", module=name, code=failure.code, detail=failure.detail)
            admission = Admission({one.name: one.entries for one in modules if one.name not in refused})
            self._log.write("generation", generation=store.state.generation.number, modules=len(modules) - len(refused))
            return _Loaded(store.state_name, store.state.generation.number, admission, time.monotonic())

    def _follow_state(self) -> list[OpenEvent]:
        """Prove again when the host has another state, and now and then for signers that expire. Until then all wait.

        Gives the events that have waited for it.
        """
        with self._lock:
            if self._fresh:
                self._loaded, self._fresh, self._loading = self._fresh, None, False
            try:
                state = os.readlink(CURRENT, dir_fd=self._place)
            except OSError as error:
                state = f"unknown: {error.strerror}"
            loaded = self._loaded
            if loaded and loaded.state != state:
                self._loaded = loaded = None
            due = not loaded or time.monotonic() - loaded.proved_at > limits.GUARD_PROOF_AGE
            if due and not self._loading:
                self._loading = True
                self._pool.submit(self._load, state)
            held, self._held = (self._held, []) if loaded else ([], self._held)
            return held

    def _load(self, state: str) -> None:
        try:
            loaded = self._prove()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is proved, and nothing runs until it is
            detail = str(error) if isinstance(error, ModsealError) else f"{type(error).__name__}: {error}"
            self._log.write("not-proved", detail=detail)
            retry = time.monotonic() - limits.GUARD_PROOF_AGE + limits.GUARD_RETRY
            loaded = _Loaded(state, -1, Admission({}), retry)
        self._fresh = loaded
        os.eventfd_write(self._wake, 1)

    # ---- one event

    def _arrived(self) -> list[OpenEvent]:
        try:
            return self._kernel.read()
        except OSError as error:
            if error.errno == errno.EBADF:  # nothing is held any more
                raise
            detail = f"the kernel cannot open it for the guard: {error.strerror}"
            self._log.write("denied", code="content-unreadable", detail=detail)
            return []

    def _take(self, event: OpenEvent) -> None:
        if not event.execute and os.path.exists(f"/proc/self/task/{event.thread}"):
            self._kernel.answer(event.descriptor, allow=True)  # we would wait for ourselves
            os.close(event.descriptor)
            return
        self._waiting[event.descriptor] = (event, time.monotonic() + limits.GUARD_DEADLINE)
        self._begin(event)

    def _begin(self, event: OpenEvent) -> None:
        """Answer from memory, or have the file read by another thread."""
        with self._lock:
            if not event.execute and not self._libraries and not self._starts.awaits(event.thread):
                del self._waiting[event.descriptor]
                self._kernel.answer(event.descriptor, allow=True)
                os.close(event.descriptor)
                return
            loaded = self._loaded
            if loaded is None:
                self._held.append(event)
                return
        status = os.fstat(event.descriptor)
        content = self._contents.get(identity_of(status))
        if content is None and (not stat.S_ISREG(status.st_mode) or status.st_size not in loaded.admission.sizes):
            content = _Content(status.st_mode)  # no module has a file of that size, so it need not be read
        if content:
            self._decide(event, content)
        else:
            self._pool.submit(self._examine, event)

    def _examine(self, event: OpenEvent) -> None:
        try:
            content = self._read(event.descriptor)
        except Exception as error:  # noqa: BLE001 - an unread file is an unproved file
            content = _Content(0, trouble=_unreadable(error))
        self._decide(event, content, leased=True)

    def _read(self, descriptor: int) -> _Content:
        """Hash a file while nobody can write to it. It counts only where nobody but root can write to it later.

        Whoever owns a file can cut it off and write to it while it runs: a script that its interpreter reads on, or a
        library that is mapped.
        """
        status = os.fstat(descriptor)
        if status.st_uid != 0 or status.st_mode & 0o022 or "system.posix_acl_access" in os.listxattr(descriptor):
            return _Content(status.st_mode, trouble=Failure("content-writable", "others than root may write to it"))
        if not has_no_writer(descriptor, keep=True):
            return _Content(status.st_mode, trouble=Failure("content-writable", "somebody has it open for writing"))
        digest = hashlib.sha256()
        offset = 0
        while data := os.pread(descriptor, _BLOCK, offset):
            digest.update(data)
            offset += len(data)
        head = os.pread(descriptor, HEAD_SIZE, 0)
        content = _Content(status.st_mode, digest.digest(), interpreter(head), script=head.startswith(b"#!"))
        with self._lock:
            if len(self._contents) >= limits.GUARD_CONTENTS:
                self._contents.clear()
            self._contents[identity_of(status)] = content
        return content

    def _decide(self, event: OpenEvent, content: _Content, *, leased: bool = False) -> None:
        with self._lock:
            if event.descriptor not in self._waiting:  # it was late, and is answered
                os.close(event.descriptor)
                return
            loaded = self._loaded
            if loaded is None:  # another state holds since: asked again when that is proved
                self._held.append(event)
                return
            del self._waiting[event.descriptor]
            try:
                failure = self._judge(event, content, loaded.admission)
            except OSError as error:  # it waits for an answer all the same
                failure = _unreadable(error)
            if failure:
                self._report(event, content, failure, loaded.generation)
            self._kernel.answer(event.descriptor, allow=self._audit or failure is None)
            if not leased:
                os.close(event.descriptor)
                return
            # The lease stays for a moment: until the kernel itself keeps writers away from a running program.
            self._leases.append((time.monotonic() + limits.GUARD_LEASE_TIME, event.descriptor))
            if len(self._leases) > limits.GUARD_LEASES:
                os.close(self._leases.pop(0)[1])

    def _judge(self, event: OpenEvent, content: _Content, admission: Admission) -> Failure | None:
        file = file_of(event.descriptor)
        start = self._starts.take(event.thread, file) if event.execute else None
        if event.execute and not start:
            self._starts.forget_script(event.thread)
        if not event.execute and not self._is_held(event):
            return None
        failure = content.trouble or admission.judge(
            content.sha256, content.mode, execute=event.execute, started=start is not None
        )
        if failure and not self._audit:
            return failure
        if not event.execute:
            self._opened(event.thread, file)
        elif content.interpreter:
            self._starts.expect(event.thread, content.interpreter, file if content.script else None)
        if start and start.script and not content.script:
            self._await(event, start.script)
        return failure

    def _is_held(self, event: OpenEvent) -> bool:
        """Whether an open is judged: of ELF files with `libraries`, of others by who has still to open a script."""
        if not is_regular(event.descriptor):
            return False
        is_elf = os.pread(event.descriptor, len(ELF), 0) == ELF
        return self._libraries if is_elf else self._starts.awaits(event.thread)

    def _await(self, event: OpenEvent, script: FileId) -> None:
        """Until an interpreter has opened its script, it opens installed files alone: the name may lead elsewhere."""
        name = os.path.basename(_link(f"/proc/self/fd/{event.descriptor}") or "")
        self._starts.await_script(event.thread, name, script)
        if not self._holds_opens:
            self._holds_opens = True
            for one in self._mounts:
                self._kernel.mark(one, opens=True)

    def _opened(self, thread: int, file: FileId) -> None:
        self._starts.opened(thread, file)
        self._release_opens()

    def _release_opens(self) -> None:
        """Ask for no opens while nobody is awaited: each would cost something."""
        if self._holds_opens and not self._libraries and not self._starts.any_awaited():
            self._holds_opens = False
            for one in self._mounts:
                self._kernel.unmark_opens(one)

    def _end_late(self, now: float) -> None:
        """Answer what has waited too long, and give up leases that have done their work."""
        with self._lock:
            for event in [event for event, deadline in self._waiting.values() if deadline <= now]:
                del self._waiting[event.descriptor]
                detail = f"not answered within {limits.GUARD_DEADLINE} s"
                self._report(event, _Content(0), Failure("guard-late", detail), -1, allow=self._allow_late)
                self._kernel.answer(event.descriptor, allow=self._audit or self._allow_late)
                if event in self._held:  # nobody else will close it
                    self._held.remove(event)
                    os.close(event.descriptor)
            while self._leases and self._leases[0][0] <= now:
                os.close(self._leases.pop(0)[1])
            self._release_opens()

    def _report(
        self, event: OpenEvent, content: _Content, failure: Failure, generation: int, *, allow: bool = False
    ) -> None:
        self._log.write(
            "would-deny" if self._audit else "allowed-late" if allow else "denied",
            code=failure.code,
            detail=failure.detail,
            path=_link(f"/proc/self/fd/{event.descriptor}"),
            sha256=content.sha256.hex() if content.sha256 else None,
            execute=event.execute,
            thread=event.thread,
            program=_link(f"/proc/{event.thread}/exe"),
            user=_owner(f"/proc/{event.thread}"),
            generation=generation,
        )


def runs_from_memory() -> bool:
    """Whether programs can be run from files in memory. Those lie on a file system that nobody can mark."""
    try:
        return Path("/proc/sys/vm/memfd_noexec").read_text(encoding="ascii").strip() != "2"
    except OSError:  # Linux before 6.3 has no such switch
        return True


def _require_mount(mount: Path, *, audit: bool) -> None:
    """It holds a whole file system, so the top of one has to be named; not that of `/`: the machine would stop."""
    if not os.path.ismount(mount):
        raise UsageError(f"{mount} is not where a file system is mounted; the guard holds whole file systems")
    if not audit and os.stat(mount).st_dev in set(_devices_of_the_system()):
        raise UsageError(f"{mount}: the system itself runs from this file system, and would stop; use --audit there")


def _devices_of_the_system() -> Iterator[int]:
    """The file systems that the system's own programs, its first process and this guard run from."""
    for place in (
        "/",
        "/usr",
        "/usr/bin",
        "/usr/sbin",
        "/usr/lib",
        "/bin/sh",
        "/proc/1/exe",
        "/proc/self/exe",
        os.__file__,
    ):
        with contextlib.suppress(OSError):
            yield os.stat(place).st_dev


def _unreadable(error: Exception) -> Failure:
    return Failure("content-unreadable", f"{type(error).__name__}: {error}")


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None
