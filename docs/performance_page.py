"""`docs/performance.md`, from what `make bench` measured last (`docs/performance.json`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import plots
from plots import Line, Panel

RECORD = Path(__file__).with_name("performance.json")

_HEAD = """\
# Performance

What modseal costs beside the least that the work can cost, and beside other tools. Every table is one run of
`make bench`, in which all contenders took turns, round by round: only numbers of one table may be compared, and what
counts is the ratio. *time* is on the clock and *cpu* the processor's, of whole processes, medians; *spread* is half the
range of the middle half; *peak* the largest resident memory. Where the load was above the number of cores, other
programs ran too: then the ratio of processor time says more than that of time.

`tests/cost` counts what a `verify` loads and calls, and fails where a change adds to it: times are never tested.
"""

_NEXT = """\
## What would be next

- **Cold**: three fifths of it are Python, click and libraries; a quarter is loading modseal's own 80 modules, of which
  none is dear; 8 % are reading a policy with seven CAs, and 4 % the bundle. A plain `verify` could be parsed without
  click, for about 15 ms.
- **Warm**: a descriptor and a manifest are read value by value. Patterns for their usual form would save a third of
  what is left, and would be second readers of signed data: that is why they are not there. A signature block is
  compared with one of the same signer before it, which reads nothing in two ways.
- **Large**: what is left is work of libraries, and half of the processor time is the least that two cores can take:
  a third of `tar | gzip -6` for `pack` of a `.vib`, which deflates for two thirds of it and digests for a fifth, and
  eight tenths of `tar | zstd -T0` for a `.seal`. Cores are idle while the payload is copied behind its manifest (0.7 s
  for 500 MiB), whose length is not known before, and while the disk is waited for (0.4 s), which could write while the
  bundle is examined. `verify` of a `.vib` takes as long as inflating, which cannot begin in the middle. By zlib's rules
  that is more work than igzip has, which reads what zlib refuses. Of a `.seal` it is digests, and unpacking in two
  threads.
- **Audit**: each bundle becomes a record, a row and lines of a report, asks two dozen rules, and is told to those that
  see more than one: a third of its time, in many small parts, of which JSON is the largest. A second audit that finds
  what the first one found is mostly the start of the program; where one file changed, all others are looked up one by
  one.
"""


GROWTH = "Growth with "
PICTURES = Path("performance")
"""The folder of the plots, beside the page."""


def page(note: str) -> str:
    """The whole page."""
    found = _found()
    profile = found.pop("profile", {})
    lines = _HEAD.splitlines()
    lines[2:2] = [note, ""]
    for title, table in found.items():
        if not title.startswith(GROWTH):
            lines += ["", f"## {title}", "", *_table(table)]
    for what, tables in _growths().items():
        text = f"Processor time and peak memory with {what}; both axes are logarithmic"
        lines += ["", f"## {GROWTH}{what}", "", f"![{text}]({PICTURES}/{_file(what)})", ""]
        for kind, table in tables.items():
            lines += [f"`.{kind}`: " + _about(table), "", *_growth(table["rows"]), ""]
        lines.pop()
    for kind, rows in profile.items():
        lines += ["", f"## What is left of a warm .{kind}, by module", "", *_profile(rows)]
    return "\n".join([*lines, "", *_NEXT.splitlines()]) + "\n"


def pictures() -> dict[Path, str]:
    """The plots by their files below docs/, one for each thing that grows."""
    made = {}
    for what, tables in _growths().items():
        rows = {f".{kind}": table["rows"] for kind, table in tables.items()}
        panels = [
            Panel(
                title,
                what,
                unit,
                [Line(kind, [(int(row["name"]), row[key]) for row in each]) for kind, each in rows.items()],
            )
            for title, unit, key in (("processor time", "seconds", "cpu"), ("peak memory", "MiB", "peak-mib"))
        ]
        made[PICTURES / _file(what)] = plots.picture(panels)
    return made


def _found() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORD.read_text("utf-8"))
    return found


def _growths() -> dict[str, dict[str, dict[str, Any]]]:
    """The tables of growth by what grows, and then by the kind of bundle."""
    growths: dict[str, dict[str, dict[str, Any]]] = {}
    for title, table in _found().items():
        if title.startswith(GROWTH):
            what, _, kind = title.removeprefix(GROWTH).rpartition(", .")
            growths.setdefault(what, {})[kind] = table
    return growths


def _file(what: str) -> str:
    return "-".join(what.replace(",", "").lower().split()) + ".svg"


def _table(table: dict[str, Any]) -> list[str]:
    notes = [f"- {one}" for one in table["notes"]]
    rows = ["| | time | spread | ÷ | cpu | ÷ | peak MiB |", "|---|---:|---:|---:|---:|---:|---:|"]
    for row in table["rows"]:
        name = f"**{row['name']}**" if row["name"].startswith("modseal") else row["name"].replace("|", "\\|")
        times = f"{_time(row['seconds'])} | {row['spread']} | {_ratio(row['ratio'])} | {_time(row['cpu'])}"
        rows.append(f"| {name} | {times} | {_ratio(row['cpu-ratio'])} | {row['peak-mib']} |")
    return [_about(table), "", *rows, *(["", *notes] if notes else [])]


def _about(table: dict[str, Any]) -> str:
    """Where and when a table was measured."""
    load = " ".join(f"{one:.1f}" for one in table["load"])
    rounds = f"medians of {table['rounds']} rounds" if table["rounds"] > 1 else "once each"
    return f"{table['machine']}, {table['date']}, commit {table['commit']}; {rounds}; load {load}."


def _growth(rows: list[dict[str, Any]]) -> list[str]:
    """What each size costs beyond the smallest one, for each unit: the same number everywhere means linear."""
    lines = ["| how many | time | cpu | cpu for one more | peak MiB |", "|---:|---:|---:|---:|---:|"]
    first = rows[0]
    for row in rows:
        more = int(row["name"]) - int(first["name"])
        each = _time((row["cpu"] - first["cpu"]) / more) if more else ""
        lines.append(
            f"| {int(row['name']):,} | {_time(row['seconds'])} | {_time(row['cpu'])} | {each} | {row['peak-mib']} |"
        )
    return lines


def _profile(rows: list[dict[str, Any]]) -> list[str]:
    lines = ["| module or built-in function | part of the time, % | calls for a bundle |", "|---|---:|---:|"]
    return [*lines, *(f"| `{row['module']}` | {row['percent']} | {row['calls']} |" for row in rows)]


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _time(seconds: float) -> str:
    if abs(seconds) < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1000:.1f} ms" if abs(seconds) < 1 else f"{seconds:.2f} s"
