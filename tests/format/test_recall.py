"""Recalls as bytes: read back, and refused in any other form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import recalls
from builders.trust_bundles import archive
from modseal.errors import FormatError
from modseal.format import recall as recall_format
from modseal.format import rules

GOOD = recalls.make()


def refused(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        recall_format.decode(data)
    assert caught.value.failure.code == "recall-invalid"
    return caught.value.failure.detail


def test_a_recall_is_read_back() -> None:
    more = recalls.make(
        recalls.entry("b", versions=((">=", "1.0"), ("<<", "1.3")), replacement="b 1.3"), recalls.entry("a"), by=[]
    )
    found = recall_format.decode(recall_format.encode(more))
    assert found.modules == tuple(sorted(more.modules, key=lambda one: one.name))
    assert recall_format.decode(recall_format.encode(GOOD)) == GOOD


@given(st.binary(max_size=300))
def test_any_bytes_are_a_recall_or_refused(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"version":1', b'"version":0', "version"),
        (b'"name":"acme-recalls"', b'"name":"a b"', "name"),
        (b'"expires":"2026', b'"expires":"2020', "expires"),
        (b'"reason":"it burns"', b'"reason":""', "reason"),
        (b'"vendor":"Acme"', b'"vendor":" Acme"', "vendor"),
        (b'{"expires"', b'{ "expires"', "canonical"),
        (b'"version":1', b'"more":1,"version":1', "more"),
    ],
)
def test_a_document_that_breaks_a_rule_is_refused(old: bytes, new: bytes, why: str) -> None:
    assert old in GOOD.signed
    changed = GOOD.signed.replace(old, new)
    assert why in refused(archive([("recall.json", changed), ("sig.pkcs7", GOOD.signature)]))


def test_other_members_are_refused() -> None:
    refused(archive([("recall.json", GOOD.signed)]))
    refused(archive([("recall.json", GOOD.signed), ("sig.pkcs7", b""), ("more", b"")]))
    refused(recall_format.encode(GOOD) + b"\n")


@pytest.mark.parametrize("relation", rules.RELATIONS)
def test_every_relation_can_be_written(relation: str) -> None:
    made = recalls.make(recalls.entry(versions=((relation, "1.0"),)))
    assert recall_format.decode(recall_format.encode(made)) == made
