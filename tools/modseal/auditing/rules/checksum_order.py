"""A `.vib` that older hosts cannot install, because its checksums stand in another order than VMware's."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.format.manifest import View


def check(subject: Subject) -> Iterator[Hit]:
    """Each payload of a `.vib` whose last SHA-256 is that of the unpacked bytes."""
    manifest = subject.manifest
    for payload in manifest.payloads if manifest and manifest.kind == "vib" else ():
        views = [digest.view for digest in payload.digests if digest.algorithm == "sha256"]
        plain = [view for view in views if view is not View.GUNZIP1]
        if View.RAW in plain and plain[-1] is View.UNPACKED:
            detail = f"payload {payload.name!r} has the SHA-256 of its packed bytes before that of its unpacked bytes"
            yield Hit(detail, {"payload": payload.name})


RULE = Rule(
    id="checksum-order",
    severity=Severity.LOW,
    title="ESXi up to 7.0 may fail on it: the order of the checksums",
    what="A payload of a `.vib` has its two SHA-256 checksums in another order than VMware writes them: that of the "
    "unpacked bytes is the last.",
    why="Hosts from 5.5 to 7.0 take the last `sha-256` for that of the packed bytes, as their users report, and the "
    "installation ends with `Calculated digest at EOF does not match expected result`. Low, because newer hosts do "
    "not care.",
    remedy="Pack it again with `modseal pack --format vib`, which writes the order that old and new hosts take.",
    example="A script that adds the checksum which ESXi 8 needs after the one that was there.",
    check=check,
)
