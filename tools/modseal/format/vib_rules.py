"""The rules for the manifest of a `.vib`, beyond those that both formats share (`rules`).

What is allowed is what genuine files have (docs/vib.md, section 2); the reader and the writer of
`descriptor.xml` both call these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from modseal import limits
from modseal.errors import Failure
from modseal.format import rules
from modseal.format.manifest import Manifest, Payload, View
from modseal.format.shape import quote
from modseal.values import regex

TYPES = ("bootbank", "locker", "meta")

CHECKSUMS: dict[tuple[str, View], tuple[str, str | None]] = {
    ("sha256", View.UNPACKED): ("sha-256", "gunzip"),
    ("sha256", View.RAW): ("sha-256", None),
    ("sha1", View.RAW): ("sha-1", None),
    ("sha1", View.UNPACKED): ("sha-1", "gunzip"),
    ("sha256", View.GUNZIP1): ("sha-256-gunzip1", None),
    ("sha256", View.TXT_MLE): ("sha-256", "txt-mle"),
}
"""Digests as `checksum-type` and `verify-process`, in the order of writing: ESXi 8 needs the first, and
hosts before 7.0 take the last `sha-256` for that of the member (docs/vib.md)."""

LENGTHS = {"sha256": 32, "sha1": 20}
"""Bytes of a digest."""

_DATE = regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?([+-]\d\d:\d\d)?", re.ASCII)
_VFAT_NAME = regex(r"[A-Za-z0-9_-]{1,8}(\.[A-Za-z0-9_-]{1,3})?")
"""A name of MS-DOS, which is what the boot partition of a host has."""
BOOT_ORDER = 2**31 - 1
"""Genuine orders are below 1,000."""

_PAYLOAD_TYPE = regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")


def quirks(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What only some genuine descriptors have or lack, each by its name and in words; none of it is wrong."""
    vib = manifest.vib
    if vib is None:
        return
    if not vib.has_version:
        yield "no-version", "<vib> has no version, as some scripts write it"
    if not vib.lists_files:
        yield "no-file-list", "there is no <file-list>, so nothing declares the files"
    elif not manifest.files:
        yield "empty-file-list", "the <file-list> is empty"
    if vib.packed_size is not None:
        yield "packed-size", f"<packed-size> says {vib.packed_size}"
    for payload in manifest.payloads:
        for name, value in (("boot-order", payload.boot_order), ("vfat-name", payload.vfat_name)):
            if value is not None:
                yield name, f"payload {quote(payload.name)} has the {name} {value}"
        if any(digest.view is View.TXT_MLE for digest in payload.digests):
            yield (
                "txt-mle",
                f"payload {quote(payload.name)} has a checksum of what Intel TXT measures, which is not computed",
            )


def check(manifest: Manifest) -> Iterator[Failure]:
    """All that is wrong with the manifest of a `.vib`, beyond what its types say."""
    yield from check_stage(manifest)
    if not manifest.released:
        yield _bad("the release-date is missing", manifest.released)
    for payload in manifest.payloads:
        yield from _check_payload(payload, known=not (manifest.vib and manifest.vib.unknown))


def check_stage(manifest: Manifest) -> Iterator[Failure]:
    """All that is wrong with a manifest from which a `.vib` is still to be made: no date, sizes or digests yet."""
    vib = manifest.vib
    if manifest.kind != "vib" or vib is None or manifest.attachments or manifest.expected_signers:
        yield _bad("this is not the manifest of a .vib: it has fields that only a .seal has", manifest.name)
        return
    yield from rules.check_module(manifest)
    if manifest.released and not _is_date(manifest.released):
        yield _bad(
            f"the release-date {quote(manifest.released)} is not like 2026-01-31T12:00:00+00:00"
            " (with or without microseconds and offset)",
            manifest.released,
        )
    if vib.type not in TYPES:
        yield _bad(f"the type {quote(vib.type)} is not one of {', '.join(TYPES)}", vib.type)
    for key, url in vib.urls:
        yield from rules.check_line("key of a url", key)
        yield from rules.check_text("url", url)
    for tag in vib.tags:
        yield from rules.check_line("tag", tag)
    for platform in vib.platforms:
        yield from rules.check_line("version of a softwarePlatform", platform.version)
        yield from rules.check_line("productLineID of a softwarePlatform", platform.product)
        if platform.locale:
            yield from rules.check_line("locale of a softwarePlatform", platform.locale)
    for payload in manifest.payloads:
        yield from _check_payload_type(payload)
    if vib.packed_size is not None and not 0 <= vib.packed_size <= limits.MEMBER_SIZE * limits.PAYLOADS:
        yield _bad(f"the packed-size {vib.packed_size} is over any that there can be", str(vib.packed_size))
    if max(len(vib.urls), len(vib.tags), len(vib.platforms)) > limits.ITEMS:
        yield _bad(f"there are more than {limits.ITEMS} urls, tags or platforms", manifest.name)


def _check_payload_type(payload: Payload) -> Iterator[Failure]:
    if not _PAYLOAD_TYPE.fullmatch(payload.type):
        yield _bad(f"the payload type {quote(payload.type)} is not a plain word", payload.type)
    if payload.compression_option is not None:
        yield from rules.check_line("compression-option", payload.compression_option)
    if payload.boot_order is not None and not 0 <= payload.boot_order <= BOOT_ORDER:
        yield _bad(f"payload {quote(payload.name)} has a boot-order over {BOOT_ORDER}", payload.name)
    if payload.vfat_name is not None and not _VFAT_NAME.fullmatch(payload.vfat_name):
        yield _bad(f"the vfat-name {quote(payload.vfat_name)} is not like NAME.EXT", payload.vfat_name)
    if payload.chunks or payload.mtime:
        yield _bad(f"payload {quote(payload.name)} has fields that only a .seal has", payload.name)


def _check_payload(payload: Payload, *, known: bool) -> Iterator[Failure]:
    """`known` says that all of the descriptor was read, so that there are no other checksums."""
    if not 0 <= payload.size <= limits.MEMBER_SIZE:
        yield _bad(f"payload {quote(payload.name)} has a size over {limits.MEMBER_SIZE}", payload.name)
    if payload.unpacked_size is not None and not 0 <= payload.unpacked_size <= limits.UNPACKED_SIZE:
        yield _bad(f"payload {quote(payload.name)} has an uncompressed-size over {limits.UNPACKED_SIZE}", payload.name)
    keys = [(digest.algorithm, digest.view) for digest in payload.digests]
    if not keys and known:
        yield _bad(f"payload {quote(payload.name)} has no checksum", payload.name)
    if len(set(keys)) != len(keys):
        yield _bad(f"payload {quote(payload.name)} has two checksums of the same kind", payload.name)
    for digest in payload.digests:
        if (digest.algorithm, digest.view) not in CHECKSUMS or len(digest.value) != LENGTHS[digest.algorithm]:
            yield _bad(
                f"payload {quote(payload.name)} has a {digest.algorithm} checksum that no descriptor can hold",
                payload.name,
            )


def _is_date(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def _bad(detail: str, value: str) -> Failure:
    return Failure("bad-manifest", detail, {"value": rules.shown(value)})
