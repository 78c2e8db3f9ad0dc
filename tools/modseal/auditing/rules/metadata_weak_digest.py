"""A depot that binds a bundle by nothing stronger than SHA-1."""

from __future__ import annotations

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Rule

RULE = Rule(
    id="metadata-weak-digest",
    severity=Severity.LOW,
    title="The metadata has no SHA-256 of a bundle",
    what="The metadata gives a bundle's checksum with an old algorithm alone.",
    why="SHA-1 and MD5 do not keep anybody from exchanging a file while it is downloaded. The bundle's own "
    "signature does, where it has one.",
    remedy="Ask the vendor of the depot for metadata with SHA-256 checksums.",
    example="`<checksumType>sha-1</checksumType>` as the only checksum of a bundle.",
)
