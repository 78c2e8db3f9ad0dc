"""Whether what compares bytes with those of our own writer ever says something else than the strict reader does."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import bundles
from builders.bundles import MTIME, declare, inputs, make, pack
from builders.policies import trusting
from builders.strict import strict_readers
from modseal import limits
from modseal.errors import FormatError
from modseal.format import manifest_json, tar
from modseal.format.payload import measure
from modseal.format.payload_writer import write_seal_payload
from modseal.format.source import BytesSource

FILES: dict[str, bytes | str | None] = {
    "opt": None,
    "opt/acme": None,
    "opt/acme/agent": b"\x7fELF agent",
    "opt/acme/link": "agent",
    "opt/acme/zeros": bytes(700),
    "opt/" + "long/" * 30 + "name": b"a name in two fields",
    "opt/" + "x" * 120: b"a path in an extended header",
}


def good() -> tuple[Any, tuple[Any, ...], bytes]:
    payload, entries = write_seal_payload("base", "tar+gzip", inputs(FILES, {}), MTIME, io.BytesIO())
    contents = [
        (entry, iter([value]) if isinstance(value := FILES[entry.path], bytes) else iter(())) for entry in entries
    ]
    return payload, entries, b"".join(tar.write(contents, MTIME))


PAYLOAD, ENTRIES, TAR = good()


def changed(data: st.DataObject, good: bytes) -> bytes:
    """Bytes changed, most of them in headers; blocks swapped, doubled or left out; the end cut off."""
    found = bytearray(good)
    for _ in range(data.draw(st.integers(0, 3))):
        found[data.draw(st.integers(0, len(found) - 1))] = data.draw(
            st.sampled_from([0, 1, 32, 47, 48, 49, 65, 128, 255])
        )
    blocks = [bytes(found[at : at + tar.BLOCK]) for at in range(0, len(found), tar.BLOCK)]
    how = data.draw(st.sampled_from(["as it is", "as it is", "swap", "double", "leave out", "cut"]))
    one, two = (data.draw(st.integers(0, len(blocks) - 1)) for _ in range(2))
    if how == "swap":
        blocks[one], blocks[two] = blocks[two], blocks[one]
    elif how == "double":
        blocks.insert(one, blocks[two])
    elif how == "leave out":
        del blocks[one]
    whole = b"".join(blocks)
    return whole[: data.draw(st.integers(0, len(whole)))] if how == "cut" else whole


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_a_payload_is_measured_the_same_whatever_is_declared(data: st.DataObject) -> None:
    unpacked = changed(data, TAR)
    packed = pack("tar+gzip", unpacked)
    payload = declare("seal", PAYLOAD, packed, unpacked)
    declared = data.draw(st.sampled_from([ENTRIES, ENTRIES[:3], ENTRIES[1:], ENTRIES[::-1]]))
    assert measure(payload, BytesSource(packed), declared=declared) == measure(payload, BytesSource(packed))


MANIFEST = make("seal").manifest_bytes


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_a_manifest_is_read_the_same_at_once_and_piece_by_piece(data: st.DataObject) -> None:
    text = bytearray(MANIFEST)
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b" ", b"0", b'"', b"\\u0041", b"}", b"1"])
        )
    found = decoded(bytes(text))
    with strict_readers():
        assert decoded(bytes(text)) == found


def decoded(data: bytes) -> object:
    try:
        return manifest_json.decode(data)
    except FormatError as error:
        return error.failure


def test_a_bundle_has_the_same_checks_with_the_strict_readers_alone() -> None:
    for kind in bundles.KINDS:
        bundle = make(kind)
        found = bundles.judge(bundle, trusting())
        with strict_readers():
            assert bundles.judge(bundle, trusting()) == found


def test_what_is_read_at_once_is_small() -> None:
    from modseal.format import canonical_json, source

    assert max(source.WHOLE, canonical_json.AT_ONCE) <= limits.MIB
