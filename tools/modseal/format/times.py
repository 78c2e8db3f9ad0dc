"""Times as this project writes them: UTC, in whole seconds, such as `2026-01-31T12:00:00Z` (RFC 3339)."""

from __future__ import annotations

from datetime import UTC, datetime

FORM = "%Y-%m-%dT%H:%M:%SZ"


def time_text(time: datetime) -> str:
    """The text of an aware time; what is below a second is cut off."""
    plain = time.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    return f"{plain.isoformat()}Z"  # strftime does not fill years up to four digits


def parse_time(text: str) -> datetime:
    """The aware time of a text in that form. Raises `ValueError`."""
    found = datetime.fromisoformat(text)  # and not strptime, which loads a calendar of its own
    if time_text(found) != text:
        raise ValueError(f"{text!r} is not a time as this project writes it")
    return found
