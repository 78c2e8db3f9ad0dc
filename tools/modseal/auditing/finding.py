"""A finding: one row of an audit, as a value that processes, caches, baselines and reports exchange.

A finding is either a check of an examination that did not pass (its rule is the check's code), or what a rule of
`audit.rules` found. Its fingerprint says what was found in which bytes, and nothing of where they lay or when they
were looked at, so that a baseline still knows it tomorrow, in another folder.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import field, replace
from functools import total_ordering
from typing import Any, NamedTuple

from modseal.auditing.as_of import AsOf
from modseal.codes import CODES
from modseal.errors import Evidence, Failure
from modseal.files.names import dumped, native, portable
from modseal.values import dataclass


@total_ordering
class Severity(enum.Enum):
    """How much a finding matters; `high` is what makes a bundle unfit for use."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    def __str__(self) -> str:
        return self.value

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Severity):
            return NotImplemented
        return _RANKS[self.value] < _RANKS[other.value]


_RANKS = {severity.value: rank for rank, severity in enumerate(Severity)}


class State(enum.StrEnum):
    """Whether a finding counts: it does where it is `new`."""

    NEW = "new"
    KNOWN = "known"
    """The baseline has it."""
    ALLOWED = "allowed"
    """The policy's keeper has accepted it, with a reason and until a day."""


class Kind(enum.StrEnum):
    """Where a finding comes from."""

    CHECK = "check"
    """A check of an examination, or what kept a file from being examined. Nothing can leave it out of a report."""
    RULE = "rule"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row. `bundle` names the file, `sha256` its bytes (None where they could not be read to the end).

    `step` is the check's; `undecided` says that the check could not be judged, which is not a rejection. `related`
    names other bundles that belong to it. `consequences` are the codes and rules of what follows from it in its bundle,
    which is not a finding of its own. `evidence` holds nothing that changes from day to day.
    """

    rule: str
    kind: Kind
    severity: Severity
    detail: str
    next_step: str
    bundle: str = ""
    sha256: str | None = None
    step: int | None = None
    undecided: bool = False
    evidence: Evidence = field(default_factory=dict)
    related: tuple[str, ...] = ()
    consequences: tuple[str, ...] = ()
    state: State = State.NEW
    reason: str | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the rule, the bytes it is about (else the file's name), and the evidence."""
        what = self.sha256 or portable(self.bundle)
        evidence = {key: value for key, value in self.evidence.items() if key not in VOLATILE}
        values = [self.rule, self.step, what, sorted(evidence.items())]
        return hashlib.sha256(dumped(values).encode()).hexdigest()

    def about(self, bundle: str) -> Finding:
        """The same finding of a file of this name."""
        return replace(self, bundle=bundle)

    def plain(self) -> dict[str, Any]:
        """As JSON has it (schemas/audit.schema.json): names are `portable`."""
        return {"bundle": portable(self.bundle), **self._found(), "state": str(self.state), "reason": self.reason}

    def text(self, as_of: AsOf) -> FindingText:
        """As records and caches keep it, with marks for the time of verification."""
        body = as_of.written(as_of.marked(self._found()))[1:-1]
        return FindingText(self.rule, str(self.severity), self.undecided, str(self.kind), body)

    def _found(self) -> dict[str, Any]:
        """What was found, wherever the bundle lies and whatever counts."""
        return {
            "rule": self.rule,
            "kind": str(self.kind),
            "severity": str(self.severity),
            "sha256": self.sha256,
            "step": self.step,
            "undecided": self.undecided,
            "detail": self.detail,
            "evidence": dict(self.evidence),
            "next_step": self.next_step,
            "related": list(map(portable, self.related)),
            "consequences": list(self.consequences),
            "fingerprint": self.fingerprint,
        }


class FindingText(NamedTuple):
    """A finding as JSON with marks (`AsOf`): most findings of most audits go into the report so, and are not read.

    `body` is the object without its braces, and without what depends on the audit: the file's name, and whether the
    finding counts. The other fields are what counting needs.
    """

    rule: str
    severity: str
    undecided: bool
    kind: str
    body: str

    def line(self, bundle: str) -> bytes:
        """The JSON of a finding that counts; `bundle` is the file's name as JSON, `portable`."""
        return f'{{"bundle": {bundle}, {self.body}, "state": "new", "reason": null}}'.encode("ascii")

    def finding(self, bundle: str, as_of: AsOf) -> Finding:
        """The finding, of a file of this name, as of a time of verification."""
        plain: dict[str, Any] = json.loads(as_of.filled(f"{{{self.body}}}".encode()))
        values = plain | {"bundle": "", "state": "new", "reason": None}
        return from_plain(values).about(bundle)


VOLATILE = frozenset({"at"})
"""Evidence that says when somebody looked, not what was found."""


def failure_finding(name: str, failure: Failure, *, undecided: bool = True) -> Finding:
    """What kept a file from being examined, as a finding."""
    return Finding(
        rule=failure.code,
        kind=Kind.CHECK,
        severity=Severity(CODES[failure.code].severity),
        detail=failure.detail,
        next_step=failure.next_step,
        bundle=name,
        undecided=undecided,
        evidence=failure.evidence,
    )


def from_plain(values: Mapping[str, Any]) -> Finding:
    """The finding that `plain` was made from."""
    return Finding(
        rule=values["rule"],
        kind=Kind(values["kind"]),
        severity=Severity(values["severity"]),
        detail=values["detail"],
        next_step=values["next_step"],
        bundle=native(values["bundle"]),
        sha256=values["sha256"],
        step=values["step"],
        undecided=values["undecided"],
        evidence=values["evidence"],
        related=tuple([native(one) for one in values["related"]]),
        consequences=tuple(values.get("consequences", ())),  # older reports have none
        state=State(values["state"]),
        reason=values["reason"],
    )
