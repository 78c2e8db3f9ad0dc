"""Timing commands against each other, and saying what came out.

Everything is a fresh process, run round-robin: machines drift, so only what ran side by side may be compared.
The files of a command are read just before it runs, because idle page cache is dropped on some machines.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
_BLOCK = 4 * MIB
UNTIL = [float("inf")]
"""When the section that runs has had its time (`time.monotonic`): the round that has begun is then the last."""

END = [float("inf")]
"""When all of it should be over."""

RECORD: dict[str, dict[str, Any]] = {}
"""Every table so far, by its title, as docs/performance.json keeps it."""


@dataclass(frozen=True)
class Run:
    """One run of a command: seconds on the clock and of the processor, and the peak of resident memory in bytes."""

    seconds: float
    cpu: float
    memory: int


@dataclass(frozen=True)
class Contender:
    """A command with a name; a string goes to `sh`. `files` are read before every run, `before` is called."""

    name: str
    command: Sequence[str] | str
    files: Sequence[Path] = ()
    before: Callable[[], None] = lambda: None


@dataclass
class Section:
    """Contenders that are compared; ratios are to the one that is named `base`. `divisor` counts bundles of one run."""

    title: str
    base: str
    contenders: list[Contender]
    rounds: int
    divisor: int = 1
    notes: list[str] = field(default_factory=list)


def run(contender: Contender) -> Run:
    """Run once. Anything but exit status 0 ends the benchmark: a failure is often fast."""
    contender.before()
    warm(contender.files)
    shell = isinstance(contender.command, str)
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        child = subprocess.Popen(contender.command, shell=shell, stdout=subprocess.DEVNULL, stderr=errors)
        # Its peak starts at ours (exec keeps the larger one), hence this process imports little and never modseal.
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            sys.exit(f"bench: {contender.name} failed ({child.returncode}): {errors.read().decode(errors='replace')}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def warm(files: Iterable[Path]) -> None:
    """Read files into the page cache."""
    buffer = bytearray(_BLOCK)
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def compare(section: Section) -> dict[str, list[Run]]:
    """Run all contenders of a section in turn, and print the table."""
    if section.rounds > 1 and time.monotonic() < UNTIL[0]:
        for contender in section.contenders:
            run(contender)  # not counted: byte code, linker caches
    runs: dict[str, list[Run]] = {contender.name: [] for contender in section.contenders}
    for count in range(1, section.rounds + 1):
        for contender in section.contenders:
            runs[contender.name].append(run(contender))
        if time.monotonic() > UNTIL[0]:
            section.rounds = count
            break
    show(section, runs)
    return runs


def show(section: Section, runs: dict[str, list[Run]]) -> None:
    """Medians, the spread of the middle half, and ratios of medians."""
    times = "once each" if section.rounds == 1 else f"median of {section.rounds} rounds"
    print(f"\n{section.title} ({times})\n")
    print(f"  {'':<44} {'time':>10} {'spread':>7} {'ratio':>7} {'cpu':>10} {'ratio':>7} {'peak MiB':>9}")
    base = runs.get(section.base)
    rows = []
    for name, measured in runs.items():
        middle, cpu = _median(measured), _median_cpu(measured)
        row = {
            "name": name,
            "seconds": round(middle / section.divisor, 7),
            "spread": _spread(measured),
            "ratio": round(middle / _median(base), 2) if base else None,
            "cpu": round(cpu / section.divisor, 7),
            "cpu-ratio": round(cpu / _median_cpu(base), 2) if base else None,
            "peak-mib": round(max(each.memory for each in measured) / MIB),
        }
        rows.append(row)
        print(
            f"  {name:<44} {time_text(row['seconds']):>10} {row['spread']:>7} {row['ratio'] or '-':>7} "
            f"{time_text(row['cpu']):>10} {row['cpu-ratio'] or '-':>7} {row['peak-mib']:>9}"
        )
    load = [round(one, 1) for one in os.getloadavg()]
    notes = list(dict.fromkeys(section.notes))
    for note in notes:
        print(f"  note: {note}")
    print(f"  load of the last 1, 5 and 15 minutes: {load}", flush=True)
    RECORD[section.title] = {"base": section.base, "rounds": section.rounds, "load": load, "rows": rows, "notes": notes}


def _median(runs: Sequence[Run]) -> float:
    return statistics.median(each.seconds for each in runs)


def _median_cpu(runs: Sequence[Run]) -> float:
    return statistics.median(each.cpu for each in runs)


def _spread(runs: Sequence[Run]) -> str:
    """Half of the range of the middle half, as a part of the median."""
    if len(runs) < 3:
        return "-"
    low, middle, high = statistics.quantiles([each.seconds for each in runs], n=4)
    return f"±{(high - low) / 2 / middle:.0%}"


def time_text(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
