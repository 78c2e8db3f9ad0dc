"""The guard: a file of the guarded file systems runs only if its content is in the active generation.

The kernel holds each program that is to run until `Fanotify.answer`. Content is hashed while a read lease proves that
nobody can write to it (`guard_content`).

It must not stop the machine. Each event has a deadline; its own threads are let through; what is logged never waits for
whoever reads the log; if it dies, the kernel allows everything, and the service manager starts it again.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

from modseal import limits
from modseal.errors import Failure, UndecidedError
from modseal.host.admission import Admission
from modseal.host.fanotify import Fanotify, OpenEvent
from modseal.host.guard_content import FoundContent, GuardedContents, Lease, require_leases, unreadable
from modseal.host.guard_generation import ActiveGeneration, Loaded
from modseal.host.guard_log import GuardLog, link, notify
from modseal.host.guard_looks import AT_A_TIME, UNSAFE_NAME, Examined, Looks
from modseal.host.guard_mounts import GuardedMounts
from modseal.host.guard_sight import Sight, threads
from modseal.host.stacks import NotWaitingYet, require_stacks
from modseal.host.starts import Start, Starts, file_of

_WORKERS = 4
"""Threads that hash. One slow disk must not hold up what another one has."""
_LOOKERS = AT_A_TIME + 4
"""Threads that look at starts: more than can be kept waiting. They wait for the guard at their end, and it for none of
them."""
_SOON = 0.001
"""Seconds after which is asked again why a thread opens a file."""


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
        stacks = True
        try:
            require_stacks()
        except UndecidedError:
            if not audit:
                raise
            stacks = False
        require_leases()
        self._kernel = Fanotify()
        self._log = GuardLog(log, clock)
        names = [str(one) for one in mounts]
        self._mounts = GuardedMounts(self._kernel, names, self._log, audit=audit, libraries=libraries)
        self._audit, self._libraries, self._allow_late = audit, libraries, allow_late
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._pool = threads(_WORKERS + AT_A_TIME)
        self._active = ActiveGeneration(root, clock, self._log, self._pool, lambda: os.eventfd_write(self._wake, 1))
        self._waiting: dict[int, tuple[OpenEvent, float]] = {}
        self._held: list[OpenEvent] = []
        self._unsettled: list[Examined] = []
        self._looking: set[int] = set()
        self._starts = Starts(stacks=stacks)
        self._contents = GuardedContents()
        self._sight = Sight(self._starts)
        self._lookers = threads(_LOOKERS)
        self._looks = Looks(self._starts, self._contents, self._mounts, audit=audit, libraries=libraries)
        self._stopping = False
        self._mounts.hold()
        self._log.write("started", mounts=names, audit=audit, libraries=libraries)

    def stop(self) -> None:
        """End `serve`. May be called by a signal handler."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def serve(self) -> None:
        """Answer until `stop`. What waits then is answered as what is late."""
        poll = select.poll()
        poll.register(self._kernel.descriptor, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        poll.register(self._mounts.changes, select.POLLPRI)
        notify("READY=1")
        ticked = 0.0
        try:
            while not self._stopping:
                with self._lock:
                    soon = self._starts.any_new()
                ready = dict(poll.poll(1000 * (_SOON if soon else limits.GUARD_TICK)))
                if self._mounts.changes in ready:
                    self._surely(self._follow_mounts)
                if self._wake in ready:
                    os.eventfd_read(self._wake)
                self._surely(self._see_starts)
                arrived = self._arrived()  # before the state is looked at: what starts after a switch is judged by it
                self._surely(self._follow_state)
                self._surely(self._ask_again)
                for event in arrived:
                    self._surely(partial(self._take, event))
                now = time.monotonic()
                if now - ticked >= limits.GUARD_TICK:  # not with every program
                    ticked = now
                    self._surely(self._tick)
        finally:
            self._end_late(float("inf"))
            self._log.write("stopped")
            self._kernel.close()
            self._pool.shutdown()
            self._lookers.shutdown()
            self._sight.close()
            self._mounts.close()
            self._active.close()
            self._contents.end_leases(float("inf"))
            os.close(self._wake)
            self._log.close()

    def _surely(self, step: Callable[[], None]) -> None:
        """Nothing that goes wrong may end the guard: the kernel would let everything run."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._log.write("guard-error", detail=f"{type(error).__name__}: {error}")

    # ---- what holds, besides events

    def _follow_mounts(self) -> None:
        """Hold what is mounted at the folders now."""
        with self._lock:
            self._contents.forget()
            self._mounts.follow()
        lost = ", ".join(self._mounts.unguarded)
        notify(f"STATUS=Not guarded: {lost}" if lost else "STATUS=")

    def _see_starts(self) -> None:
        with self._lock:
            due = self._contents.end_leases(time.monotonic())
            starting = self._starts.starting()
        begun = self._sight.begun(starting)
        with self._lock:
            for process, awaited in begun:
                self._starts.see_start(process, awaited)
            processes = [one for one in starting if one not in self._looking and not self._starts.is_seen(one)]
            self._looking.update(processes)
        for process in processes:
            self._lookers.submit(self._look, process)
        for lease in due:
            self._pool.submit(self._end_lease, lease)

    def _end_lease(self, lease: Lease) -> None:
        starting = self._looks.starting(lease.threads)
        with self._lock:
            self._contents.end_lease(lease, starting)

    def _look(self, process: int) -> None:
        unsafe = self._looks.end_if_unsafe(process)
        failed = self._looks.failed(process) if unsafe is None else None
        with self._lock:
            self._looking.discard(process)
            if failed:
                self._starts.await_no_more(process, failed)
            elif unsafe is not None:
                self._starts.was_seen(process)
        if unsafe:
            verdict = "would-kill" if self._audit else "killed"
            self._log.write(verdict, code=UNSAFE_NAME.code, detail=UNSAFE_NAME.detail, thread=process)

    def _follow_state(self) -> None:
        """Judge what has waited until it is proved what may run, as soon as that is so."""
        with self._lock:
            proved = self._active.follow()
            if proved is None:
                return
            until = float("inf") if self._active.loaded else proved.began_at
            ready = [one for one in self._held if self._waiting[one.descriptor][1] <= until]
            self._held = [one for one in self._held if one not in ready]
        for event in ready:
            self._begin(event, proved)

    def _tick(self) -> None:
        notify("WATCHDOG=1")
        self._end_late(time.monotonic())
        with self._lock:
            self._starts.forget_the_dead()
            self._mounts.hold_opens(needed=self._starts.any_awaited())
        if self._mounts.unsettled:
            self._follow_mounts()

    def _end_late(self, now: float) -> None:
        """Answer what has waited too long."""
        with self._lock:
            for event in [one for one, arrived in self._waiting.values() if arrived + limits.GUARD_DEADLINE <= now]:
                del self._waiting[event.descriptor]
                failure = Failure("guard-late", f"not answered within {limits.GUARD_DEADLINE} s")
                verdict = "would-deny" if self._audit else "allowed-late" if self._allow_late else "denied"
                self._surely(partial(self._say, verdict, event, failure))
                self._kernel.answer(event.descriptor, allow=self._audit or self._allow_late)
                if event in self._held:  # nobody else will close it
                    self._held.remove(event)
                    os.close(event.descriptor)

    def _say(self, verdict: str, event: OpenEvent, failure: Failure, **facts: Any) -> None:
        """Log what became of an open. The name of the program is left out where another thread has to wait for it."""
        program = self._sight.soon(partial(self._looks.program, event.thread))
        self._log.judged(verdict, event, failure, program, **facts)

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
        self._waiting[event.descriptor] = (event, time.monotonic())
        self._begin(event)

    def _begin(self, event: OpenEvent, proved: Loaded | None = None) -> None:
        """Answer from memory, or have another thread look at the file and at who opens it: here nothing may wait.

        `proved` is a state that held after the event arrived: it is judged by that, if no newer one is proved.
        """
        found = Examined(event, None, proved)
        try:
            with self._lock:
                if not event.execute and not self._libraries and not self._starts.may_await(event.thread):
                    del self._waiting[event.descriptor]
                    self._kernel.answer(event.descriptor, allow=True)
                    os.close(event.descriptor)
                    return
                loaded = self._active.loaded or proved
                if loaded is None:
                    self._held.append(event)
                    return
                status = os.fstat(event.descriptor)
                content = self._contents.known(event.descriptor)
                start = self._starts.expected(event.thread) if event.execute else None
            if content is None and (not stat.S_ISREG(status.st_mode) or status.st_size not in loaded.admission.sizes):
                content = FoundContent(status.st_mode)  # no module has a file of that size, so it need not be read
            found = found._replace(content=content)
            at_once = content and event.execute
            if start and content:  # who opens it can make a difference
                at_once = not start.scripts and not loaded.admission.is_indirect(content.sha256)
        except Exception as error:  # noqa: BLE001 - it waits for an answer all the same
            found, at_once = found._replace(content=FoundContent(0, trouble=unreadable(error))), True
        if at_once:
            self._decide(found)
        else:
            self._pool.submit(self._examine, found)

    def _examine(self, found: Examined) -> None:
        try:
            self._decide(self._looks.examine(found))
        except NotWaitingYet:
            time.sleep(_SOON)
            with self._lock:
                self._unsettled.append(found)
            os.eventfd_write(self._wake, 1)

    def _ask_again(self) -> None:
        with self._lock:
            unsettled, self._unsettled = self._unsettled, []
        for found in unsettled:
            if found.event.descriptor in self._waiting:
                self._pool.submit(self._examine, found)
            else:  # it was late, and is answered: who asked may be doing something else for as long as it likes
                os.close(found.event.descriptor)

    def _decide(self, found: Examined) -> None:
        event, content = found.event, found.content or FoundContent(0)
        with self._lock:
            if event.descriptor not in self._waiting:  # it was late, and is answered
                os.close(event.descriptor)
                return
            loaded = self._active.loaded or found.proved
            if loaded is None:  # another state holds since: asked again when that is proved
                self._held.append(event)
                return
            try:
                failure = self._judge(found, content, loaded.admission)
            except Exception as error:  # noqa: BLE001 - it waits for an answer all the same
                failure = unreadable(error)
            del self._waiting[event.descriptor]
            if failure:
                verdict = "would-deny" if self._audit else "denied"
                said = partial(self._say, verdict, event, failure, sha256=content.sha256)
                self._surely(partial(said, generation=loaded.generation))
            self._kernel.answer(event.descriptor, allow=self._audit or failure is None)
            if content.sha256 and not failure and not self._audit:
                self._contents.keep(event.descriptor, content, event.thread)
            else:
                os.close(event.descriptor)

    def _judge(self, found: Examined, content: FoundContent, admission: Admission) -> Failure | None:
        event = found.event
        start = found.start if event.execute and self._starts.take(event.thread) else None
        if not found.judged:
            return None
        failure = content.trouble or admission.judge(
            content.sha256, content.mode, execute=event.execute, started=start is not None
        )
        if failure and not self._audit:
            return failure
        file = file_of(event.descriptor)
        if not event.execute:
            self._starts.opened(event.thread, file, self._waiting[event.descriptor][1])
            return failure
        scripts = start.scripts if start else ()
        if content.interpreter:
            scripts_to_open = (file, *scripts) if content.script else ()
            self._starts.expect(event.thread, content.interpreter, scripts_to_open, content.arguments)
        if start and scripts and not content.script:
            self._await(event, start)
        return failure

    def _await(self, event: OpenEvent, start: Start) -> None:
        """Until an interpreter has opened its scripts, it opens installed files alone: a name may lead elsewhere."""
        name = os.path.basename(link(f"/proc/self/fd/{event.descriptor}") or "")
        self._starts.await_scripts(event.thread, name, event.descriptor, start)
        self._mounts.hold_opens(needed=True)
