"""What the guard tells: JSON lines for people, and its state for the service manager."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import IO, Any

from modseal import limits
from modseal.errors import Failure
from modseal.format.times import time_text
from modseal.host.fanotify import OpenEvent


def notify(text: str) -> None:
    """Tell the service manager (sd_notify(3)), where there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.send(text.encode())


class GuardLog:
    """JSON lines, written by a thread of its own: a reader that stands still must not hold up what is to run."""

    def __init__(self, stream: IO[str], clock: Callable[[], datetime]) -> None:
        self._stream, self._clock = stream, clock
        self._lines: queue.Queue[str | None] = queue.Queue(limits.GUARD_LOG_LINES)
        self.lost = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def write(self, event: str, **facts: Any) -> None:
        """Log one line, or count it as lost where too many wait."""
        lost = {"lost": self.lost} if self.lost else {}
        try:
            self._lines.put_nowait(json.dumps({"time": time_text(self._clock()), "event": event, **facts, **lost}))
            self.lost = 0
        except queue.Full:
            self.lost += 1

    def judged(
        self,
        verdict: str,
        event: OpenEvent,
        failure: Failure,
        program: str | None,
        *,
        sha256: bytes | None = None,
        generation: int = -1,
    ) -> None:
        """Log what became of an open that may not be: `denied`, `would-deny`, `allowed-late` or `killed`."""
        self.write(
            verdict,
            code=failure.code,
            detail=failure.detail,
            path=link(f"/proc/self/fd/{event.descriptor}"),
            sha256=sha256.hex() if sha256 else None,
            execute=event.execute,
            thread=event.thread,
            program=program,
            user=_owner(f"/proc/{event.thread}"),
            generation=generation,
        )

    def close(self) -> None:
        """Write what is there, if it can be written at once."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=1)
        self._thread.join(timeout=1)

    def _run(self) -> None:
        for line in self._take():
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(line + "\n")
                self._stream.flush()

    def _take(self) -> Iterator[str]:
        while (line := self._lines.get()) is not None:
            yield line


def link(path: str) -> str | None:
    """Where a link leads to; None where there is none."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None
