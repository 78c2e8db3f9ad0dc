"""Runs fuzz targets, each in a process of its own, and prints a line for each: `make fuzz`.

What libFuzzer learns stays in build/fuzz/<target>/corpus, so the next run goes on from there; an input
that fails is kept in build/fuzz/<target>/failures. The exit status is 1 where there is one.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
BUILD = FOLDER.parent / "build" / "fuzz"
_COUNT = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_PROGRESS = re.compile(r"^#(\d+).* cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
SECONDS_PER_INPUT = 20
MEGABYTES = 1024


@dataclass(frozen=True)
class Outcome:
    """What one run showed. `edges` are those of modseal's Python code that any input has reached."""

    target: str
    executions: int
    seconds: float
    edges: int
    inputs: int
    failures: tuple[Path, ...]

    def __str__(self) -> str:
        found = "".join(f"\n    {path}" for path in self.failures)
        return (
            f"{self.target:<18}{self.executions:>12,}{self.seconds:>9.0f} s{self.edges:>8} edges"
            f"{self.inputs:>7} inputs{len(self.failures):>4} failures{found}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line names; all targets where it names none."""
    sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "tools")]
    from targets import TARGETS

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--runs", type=int, default=-1, help="stop a target after so many executions, too")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time (1)")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    failed = False
    with ThreadPoolExecutor(chosen.jobs) as pool:
        running = [pool.submit(run, name, chosen.seconds, chosen.runs) for name in chosen.targets or TARGETS]
        for done in as_completed(running):
            print(done.result(), flush=True)
            failed |= bool(done.result().failures)
    return int(failed)


def run(name: str, seconds: int, runs: int) -> Outcome:
    """Fuzz one target, from the seeds and what earlier runs have learnt."""
    corpus, failures, log = BUILD / name / "corpus", BUILD / name / "failures", BUILD / name / "log.txt"
    for folder in (corpus, failures):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(failures.iterdir())
    command = [
        sys.executable,
        str(FOLDER / "one.py"),
        name,
        f"-max_total_time={seconds}",
        f"-runs={runs}",
        "-print_final_stats=1",
        f"-timeout={SECONDS_PER_INPUT}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-artifact_prefix={failures}/",
        str(corpus),
        str(FOLDER / "seeds" / name),
    ]
    start = time.monotonic()
    with log.open("wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False)
    taken = time.monotonic() - start
    said = log.read_text("utf-8", "replace")
    progress = _PROGRESS.findall(said) or [("0", "0", "0", "0")]
    count = _COUNT.search(said)
    if done.returncode and set(failures.iterdir()) == before:
        raise SystemExit(f"{name}: the fuzzer did not run; see {log}")
    return Outcome(
        name,
        int(count[1]) if count else int(progress[-1][0]),
        taken,
        int(progress[-1][1]),
        int(progress[-1][3]),
        tuple(sorted(set(failures.iterdir()) - before)),
    )


if __name__ == "__main__":
    sys.exit(main())
