"""Whether what compares bytes with those of our own writer ever says something else than the strict reader does.

`make differential ONLY=short_way COUNT=1000000` runs a million cases of each way, with FROM=1000000 the next ones, and
with ONLY="short_way and known_block" those of one. A way that takes milliseconds has a tenth, or a hundredth.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import zlib
from random import Random
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import bundles
from builders import cms as cms_builder
from builders.bundles import MTIME, declare, inputs, make, pack
from builders.pki import signer
from builders.policies import trusting
from builders.strict import strict_readers
from differential.views import COUNT
from differential.ways import WAYS, blocks
from modseal import limits, values
from modseal.auditing import kept
from modseal.auditing.finding import FindingText
from modseal.format import ar, canonical_json, characters, cms, known_blocks, manifest_json, rules, source, tar, visor
from modseal.format.cms import SignedData
from modseal.format.payload import measure
from modseal.format.payload_writer import write_seal_payload
from modseal.format.shape import Text
from modseal.format.source import BytesSource
from modseal.format.stream import Stream
from modseal.trust import moments, signers

pytestmark = pytest.mark.skipif("MODSEAL_STRICT_READERS" in os.environ, reason="there is nothing to compare with")

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


@settings(max_examples=300)
@given(st.data())
def test_a_payload_is_measured_the_same_whatever_is_declared(data: st.DataObject) -> None:
    unpacked = changed(data, TAR)
    packed = pack("tar+gzip", unpacked)
    payload = declare("seal", PAYLOAD, packed, unpacked)
    declared = data.draw(st.sampled_from([ENTRIES, ENTRIES[:3], ENTRIES[1:], ENTRIES[::-1]]))
    assert measure(payload, BytesSource(packed), declared=declared) == measure(payload, BytesSource(packed))


def test_a_bundle_has_the_same_checks_with_the_strict_readers_alone() -> None:
    for kind in bundles.KINDS:
        bundle = make(kind)
        found = bundles.judge(bundle, trusting())
        with strict_readers():
            assert bundles.judge(bundle, trusting()) == found


def test_what_is_read_at_once_is_small() -> None:
    assert max(source.WHOLE, canonical_json.AT_ONCE) <= limits.MIB


def test_blocks_of_one_signer_are_known_after_the_first_of_their_length() -> None:
    """Else all of the above would compare the strict reader with itself."""
    known_blocks.decode(blocks()[0])
    again = cms_builder.Block([cms_builder.Signer(signer("p256"))])
    other = next(found for n in range(99) if len(found := again.encode(b"%d" % n)) == len(blocks()[0]))
    assert other != blocks()[0]
    assert known_blocks.recall(other) == cms.decode(other)
    two = next(one for one in blocks() if len(cms.decode(one).signers) == 2)
    known_blocks.decode(two)
    assert known_blocks.recall(two) is None


def test_signers_have_the_same_standing_when_it_is_remembered() -> None:
    for kind in bundles.KINDS:
        bundle, policy = make(kind), trusting()
        first, second = (bundles.judge(bundle, policy) for _ in range(2))
        assert policy.standings
        with strict_readers():
            assert bundles.judge(bundle, trusting()) == first == second


CASES, FROM = COUNT or 1500, int(os.environ.get("MODSEAL_DIFFERENTIAL_FROM", "0"))
SLOW = {"standing": 10, "kept_at_another_time": 100}
"""How many times fewer cases these have: they judge certificates, and whole bundles."""


@pytest.mark.parametrize("name", WAYS)
def test_a_short_way_says_what_the_strict_reader_says(name: str) -> None:
    count = CASES // SLOW.get(name, 1)
    start, taken = FROM // SLOW.get(name, 1), 0
    for seed in range(start, start + count):
        try:
            taken += WAYS[name](Random(f"{name} {seed}"))
        except Exception as error:
            raise AssertionError(f"{name}: seed {seed}: {error!r}") from error
    print(f"{name}: {count} cases, {taken} of them by the short way, 0 differences")  # noqa: T201
    assert taken > count // 50, "nearly all of them compare the strict reader with itself"


def lax_member(header: bytes, offset: int) -> ar.Member | None:
    """By its name and size alone."""
    try:
        return ar.Member(header[:16].rstrip(b" ").decode("ascii"), offset + 60, int(header[48:58]), plain=True)
    except ValueError:
        return None


recognise_visor = visor.recognise_header


def lax_visor(block: bytes) -> visor._Header | None:
    """Whatever its checksum is."""
    blank = block[:148] + b" " * 8 + block[156:]
    return recognise_visor(tar.with_checksum(blank, max(sum(blank) - 256 * sum(one > 127 for one in blank), 0)))


def lax_block(member: bytes) -> bytes | None:
    """With whatever is no base64 passed over."""
    try:
        return base64.b64decode(member[27:-25]) if member.startswith(b"-----BEGIN PKCS7-----") else None
    except ValueError:
        return None


def lax_form(block: bytes) -> SignedData | None:
    """By its length and its beginning alone."""
    form = known_blocks._KNOWN.get((len(block), block[: known_blocks._HEAD]))
    return form and form.data


def lax_canonical(data: bytes, plain: object) -> bool:
    """In whatever order its keys are."""
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return canonical_json.AT_ONCE > 0 and text.encode("utf-8", "replace") == data


MISTAKES: dict[str, tuple[Any, str, Any]] = {
    "ar_header": (ar, "recognise_header", lax_member),
    "visor_header": (visor, "recognise_header", lax_visor),
    "tar_entries": (tar, "expected_header", lambda *_: ANY),
    "sum_of_a_header": (zlib, "adler32", sum),
    "lone_block": (cms, "recognise_block", lax_block),
    "known_block": (known_blocks, "recall", lax_form),
    "usual_path": (rules, "_USUAL_PATH", re.compile("[a-z./]+")),
    "usual_tree": (rules, "_is_usual_tree", lambda _: True),
    "ascii_text": (characters, "is_printable", str.isascii),
    "shape_fits": (Text, "expression", lambda *_: "True"),
    "manifest": (manifest_json.canonical_json, "is_canonical", lax_canonical),
    "canonical": (canonical_json, "is_canonical", lax_canonical),
    "counted": (canonical_json, "_outside_strings", lambda data, wanted: sum(map(data.count, wanted))),
    "whole_file": (source.HashedSource, "_fill", lambda *_: None),
    "stream": (Stream, "take", lambda self, length: self._block[:length]),
    "values_made": (values, "_assigned", lambda *_: True),
    "standing": (signers, "_remember", lambda policy, key, found: policy.standings.update({key: (found[0], 0)})),
    "kept_at_another_time": (moments, "_of_certificates", lambda _: ()),
    "finding_line": (FindingText, "line", lambda self, bundle: f'{{"bundle": {bundle}, {self.body}}}'.encode()),
    "kept_record": (kept, "_digest", lambda _: b""),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_way_that_is_too_short_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the test above could not fail."""
    WAYS[name](Random("what is made once is made before"))
    monkeypatch.setattr(*MISTAKES[name])

    def some() -> None:
        for seed in range(2000):
            WAYS[name](Random(f"{name} {seed}"))

    with pytest.raises(AssertionError):
        some()
