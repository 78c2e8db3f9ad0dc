"""The weakest thing that a policy accepts is accepted, and where there is none nothing is."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatchcase

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.bundles import Bundle, judge, make
from builders.pki import NOW, Identity, crl, issue, leaf, new_key, root, signer
from builders.policies import anchor, pin, trusting
from modseal.format.level import Level
from modseal.pki.crl import Crl
from modseal.pki.revocation import RevocationRules
from modseal.report.policy_text import weakest
from modseal.trust.deny import Deny
from modseal.trust.examination import Verdict
from modseal.trust.policy import Anchor, Policy
from modseal.trust.weakest import find

PINNED = tuple(issue(f"Pinned {number}", key=new_key("p256", 800 + number)) for number in range(2))
OLD = issue("Pinned and expired", key=new_key("p256", 803), end=NOW - timedelta(days=1))
CERTIFIED = tuple(
    leaf(f"Signer {number}", issuer=root(number // 3), key=new_key("p256", 810 + number)) for number in range(6)
)
EVERYBODY = (*CERTIFIED, *PINNED, OLD)
VENDORS = ("zq-9f3e7c-unforeseen", "Acme", "Other")
NAMES = ("zq-9f3e7c-unforeseen", "b", "acme-agent", "other-agent", "third-agent")


@functools.cache
def candidate(level: Level, vendor: str, name: str, by: tuple[Identity, ...]) -> Bundle:
    made = make("seal", CERTIFIED[0], claimed_level=level, vendor=vendor, name=name)
    return made.signed(*by) if by else made.unsigned()


def accepts(policy: Policy, vendor: str, name: str) -> bool:
    """Whether the policy accepts a module of this vendor and name by everybody who is not denied, or by nobody."""
    by = tuple(one for one in EVERYBODY if one.fingerprint not in policy.deny.signers)
    bundles = [candidate(policy.minimum_level, vendor, name, by), candidate(Level.COMMUNITY, vendor, name, ())]
    return any(judge(bundle, policy).verdict is Verdict.ACCEPTED for bundle in bundles)


def listed(issuer: Identity) -> Crl:
    return Crl.parse(crl(issuer).public_bytes(Encoding.DER), "test CRL")


SCOPES = st.sampled_from([(), ("Acme",), ("Other",), ("A*",), ("*e",), ("[!B]*",)])
NAME_SCOPES = st.sampled_from([(), ("acme-*",), ("*-agent",), ("other-agent",)])
LEVELS = st.sampled_from(list(Level))


@st.composite
def anchors(draw: st.DrawFn) -> tuple[Anchor, ...]:
    chosen = draw(st.lists(st.sampled_from([root(0), root(1), *PINNED, OLD]), min_size=1, max_size=4))
    found = []
    for number, one in enumerate(chosen):
        kind = anchor if one in (root(0), root(1)) else pin
        made = kind(one, draw(LEVELS), f"Anchor {number}")
        found.append(replace(made, vendors=draw(SCOPES), names=draw(NAME_SCOPES), accept_expired=one is OLD))
    return tuple(found)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    found = draw(anchors())
    possible = [one.name for one in found] + [one.fingerprint for one in found if one.fingerprint]
    # A certificate that is named by its fingerprint alone could come from any CA of the policy: here from the only one.
    possible += (
        [CERTIFIED[0].fingerprint] if [one.certificate for one in found if one.certificate] == [root(0).parsed] else []
    )
    return Policy(
        "test policy",
        draw(LEVELS),
        found,
        allow_unsigned_community=draw(st.booleans()),
        minimum_signers=draw(st.integers(1, 3)),
        required_signers=tuple(draw(st.lists(st.sampled_from(possible), max_size=2, unique=True))),
        revocation=RevocationRules(draw(st.sampled_from([(), (listed(root(0)),)])), draw(st.booleans())),
        deny=Deny(
            signers=frozenset(draw(st.lists(st.sampled_from([PINNED[0].fingerprint, OLD.fingerprint]), max_size=1))),
            names=tuple(draw(st.lists(st.sampled_from(["*", "acme-*", "z*", "other-agent"]), max_size=2))),
        ),
    )


def show(policy: Policy) -> str:
    """A policy that fails, without its certificates."""
    anchors = [(one.name, str(one.grants), one.vendors, one.names) for one in policy.anchors]
    return f"{weakest(policy)} {anchors} {policy.required_signers} {policy.deny} {policy.revocation.required}"


@settings(max_examples=20)
@given(policies())
def test_what_is_called_the_weakest_is_accepted_and_where_nothing_is_nothing_is(policy: Policy) -> None:
    found = find(policy)
    accepted = any(accepts(policy, vendor, name) for vendor in VENDORS for name in NAMES)
    assert accepted == bool(found), show(policy)
    assert ("accepts at the weakest" if found else "accepts nothing") in weakest(policy)
    if found:
        unforeseen = any(accepts(policy, VENDORS[0], name) for name in NAMES)
        named = found.vendor is not None and not fnmatchcase(VENDORS[0], found.vendor)
        assert unforeseen != named, "any vendor where, and only where, no scope is in the way"


def test_each_of_two_pins_of_one_signer_counts() -> None:
    low, high = pin(PINNED[0], Level.COMMUNITY, name="Low"), pin(PINNED[0], name="High")
    for pins in ((low, high), (high, low)):
        twice = trusting(*pins, minimum=Level.PARTNER)
        assert accepts(twice, VENDORS[0], NAMES[0])
        found = find(twice)
        assert found is not None
        assert [one.name for one in found.anchors] == ["High"]
    assert find(trusting(low, high, minimum_signers=2)) is None


# What the line says.

CA = anchor(root(), name="Acme CA")
PIN = pin(PINNED[0], name="First pin")
SECOND = pin(PINNED[1], name="Second pin")


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (
            trusting(CA),
            ["any module, any vendor", "one signer under Acme CA", "no timestamp needed", "no revocation check"],
        ),
        (trusting(CA, minimum=Level.ACCEPTED), ["an accepted module"]),
        (trusting(replace(CA, vendors=("Acme", "B*"))), ["vendor B* or Acme)"]),
        (trusting(replace(CA, names=("acme-*",))), ["(module acme-*, any vendor)"]),
        (trusting(CA, PIN, minimum_signers=2), ["2 signers under Acme CA or First pin"]),
        (trusting(PIN, SECOND, minimum_signers=2), ["2 signers under First pin or Second pin", "pinned"]),
        (trusting(PIN, SECOND, minimum_signers=3), ["accepts nothing", "enough signers"]),
        (trusting(CA, PIN, required_signers=("First pin",)), ["by First pin,"]),
        (trusting(CA, PIN, required_signers=("First pin",), minimum_signers=3), ["by First pin, 3 signers in all"]),
        (trusting(CA, PIN, required_signers=("First pin", "Acme CA")), ["by First pin and Acme CA,"]),
        (
            trusting(
                replace(CA, vendors=("Acme",)),
                replace(PIN, vendors=("Other",)),
                required_signers=("First pin", "Acme CA"),
            ),
            ["accepts nothing"],
        ),
        (
            trusting(
                replace(CA, vendors=("A*",)),
                replace(PIN, vendors=("*e",)),
                minimum_signers=2,
                required_signers=("First pin",),
            ),
            ["vendor *e and A*"],
        ),
        (trusting(replace(PIN, accept_expired=True)), ["First pin even with an expired certificate"]),
        (
            trusting(CA, allow_unsigned_community=True),
            ["an unsigned community module (any module, any vendor) from anybody"],
        ),
        (trusting(CA, minimum=Level.PARTNER, allow_unsigned_community=True), ["a partner module"]),
        (trusting(allow_unsigned_community=True, deny=Deny(names=("*",))), ["accepts nothing", "every module name"]),
        (
            trusting(CA, allow_unsigned_community=True, required_attachments=("sbom.json",)),
            ["with the attachments sbom.json"],
        ),
        (trusting(CA, community_paths=("opt/",)), ["files below opt/"]),
        (trusting(replace(CA, grants=Level.PARTNER), minimum=Level.CERTIFIED), ["accepts nothing", "grants partner"]),
        (trusting(PIN, deny=Deny(signers=frozenset([PINNED[0].fingerprint]))), ["accepts nothing", "deny list"]),
        (trusting(PIN, deny=Deny(certificates=(PINNED[0].parsed,))), ["accepts nothing", "deny list", "denies 1 key"]),
        (trusting(CA, deny=Deny(certificates=(root().parsed,))), ["accepts nothing", "is on the deny list itself"]),
        (
            trusting(CA, deny=Deny(frozenset({"1" * 64}), frozenset({"2" * 64}), ("a", "b"), frozenset({"3" * 64}))),
            ["; denies 1 key, 1 digest, 2 names, 1 certificate alone (name the key to deny every certificate with it)"],
        ),
        (trusting(CA, revocation=RevocationRules((), required=True)), ["accepts nothing", "no CRL"]),
        (trusting(CA, PIN, revocation=RevocationRules((), required=True)), ["one signer under First pin"]),
        (trusting(CA, revocation=RevocationRules((listed(root()),), required=True)), ["revocation required"]),
        (trusting(CA, revocation=RevocationRules((listed(root()),))), ["only where a CRL is named"]),
        (trusting(CA, timestamp_required=True), ["accepts nothing", "no timestamp anchor"]),
        (trusting(CA, timestamp_required=True, timestamp_anchors=(root(1).parsed,)), ["timestamp required"]),
        (Policy("empty", Level.PARTNER), ["accepts nothing: it names no anchor"]),
        (trusting(*(replace(CA, name=f"CA {number}") for number in range(5))), ["CA 0 or CA 1 or CA 2 or 2 more"]),
        (trusting(replace(CA, name="bad\x1b[31m")), [r"bad\x1b[31m"]),
    ],
)
def test_the_line_says_the_weakest(policy: Policy, words: list[str]) -> None:
    line = weakest(policy)
    assert line.startswith(f"{policy.source}: accepts ")
    assert "\n" not in line
    for word in words:
        assert word in line


def pins_with_scopes_of_their_own(count: int) -> tuple[Anchor, ...]:
    return tuple(
        Anchor(
            f"Pin {number}",
            Level.CERTIFIED,
            fingerprint=f"{number:064x}",
            vendors=(f"V{number}",),
            names=tuple(f"n{number}-{k}" for k in range(40)),
        )
        for number in range(count)
    )


def test_pins_that_share_no_vendor_cannot_sign_together() -> None:
    many = pins_with_scopes_of_their_own(256)
    assert find(trusting(*many, minimum_signers=2)) is None
    both = replace(many[255], vendors=("V0",), names=("n0-*",))
    found = find(trusting(*many[:255], both, minimum_signers=2))
    assert found is not None
    assert (found.vendor, found.name) == ("V0", "n0-0 or n0-1 or n0-2 or 37 more")
    assert found.anchors == (many[0], both)


def test_a_policy_with_more_combinations_than_are_looked_at_is_called_too_weak_rather_than_too_strong() -> None:
    found = find(trusting(*pins_with_scopes_of_their_own(256), minimum_signers=3))
    assert found is not None
    assert (found.vendor, found.name) == (None, None)


@pytest.mark.parametrize(
    ("scopes", "common"),
    [
        ([("acme-*",), ("*-agent",)], "acme-* and *-agent"),
        ([("a*b*c",), ("ab*",), ("*bc",)], "a*b*c and ab* and *bc"),
        ([("acme-*",), ("acme-agent", "other")], "acme-agent"),
        ([("acme-*",), ("acmex*",)], None),
        ([("*-agent",), ("*-driver",)], None),
        ([("agent-?",), ("agent-1", "agent-22")], "agent-1"),
        ([("agent",), ("agent",)], "agent"),
        ([("agent",), ("Agent",)], None),
    ],
)
def test_what_several_required_signers_may_speak_for_is_what_their_scopes_have_in_common(
    scopes: list[tuple[str, ...]], common: str | None
) -> None:
    rows = [replace(CA, name=f"CA {number}", names=names) for number, names in enumerate(scopes)]
    found = find(trusting(*rows, required_signers=tuple(row.name for row in rows)))
    assert (found.name if found else None) == common


def test_the_builders_signers_are_what_the_candidates_need() -> None:
    assert accepts(trusting(anchor(root())), VENDORS[0], NAMES[0])
    assert judge(make("seal", signer()), trusting()).verdict is Verdict.ACCEPTED


def test_a_scope_with_a_wildcard_is_wider_than_a_name() -> None:
    """Found by the test above, after many runs."""
    named = pin(PINNED[0], Level.COMMUNITY, vendors=("Acme",))
    wide = pin(PINNED[1], Level.COMMUNITY, name="Wide", vendors=("[!B]*",))
    found = find(trusting(named, wide))
    assert found is not None
    assert found.vendor == "[!B]*"
