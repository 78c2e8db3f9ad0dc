"""What the rules of an audit find in bundles in memory: each is looked at as an audit looks at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from builders.bundles import Bundle
from builders.pki import NOW
from builders.policies import trusting
from modseal.auditing import rules
from modseal.auditing.finding import Finding
from modseal.auditing.look import look
from modseal.auditing.record import Record
from modseal.auditing.target import Opened
from modseal.files.identity import Identity
from modseal.format.source import BytesSource
from modseal.trust.policy import Policy


@dataclass(frozen=True)
class MemoryTarget:
    """A bundle's bytes under a name."""

    name: str
    data: bytes
    salt: str = ""

    @property
    def size(self) -> int:
        return len(self.data)

    @contextmanager
    def open(self) -> Iterator[Opened]:
        yield Opened(BytesSource(self.data), lambda: None)

    def identity(self) -> Identity | None:
        return None


def record(bundle: Bundle | bytes, policy: Policy | None = None, at: datetime = NOW, name: str = "b") -> Record:
    """All that an audit keeps of one bundle."""
    data = bundle if isinstance(bundle, bytes) else bundle.data
    return look(MemoryTarget(name, data), policy or trusting(), rules.BUNDLE_RULES, at)


def found(rule: str, bundle: Bundle | bytes, policy: Policy | None = None, at: datetime = NOW) -> list[Finding]:
    """What one bundle rule finds."""
    assert rules.BY_ID[rule].check, "no bundle rule"
    return [finding for finding in record(bundle, policy, at).findings if finding.rule == rule]


def found_beside(rule: str, bundles: Mapping[str, Bundle | bytes], policy: Policy | None = None) -> list[Finding]:
    """What one set rule finds in bundles by name."""
    start = rules.BY_ID[rule].start
    assert start, "no set rule"
    state = start()
    for name, bundle in bundles.items():
        state.see(record(bundle, policy, name=name).row)
    return [rules.BY_ID[rule].finding(hit) for hit in state.hits()]
