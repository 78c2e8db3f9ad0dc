"""A policy as values: who may speak for what, and what else must hold.

`policy_file` reads it from TOML; `examine` applies it. It has no switch for integrity: nothing in
here can skip the container, the signature, the payloads or the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from modseal.format.level import Level
from modseal.trust.algorithms import ALGORITHMS
from modseal.trust.certificate import Certificate
from modseal.trust.purpose import MINIMUM_RSA_BITS
from modseal.trust.revocation import RevocationRules


@dataclass(frozen=True, slots=True)
class Anchor:
    """Whom we trust: a CA certificate, or one exact signer certificate by its fingerprint (a pin).

    `vendors` and `names` are shell-style patterns; empty means all. `accept_expired` is for pins only.
    `line` is where the policy file says it.
    """

    name: str
    grants: Level
    certificate: Certificate | None = None
    fingerprint: str | None = None
    vendors: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    accept_expired: bool = False
    line: int = 0

    def speaks_for_vendor(self, vendor: str) -> bool:
        """Whether the anchor's scope has this vendor."""
        return _in_scope(vendor, self.vendors)

    def speaks_for_name(self, name: str) -> bool:
        """Whether the anchor's scope has this module name."""
        return _in_scope(name, self.names)


@dataclass(frozen=True, slots=True)
class Deny:
    """What is never accepted: SHA-256 digests of bundles or manifests, signer fingerprints, module name patterns."""

    digests: frozenset[str] = frozenset()
    signers: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy. `source` says where it came from, for reports; `lines` where in it each key stands."""

    source: str
    minimum_level: Level
    anchors: tuple[Anchor, ...] = ()
    allow_unsigned_community: bool = False
    intermediates: tuple[Certificate, ...] = ()
    algorithms: frozenset[str] = frozenset(ALGORITHMS)
    minimum_rsa_bits: int = MINIMUM_RSA_BITS
    timestamp_anchors: tuple[Certificate, ...] = ()
    timestamp_required: bool = False
    revocation: RevocationRules = field(default_factory=RevocationRules)
    minimum_signers: int = 1
    required_signers: tuple[str, ...] = ()
    deny: Deny = field(default_factory=Deny)
    floors: dict[str, str] = field(default_factory=dict)
    required_attachments: tuple[str, ...] = ()
    community_paths: tuple[str, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)

    @property
    def pins(self) -> dict[str, Anchor]:
        """The anchors that are exact signer certificates, by fingerprint."""
        return {anchor.fingerprint: anchor for anchor in self.anchors if anchor.fingerprint}


def matches_any(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether a text matches one of some shell-style patterns, letter case included."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _in_scope(text: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or matches_any(text, patterns)
