"""A bundle that carries when, by whom or from which file it was made, so that no second build gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.auditing.wording import some

_GZIP = b"\x1f\x8b\x08"
_NAMED = 0x08
"""FLG.FNAME of a gzip header; the time is in its bytes 4 to 7 (RFC 1952 section 2.3)."""


def check(subject: Subject) -> Iterator[Hit]:
    """All members that carry something of their making, in one finding."""
    places = [f"the archive's header of {member.name!r}" for member in subject.members if member.dated]
    for payload in subject.manifest.payloads if subject.manifest else ():
        head = subject.heads.get(payload.name, b"")
        if head.startswith(_GZIP) and (any(head[4:8]) or (head[3:4] and head[3] & _NAMED)):
            places.append(f"the gzip header of {payload.name!r}")
    if places:
        yield Hit(f"a time, an owner or a file name of the build is in {some(places)}", {"places": len(places)})


RULE = Rule(
    id="not-reproducible",
    severity=Severity.INFO,
    title="It carries traces of its making",
    what="A header of the archive has a time or an owner, or the gzip header of a payload has a time or a file name.",
    why="Two builds of the same source then differ, and nobody can check a published bundle by building it again. It "
    "may also tell names of your build machines. Info, because no host cares, and many genuine VIBs, VMware's "
    "older ones among them, are like that. A `.seal` cannot have such headers.",
    remedy="Build with `modseal pack`: the same files give the same bytes.",
    example="A payload that was packed with `gzip FILE`, which writes the name and the time of FILE.",
    check=check,
)
