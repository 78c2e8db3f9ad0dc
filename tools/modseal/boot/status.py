"""What a host says of itself: its state, for the management interface, and lines on the console and in the log."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from modseal import limits
from modseal.boot import management
from modseal.format.times import time_text

DATA = Path("/data")
"""The data partition."""
_OWN = os.O_NOFOLLOW | os.O_NONBLOCK
"""For files of the data partition, which nobody has proved: no link is followed, and no FIFO waited for."""
_LOG = DATA / "log.jsonl"


@dataclass
class HostStatus:
    """What this host has found of itself, as the management interface shows it."""

    root_slot: str
    root: str
    slot: str = ""
    started: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    generation: int | None = None
    trial: bool = False
    failed: Mapping[str, Any] | None = None
    modules: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    events: list[Mapping[str, Any]] = field(default_factory=list)

    def reached(self, what: str) -> None:
        """Note how many seconds after the start of the kernel something was reached."""
        with open("/proc/uptime", encoding="ascii") as file:
            self.seconds[what] = float(file.read().split()[0])

    def write(self) -> None:
        """Give the management interface the state of now. A full memory does not stop the host."""
        path = Path(management.STATUS)
        new = path.with_suffix(".new")
        try:
            path.parent.mkdir(exist_ok=True)
            new.write_text(json.dumps(vars(self), indent=2) + "\n")
            new.rename(path)
        except OSError as error:
            say("machine", f"the state cannot be shown: {error}")


def say(source: str, text: str) -> None:
    """One line on the console and, where it is mounted, in the log of the data partition."""
    shown = "".join(one if one.isprintable() else "?" for one in text)
    with suppress(OSError):  # a console that is gone does not stop the host
        sys.stdout.write(f"modseal: {source}: {shown}\n")
        sys.stdout.flush()
    try:
        if os.path.ismount(DATA):
            line = {"time": time_text(datetime.now(UTC)), "source": source, "text": shown}
            descriptor = os.open(_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _OWN | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                if file.tell() > limits.BOOT_LOG_SIZE:
                    _rotate(file)
    except OSError:
        pass  # the console has it; a full disk does not stop the host


def _rotate(file: TextIO) -> None:
    try:
        _LOG.rename(_LOG.with_suffix(".old"))
    except OSError:  # a folder is there: the log must not grow for ever
        file.truncate(0)
