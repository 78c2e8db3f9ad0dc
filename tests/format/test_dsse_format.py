"""DSSE envelopes as bytes: read back as written, in either alphabet of base64, and anything else refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modseal import limits
from modseal.errors import FormatError
from modseal.format import dsse
from modseal.format.dsse import Envelope

GOOD = Envelope(dsse.STATEMENT, b'{"_type": "?>~"}\xfb\xff', (("key", b"\xfb\xff\xfe"), ("", b"other")))


def refused(data: bytes) -> str:
    with pytest.raises(FormatError) as caught:
        dsse.decode(data, "a.json")
    assert caught.value.failure.code == "bad-attestation"
    assert caught.value.failure.detail.startswith("a.json cannot be used: ")
    return caught.value.failure.detail


def plain() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(dsse.encode(GOOD))
    return found


def test_what_is_written_is_read() -> None:
    assert dsse.decode(dsse.encode(GOOD), "a.json") == GOOD


def test_the_url_safe_alphabet_and_unknown_fields_are_read_too() -> None:
    values = plain() | {"more": 1}
    values["payload"] = base64.urlsafe_b64encode(GOOD.payload).decode()
    for signature, (_, data) in zip(values["signatures"], GOOD.signatures, strict=True):
        signature |= {"sig": base64.urlsafe_b64encode(data).decode(), "cert": "x"}
    assert "-" in values["signatures"][0]["sig"] or "_" in values["signatures"][0]["sig"]
    assert dsse.decode(json.dumps(values).encode(), "a.json") == GOOD


def test_a_key_id_may_be_missing() -> None:
    values = plain()
    del values["signatures"][0]["keyid"]
    assert dsse.decode(json.dumps(values).encode(), "a.json").signatures[0] == ("", b"\xfb\xff\xfe")


@pytest.mark.parametrize("key", ["payload", "payloadType", "signatures"])
def test_what_is_missing_is_named(key: str) -> None:
    values = plain()
    del values[key]
    assert refused(json.dumps(values).encode()).endswith(f"it has no {key}")


@pytest.mark.parametrize(
    "change",
    [
        {"payload": 1},
        {"payload": "a b="},
        {"payload": "abc"},
        {"payload": "é"},
        {"payloadType": None},
        {"payloadType": "é"},
        {"signatures": {}},
        {"signatures": []},
        {"signatures": ["x"]},
        {"signatures": [{"sig": "AA==", "keyid": 1}]},
        {"signatures": [{"keyid": "k"}]},
        {"signatures": [{"sig": "AA=="}] * (limits.SIGNATURE_BLOCKS + 1)},
    ],
)
def test_what_is_wrong_is_refused(change: dict[str, Any]) -> None:
    refused(json.dumps(plain() | change).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"1", b'"x"', b"\xff", b"[" * 100_000, b'{"payload": NaN}'])
def test_other_bytes_are_refused(data: bytes) -> None:
    refused(data)


@given(st.binary(max_size=200), st.integers(0, 200), st.integers(0, 50))
def test_any_bytes_are_an_envelope_or_refused(piece: bytes, start: int, length: int) -> None:
    data = dsse.encode(GOOD)
    changed = data[:start] + piece + data[start + length :]
    try:
        found = dsse.decode(changed, "a.json")
    except FormatError:
        return
    assert found.signatures
    assert dsse.decode(dsse.encode(found), "b.json") == found
