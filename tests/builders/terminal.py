"""A command on a terminal: what a person sees, byte for byte, and what a terminal makes of it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from builders.transcript import SOURCE

MAIN = "from modseal.cli.main import main; main()"


class Seen(NamedTuple):
    """The exit code, and what was written to standard output and standard error."""

    code: int
    out: str
    err: str


def on_terminal(
    *arguments: object,
    cwd: Path,
    env: Mapping[str, str] = {},
    program: str = MAIN,
    streams: Sequence[str] = ("out", "err"),
) -> Seen:
    """Run a command whose `streams` are terminals of their own, and the others pipes."""
    ends = {name: pty.openpty() if name in streams else os.pipe() for name in ("out", "err")}
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    environ = {
        **kept,
        "TERM": "xterm",
        "PYTHONPATH": str(SOURCE),
        "COLUMNS": "100",
        "LINES": "30",
        "PAGER": "cat",
        **env,
    }
    running = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=ends["out"][1],
        stderr=ends["err"][1],
    )
    found: dict[str, bytes] = {}

    def read(name: str) -> None:
        data = b""
        while block := _read(ends[name][0]):
            data += block
        found[name] = data

    threads = [threading.Thread(target=read, args=(name,)) for name in ends]
    for _, theirs in ends.values():
        os.close(theirs)
    for thread in threads:
        thread.start()
    code = running.wait()
    for thread in threads:
        thread.join()
    for ours, _ in ends.values():
        os.close(ours)
    return Seen(code, *(found[name].decode().replace("\r\n", "\n") for name in ("out", "err")))


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # a terminal whose program has ended
        return b""


def screen(text: str) -> str:
    """What stays on a screen: each line as it was written over and erased last, without colour."""
    lines: list[str] = []
    for line in text.split("\n"):
        shown = ""
        for part in re.split(r"(\r|\x1b\[K)", line):
            shown = "" if part in ("\r", "\x1b[K") else shown + part
        lines.append(re.sub(r"\x1b\[[0-9;]*m", "", shown))
    return "\n".join(lines)
