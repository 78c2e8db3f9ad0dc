"""Signatures by algorithms that have an announced end: told once for each kind of key, not for each bundle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Row, Rule
from modseal.auditing.rules.weak_algorithm import RSA_BITS

_LASTING = "ML-DSA-"
_RELATED = 9
"""Bundles that are named beside the first."""


@dataclass(slots=True)
class _SameKeys:
    sha256: str | None
    count: int = 0
    bundles: list[str] = field(default_factory=list)


class Leaving:
    """Counts the bundles by the kinds of key of their trusted signers, where none of them will last."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, ...], _SameKeys] = {}

    def see(self, row: Row) -> None:
        """See `SetRule.see`."""
        if row.keys and not any(kind.startswith(_LASTING) for kind in row.keys):
            group = self._groups.setdefault(tuple(row.keys), _SameKeys(row.sha256))
            group.count += 1
            if len(group.bundles) <= _RELATED:
                group.bundles.append(row.bundle)

    def hits(self) -> Iterator[Hit]:
        """See `SetRule.hits`."""
        for kinds, group in sorted(self._groups.items()):
            keys = " and ".join(kinds)
            ends = "; ".join(f"{kind}: {_end(kind)}" for kind in kinds)
            first, *others = group.bundles
            many = f"{group.count} bundles are" if group.count > 1 else "one bundle is"
            detail = f"{many} trusted through {keys} alone ({ends})"
            yield Hit(detail, {"keys": keys}, bundle=first, sha256=group.sha256, related=tuple(others))


def _end(kind: str) -> str:
    """Table 2 of NIST IR 8547: 112 bits of strength are deprecated five years before all of them are disallowed."""
    weak = kind.startswith("RSA-") and int(kind.removeprefix("RSA-")) < RSA_BITS
    return "deprecated after 2030, disallowed after 2035" if weak else "disallowed after 2035"


RULE = Rule(
    id="algorithm-leaving",
    severity=Severity.INFO,
    title="Signed with algorithms that have an announced end",
    what="Bundles are trusted through RSA, ECDSA or Ed25519 alone. There is one finding for each kind of key, with the "
    "number of bundles; its file is the first of them.",
    why="A large quantum computer would break them. NIST plans to disallow RSA, ECDSA and EdDSA for signatures after "
    "2035, and to deprecate RSA-2048 after 2030 (IR 8547, draft of November 2024, table 2). What is signed today for a "
    "host that lives ten years is concerned. Info, because nothing needs to be done this year.",
    remedy="Plan a second signature with ML-DSA (FIPS 204) for modules that will still be installed in 2035: "
    "a bundle can have both.",
    example="A depot in which all signatures are ECDSA P-256.",
    start=Leaving,
)
