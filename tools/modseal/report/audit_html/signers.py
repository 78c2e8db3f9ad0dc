"""Who signed, with what, and until when their certificates last: the numbers behind the charts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modseal import limits
from modseal.format.times import parse_time
from modseal.report.html import shown

QUARTERS = 12
"""Quarters of a year that the chart of expiry shows one by one: three years, as long as code signing certificates
live."""


@dataclass(slots=True)
class SignerRow:
    """One signer's certificate: what it says, who trusts it, and how many bundles' signatures are by it."""

    subject: str
    anchor: str | None
    not_after: datetime
    bundles: int = 0


@dataclass(slots=True)
class Signers:
    """The signers of an audit."""

    certificates: dict[tuple[str, str | None], SignerRow] = field(default_factory=dict)
    """By fingerprint and anchor: the same signer can be trusted for one vendor's modules and not for another's."""
    uncounted: int = 0
    """Signatures by certificates beyond the limit."""
    algorithms: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """Signatures by algorithm, and whether their signer is trusted."""
    unsigned: int = 0
    """Bundles without a signer."""

    def add(self, signers: Iterable[dict[str, Any]]) -> None:
        """The signers of one more bundle."""
        seen = set()
        for signer in signers:
            trusted = bool(signer["trusted"])
            self.algorithms[shown(signer["algorithm"]), trusted] += 1
            seen.add(key := (signer["fingerprint"], signer["anchor"] if trusted else None))
            if key not in self.certificates and len(self.certificates) < limits.HTML_SIGNERS:
                self.certificates[key] = _certificate(signer, key[1])
        self.unsigned += not seen
        for key in seen:
            if key in self.certificates:
                self.certificates[key].bundles += 1
            else:
                self.uncounted += 1

    def by_bundles(self) -> list[SignerRow]:
        """The most used first."""
        return sorted(self.certificates.values(), key=lambda one: (-one.bundles, one.subject, one.anchor or ""))


def _certificate(signer: dict[str, Any], anchor: str | None) -> SignerRow:
    return SignerRow(shown(signer["subject"]), anchor, parse_time(signer["not_after"]))


@dataclass(slots=True)
class Period:
    """A time in which certificates expire."""

    name: str
    year: str
    trusted: int = 0
    untrusted: int = 0

    @property
    def all(self) -> int:
        """How many."""
        return self.trusted + self.untrusted


def expiry(certificates: Iterable[SignerRow], at: datetime) -> list[Period]:
    """How many expired before `at`, in each quarter from then on, and later."""
    first = _quarter(at)
    periods = [Period("past", ""), *_quarters(first), Period("later", "")]
    for one in certificates:
        number = 0 if one.not_after < at else min(_quarter(one.not_after) - first, QUARTERS) + 1
        if one.anchor is None:
            periods[number].untrusted += 1
        else:
            periods[number].trusted += 1
    return periods


def _quarters(first: int) -> Iterator[Period]:
    for number in range(first, first + QUARTERS):
        year, quarter = divmod(number, 4)
        yield Period(f"Q{quarter + 1}", str(year))


def _quarter(at: datetime) -> int:
    return at.year * 4 + (at.month - 1) // 3
