"""The promise of the whole engine: change anything in a signed bundle, and it is not accepted.

Exhaustive over small bundles: every byte, every length, every appended byte. A `.vib` has few laxities, those
of genuine ar headers; they are listed here exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.bundles import KINDS, Bundle, accepted, judge, make
from builders.pki import Identity, ca, leaf, new_key, root, signer
from builders.policies import trusting
from modseal.format.manifest import Kind
from modseal.trust.examination import Verdict

POLICY = trusting()
MASKS = (0x01, 0x0F, 0x10, 0x20, 0x80, 0xFF)
"""One bit, digits to others, space to zero, letter case, beyond ASCII, all bits."""


def chained() -> Identity:
    """A signer whose block embeds an intermediate and even the root."""
    middle = ca("Middle", issuer=root(), key=new_key("p256", 60))
    return leaf("Below", issuer=middle, key=new_key("p256", 61)).with_chain(middle, root())


def small(kind: Kind, identity: Identity) -> Bundle:
    bundle = make(kind, files={"opt/a": b"x"}, summary="", description="").sealed(identity)
    accepted(bundle, POLICY)
    return bundle


def flipped(data: bytes, mask: int) -> Iterator[tuple[int, bytes]]:
    for position, byte in enumerate(data):
        yield position, b"".join((data[:position], bytes([byte ^ mask]), data[position + 1 :]))


@pytest.mark.parametrize("mask", MASKS)
def test_every_flipped_byte_of_a_seal_is_noticed(mask: int) -> None:
    for position, data in flipped(small("seal", signer()).data, mask):
        assert judge(data, POLICY).verdict is not Verdict.ACCEPTED, position


@pytest.mark.parametrize("mask", MASKS)
def test_every_flipped_byte_of_a_seal_with_an_embedded_chain_is_noticed(mask: int) -> None:
    for position, data in flipped(small("seal", chained()).data, mask):
        assert judge(data, POLICY).verdict is not Verdict.ACCEPTED, position


LAX_FIELDS = (
    (0, 16, rb"[A-Za-z0-9._-]+/? *"),
    (16, 28, rb"\d+ *"),
    (28, 34, rb"(\d+|-1) *"),
    (34, 40, rb"(\d+|-1) *"),
    (40, 48, rb"([0-7]+|0o0) *"),
)
"""Start, end and accepted forms of the header fields that vary among genuine files (docs/vib.md, section 1).
The name may have a slash, nothing else."""


def is_laxity(bundle: Bundle, data: bytes, position: int) -> bool:
    """Whether a changed byte is in a header, and gives another form that genuine files have."""
    offset = 8
    for member in bundle.members:
        for start, end, form in LAX_FIELDS:
            if offset + start <= position < offset + end:
                field = data[offset + start : offset + end]
                if start == 0 and field.rstrip(b" ").removesuffix(b"/").decode("latin-1") != member.name:
                    return False
                return bool(re.fullmatch(form, field))
        offset += len(member.encode())
    return False


@pytest.mark.parametrize("mask", MASKS)
def test_every_flipped_byte_of_a_vib_is_noticed_but_for_the_headers_that_genuine_files_vary(mask: int) -> None:
    bundle = small("vib", signer())
    tolerated = []
    for position, data in flipped(bundle.data, mask):
        if judge(data, POLICY).verdict is Verdict.ACCEPTED:
            tolerated.append(position)
            assert is_laxity(bundle, data, position), position
        else:
            assert not is_laxity(bundle, data, position), position
    assert tolerated or mask not in (0x01, 0x0F, 0x10)


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_every_flipped_byte_of_the_signature_of_a_vib_with_a_chain_is_noticed(mask: int) -> None:
    bundle = small("vib", chained())
    start = bundle.data.index(b"-----BEGIN")
    for position, data in flipped(bundle.data, mask):
        if start <= position < start + len(bundle.signature):
            assert judge(data, POLICY).verdict is not Verdict.ACCEPTED, position


@pytest.mark.parametrize("kind", KINDS)
def test_every_truncation_is_noticed(kind: Kind) -> None:
    data = small(kind, signer()).data
    for size in range(len(data)):
        found = judge(data[:size], POLICY)
        assert found.verdict is Verdict.REJECTED, size
        assert found.primary is not None
        assert found.primary.step == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_appended_byte_is_noticed(kind: Kind) -> None:
    bundle = small(kind, signer())
    for byte in range(256):
        for count in (1, 2, 60):
            assert judge(bundle.data + bytes([byte]) * count, POLICY).verdict is Verdict.REJECTED, (byte, count)
    for member in bundle.members:
        assert judge(bundle.data + member.encode(), POLICY).verdict is Verdict.REJECTED


@pytest.mark.parametrize("kind", KINDS)
def test_every_deleted_or_doubled_byte_is_noticed(kind: Kind) -> None:
    data = small(kind, signer()).data
    for position in range(0, len(data), 2):
        for changed in (
            data[:position] + data[position + 1 :],
            data[:position] + data[position : position + 1] + data[position:],
        ):
            assert judge(changed, POLICY).verdict is not Verdict.ACCEPTED, position


@pytest.mark.parametrize("kind", KINDS)
def test_every_manifest_byte_that_the_attacker_changes_stays_unproved(kind: Kind) -> None:
    bundle = small(kind, signer())
    name = bundle.members[0].name
    for _, data in flipped(bundle.manifest_bytes, 0x01):
        found = judge(bundle.with_member(name, data=data), POLICY)
        assert (found.manifest_signed, found.proven_level, found.signers) == (False, None, ())


@given(st.binary(max_size=400))
@settings(max_examples=300)
def test_random_bytes_get_a_verdict(data: bytes) -> None:
    assert judge(data, POLICY).verdict is Verdict.REJECTED
    assert judge(b"!<arch>\n" + data, POLICY).verdict is Verdict.REJECTED


@st.composite
def mutated(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A good bundle, and what is left after some slices were moved, doubled, cut out or overwritten."""
    good = small(draw(st.sampled_from(KINDS)), signer()).data
    data = good
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 80)))
        middle = draw(st.one_of(st.just(b""), st.just(data[start:end] * 2), st.binary(min_size=1, max_size=8)))
        data = data[:start] + middle + data[end:]
    return good, data


@given(mutated())
@settings(max_examples=300)
def test_mutations_get_a_verdict_and_only_laxities_are_accepted(pair: tuple[bytes, bytes]) -> None:
    good, data = pair
    verdict = judge(data, POLICY).verdict
    if data != good and verdict is Verdict.ACCEPTED:
        assert len(data) == len(good)
        assert good.startswith(b"!<arch>\ndescriptor.xml")


@given(st.sampled_from(KINDS), st.binary(min_size=1, max_size=300))
@settings(max_examples=200)
def test_a_random_signature_member_proves_nothing(kind: Kind, data: bytes) -> None:
    for member in (data, b"-----BEGIN PKCS7-----\n" + data + b"\n-----END PKCS7-----\n"):
        found = judge(small(kind, signer()).with_signature(member), POLICY)
        assert found.verdict is not Verdict.ACCEPTED
        assert found.proven_level is None
