"""A guard for tests, on a tmpfs in a mount namespace of its own. Needs root and the tools of util-linux."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from builders.hosts import Host
from modseal import limits
from modseal.errors import UndecidedError
from modseal.host.fanotify import Fanotify

_HOLD = 'mount -t tmpfs none "$0" && echo mounted && exec sleep 600'
_SERVE = """
import signal, sys
from pathlib import Path
sys.path[:0] = {path!r}
from builders.pki import NOW
from modseal import limits
from modseal.host.guard import Guard
from modseal.host.guard_content import GuardedContents
from modseal.host.starts import Starts
limits.GUARD_DEADLINE, limits.GUARD_RETRY = {deadline!r}, 0.2
{before}
guard = Guard(Path({root!r}), [Path({mount!r})], lambda: NOW, sys.stdout, **{options!r})
signal.signal(signal.SIGTERM, lambda *_: guard.stop())
guard.serve()
"""
_DEADLINE = 50
"""Seconds within which a guard answers in tests that are not about that: more than a busy machine takes."""
_PATIENCE = 600
"""Looks at a guard's log, each a twentieth of a second after the one before: what a busy machine may need."""


def why_impossible() -> str | None:
    """Why no guard can run here, or None."""
    if os.geteuid():
        return "a guard needs root"
    if not all(map(shutil.which, ("unshare", "nsenter", "mount"))):
        return "util-linux is not here"
    try:
        Fanotify().close()
    except UndecidedError as error:
        return str(error)
    made = subprocess.run(["unshare", "--mount", "true"], capture_output=True)
    return None if made.returncode == 0 else "mount namespaces are not allowed here"


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something holds within ten seconds."""
    for _ in range(100):
        if holds():
            return True
        time.sleep(0.1)
    return False


@dataclass(frozen=True)
class Guarded:
    """A running guard: `mount` is a folder of its file system, which only commands of `run` see."""

    process: subprocess.Popen[bytes]
    namespace: str
    mount: Path
    log: Path
    since: int = 0
    """How many lines of its log are of earlier tests."""

    def run(self, *command: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
        """A command beside the guard. What may not run gives 126, or `OSError`'s text."""
        enter = ["nsenter", "--target", self.namespace, "--mount", f"--wdns={self.mount}"]
        return subprocess.run([*enter, *map(str, command)], capture_output=True, timeout=60, **options)

    def runs(self, *command: object) -> bool:
        """Whether a program may run."""
        done = self.run("sh", "-c", '"$@"', "sh", *command)
        assert done.returncode in (0, 126) or b"Operation not permitted" in done.stderr, done
        return done.returncode == 0

    def put(self, name: str, content: bytes, mode: int = 0o755) -> Path:
        """A file on the guarded file system."""
        path = self.mount / name
        self.run("sh", "-c", 'cat >"$0" && chmod "$1" "$0"', path, f"{mode:o}", input=content).check_returncode()
        return path

    def lines(self) -> list[dict[str, Any]]:
        """What the guard has logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()[self.since :]]

    def for_another_test(self) -> Guarded:
        """The same guard, with an empty log and none of the files that were put there."""
        self.run("sh", "-c", 'rm -rf "$0"/*', self.mount).check_returncode()
        return replace(self, since=len(self.lines()) + self.since)

    def codes(self, *expected: str) -> bool:
        """Whether it denied, or would deny, for these reasons. Its log is written a moment after its answer."""
        for _ in range(_PATIENCE):
            events = ("denied", "would-deny", "allowed-late", "killed")
            found = tuple(line["code"] for line in self.lines() if line["event"] in events)
            if len(found) >= len(expected):
                break
            time.sleep(0.05)
        assert found == expected
        return True

    def said(self, event: str) -> dict[str, Any]:
        """The line of an event, as soon as it is there."""
        for _ in range(_PATIENCE):
            for line in self.lines():
                if line["event"] == event:
                    return line
            time.sleep(0.05)
        raise AssertionError(self.lines())


def serve_code(
    root: Path, mount: Path, deadline: float = limits.GUARD_DEADLINE, before: str = "", **options: bool
) -> str:
    """What a Python runs that guards a mount until SIGTERM, for the host below a root."""
    paths = {"path": sys.path, "root": str(root), "mount": str(mount)}
    return _SERVE.format(**paths, deadline=deadline, before=before, options=options)


@contextmanager
def guarded(host: Host, *, deadline: float = _DEADLINE, before: str = "", **options: bool) -> Iterator[Guarded]:
    """A guard that has begun, after the code `before`. It must stop by itself when it is told to."""
    mount, log = host.root.parent / "guarded", host.root.parent / "guard.log"
    mount.mkdir()
    hold = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _HOLD, str(mount)]
    with subprocess.Popen(hold, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n"
        try:
            code = serve_code(host.root, mount, deadline, before, **options)
            enter = ["nsenter", "--target", str(holder.pid), "--mount", sys.executable, "-c", code]
            with log.open("wb") as output, subprocess.Popen(enter, stdout=output) as process:
                found = Guarded(process, str(holder.pid), mount, log)
                while process.poll() is None and b'"started"' not in log.read_bytes():
                    time.sleep(0.02)
                try:
                    yield found
                finally:
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(timeout=30) == 0
        finally:
            holder.kill()
