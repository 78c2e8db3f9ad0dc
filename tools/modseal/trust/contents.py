"""Steps 7 and 8: whether payloads and files are exactly what the manifest declares.

Pure comparisons of declared values with measured ones; reading and hashing happened before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from modseal.codes import CODES
from modseal.errors import Failure
from modseal.format import rules
from modseal.format.manifest import Attachment, Entry, FileType, Manifest, Payload, View
from modseal.format.payload import Measured

STRONG_DIGESTS = ("sha256",)
"""hashlib names of digests that bind a payload by themselves; SHA-1 does not (CMS-08).

Over the raw member: what only the unpacked bytes are bound by could still be packed in another way."""

FILES = 8
"""The step that a failure of a measurement belongs to by its code (`modseal.codes`); all others belong to step 7."""


def payload_failures(payload: Payload, measured: Measured, size: int) -> Iterator[Failure]:
    """What is wrong with one payload as a whole: size, each digest, the compressed data."""
    name = payload.name
    if size != payload.size:
        yield Failure(
            "payload-size-mismatch",
            f"payload {name!r} has {size} bytes, {payload.size} are declared",
            {"payload": name, "declared": payload.size, "actual": size},
        )
    if payload.unpacked_size not in (None, measured.unpacked_size) and measured.unpacked_size is not None:
        yield Failure(
            "unpacked-size-mismatch",
            f"payload {name!r} unpacks to {measured.unpacked_size} bytes, {payload.unpacked_size} are declared",
            {"payload": name, "declared": payload.unpacked_size, "actual": measured.unpacked_size},
        )
    for digest in payload.digests:
        actual = measured.digests.get((digest.algorithm, digest.view))
        if actual is not None and actual != digest.value:
            yield Failure(
                "payload-digest-mismatch",
                f"payload {name!r}: the {digest.algorithm} of its {digest.view} bytes differs",
                {
                    "payload": name,
                    "algorithm": digest.algorithm,
                    "view": str(digest.view),
                    "declared": digest.value.hex(),
                    "actual": actual.hex(),
                },
            )
    if payload.digests and not any(one.algorithm in STRONG_DIGESTS and one.view is View.RAW for one in payload.digests):
        yield Failure("weak-digest", f"payload {name!r} has no SHA-256 over its bytes", {"payload": name})
    yield from (failure for failure in measured.failures if CODES[failure.code].step != FILES)
    # A digest that could not be computed is not a mismatch. Where something failed before, that failure says why.
    if not measured.failures:
        for digest in payload.digests:
            if digest.view is not View.TXT_MLE and (digest.algorithm, digest.view) not in measured.digests:
                detail = f"payload {name!r}: the {digest.algorithm} of its {digest.view} bytes cannot be computed"
                yield Failure("unsupported-payload", detail, {"payload": name, "view": str(digest.view)})


def attachment_failure(attachment: Attachment, size: int, sha256: bytes) -> Failure | None:
    """Whether an attachment differs from its declaration."""
    if size == attachment.size and sha256 == attachment.sha256:
        return None
    return Failure(
        "attachment-mismatch",
        f"attachment {attachment.name!r} differs from its declaration",
        {"attachment": attachment.name, "declared": attachment.sha256.hex(), "actual": sha256.hex()},
    )


def file_failures(manifest: Manifest, measured: Iterable[tuple[Payload, Measured]]) -> Iterator[Failure]:
    """What is wrong with the files: unsafe ones, and every difference from the declared ones."""
    entries: list[Entry] = []
    complete = True
    for payload, result in measured:
        yield from (failure for failure in result.failures if CODES[failure.code].step == FILES)
        complete = complete and result.listed
        entries += result.entries
        if not result.listed and not result.failures:
            yield Failure("bad-listing", f"payload {payload.name!r} could not be listed", {"payload": payload.name})
    if manifest.kind == "seal" and complete and tuple(entries) == manifest.files:
        return  # the very entries that were found sound when the manifest was read (`manifest_json.check`)
    if manifest.kind == "vib":
        entries = _without_shared_folders(entries)
    for entry in entries:
        yield from rules.check_entry(entry)
    yield from rules.check_tree(entries)
    yield from _differences(manifest, entries, complete=complete)


def _without_shared_folders(entries: list[Entry]) -> list[Entry]:
    """Each payload of a `.vib` is a whole tree by itself, so two of them may have the same folder."""
    holders: dict[str, set[str | None]] = {}
    kept: list[Entry] = []
    for entry in entries:
        if entry.type is FileType.DIRECTORY:
            found = holders.setdefault(entry.path, set())
            shared = bool(found) and entry.payload not in found
            found.add(entry.payload)
            if shared:
                continue
        kept.append(entry)
    return kept


def _differences(manifest: Manifest, entries: list[Entry], *, complete: bool) -> Iterator[Failure]:
    if manifest.kind == "vib":  # a descriptor declares the paths of files, no directories and nothing else
        entries = [entry for entry in entries if entry.type is not FileType.DIRECTORY]
        if not manifest.files:
            return  # nothing is declared: the files are what the payloads have, which their checksums bind
    declared = {entry.path: entry for entry in manifest.files}
    actual = {entry.path: entry for entry in entries}
    for path, entry in actual.items():
        if path not in declared:
            yield Failure("file-undeclared", f"{path!r} is in a payload but not declared", {"path": path})
        elif manifest.kind == "seal" and entry != declared[path]:
            yield _difference(declared[path], entry)
    for path in declared if complete else ():
        if path not in actual:
            yield Failure("file-missing", f"{path!r} is declared but in no payload", {"path": path})


def _difference(declared: Entry, actual: Entry) -> Failure:
    fields = ("type", "mode", "size", "sha256", "target", "payload")
    name = next(field for field in fields if getattr(declared, field) != getattr(actual, field))
    return Failure(
        "file-mismatch",
        f"{declared.path!r} has another {name} than declared",
        {
            "path": declared.path,
            "field": name,
            "declared": _shown(getattr(declared, name)),
            "actual": _shown(getattr(actual, name)),
        },
    )


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def by_path(failures: Iterable[Failure]) -> list[Failure]:
    """Failures in an order that does not depend on hashing: what is unsafe comes before what merely differs."""
    return sorted(
        failures,
        key=lambda failure: (failure.code.startswith("file-"), failure.code, str(failure.evidence.get("path", ""))),
    )
