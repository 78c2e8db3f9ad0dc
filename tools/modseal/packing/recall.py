"""Makes recalls: a signed list of modules that are withdrawn. Each version says all that the one before said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from modseal.errors import FormatError, RefusedError, UsageError
from modseal.files.output import output_file
from modseal.format import recall as recall_format
from modseal.format import rules
from modseal.format.recall import Recall, Withdrawn
from modseal.format.times import time_text
from modseal.signing import fitness
from modseal.signing.signer import Signer
from modseal.signing.statement_writer import add_block
from modseal.trust.signature import verify_member
from modseal.trust.version import holds, version_key

_CONSTRAINT = re.compile(rf"({'|'.join(sorted(rules.RELATIONS, key=len, reverse=True))})\s*(\S+)")


@dataclass(frozen=True, slots=True)
class RecallEntry:
    """What a person withdraws: modules as `parse_module` reads them, of one vendor, for one reason."""

    vendor: str
    modules: Sequence[str]
    reason: str
    replacement: str = ""


def parse_module(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A module and the versions that are meant: `NAME`, or `NAME >= 1.0, << 1.3`. Raises `UsageError`."""
    name, _, rest = text.strip().partition(" ")
    if not rules.MODULE_NAME.fullmatch(name):
        raise UsageError(f"{text!r} does not begin with the name of a module: {rules.MODULE_NAME_FORM}")
    versions = []
    for part in filter(None, map(str.strip, rest.split(","))):
        match = _CONSTRAINT.fullmatch(part)
        if match is None or not rules.VERSION.fullmatch(match[2]):
            raise UsageError(f"{part!r} is not a relation ({', '.join(rules.RELATIONS)}) and a version")
        versions.append((match[1], match[2]))
    if _excludes_all(versions):
        raise UsageError(f"no version is in {rest.strip()!r}: the recall would withdraw nothing")
    return name, tuple(versions)


def _excludes_all(versions: Sequence[tuple[str, str]]) -> bool:
    """Whether a lower bound is above an upper one, or at it where one of them does not include it."""
    keys = [(relation, version_key(version)) for relation, version in versions]
    return any(
        low > high or (low == high and not (holds(low, above, low) and holds(high, below, high)))
        for above, low in keys
        for below, high in keys
        if above in ("=", ">=", ">>") and below in ("=", "<=", "<<")
    )


def make(
    entry: RecallEntry,
    name: str | None,
    version: int | None,
    issued: datetime,
    expires: datetime,
    previous: Recall | None,
) -> Recall:
    """A new version of a recall, unsigned, with what `previous` withdraws too. Raises `UsageError`, `RefusedError`."""
    if previous and name not in (None, previous.name):
        raise UsageError(f"the recall before is called {previous.name}, not {name}")
    called = name or (previous.name if previous else None)
    if called is None:
        raise UsageError("a first recall needs --name NAME, what the list is called")
    number = version if version is not None else previous.version + 1 if previous else 1
    if previous and number <= previous.version:
        raise RefusedError(
            "recall-rollback",
            f"version {number} is not newer than version {previous.version}",
            recall=called,
            version=number,
            lowest=previous.version + 1,
        )
    if expires <= issued:
        raise UsageError(f"{time_text(expires)} is past: the recall would never count; give a later --expires")
    new = (
        Withdrawn(entry.vendor, module, entry.reason, versions, entry.replacement)
        for module, versions in map(parse_module, entry.modules)
    )
    kept = previous.modules if previous else ()
    recall = Recall(called, number, issued, expires, tuple(dict.fromkeys((*kept, *new))))
    try:
        return replace(recall, signed=recall_format.declare(recall))
    except FormatError as error:
        raise UsageError(error.failure.detail) from error  # of what the options say: no recall is at fault


def require_own(previous: Recall, signers: Sequence[Signer]) -> None:
    """The version before verifies, and one of the signers has signed it: else others' entries would be signed anew.

    Raises `RefusedError` (recall-invalid).
    """
    if recall_keys(previous).isdisjoint(fitness.parse(one.certificate).key_der for one in signers):
        detail = f"version {previous.version}, the one before, is not signed by one of these keys"
        raise RefusedError("recall-invalid", detail, recall=previous.name, version=previous.version)


def recall_keys(recall: Recall) -> frozenset[bytes]:
    """The keys that have signed a recall, none where one of its blocks does not verify. Whose they are is unproved."""
    found = verify_member(recall.signature, recall.signed)
    return frozenset(() if found.failures else (signer.certificate.key_der for signer in found.signers))


def sign(recall: Recall, signers: Sequence[Signer], at: datetime, time: datetime) -> Recall:
    """The recall signed by all of them. Raises `RefusedError`, `UsageError`."""
    member = b""
    for signer in signers:
        member = add_block(recall.signed, member, signer, at, time)
    return replace(recall, signature=member)


def write(recall: Recall, output: Path) -> None:
    """Write a recall to its file, atomically. Raises `FormatError`, `InputError`, `UsageError`."""
    data = recall_format.encode(recall)
    with output_file(output) as file:
        file.write(data)
