"""A `.vib` that ESXi 8 refuses, because it does not say the SHA-256 of a payload's unpacked bytes."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.format.manifest import View

_UNPACKED_TYPES = ("vgz", "tgz", "vzstd")
"""The payload types that are known to be packed, and what in."""


def check(subject: Subject) -> Iterator[Hit]:
    """Each payload of a `.vib` that lacks the checksum."""
    manifest = subject.manifest
    for payload in manifest.payloads if manifest and manifest.kind == "vib" else ():
        declared = {(digest.algorithm, digest.view) for digest in payload.digests}
        if payload.type in _UNPACKED_TYPES and ("sha256", View.UNPACKED) not in declared:
            yield Hit(f"payload {payload.name!r} has no SHA-256 of its unpacked bytes", {"payload": payload.name})


RULE = Rule(
    id="gunzip-sha256-missing",
    severity=Severity.MEDIUM,
    title="ESXi 8 and newer refuse it: no SHA-256 of the unpacked payload",
    what='A payload of a `.vib` has no checksum of the type `sha-256` with `verify-process="gunzip"`.',
    why="ESXi 8.0 and newer refuse it, and one that is installed already stops the upgrade of its host: `does not "
    "have sha-256 gunzip checksum` (Broadcom KB 318056). `--force` of esxcli does not help. Files of vibauthor and of "
    "VMware's tools before 6.7 are like that.",
    remedy="Ask the vendor for a build with newer tools; pack your own again with `modseal pack --format vib`.",
    example="A `.vib` with the checksums `sha-256` and `sha-1` gunzip only, as vibauthor wrote them.",
    check=check,
)
