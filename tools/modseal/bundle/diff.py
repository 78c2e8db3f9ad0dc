"""Two bundles compared, as far as each says what it is: fields, levels, signers, payloads, attachments and files.

What is compared is unproved until a policy accepts both: then the very bytes that were compared were verified.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from modseal.bundle.inspect import Block, Inspection, inspect, listed_mode
from modseal.bundle.verify import Result, verify
from modseal.errors import Failure, InputError
from modseal.format.cms import SignerInfo
from modseal.format.manifest import Entry, FileType, Manifest, Platform
from modseal.trust.examination import WORST_LAST, Verdict
from modseal.trust.policy import Policy
from modseal.values import dataclass

Attributes = Mapping[str, str]
"""What can differ of one thing, in words."""

_PARTS = ("payloads", "files", "attachments", "relationships", "vib", "expected_signers")
"""Fields of a manifest that are compared piece by piece."""


class BundleChange(NamedTuple):
    """One difference: of which part (`field`, `file` and so on), of what in it, and what it was and is.

    `before` is None for what came, `after` for what went; `what` is then empty.
    """

    part: str
    name: str
    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class ComparedBundle:
    """One of the bundles: what it says, and with a policy the verdict on the same bytes."""

    inspection: Inspection
    result: Result | None

    @property
    def verdict(self) -> Verdict | None:
        """The verdict, None without a policy."""
        return self.result.verdict if self.result else None

    @property
    def problems(self) -> tuple[Failure, ...]:
        """What could not be read, and so was not compared."""
        return self.inspection.problems


@dataclass(frozen=True, slots=True)
class Comparison:
    """Both sides, and every difference."""

    left: ComparedBundle
    right: ComparedBundle
    changes: tuple[BundleChange, ...]

    @property
    def is_proved(self) -> bool:
        """Whether a policy accepts both."""
        return self.left.verdict is Verdict.ACCEPTED and self.right.verdict is Verdict.ACCEPTED

    @property
    def is_complete(self) -> bool:
        """Whether all of both could be read."""
        return not (self.left.problems or self.right.problems)

    @property
    def verdict(self) -> Verdict | None:
        """The worse verdict, None without a policy."""
        found = [side.verdict for side in (self.left, self.right) if side.verdict]
        return max(found, key=WORST_LAST.index) if found else None


def compare(left: Path, right: Path, policy: Policy | None, at: datetime) -> Comparison:
    """Compare two bundles; with a policy, verify both at this time. Raises `InputError`, `InternalError`."""
    sides = _side(left, policy, at), _side(right, policy, at)
    old, new = (_parts(side) for side in sides)
    # What cannot be read at all has nothing to compare: not one thing of the other side would be new or gone.
    compared = old if all(side.inspection.manifest for side in sides) else ("bundle", "verdict")
    found = [change for part in compared for change in _changes(part, old[part], new[part])]
    return Comparison(*sides, tuple(found))


def _side(path: Path, policy: Policy | None, at: datetime) -> ComparedBundle:
    inspection = inspect(path)
    result = verify(path, policy, at, with_digest=True) if policy else None
    if result and result.examination and result.sha256 != inspection.sha256:
        raise InputError(f"{path}: it was changed while it was read", path=str(path)).because("changed-meanwhile")
    return ComparedBundle(inspection, result)


def _changes(part: str, old: Mapping[str, Attributes], new: Mapping[str, Attributes]) -> Iterator[BundleChange]:
    """What differs between things of one part, by their names, in the order of both sides."""
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        if before is None or after is None:
            yield BundleChange(part, name, "", _whole(before), _whole(after))
            continue
        for what in dict.fromkeys([*before, *after]):
            if before.get(what) != after.get(what):
                yield BundleChange(part, name, what, before.get(what), after.get(what))


def _whole(attributes: Attributes | None) -> str | None:
    if attributes is None:
        return None
    return ", ".join(f"{what} {value}" if what else value for what, value in attributes.items())


def _parts(side: ComparedBundle) -> dict[str, dict[str, Attributes]]:
    """All that is compared of a bundle: part, name, and what can differ."""
    found, manifest = side.inspection, side.inspection.manifest
    return {
        "bundle": {"": {"sha256": found.sha256, "size": str(found.size), "format": found.kind or "unreadable"}},
        "field": dict(_fields(manifest)) if manifest else {},
        "verdict": dict(_verdict(side.result)) if side.result else {},
        "signer": _by_name(_signers(found.blocks)),
        "payload": dict(_payloads(manifest, dict(found.payload_sha256))) if manifest else {},
        "attachment": {
            item.name: {"media type": item.media_type, "size": str(item.size), "sha256": item.sha256.hex()}
            for item in (manifest.attachments if manifest else ())
        },
        "file": _by_name(_files(found.entries)),
    }


def _by_name(items: Iterable[tuple[str, Attributes]]) -> dict[str, Attributes]:
    """Things by their names; of those that share one, the later ones get a number."""
    found: dict[str, Attributes] = {}
    seen: Counter[str] = Counter()
    for name, attributes in items:
        seen[name] += 1
        found[f"{name} ({seen[name]})" if seen[name] > 1 else name] = attributes
    return found


def _fields(manifest: Manifest) -> Iterator[tuple[str, Attributes]]:
    for field in dataclasses.fields(manifest):
        if field.name not in (*_PARTS, "kind"):
            yield field.name.replace("_", " "), {"": str(getattr(manifest, field.name))}
    for label, constraints in manifest.relationships.by_label():
        for constraint in constraints:
            words = (constraint.name, constraint.relation, constraint.version)
            yield f"{label} {' '.join(word for word in words if word)}", {}
    for key in manifest.expected_signers:
        yield f"expects {key}", {}
    for field in dataclasses.fields(manifest.vib) if manifest.vib else ():
        if field.name != "unknown":
            yield f"vib {field.name.replace('_', ' ')}", {"": _text(getattr(manifest.vib, field.name))}


def _text(value: object) -> str:
    """The value of a field of a `.vib` in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Platform):
        return " ".join(filter(None, dataclasses.astuple(value)))
    if isinstance(value, tuple):
        return "; ".join(" ".join(item) if isinstance(item, tuple) else _text(item) for item in value)
    return str(value)


def _verdict(result: Result) -> Iterator[tuple[str, Attributes]]:
    yield "verdict", {"": str(result.verdict)}
    if result.examination:
        yield "proven level", {"": str(result.examination.proven_level or "none")}
        for fingerprint, anchor in result.examination.trusted:
            yield f"trusted signer sha256:{fingerprint}", {"": f"under {anchor}"}


def _signers(blocks: tuple[Block, ...]) -> Iterator[tuple[str, Attributes]]:
    """Each signer by its certificate, where its block has it."""
    for block in blocks:
        for signer in block.data.signers:
            fits = [one for one in block.certificates if (one.issuer_der, one.serial) == (signer.issuer, signer.serial)]
            name = f"{fits[0].subject} sha256:{fits[0].fingerprint}" if fits else _unnamed(signer)
            yield (
                name,
                {
                    "claimed time": signer.signing_time or "none",
                    "signature algorithm": signer.signature_algorithm.oid,
                    "over": signer.message_digest.hex(),
                    "timestamps": str(len(signer.timestamps)),
                },
            )


def _unnamed(signer: SignerInfo) -> str:
    return f"key id {signer.key_id.hex()}" if signer.key_id else f"serial number {signer.serial or 0:x}"


def _payloads(manifest: Manifest, digests: Mapping[str, str]) -> Iterator[tuple[str, Attributes]]:
    for payload in manifest.payloads:
        yield (
            payload.name,
            {
                "type": payload.type,
                "size": str(payload.size),
                "unpacked size": str(payload.unpacked_size or "?"),
                "time": str(payload.mtime),
                "sha256": digests.get(payload.name, "unknown"),
            },
        )


def _files(entries: tuple[Entry, ...]) -> Iterator[tuple[str, Attributes]]:
    for entry in entries:
        found = {"mode": listed_mode(entry), "payload": entry.payload or "?"}
        if entry.type is FileType.FILE:
            found |= {"size": str(entry.size), "sha256": entry.sha256.hex() if entry.sha256 else "unknown"}
        if entry.target:
            found["target"] = entry.target
        yield entry.path, found
