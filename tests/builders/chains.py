"""Random certificate chains for the differential test: mostly good, each with a few things that may be wrong.

A case is made from its number alone, so that a difference can be looked at again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from builders import crls
from builders.pki import CODE_SIGNING, EPOCH, FAR, ISSUE, NOW, SIGN, Identity, issue, new_key

DAY = timedelta(days=1)
ANY_POLICY = "2.5.29.32.0"
POLICIES = ("1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.2", ANY_POLICY)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.9"), b"\x05\x00")
OTHER_PURPOSES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)

Extension = tuple[x509.ExtensionType, bool]


@dataclass(frozen=True)
class Case:
    """A signer, the candidates beside it, the one root that is trusted, and CRLs where revocation is required."""

    signer: Identity
    candidates: tuple[Identity, ...]
    root: Identity
    crls: tuple[bytes, ...] | None


def make(number: int) -> Case:
    """Case number n: always the same but for the random bits of ECDSA signatures."""
    return _Maker(random.Random(number)).case()


class _Maker:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def rarely(self, one_in: int = 12) -> bool:
        return self.chance.randrange(one_in) == 0

    def case(self) -> Case:
        root = self.authority("Root", None, 0)
        path = [root]
        for level in range(1, self.chance.choice((1, 2, 2, 3, 3, 4))):
            path.append(self.authority(self.ca_name(level, path[-1]), path[-1], level))
        signer = self.signer(path[-1])
        candidates = path[1:]
        if self.rarely(4) and len(path) > 2:
            candidates.append(self.cross(path))
        self.chance.shuffle(candidates)
        lists = tuple(self.lists([*path, signer])) if self.rarely(2) else None
        return Case(signer, tuple(candidates), root, lists)

    def ca_name(self, level: int, issuer: Identity) -> str:
        if level > 1 and self.rarely(8):
            return str(issuer.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)  # self-issued
        return f"CA {level}"

    def subject(self, common_name: str) -> x509.Name:
        unit = self.chance.choice(("Build", "Build", "build ", "Other"))
        organization = self.chance.choice(("Acme", "Acme", "ACME", "Evil"))
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization if common_name == "Signer" else "Acme"),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit if common_name == "Signer" else "Build"),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )

    def validity(self) -> dict[str, Any]:
        if self.rarely(25):
            return {"end": NOW - DAY}
        return {"start": NOW + DAY} if self.rarely(40) else {}

    def authority(self, common_name: str, issuer: Identity | None, level: int) -> Identity:
        extensions: list[Extension] = []
        if level and self.rarely(4):
            extensions.append((self.name_constraints(), self.chance.random() < 0.8))
        extensions += self.policy_extensions(authority=level > 0)
        if self.rarely(40):
            extensions.append((UNKNOWN, self.chance.random() < 0.7))
        length = self.chance.choice((None, None, None, 0, 1, 2))
        basic = (True, length) if not self.rarely(30) else self.chance.choice(((False, None), None))
        usage = ISSUE if not self.rarely(20) else self.chance.choice((None, frozenset({"crl_sign"}), SIGN))
        purposes = None if not self.rarely(8) else self.chance.choice(((CODE_SIGNING,), OTHER_PURPOSES))
        key = new_key("p256", 500 + level + 10 * self.chance.randrange(3))
        return issue(
            common_name,
            subject=self.subject(common_name),
            issuer=issuer,
            key=key,
            signing_key=self.forger(level),
            basic=basic,
            usage=usage,
            purposes=purposes,
            extensions=extensions,
            serial=self.chance.randrange(1, 2**60),
            **self.validity(),
        )

    def forger(self, level: int) -> Any:
        """Another key than the issuer's, seldom."""
        return new_key("p256", 590) if level and self.rarely(40) else None

    def signer(self, issuer: Identity) -> Identity:
        extensions = self.policy_extensions(authority=False)
        if self.rarely(3):
            extensions.append((x509.SubjectAlternativeName(self.alternative_names()), False))
        if self.rarely(40):
            extensions.append((UNKNOWN, self.chance.random() < 0.7))
        purposes: Any = (CODE_SIGNING,) if not self.rarely(15) else self.chance.choice((None, OTHER_PURPOSES))
        usage = SIGN if not self.rarely(20) else self.chance.choice((None, frozenset({"key_agreement"})))
        kind = self.chance.choice(("p256", "p256", "p256", "p384", "rsa", "ed25519"))
        return issue(
            "Signer",
            subject=self.subject("Signer"),
            issuer=issuer,
            key=new_key(kind, 599),
            signing_key=self.forger(1),
            usage=usage,
            purposes=purposes,
            extensions=extensions,
            serial=self.chance.randrange(1, 2**60),
            **self.validity(),
        )

    def cross(self, path: Sequence[Identity]) -> Identity:
        """A second certificate for a CA's name and key, from another CA of the chain."""
        subject, issuer = self.chance.choice(path[1:]), self.chance.choice(path)
        return issue(
            "",
            subject=subject.certificate.subject,
            issuer=issuer,
            key=subject.key,
            basic=(True, None),
            usage=ISSUE,
            purposes=None,
            serial=self.chance.randrange(1, 2**60),
            **self.validity(),
        )

    def directory(self) -> x509.DirectoryName:
        organization = self.chance.choice(("Acme", "acme", "Evil"))
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)]
        if self.rarely(3):
            names.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, self.chance.choice(("Build", "Other"))))
        return x509.DirectoryName(x509.Name(names))

    def name_constraints(self) -> x509.NameConstraints:
        makers: tuple[Callable[[], x509.GeneralName], ...] = (
            self.directory,
            self.directory,
            lambda: x509.DNSName(self.chance.choice(("acme.example", "evil.example", "build.acme.example"))),
            lambda: x509.RFC822Name(self.chance.choice(("acme.example", ".acme.example", "me@acme.example"))),
            lambda: x509.UniformResourceIdentifier(self.chance.choice(("acme.example", ".acme.example"))),
        )
        subtrees = [self.chance.choice(makers)() for _ in range(self.chance.choice((1, 1, 2)))]
        return (
            x509.NameConstraints(subtrees, None) if self.chance.random() < 0.6 else x509.NameConstraints(None, subtrees)
        )

    def alternative_names(self) -> list[x509.GeneralName]:
        host = self.chance.choice(("acme.example", "build.acme.example", "evil.example", "ACME.example"))
        return [
            self.chance.choice(
                (
                    x509.DNSName(host),
                    x509.RFC822Name(f"me@{host}"),
                    x509.UniformResourceIdentifier(f"https://{host}/x"),
                )
            )
        ]

    def policy_extensions(self, *, authority: bool) -> list[Extension]:
        found: list[Extension] = []
        if self.rarely(2):
            chosen = self.chance.sample(POLICIES, self.chance.choice((1, 1, 2)))
            policies = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in chosen]
            found.append((x509.CertificatePolicies(policies), False))
        if authority and self.rarely(10):
            found.append((x509.PolicyConstraints(self.chance.choice((0, 0, 1, 2)), None), True))
        if authority and self.rarely(12):
            found.append((x509.InhibitAnyPolicy(self.chance.choice((0, 1))), True))
        return found

    def lists(self, chain: Sequence[Identity]) -> list[bytes]:
        """A CRL of each issuer, but for a few; some revoke what is below, or are bad themselves."""
        found: list[bytes] = []
        for issuer, subject in pairwise(chain):
            if self.rarely(15):
                continue
            dates: dict[str, Any] = {"start": EPOCH, "end": FAR}
            if self.rarely(20):
                dates = {"start": EPOCH, "end": NOW - DAY}
            elif self.rarely(40):
                dates = {"start": NOW + DAY, "end": FAR}
            entries = [crls.revoked(self.chance.randrange(2**60))]
            entries += [crls.revoked(subject.certificate.serial_number)] if self.rarely(12) else []
            extensions: list[Extension] = [(UNKNOWN, True)] if self.rarely(40) else []
            if self.rarely(20):
                extensions.append((self.scope(), True))
            key = new_key("p256", 591) if self.rarely(25) else None
            found.append(crls.make(issuer, *entries, key=key, extensions=extensions, **dates))
        return found

    def scope(self) -> x509.IssuingDistributionPoint:
        users = self.chance.random() < 0.5
        return x509.IssuingDistributionPoint(None, None, users, not users, None, False, False)
