"""An inspection as text or JSON. Every value is unproved, and both forms say so first."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterator
from typing import Any

from modseal.bundle.inspect import Block, Inspection, listed_mode
from modseal.errors import Failure
from modseal.files.names import dumped, portable
from modseal.format import rules, vib_rules
from modseal.format.manifest import Entry, Manifest
from modseal.report.text import plural, safe, safe_name

SCHEMA = "modseal/inspection@1"
NOTICE = "UNPROVED: everything below is what the file says of itself; `modseal verify` proves"


def render_json(inspection: Inspection) -> str:
    """The inspection as one JSON document."""
    return dumped(values(inspection), indent=2)


def values(inspection: Inspection) -> dict[str, Any]:
    """The inspection as plain values, of which JSON is made."""
    manifest = inspection.manifest
    return {
        "schema": SCHEMA,
        "unproved": True,
        "bundle": portable(inspection.bundle),
        "sha256": inspection.sha256,
        "manifest_sha256": inspection.manifest_sha256,
        "payload_sha256": dict(inspection.payload_sha256),
        "size": inspection.size,
        "format": inspection.kind,
        "members": [{"name": member.name, "size": member.size} for member in inspection.members],
        "manifest": _plain(manifest) if manifest else None,
        "quirks": [{"name": name, "detail": words} for name, words in vib_rules.quirks(manifest)] if manifest else [],
        "signatures": [_block(block) for block in inspection.blocks],
        "entries": [_plain(entry) for entry in inspection.entries],
        "problems": [{"code": problem.code, "detail": problem.detail} for problem in inspection.problems],
    }


def _plain(value: Any) -> Any:
    """Values as JSON has them: bytes as hex, levels and types by name."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, enum.Enum):
        return str(value)
    if isinstance(value, Failure):
        return {"code": value.code, "detail": value.detail}
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _block(block: Block) -> dict[str, Any]:
    return {
        "signers": [
            {
                "issuer_and_serial": signer.serial is not None,
                "serial": f"{signer.serial:x}" if signer.serial is not None else None,
                "key_id": signer.key_id.hex() if signer.key_id else None,
                "digest_algorithm": signer.digest.oid,
                "signature_algorithm": signer.signature_algorithm.oid,
                "message_digest": signer.message_digest.hex(),
                "claimed_time": signer.signing_time,
                "timestamps": len(signer.timestamps),
            }
            for signer in block.data.signers
        ],
        "certificates": [
            {
                "fingerprint": certificate.fingerprint,
                "key": rules.key_name(certificate.key_der),
                "subject": certificate.subject,
                "issuer": certificate.issuer,
                "not_before": certificate.not_before.isoformat(),
                "not_after": certificate.not_after.isoformat(),
            }
            for certificate in block.certificates
        ],
    }


def render_text(inspection: Inspection) -> str:
    """The inspection as lines."""
    return "\n".join(_lines(inspection))


def line(inspection: Inspection) -> str:
    """The inspection as one line: who it says it is, or the first thing that cannot be read."""
    manifest = inspection.manifest
    head = f"{safe_name(inspection.bundle)}: UNPROVED: "
    if inspection.problems or manifest is None:
        return head + (_problem(inspection.problems[0]) if inspection.problems else "no manifest")
    signers = sum(len(block.data.signers) for block in inspection.blocks)
    module = f"{safe(manifest.vendor)} {safe(manifest.name)} {safe(manifest.version)}"
    return (
        f"{head}{module}, claims {manifest.claimed_level}, "
        f".{inspection.kind}, {inspection.size} bytes, sha256 {inspection.sha256}, {plural(signers, 'signature')}"
    )


def digest_lines(inspection: Inspection) -> list[str]:
    """The digests of what the signature covers, as lines of TOML for a policy."""
    rows = [("manifest", inspection.manifest_sha256), *((f"payload {n}", d) for n, d in inspection.payload_sha256)]
    return [
        f'    "sha256:{digest}",  # {safe(what)} of {safe_name(inspection.bundle)}' for what, digest in rows if digest
    ]


def _lines(inspection: Inspection) -> Iterator[str]:
    yield f"{safe_name(inspection.bundle)}: {NOTICE}"
    yield f"  format         {f'.{inspection.kind}' if inspection.kind else 'unreadable'}, {inspection.size} bytes"
    yield f"  sha256         {inspection.sha256}"
    if inspection.manifest_sha256:
        yield f"  of manifest    {inspection.manifest_sha256}"
    if inspection.manifest:
        yield from manifest_lines(inspection.manifest)
    if inspection.kind:
        yield from _signature_lines(inspection.blocks)
    for member in inspection.members:
        yield f"  member         {safe(member.name)} {member.size}"
    for entry in inspection.entries:
        yield entry_line(entry)
    for problem in inspection.problems:
        yield f"  problem        {_problem(problem)}"


def entry_line(entry: Entry) -> str:
    """One path, as `ls -l` would show it."""
    return f"  entry          {listed_mode(entry)} {entry.size or 0:>10} {safe(entry.path)}{_target(entry)}"


def manifest_lines(manifest: Manifest) -> Iterator[str]:
    """A manifest without its files, one value a line."""
    rows = (
        ("vendor", manifest.vendor),
        ("name", manifest.name),
        ("version", manifest.version),
        ("claimed level", manifest.claimed_level),
        ("released", manifest.released),
        ("summary", manifest.summary),
        ("description", manifest.description),
    )
    for label, value in rows:
        if value:
            yield f"  {label:<14} {safe(value)}"
    relationships = manifest.relationships
    for label in ("depends", "conflicts", "replaces", "provides"):
        for constraint in getattr(relationships, label):
            words = (constraint.name, constraint.relation, constraint.version)
            yield f"  {label:<14} {safe(' '.join(word for word in words if word))}"
    for payload in manifest.payloads:
        sizes = f"{payload.size} bytes, unpacked {payload.unpacked_size or '?'}"
        yield f"  payload        {safe(payload.name)} {safe(payload.type)} {sizes}"
    for quirk, detail in vib_rules.quirks(manifest):
        yield f"  quirk          {quirk}: {safe(detail)}"
    for attachment in manifest.attachments:
        yield f"  attachment     {safe(attachment.name)} {safe(attachment.media_type)} {attachment.size} bytes"
    for key in manifest.expected_signers:
        yield f"  expects        {safe(key)}"


def _signature_lines(blocks: tuple[Block, ...]) -> Iterator[str]:
    if not blocks:
        yield "  signature      none that can be read"
    for number, block in enumerate(blocks, 1):
        for signer in block.data.signers:
            time = f", says it signed at {signer.signing_time}" if signer.signing_time else ""
            yield f"  signature      block {number}: digest {signer.message_digest.hex()[:16]}...{time}"
        for certificate in block.certificates:
            yield f"    certificate  {safe(certificate.subject)}"
            yield f"                 sha256:{certificate.fingerprint}"
            yield f"                 {rules.key_name(certificate.key_der)}"
            validity = f"{certificate.not_before:%Y-%m-%d} to {certificate.not_after:%Y-%m-%d}"
            yield f"                 issued by {safe(certificate.issuer)}, {validity}"


def _target(entry: Entry) -> str:
    return f" -> {safe(entry.target)}" if entry.target else ""


def _problem(problem: Failure) -> str:
    return f"{problem.code}: {safe(problem.detail)}"
