"""What a rule of an audit is: an id, a severity, the words that docs/audits.md has of it, and a function.

A *bundle rule* sees one bundle, right after its examination and in the process that examined it. A *set rule* sees a
`Row` of every bundle, and speaks when all have been seen; it must not keep more than a few words of each.
A rule yields `Hit`s: the sentence, the evidence and (where it differs from the rule's) the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from datetime import datetime
from functools import cached_property
from typing import NamedTuple, Protocol

from modseal.auditing.finding import Finding, Kind, Severity
from modseal.auditing.trusted import Trusted, trusted
from modseal.bundle.open import OpenBundle
from modseal.errors import Evidence
from modseal.format import rules
from modseal.format.ar import Member
from modseal.format.level import Level
from modseal.format.manifest import Entry, Manifest
from modseal.format.together import Footprint
from modseal.trust.examination import Examination, Verdict
from modseal.trust.policy import Policy
from modseal.values import dataclass

HEAD = 64
"""Bytes of each member that rules can look at: the fixed part of every compressed form's header."""


@dataclass(frozen=True)
class Subject:
    """One examined bundle, as bundle rules see it."""

    bundle: OpenBundle
    examination: Examination
    policy: Policy
    at: datetime

    @property
    def manifest(self) -> Manifest | None:
        """What the bundle says of itself; proved only where `proved`."""
        return self.examination.manifest

    @property
    def proved(self) -> bool:
        """Whether a trusted signer stands for the manifest."""
        return bool(self.examination.trusted)

    @property
    def members(self) -> tuple[Member, ...]:
        """The members of its archive, none where it is not an archive."""
        return self.bundle.container if isinstance(self.bundle.container, tuple) else ()

    @cached_property
    def heads(self) -> Mapping[str, bytes]:
        """The first `HEAD` bytes of each member by its name."""
        read = self.bundle.source.read
        return {member.name: read(member.offset, min(member.size, HEAD)) for member in self.members}

    @property
    def special(self) -> tuple[Entry, ...]:
        """The entries that were found in the payloads with a set-user-id, set-group-id or sticky bit."""
        return tuple(entry for entry in self.bundle.entries if (entry.mode or 0) & rules.SPECIAL_BITS)

    @cached_property
    def trusted(self) -> tuple[Trusted, ...]:
        """Its trusted signers, in the order of their blocks."""
        return tuple(trusted(self.examination))


class Row(NamedTuple):
    """The few words of a bundle that set rules, summaries and tables need. Unproved unless `proved`.

    `keys` are the kinds of key of its trusted signers, sorted, such as `RSA-4096`. `footprint` is where its entries
    lie, as far as they were found; rules must not keep it in memory.
    """

    bundle: str
    sha256: str | None
    size: int
    verdict: Verdict
    id: str | None = None
    vendor: str | None = None
    name: str | None = None
    version: str | None = None
    proved: bool = False
    claimed: Level | None = None
    proven: Level | None = None
    manifest_sha256: str | None = None
    keys: tuple[str, ...] = ()
    footprint: Footprint = Footprint()


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that a rule found. `bundle` and `sha256` are for set rules; `remedy` where it is not the rule's own.

    `undecided` says that the rule could not see enough to find anything.
    """

    detail: str
    evidence: Evidence = field(default_factory=dict)
    bundle: str = ""
    sha256: str | None = None
    related: tuple[str, ...] = ()
    remedy: str | None = None
    undecided: bool = False


class SetRule(Protocol):
    """What a set rule makes for each audit: it is told of each bundle, then asked once."""

    def see(self, row: Row) -> None:
        """One more bundle."""

    def hits(self) -> Iterable[Hit]:
        """What all of them together show."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule's id, severity and words; and either `check` (a bundle rule) or `start` (a set rule).

    `moments` are the times at which what `check` finds in a subject changes by itself (see `trust.moments`).
    """

    id: str
    severity: Severity
    title: str
    what: str
    why: str
    remedy: str
    example: str
    check: Callable[[Subject], Iterable[Hit]] | None = None
    start: Callable[[], SetRule] | None = None
    moments: Callable[[Subject], Iterable[datetime]] | None = None

    def finding(self, hit: Hit, bundle: str = "", sha256: str | None = None) -> Finding:
        """A hit as a row of the report, about this bundle where the hit names none."""
        return Finding(
            rule=self.id,
            kind=Kind.RULE,
            severity=self.severity,
            detail=hit.detail,
            next_step=hit.remedy or self.remedy,
            bundle=hit.bundle or bundle,
            sha256=hit.sha256 or sha256,
            undecided=hit.undecided,
            evidence=hit.evidence,
            related=hit.related,
        )
