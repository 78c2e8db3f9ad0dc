"""Rules about how a bundle was made: whether hosts take it and let it go, and whether it can be built again."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.auditing.wording import some
from modseal.format import vib_rules
from modseal.format.level import Level
from modseal.format.manifest import View

_UNPACKED_TYPES = ("vgz", "tgz", "vzstd")
"""The payload types that are known to be packed, and what in."""


def _gunzip_sha256_missing(subject: Subject) -> Iterator[Hit]:
    """Each payload of a `.vib` that lacks the checksum."""
    manifest = subject.manifest
    for payload in manifest.payloads if manifest and manifest.kind == "vib" else ():
        declared = {(digest.algorithm, digest.view) for digest in payload.digests}
        if payload.type in _UNPACKED_TYPES and ("sha256", View.UNPACKED) not in declared:
            yield Hit(f"payload {payload.name!r} has no SHA-256 of its unpacked bytes", {"payload": payload.name})


GUNZIP_SHA256_MISSING = Rule(
    id="gunzip-sha256-missing",
    severity=Severity.MEDIUM,
    title="ESXi 8 and newer refuse it: no SHA-256 of the unpacked payload",
    what='A payload of a `.vib` has no checksum of the type `sha-256` with `verify-process="gunzip"`.',
    why="ESXi 8.0 and newer refuse it, and one that is installed already stops the upgrade of its host: `does not "
    "have sha-256 gunzip checksum` (Broadcom KB 318056). `--force` of esxcli does not help. Files of vibauthor and of "
    "VMware's tools before 6.7 are like that.",
    remedy="Ask the vendor for a build with newer tools; pack your own again with `modseal pack --format vib`.",
    example="A `.vib` with the checksums `sha-256` and `sha-1` gunzip only, as vibauthor wrote them.",
    check=_gunzip_sha256_missing,
)


def _checksum_order(subject: Subject) -> Iterator[Hit]:
    """Each payload of a `.vib` whose last SHA-256 is that of the unpacked bytes."""
    manifest = subject.manifest
    for payload in manifest.payloads if manifest and manifest.kind == "vib" else ():
        views = [digest.view for digest in payload.digests if digest.algorithm == "sha256"]
        plain = [view for view in views if view is not View.GUNZIP1]
        if View.RAW in plain and plain[-1] is View.UNPACKED:
            detail = f"payload {payload.name!r} has the SHA-256 of its packed bytes before that of its unpacked bytes"
            yield Hit(detail, {"payload": payload.name})


CHECKSUM_ORDER = Rule(
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
    check=_checksum_order,
)


def _descriptor_quirk(subject: Subject) -> Iterator[Hit]:
    """Each quirk of the descriptor once, however many payloads have it."""
    if subject.manifest:
        for name, words in dict(reversed(list(vib_rules.quirks(subject.manifest)))).items():
            yield Hit(words, {"quirk": name})


DESCRIPTOR_QUIRK = Rule(
    id="descriptor-quirk",
    severity=Severity.INFO,
    title="The descriptor has a form that only some genuine files have",
    what="The descriptor of a `.vib` has no version or no list of files, or has a packed size, a boot order, a name "
    "for the boot partition, or a checksum that only Intel TXT can compare (`modseal help vib`, section 2).",
    why="Base images and some tools write such descriptors, and they are read. It is counted because whoever builds "
    "tools for a set of bundles wants to know which forms there are.",
    remedy="Nothing has to be done.",
    example="`cpu-microcode` of ESXi 6.7 has no `<file-list>`, and payloads with a `boot-order`.",
    check=_descriptor_quirk,
)


def _not_removable_live(subject: Subject) -> Iterator[Hit]:
    """A community module that declares that it cannot be removed from a running host."""
    manifest = subject.manifest
    community = manifest is not None and manifest.claimed_level is Level.COMMUNITY
    if manifest and community and manifest.vib and not manifest.vib.live_remove_allowed:
        yield Hit("the manifest says live-remove-allowed = false", {"name": manifest.name})


NOT_REMOVABLE_LIVE = Rule(
    id="not-removable-live",
    severity=Severity.INFO,
    title="Removing it needs a reboot",
    what="A community `.vib` declares `live-remove-allowed` as false.",
    why="If it turns out to be bad, each host that has it must be evacuated and booted to be rid of it. Info, because "
    "drivers cannot be removed in any other way; for scripts and firewall rules it is a needless trap.",
    remedy="Set `live-remove-allowed` to true in your own modules without drivers; else plan for the reboot.",
    example="A community `.vib` that brings one firewall rule, and `<live-remove-allowed>false</live-remove-allowed>`.",
    check=_not_removable_live,
)


FLING_MARK = "[Fling] "


def _fling_leftover(subject: Subject) -> Iterator[Hit]:
    """A summary that starts with the mark, however often."""
    text = subject.manifest.summary if subject.manifest else ""
    times = 0
    while text.startswith(FLING_MARK):
        text = text.removeprefix(FLING_MARK)
        times += 1
    if times:
        often = "" if times == 1 else f", {times} times"
        yield Hit(f"the summary starts with {FLING_MARK.strip()}{often}", {"times": times})


FLING_LEFTOVER = Rule(
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
    check=_fling_leftover,
)


_GZIP = b"\x1f\x8b\x08"
_NAMED = 0x08
"""FLG.FNAME of a gzip header; the time is in its bytes 4 to 7 (RFC 1952 section 2.3)."""


def _not_reproducible(subject: Subject) -> Iterator[Hit]:
    """All members that carry something of their making, in one finding."""
    places = [f"the archive's header of {member.name!r}" for member in subject.members if member.dated]
    for payload in subject.manifest.payloads if subject.manifest else ():
        head = subject.heads.get(payload.name, b"")
        if head.startswith(_GZIP) and (any(head[4:8]) or (head[3:4] and head[3] & _NAMED)):
            places.append(f"the gzip header of {payload.name!r}")
    if places:
        yield Hit(f"a time, an owner or a file name of the build is in {some(places)}", {"places": len(places)})


NOT_REPRODUCIBLE = Rule(
    id="not-reproducible",
    severity=Severity.INFO,
    title="It carries traces of its making",
    what="A header of the archive has a time or an owner, or the gzip header of a payload has a time or a file name.",
    why="Two builds of the same source then differ, and nobody can check a published bundle by building it again. It "
    "may also tell names of your build machines. Info, because no host cares, and many genuine VIBs, VMware's "
    "older ones among them, are like that. A `.seal` cannot have such headers.",
    remedy="Build with `modseal pack`: the same files give the same bytes.",
    example="A payload that was packed with `gzip FILE`, which writes the name and the time of FILE.",
    check=_not_reproducible,
)
