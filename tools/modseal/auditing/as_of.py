"""The time of verification within what an audit keeps: a mark stands for it, and who shows a result fills in their own.

A result holds between two moments, and an audit at any time between them says the same of the bundle but for that time.
The marks are control characters. JSON has those as escapes alone, so no text of a bundle can be taken for a mark.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from modseal.files.names import dumped
from modseal.format.times import time_text

_TEXT, _EVIDENCE = "\x01", "\x02"
_UNTIL_WRITTEN = {os.urandom(16).hex(): mark for mark in (_TEXT, _EVIDENCE)}
"""What stands for the marks while there is no JSON yet: nobody can know it before, and it leaves no process."""
_TEXT_YET, _EVIDENCE_YET = _UNTIL_WRITTEN

_SAYING = frozenset({"expired", "not-yet-valid"})
"""The codes of checks whose detail says the time that they judge at, after all that comes from a certificate."""


class AsOf:
    """One time of verification, in the forms that reports have it in."""

    def __init__(self, at: datetime) -> None:
        self._text, self._evidence = time_text(at), at.isoformat()
        self._fill = ((_TEXT.encode(), self._text.encode()), (_EVIDENCE.encode(), self._evidence.encode()))

    def marked(self, plain: Mapping[str, Any]) -> dict[str, Any]:
        """A check or a finding as plain values, where it says this time with what will be a mark in its place."""
        found = dict(plain)
        says = plain.get("id") == "time.verification"
        if plain["evidence"].get("at") == self._evidence:
            found["evidence"] = {**plain["evidence"], "at": _EVIDENCE_YET}
            says = plain.get("code", plain.get("rule")) in _SAYING
        if says and self._text in plain["detail"]:  # not in that of one finding for all that are too many
            before, _, after = plain["detail"].rpartition(self._text)
            found["detail"] = f"{before}{_TEXT_YET}{after}"
        return found

    @property
    def mark(self) -> str:
        """What will be a mark, in the place of this time."""
        return _TEXT_YET

    def written(self, values: Any) -> str:
        """Values as JSON, with marks in it."""
        text = dumped(values)
        for yet, mark in _UNTIL_WRITTEN.items():
            text = text.replace(yet, mark)
        return text

    def is_said_in(self, text: str) -> bool:
        """Whether some JSON says this time where no mark stands for it."""
        return self._text in text or self._evidence in text

    def filled(self, line: bytes) -> bytes:
        """Some JSON with this time in the place of each mark."""
        for mark, time in self._fill:
            line = line.replace(mark, time)
        return line
