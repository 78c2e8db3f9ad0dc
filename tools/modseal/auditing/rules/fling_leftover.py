"""A summary that vibauthor wrote into."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject

MARK = "[Fling] "


def check(subject: Subject) -> Iterator[Hit]:
    """A summary that starts with the mark, however often."""
    text = subject.manifest.summary if subject.manifest else ""
    times = 0
    while text.startswith(MARK):
        text = text.removeprefix(MARK)
        times += 1
    if times:
        often = "" if times == 1 else f", {times} times"
        yield Hit(f"the summary starts with {MARK.strip()}{often}", {"times": times})


RULE = Rule(
    id="fling-leftover",
    severity=Severity.LOW,
    title="The summary starts with [Fling]",
    what="The summary starts with `[Fling] `, once or repeatedly.",
    why="VMware's vibauthor puts it there each time that it composes a `.vib`, whatever the module is. Administrators "
    "read it as a statement of its author: unsupported, an experiment. Low, because it changes nothing else; it also "
    "tells that the bundle was made with a tool which was withdrawn.",
    remedy="Remove it from the stage folder's `descriptor.xml`, and pack with `modseal pack --format vib`, which adds "
    "nothing.",
    example="`[Fling] [Fling] Backup scripts`, composed twice.",
    check=check,
)
