"""What a certificate says of certificate policies: what its CA checked before it issued (RFC 5280 section 4.2.1.4).

`policy_graph` judges whether a chain has one that is valid in every certificate.
"""

from __future__ import annotations

from modseal import limits
from modseal.format import der
from modseal.pki.extensions import (
    CERTIFICATE_POLICIES,
    INHIBIT_ANY_POLICY,
    POLICY_CONSTRAINTS,
    POLICY_MAPPINGS,
    Extensions,
    read_count,
)
from modseal.values import dataclass

ANY_POLICY = "2.5.29.32.0"


@dataclass(frozen=True, slots=True)
class PolicyExtensions:
    """What one certificate says of policies; None where it has no such extension. Counts are of certificates."""

    policies: frozenset[str] | None = None
    mappings: tuple[tuple[str, str], ...] = ()
    require_explicit: int | None = None
    inhibit_mapping: int | None = None
    inhibit_any: int | None = None

    @classmethod
    def parse(cls, extensions: Extensions) -> PolicyExtensions:
        """From a certificate's extensions. Raises `FormatError` (not DER, or more policies than are allowed)."""
        policies, mappings = extensions.get(CERTIFICATE_POLICIES), extensions.get(POLICY_MAPPINGS)
        constraints, inhibit_any = extensions.get(POLICY_CONSTRAINTS), extensions.get(INHIBIT_ANY_POLICY)
        explicit, mapping = None, None
        if constraints:
            body = der.only(constraints.value)
            explicit, mapping = body.optional(0x80), body.optional(0x81)
            body.end()
            if not explicit and not mapping:
                raise der.malformed("the policy constraints constrain nothing")
        return cls(
            policies=_read_policies(der.only(policies.value)) if policies else None,
            mappings=_read_mappings(der.only(mappings.value)) if mappings else (),
            require_explicit=read_count(explicit.content) if explicit else None,
            inhibit_mapping=read_count(mapping.content) if mapping else None,
            inhibit_any=read_count(der.only_value(inhibit_any.value, der.INTEGER).content) if inhibit_any else None,
        )


NO_POLICIES = PolicyExtensions()


def _read_policies(reader: der.Reader) -> frozenset[str]:
    """The identifiers; qualifiers are for people."""
    items = _items(reader)
    found = [item.oid() for item in items]
    if len(set(found)) != len(found):
        raise der.malformed("a certificate policy is there twice")
    return frozenset(found)


def _read_mappings(reader: der.Reader) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for item in _items(reader):
        pairs.append((item.oid(), item.oid()))
        item.end()
    return tuple(pairs)


def _items(reader: der.Reader) -> list[der.Reader]:
    items: list[der.Reader] = []
    while reader.more():
        items.append(reader.enter())
    if not 1 <= len(items) <= limits.CERTIFICATE_POLICIES:
        most = limits.CERTIFICATE_POLICIES
        raise der.malformed(f"{len(items)} certificate policies or mappings, 1 to {most} are accepted")
    return items


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """The user's part (section 6.1.1 (c), (e) to (g)). The defaults require nothing, as modseal does."""

    acceptable: frozenset[str] = frozenset({ANY_POLICY})
    explicit: bool = False
    inhibit_mapping: bool = False
    inhibit_any: bool = False


NO_POLICY_REQUIRED = PolicyInputs()
