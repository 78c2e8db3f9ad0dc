"""Colour for verdicts and for what failed, on a terminal alone: from the value, never from the text of a file."""

from __future__ import annotations

import os
from typing import TextIO

from modseal.trust.examination import Status, Verdict

_GREEN, _RED, _YELLOW = "32", "31", "33"
_COLOURS: dict[Verdict | Status, str] = {
    Verdict.ACCEPTED: _GREEN,
    Verdict.REJECTED: _RED,
    Verdict.UNDECIDED: _YELLOW,
    Status.PASSED: _GREEN,
    Status.FAILED: _RED,
    Status.INCONCLUSIVE: _YELLOW,
}


def wanted(stream: TextIO) -> bool:
    """Whether a stream gets colour: a terminal does, but `NO_COLOR` forbids it and `FORCE_COLOR` asks for it anywhere.

    Of the two NO_COLOR wins; an empty value means nothing (no-color.org, force-color.org).
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(meaning: Verdict | Status, text: str) -> str:
    """A word in the colour of what it means."""
    colour = _COLOURS.get(meaning)
    return f"\x1b[1;{colour}m{text}\x1b[0m" if colour else text


def plain(_meaning: Verdict | Status, text: str) -> str:
    """A word as it is."""
    return text
