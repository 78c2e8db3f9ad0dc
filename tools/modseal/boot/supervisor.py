"""Runs services until the machine ends: reads what they say, and starts again what ends. Process 1 is their parent.

Nothing that a service does ends process 1, or keeps it from the others: what a service says and leaves behind is taken
in portions, and what cannot be started now is started later.
"""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from modseal import limits
from modseal.boot.services import Service, become

_PAUSES = (1, 2, 5, 10, 30, 60)
"""Seconds until a service is started again; the last one from then on."""
_STEADY = 60
"""A service that ran for so many seconds starts again as if it had never ended."""
_POLL = 1.0
_REAPED = 64
"""Children whose end is noted in one step. A service can leave behind new ones without end."""
_LAST_PIECES = 16
"""Pieces of `SERVICE_LINE` bytes that are read of a pipe whose service has ended: as much as a pipe holds."""


@dataclass(slots=True)
class _Running:
    service: Service
    process: int = 0
    output: int = -1
    """The pipe from this process, or -1: it may be closed long before the process ends, and the process may leave it to
    others when it ends."""
    started: float = 0.0
    again: float | None = 0.0
    """When it is to be started; None while it runs, and for good where it is not started again."""
    ends: int = 0
    code: int = 0
    """How it ended last: 0 is well."""
    rest: bytes = field(default=b"", repr=False)
    said: int = 0
    """Lines since `since`."""
    since: float = 0.0


class Supervisor:
    """Runs services until the machine ends. `tell` takes a service's name and a line of its output, or of ours.

    `mounts` is what commands see mounted (`syscalls.mounts`); without it they see what this process sees.
    """

    def __init__(
        self, services: Sequence[Service], tell: Callable[[str, str], None], mounts: int | None = None
    ) -> None:
        self._tell, self._mounts = tell, mounts
        self._running = [_Running(one) for one in services]
        self._outputs = selectors.DefaultSelector()
        self._stopping = False
        self.over = False
        """Whether a service has ended as it does when the machine is to restart."""
        self._more = False
        """Whether children have ended that the last step did not come to."""

    def add(self, service: Service) -> None:
        """One more service, which the next step starts."""
        self._running.append(_Running(service))

    def states(self) -> list[dict[str, Any]]:
        """Each service: its name, its module, whether it runs, how often it has ended."""
        return [
            {"name": one.service.name, "module": one.service.module, "running": bool(one.process), "ends": one.ends}
            for one in self._running
        ]

    def troubled(self) -> list[str]:
        """The services that have ended and should run, and those that ended badly."""
        return [one.service.name for one in self._running if one.ends and (one.service.restart or one.code)]

    def stop(self) -> None:
        """Ask every service to end, and wait a little for those that do. None is started again."""
        self._stopping = True
        for one in self._running:
            one.again = None
            if one.process:
                os.kill(one.process, signal.SIGTERM)
        end = time.monotonic() + limits.SERVICE_STOP
        while any(one.process for one in self._running) and time.monotonic() < end:
            self.step()

    def step(self) -> bool:
        """Start what is due, read what was said, take note of what has ended. Gives whether a state has changed."""
        changed = False
        now = time.monotonic()
        for one in self._running:
            if one.again is not None and one.again <= now:
                self._start(one, now)
                changed = True
            if now - one.since >= limits.SERVICE_LINES_TIME:
                self._tell_left_out(one)
        for key, _ in self._outputs.select(0 if self._more else _POLL):
            self._read(key.data)
        return self._reap() or changed

    def _start(self, one: _Running, now: float) -> None:
        pipe: tuple[int, ...] = ()
        try:
            read, write = pipe = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(read, False)
            self._outputs.register(read, selectors.EVENT_READ, one)
            process = os.fork()
        except OSError as error:  # of processes, memory or descriptors others may have taken all
            for descriptor in pipe:
                with suppress(KeyError):
                    self._outputs.unregister(descriptor)
                os.close(descriptor)
            one.ends += 1
            self._plan(one, now, f"cannot be started: {error}")
            return
        if not process:
            become(one.service, write, self._mounts)
        os.close(write)
        one.process, one.output, one.started, one.again = process, read, now, None
        self._tell(one.service.name, f"started as process {process}")

    def _read(self, one: _Running) -> bool:
        """Take one piece of what a service has said; gives whether there may be more."""
        try:
            data = os.read(one.output, limits.SERVICE_LINE)
        except BlockingIOError:
            return False
        if not data:
            self._close(one)
            return False
        *lines, one.rest = (one.rest + data).split(b"\n")
        if len(one.rest) >= limits.SERVICE_LINE:
            lines, one.rest = [*lines, one.rest], b""
        self._pass_on(one, lines)
        return True

    def _pass_on(self, one: _Running, lines: Sequence[bytes]) -> None:
        """Tell lines of a service, up to so many in a time: the console is slow, and the log is everybody's."""
        if not one.said:
            one.since = time.monotonic()
        room = max(limits.SERVICE_LINES - one.said, 0)
        one.said += len(lines)
        for line in lines[:room]:
            self._tell(one.service.name, line.decode(errors="replace"))

    def _tell_left_out(self, one: _Running) -> None:
        if one.said > limits.SERVICE_LINES:
            self._tell(one.service.name, f"said too much: {one.said - limits.SERVICE_LINES} lines are left out")
        one.said = 0

    def _close(self, one: _Running) -> None:
        """Read a pipe no more, whoever still has its other end."""
        if one.rest:
            rest, one.rest = one.rest, b""
            self._pass_on(one, [rest])
        self._outputs.unregister(one.output)
        os.close(one.output)
        one.output = -1

    def _reap(self) -> bool:
        changed = False
        self._more = True
        for _ in range(_REAPED):
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                found = None
            if found is None:
                self._more = False
                break
            # While it is not reaped, its number is nobody else's, and neither is that of its group.
            process = found.si_pid
            one = next((each for each in self._running if each.process == process), None)
            if one:
                with suppress(OSError):  # none of its group is left
                    os.killpg(process, signal.SIGKILL)
            _, status = os.waitpid(process, 0)
            if one:
                self._ended(one, os.waitstatus_to_exitcode(status))
                changed = True
        return changed

    def _ended(self, one: _Running, code: int) -> None:
        for _ in range(_LAST_PIECES):
            if one.output < 0 or not self._read(one):
                break
        if one.output >= 0:
            self._close(one)
        self._tell_left_out(one)
        now = time.monotonic()
        one.process, one.code = 0, code
        self.over = self.over or code == one.service.last
        one.ends = 1 if now - one.started > _STEADY else one.ends + 1
        self._plan(one, now, f"ended ({code})")

    def _plan(self, one: _Running, now: float, why: str) -> None:
        """Say what has become of a service, and when it is started again."""
        pause = _PAUSES[min(one.ends, len(_PAUSES)) - 1]
        again = one.service.restart and not (self._stopping or self.over)
        one.again = now + pause if again else None
        self._tell(one.service.name, f"{why}, {f'again in {pause} s' if again else 'not started again'}")
