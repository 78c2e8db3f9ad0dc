"""Runs of the command line: what it printed, its exit code, and what it must never do.

Every run asserts that standard error has only `modseal: ` lines and no traceback, and that a failed
command leaves nothing behind. `run` works in this process; `run_process` starts one.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from unittest import mock

import modseal
from builders.bundles import snapshot
from modseal.cli.main import run as run_main

SOURCE = Path(modseal.__file__).parents[1]

HEARING = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from modseal.cli.main import main; main()"
)
"""The command line as a program that hears Ctrl-C, even below a shell that keeps it from background jobs."""


@dataclass(frozen=True)
class Transcript:
    """One command's exit code and output."""

    code: int
    out: str
    err: str

    @property
    def unusual(self) -> str:
        """Standard error without the warning of `sign` that the issuer's certificate is not embedded."""
        kept = [
            line for line in self.err.splitlines(keepends=True) if " does not carry the certificate of " not in line
        ]
        return "".join(kept)


def run(
    *arguments: object,
    cwd: Path,
    env: Mapping[str, str] = {},
    stdin: str = "",
    prefixed: bool = True,
    leaves: Sequence[str] = (),
) -> Transcript:
    """Run a command in this process; a defect of ours raises, because MODSEAL_TRACEBACK is set.

    `leaves` are files that it writes even where its exit status is not 0: reports, and those of several bundles that
    did not fail.
    """
    out, err = io.StringIO(), io.StringIO()
    before = snapshot(cwd)
    environ = {**os.environ, "MODSEAL_TRACEBACK": "1", **env}
    with (
        chdir(cwd),
        redirect_stdout(out),
        redirect_stderr(err),
        mock.patch.dict(os.environ, environ, clear=True),
        mock.patch.object(sys, "stdin", io.StringIO(stdin)),
    ):
        code = run_main([str(each) for each in arguments])
    transcript = Transcript(code, out.getvalue(), err.getvalue())
    _require_well_behaved(transcript, before, cwd, prefixed=prefixed, leaves=leaves)
    return transcript


def run_process(
    *arguments: object,
    cwd: Path,
    env: Mapping[str, str] = {},
    python: Sequence[str] = (),
    prefixed: bool = True,
    stdin: bytes | BinaryIO = b"",
) -> Transcript:
    """Run a command in a process of its own; `python` are options of the interpreter, `stdin` is a pipe or a file."""
    before = snapshot(cwd)
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), "MODSEAL_TRACEBACK": "1", **env}
    command = [sys.executable, *python, "-c", "from modseal.cli.main import main; main()", *map(str, arguments)]
    given: dict[str, Any] = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, check=False, **given)
    transcript = Transcript(done.returncode, done.stdout.decode(), done.stderr.decode())
    _require_well_behaved(transcript, before, cwd, prefixed=prefixed)
    return transcript


def _require_well_behaved(
    transcript: Transcript, before: dict[str, bytes | str], cwd: Path, *, prefixed: bool, leaves: Sequence[str] = ()
) -> None:
    assert "Traceback" not in transcript.err
    if prefixed:
        for line in transcript.err.splitlines():
            assert line.startswith("modseal: "), transcript.err
    left = snapshot(cwd, contents=bool(transcript.code))
    assert not [path for path in left if ".modseal-" in path]
    if transcript.code:
        for listing in (left, before):
            for path in leaves:
                listing.pop(path, None)
        assert left == before
