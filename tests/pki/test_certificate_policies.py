"""Certificate policies by RFC 5280 section 6.1 and RFC 9618. PKITS has the cases; here are the edges and the costs."""

from __future__ import annotations

import time

import pytest

from modseal import limits
from modseal.errors import FormatError
from modseal.format import der
from modseal.pki.certificate_policies import (
    ANY_POLICY,
    NO_POLICY_REQUIRED,
    PolicyExtensions,
    PolicyInputs,
)
from modseal.pki.extensions import (
    CERTIFICATE_POLICIES,
    INHIBIT_ANY_POLICY,
    POLICY_CONSTRAINTS,
    POLICY_MAPPINGS,
    Extension,
)
from modseal.pki.policy_graph import policy_problem

A, B, C = "1.2.3.1", "1.2.3.2", "1.2.3.3"
REQUIRED = PolicyInputs(explicit=True)


def says(*policies: str, maps: tuple[tuple[str, str], ...] = (), explicit: int | None = None,
         inhibit_mapping: int | None = None, inhibit_any: int | None = None) -> PolicyExtensions:  # fmt: skip
    return PolicyExtensions(frozenset(policies) or None, maps, explicit, inhibit_mapping, inhibit_any)


def problem(*chain: PolicyExtensions, inputs: PolicyInputs = REQUIRED, self_issued: tuple[int, ...] = ()) -> str | None:
    return policy_problem([(one, index in self_issued) for index, one in enumerate(chain)], inputs)


def test_nothing_is_required_by_default() -> None:
    assert problem(says(), says(A), says(), inputs=NO_POLICY_REQUIRED) is None
    assert problem(inputs=NO_POLICY_REQUIRED) is None


def test_a_required_policy_must_be_in_every_certificate() -> None:
    assert problem(says(A), says(A, B), says(A)) is None
    assert problem(says(A), says(B), says(A))
    assert problem(says(A), says(), says(A))
    assert problem(says(A), says(A), says())


def test_a_ca_can_require_a_policy_of_those_below() -> None:
    assert problem(says(A, explicit=0), says(B), inputs=NO_POLICY_REQUIRED)
    assert problem(says(A, explicit=0), says(A), inputs=NO_POLICY_REQUIRED) is None
    assert problem(says(explicit=2), says(), inputs=NO_POLICY_REQUIRED) is None
    assert problem(says(explicit=1), says(), says(), inputs=NO_POLICY_REQUIRED)


def test_the_anchors_mapping_counts_for_a_signer_that_it_issued_itself() -> None:
    wanted = PolicyInputs(acceptable=frozenset({A}), explicit=True)
    for anchor, fine in ((says(maps=((A, B),)), True), (says(), False), (says(maps=((C, B),)), False)):
        assert (policy_problem([(says(B), False)], wanted, anchor) is None) is fine


def test_self_issued_certificates_do_not_count_down() -> None:
    chain = (says(explicit=1), says(), says())
    assert problem(*chain, inputs=NO_POLICY_REQUIRED)
    assert problem(says(explicit=2), says(), says(), inputs=NO_POLICY_REQUIRED, self_issued=(1,)) is None


def test_a_signer_that_requires_a_policy_must_have_one() -> None:
    assert problem(says(A), says(B, explicit=0), inputs=NO_POLICY_REQUIRED)
    assert problem(says(A), says(A, explicit=0), inputs=NO_POLICY_REQUIRED) is None


def test_any_policy_stands_for_all_until_it_is_inhibited() -> None:
    assert problem(says(ANY_POLICY), says(A)) is None
    assert problem(says(A), says(ANY_POLICY)) is None
    assert problem(says(A, inhibit_any=0), says(ANY_POLICY))
    assert problem(says(A, inhibit_any=0), says(ANY_POLICY), says(A))
    assert problem(says(A, inhibit_any=0), says(ANY_POLICY), self_issued=(1,)), "a signer is no rollover of its CA"
    assert problem(says(A, inhibit_any=1), says(ANY_POLICY), says(A)) is None
    assert problem(says(A, inhibit_any=0), says(ANY_POLICY), says(A), self_issued=(1,)) is None
    assert problem(says(ANY_POLICY), inputs=PolicyInputs(explicit=True, inhibit_any=True))


def test_only_acceptable_policies_satisfy() -> None:
    only_b = PolicyInputs(acceptable=frozenset({B}), explicit=True)
    assert problem(says(A, B), says(A, B), inputs=only_b) is None
    assert problem(says(A), says(A), inputs=only_b)
    assert problem(says(ANY_POLICY), says(ANY_POLICY), inputs=only_b) is None
    assert problem(says(ANY_POLICY), says(A), inputs=only_b)


def test_a_mapped_policy_counts_as_the_one_above() -> None:
    only_a = PolicyInputs(acceptable=frozenset({A}), explicit=True)
    assert problem(says(A, maps=((A, B),)), says(B), inputs=only_a) is None
    assert problem(says(A, maps=((A, B),)), says(A), inputs=only_a)
    assert problem(says(ANY_POLICY, maps=((A, B),)), says(B), inputs=only_a) is None
    assert problem(says(A, maps=((A, B), (A, C))), says(C), inputs=only_a) is None
    only_b = PolicyInputs(acceptable=frozenset({B}), explicit=True)
    assert problem(says(A, maps=((A, B),)), says(B), inputs=only_b)


def test_an_inhibited_mapping_ends_the_policy() -> None:
    assert problem(says(A, maps=((A, B),)), says(A, B), inputs=PolicyInputs(explicit=True, inhibit_mapping=True))
    assert problem(says(A, inhibit_mapping=0), says(A, maps=((A, B),)), says(A, B))
    assert problem(says(A, inhibit_mapping=1), says(A, maps=((A, B),)), says(B)) is None


@pytest.mark.parametrize("pair", [(ANY_POLICY, A), (A, ANY_POLICY)])
def test_any_policy_cannot_be_mapped(pair: tuple[str, str]) -> None:
    assert problem(says(A, ANY_POLICY, maps=(pair,)), says(A), inputs=NO_POLICY_REQUIRED)


def test_what_the_anchor_says_of_policies_narrows_those_below() -> None:
    def below(anchor: PolicyExtensions, *policies: str) -> str | None:
        return policy_problem([(says(*policies), False)], NO_POLICY_REQUIRED, anchor)

    assert below(says(explicit=0))
    assert below(says(explicit=0), A) is None
    assert below(says(A)) is None
    assert below(says(A, explicit=0), B)
    assert below(says(A, explicit=0), A) is None
    assert below(says(explicit=0, inhibit_any=0), ANY_POLICY)
    assert below(says(explicit=0, maps=((A, B),)), B) is None
    assert below(says(maps=((A, ANY_POLICY),)), A)


def test_the_work_does_not_explode() -> None:
    """X5-07: a tree would have 128^7 leaves here; RFC 9618's graph has 128 nodes a level."""
    names = [f"1.2.3.{n}" for n in range(limits.CERTIFICATE_POLICIES)]
    crossed = tuple((one, names[(index + 1) % len(names)]) for index, one in enumerate(names))
    fan = tuple((names[0], one) for one in names)
    start = time.process_time()
    for maps in (crossed, fan):
        assert problem(*[says(*names, ANY_POLICY, maps=maps)] * 7, says(*names)) is None
    assert time.process_time() - start < 1


# Reading the extensions.


def policies(*oids: str) -> bytes:
    return der.encode(der.SEQUENCE, *(der.encode(der.SEQUENCE, der.encode_oid(oid)) for oid in oids))


def read(oid: str, value: bytes) -> PolicyExtensions:
    return PolicyExtensions.parse({oid: Extension(False, value)})


def test_the_extensions_are_read() -> None:
    assert PolicyExtensions.parse({}) == PolicyExtensions()
    assert read(CERTIFICATE_POLICIES, policies(A, B)).policies == {A, B}
    pair = der.encode(der.SEQUENCE, der.encode_oid(A), der.encode_oid(B))
    assert read(POLICY_MAPPINGS, der.encode(der.SEQUENCE, pair)).mappings == ((A, B),)
    both = der.encode(der.SEQUENCE, der.encode(0x80, b"\x00"), der.encode(0x81, b"\x02"))
    found = read(POLICY_CONSTRAINTS, both)
    assert (found.require_explicit, found.inhibit_mapping) == (0, 2)
    assert read(INHIBIT_ANY_POLICY, der.encode_integer(1)).inhibit_any == 1


def test_qualifiers_are_for_people_and_ignored() -> None:
    qualified = der.encode(der.SEQUENCE, der.encode_oid(A), der.encode(der.SEQUENCE, b"\x05\x00"))
    assert read(CERTIFICATE_POLICIES, der.encode(der.SEQUENCE, qualified)).policies == {A}


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        (CERTIFICATE_POLICIES, policies()),
        (CERTIFICATE_POLICIES, policies(A, A)),
        (CERTIFICATE_POLICIES, policies(*(f"1.2.3.{n}" for n in range(limits.CERTIFICATE_POLICIES + 1)))),
        (CERTIFICATE_POLICIES, policies(A) + b"\x05\x00"),
        (POLICY_MAPPINGS, der.encode(der.SEQUENCE)),
        (POLICY_MAPPINGS, policies(A)),
        (POLICY_CONSTRAINTS, der.encode(der.SEQUENCE)),
        (POLICY_CONSTRAINTS, der.encode(der.SEQUENCE, der.encode(0x80, b"\xff"))),
        (POLICY_CONSTRAINTS, der.encode(der.SEQUENCE, der.encode(0x80, b""))),
        (POLICY_CONSTRAINTS, der.encode(der.SEQUENCE, der.encode(0x82, b"\x01"))),
        (INHIBIT_ANY_POLICY, der.encode(der.INTEGER, b"\xff")),
        (INHIBIT_ANY_POLICY, der.encode_integer(1) + b"\x00"),
        (INHIBIT_ANY_POLICY, b"\x05\x00"),
    ],
)
def test_extensions_that_mean_nothing_good_are_refused(oid: str, value: bytes) -> None:
    with pytest.raises(FormatError):
        read(oid, value)


def test_a_mapping_of_any_policy_is_refused_in_every_ca() -> None:
    odd = says(A, maps=((ANY_POLICY, A),))
    for chain in ((odd, says(A), says(A)), (says(A), odd, says(A)), (says(A), says(A), odd, says(A))):
        assert problem(*chain) == "a policy is mapped from or to anyPolicy"
    assert policy_problem([(says(A), False)], REQUIRED, odd) == "a policy is mapped from or to anyPolicy"


def test_a_mapping_that_is_inhibited_takes_nothing_that_is_not_there() -> None:
    assert problem(says(A, inhibit_mapping=0), says(A, maps=((B, C),)), says(A)) is None
    assert problem(says(A, B, inhibit_mapping=0), says(A, B, maps=((B, C),)), says(B))


def test_what_an_anchor_says_of_any_policy_counts() -> None:
    assert policy_problem([(says(A), False)], REQUIRED, says(ANY_POLICY)) is None
    assert policy_problem([(says(A), False)], REQUIRED, says(A)) is None
    assert policy_problem([(says(A), False)], REQUIRED, says(B))
    inhibited = PolicyInputs(explicit=True, inhibit_any=True)
    assert policy_problem([(says(A), False)], inhibited, says(ANY_POLICY)) is None
