"""A policy as values: who may speak for what, and what else must hold.

`policy.file` reads it from TOML; `examine` applies it. It has no switch for integrity: nothing in
here can skip the container, the signature, the payloads or the files.
"""

from __future__ import annotations

import hashlib
from dataclasses import field
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from modseal.format.level import Level
from modseal.pki.algorithms import ALGORITHMS
from modseal.pki.certificate import Certificate
from modseal.pki.path import PathRules
from modseal.pki.purpose import MINIMUM_RSA_BITS
from modseal.pki.revocation import RevocationRules
from modseal.trust.deny import Deny, fingerprints
from modseal.trust.powers import UNSAID, May, Power
from modseal.values import dataclass

if TYPE_CHECKING:
    from modseal.format.recall import Recall
    from modseal.format.toml_lines import Places


@dataclass(frozen=True, slots=True)
class Anchor:
    """Whom we trust: a CA certificate, or one exact signer certificate by its fingerprint (a pin).

    `vendors` and `names` are shell-style patterns; empty means all. `accept_expired` is for pins only.
    `may` is what its signers may do besides, where the policy says so.
    """

    name: str
    grants: Level
    certificate: Certificate | None = None
    fingerprint: str | None = None
    vendors: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    accept_expired: bool = False
    may: May = UNSAID

    @property
    def powers(self) -> frozenset[Power]:
        """Everything that a module of its signers may do."""
        return self.may.powers(self.grants)

    def speaks_for_vendor(self, vendor: str) -> bool:
        """Whether the anchor's scope has this vendor."""
        return _in_scope(vendor, self.vendors)

    def speaks_for_name(self, name: str) -> bool:
        """Whether the anchor's scope has this module name."""
        return _in_scope(name, self.names)


@dataclass(frozen=True, slots=True)
class PolicyBytes:
    """The bytes that a policy was read from: its TOML, and each file that it names, as they were when it was read.

    Another process reads the same policy from them (`policy.sources.from_bytes`), even if the files have changed since.
    """

    text: bytes
    files: tuple[tuple[str, bytes], ...]
    built_in: bool = False
    recalls: tuple[bytes, ...] = ()
    """Recalls that were given beside the policy."""

    @property
    def digest(self) -> str:
        """The SHA-256 of all that the policy says, lower-case hex: other bytes, another digest."""
        digest = hashlib.sha256()
        for name, data in (("", self.text), *self.files, *(("recall", data) for data in self.recalls)):
            for part in (name.encode("utf-8", "surrogateescape"), data):
                digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Allowance:
    """A finding of an audit that the policy's keeper has accepted: which rule, for which bundles, why, until when.

    It takes a finding out of what fails an audit. It changes no verdict, and no failed check can be allowed.
    """

    rule: str
    reason: str
    expires: date
    sha256: str | None = None
    modules: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy. `source` says where it came from, for reports; `origin` has its text.

    `unsigned_may` is what an unsigned community module may do, where it is allowed at all. `recalls` are unproved
    (`trust.recalls`), `recall_floors` the lowest version of each that counts; `kept_recalls` counted once, on a host.
    """

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
    community_list: str = ""
    """The name of the built-in list that the paths are of, empty for none; for messages."""
    allowances: tuple[Allowance, ...] = ()
    unsigned_may: May = UNSAID
    recalls: tuple[Recall, ...] = ()
    kept_recalls: tuple[Recall, ...] = ()
    recall_floors: dict[str, int] = field(default_factory=dict)
    origin: PolicyBytes | None = field(default=None, repr=False, compare=False)
    standings: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What `trust.signers` remembers of signers under this very policy; another one, made by `replace`, begins anew."""

    @property
    def places(self) -> Places:
        """Where in its text each key stands; only explanations need it."""
        from modseal.format.toml_lines import places

        return places(self.origin.text if self.origin else b"")

    @property
    def path_rules(self) -> PathRules:
        """What every path must satisfy, whichever anchor it leads to."""
        return PathRules(self.algorithms, self.minimum_rsa_bits, self.revocation, self.intermediates)

    @property
    def pins(self) -> dict[str, tuple[Anchor, ...]]:
        """The anchors that are exact signer certificates, by fingerprint; several may be one signer's."""
        pins: dict[str, tuple[Anchor, ...]] = {}
        for anchor in self.anchors:
            if anchor.fingerprint:
                pins[anchor.fingerprint] = (*pins.get(anchor.fingerprint, ()), anchor)
        return pins

    def pins_another_encoding(self, certificate: Certificate) -> bool:
        """Whether an anchor pins another encoding of this certificate, and none pins this one.

        Anybody can make the twin of a pinned certificate: under a CA, it would escape what the pin says.
        """
        pins = self.pins
        return bool(pins) and certificate.fingerprint not in pins and not fingerprints(certificate).isdisjoint(pins)


def matches_any(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether a text matches one of some shell-style patterns, letter case included."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _in_scope(text: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or matches_any(text, patterns)
