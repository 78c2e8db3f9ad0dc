"""A policy as values: scopes, patterns and pins."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from builders.pki import root, signer
from builders.policies import anchor, pin, trusting
from modseal.format.level import Level
from modseal.pki.algorithms import ALGORITHMS
from modseal.trust.policy import Anchor, Policy, PolicyBytes, matches_any


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("acme-*", "acme-agent", True),
        ("acme-*", "acme-", True),
        ("acme-*", "Acme-agent", False),
        ("*", "", True),
        ("a?", "ab", True),
        ("a?", "a", False),
        ("[ab]c", "bc", True),
        ("acme", "acme2", False),
        ("", "", True),
    ],
)
def test_patterns_are_shell_style_and_letter_case_counts(pattern: str, text: str, matches: bool) -> None:
    assert matches_any(text, (pattern,)) is matches


def test_no_patterns_match_nothing_but_no_scope_is_everything() -> None:
    assert not matches_any("x", ())
    assert Anchor("a", Level.PARTNER).speaks_for_vendor("anybody")
    assert not Anchor("a", Level.PARTNER, names=("x",)).speaks_for_name("y")


def test_pins_are_found_by_their_fingerprint() -> None:
    policy = trusting(anchor(root()), pin(signer()))
    assert list(policy.pins) == [signer().fingerprint]


def test_the_defaults_are_the_strict_ones() -> None:
    policy = Policy("x", Level.PARTNER)
    assert policy.anchors == ()
    assert not policy.allow_unsigned_community
    assert policy.algorithms == frozenset(ALGORITHMS)
    assert policy.minimum_signers == 1


def test_a_policy_has_no_switch_for_integrity() -> None:
    names = {field.name for field in dataclasses.fields(Policy)}
    assert not {
        name
        for name in names
        if any(word in name for word in ("skip", "ignore", "force", "payload", "container", "files"))
    }


def test_the_digest_of_a_policy_is_over_each_part_with_its_name_and_length() -> None:
    """So no byte can move from one part to the next, and a name that is not UTF-8 counts as it is."""
    parts = (b"", b"text", b"na\xffme.crl", b"list", b"recall", b"away")
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    policy = PolicyBytes(b"text", (("na\udcffme.crl", b"list"),), recalls=(b"away",))
    assert policy.digest == hashlib.sha256(framed).hexdigest()


def test_a_policy_without_a_text_has_no_lines() -> None:
    assert Policy("x", Level.PARTNER).places.line(("minimum-level",)) == 0
    read = Policy("x", Level.PARTNER, origin=PolicyBytes(b'\n\nminimum-level = "c"\n', ()))
    assert read.places.line(("minimum-level",)) == 3
