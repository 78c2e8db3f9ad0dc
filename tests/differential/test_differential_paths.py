"""Whether what compares bytes with those of our own writer ever says something else than the strict reader does."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import bundles
from builders import cms as cms_builder
from builders.bundles import MTIME, declare, inputs, make, pack
from builders.pki import signer
from builders.policies import trusting
from builders.strict import strict_readers
from modseal import limits
from modseal.errors import FormatError
from modseal.format import ar, canonical_json, cms, der, known_blocks, manifest_json, rules, tar, visor
from modseal.format.manifest import Entry, FileType
from modseal.format.payload import measure
from modseal.format.payload_writer import write_seal_payload
from modseal.format.source import BytesSource
from modseal.signing import block, fitness

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


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_manifest_with_another_value_is_read_the_same_by_its_shape_and_value_by_value(data: st.DataObject) -> None:
    plain = json.loads(MANIFEST)
    node, key = plain, data.draw(st.sampled_from(sorted(plain)))
    while isinstance(node[key], list | dict) and node[key] and data.draw(st.integers(0, 3)):
        node = node[key]
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
    others = [None, True, 0, -1, 1.0, 2**70, "", "a", "file", "symlink", "0755", "x" * 9000, [], ["a"], {}, {"type": 1}]
    if not data.draw(st.booleans()):
        node[key] = data.draw(st.sampled_from(others))
    elif isinstance(node, dict):
        node[data.draw(st.sampled_from(["target", "zz", "size", "sha256"]))] = node.pop(key)
    text = json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    found = decoded(text)
    if manifest_json.SHAPE.fits(plain):
        assert manifest_json.SHAPE._has(plain)
        assert canonical_json.dump(manifest_json._to_plain(manifest_json._from_plain(plain))) == text
    with strict_readers():
        assert decoded(text) == found


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(
        st.builds(
            Entry,
            st.sampled_from(["a", "b", "A", "c"]).map(str) | st.text(alphabet="aAb/.é", max_size=6),
            st.sampled_from([FileType.DIRECTORY, FileType.FILE, FileType.SYMLINK, None]),
        ),
        max_size=4,
    )
)
def test_a_usual_tree_breaks_no_rule(entries: list[Entry]) -> None:
    found = list(rules.check_tree(entries))
    with strict_readers():
        assert list(rules.check_tree(entries)) == found


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


def blocks() -> list[bytes]:
    """Blocks of several signers, made by modseal and by another writer: with a key id, with unsigned attributes."""
    key_id = cms_builder.Signer(signer("p256"), version=3, sid=der.encode(0x80, bytes(20)))
    unsigned = cms_builder.Signer(signer("p256"), unsigned=[(cms_builder.UNKNOWN, [cms_builder.octets(b"some")])])
    others = [
        cms_builder.Block([cms_builder.Signer(signer("p256"))]),
        cms_builder.Block([key_id], version=3),
        cms_builder.Block([unsigned]),
        cms_builder.Block([cms_builder.Signer(signer("p256")), cms_builder.Signer(signer("ed25519"))]),
    ]
    made = []
    for content in (b"one", b"two"):
        made += [one.encode(content) for one in others]
        for kind in ("p256", "rsa", "ed25519"):
            one = signer(kind)
            algorithm = fitness.choose_algorithm(one.certificate)
            made += [block.build(content, one.signer(), algorithm, time) for time in (None, "2025-06-01T12:00:00Z")]
    return made


BLOCKS = blocks()


@settings(max_examples=3000, deadline=None)
@given(st.data())
def test_a_block_is_read_the_same_whatever_blocks_were_read_before(data: st.DataObject) -> None:
    """Bytes change anywhere, and most of them where blocks of one signer differ; a whole value may be another one."""
    found = bytearray(data.draw(st.sampled_from(BLOCKS)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.one_of(st.integers(0, len(found) - 1), st.integers(len(found) * 3 // 4, len(found) - 1)))
        found[at] = data.draw(st.one_of(st.sampled_from([0, 1, 48, 57, 90, 128, 255]), st.just(found[at] ^ 1)))
    changed = bytes(found)
    assert read(known_blocks.decode, changed) == read(cms.decode, changed)
    assert read(known_blocks.decode, changed) == read(cms.decode, changed), "read for the second time"


@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_a_member_with_one_block_is_split_as_it_is_read(data: st.DataObject) -> None:
    member = bytearray(cms.join_blocks((data.draw(st.sampled_from(BLOCKS)),)))
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.one_of(st.integers(0, len(member) - 1), st.sampled_from([22, 86, 87, len(member) - 20])))
        member[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b"\n", b"A", b"=", b"-", b" "])
        )
    kind = data.draw(st.sampled_from(bundles.KINDS))
    found = read(lambda one: cms.split_blocks(one, kind), bytes(member))
    with strict_readers():
        assert read(lambda one: cms.split_blocks(one, kind), bytes(member)) == found


def test_blocks_of_one_signer_are_known_after_the_first_of_their_length() -> None:
    """Else all of the above would compare the strict reader with itself."""
    known_blocks.decode(BLOCKS[0])
    again = cms_builder.Block([cms_builder.Signer(signer("p256"))])
    other = next(found for n in range(99) if len(found := again.encode(b"%d" % n)) == len(BLOCKS[0]))
    assert other != BLOCKS[0]
    assert known_blocks.recall(other) == cms.decode(other)
    two = next(one for one in BLOCKS if len(cms.decode(one).signers) == 2)
    known_blocks.decode(two)
    assert known_blocks.recall(two) is None


def read(reader: Callable[[bytes], object], data: bytes) -> object:
    try:
        return reader(data)
    except FormatError as error:
        return error.failure


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_a_header_of_an_archive_is_recognised_as_it_is_parsed(data: st.DataObject) -> None:
    good = ar.encode_header(data.draw(st.sampled_from(["base", "a.b-c_d", "x" * 15])), 9_999_999_999 // 3)
    assert ar.recognise_header(good, 8) == ar._parse_header(good, 8)
    header = bytearray(good)
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(header) - 1))
        header[at] = data.draw(st.sampled_from(b" 0123/`_-.AZ\n\x00\xff"))
    strict = read(lambda one: ar._parse_header(one, 8), bytes(header))
    assert ar.recognise_header(bytes(header), 8) in (None, strict)


@settings(max_examples=1500, deadline=None)
@given(st.data())
def test_a_header_of_a_visor_tar_is_recognised_as_it_is_parsed(data: st.DataObject) -> None:
    entry = data.draw(
        st.sampled_from(
            [
                Entry("opt", FileType.DIRECTORY, 0o755),
                Entry("opt/agent", FileType.FILE, 0o4755, 700),
                Entry("opt/link", FileType.SYMLINK, 0o777, target="agent"),
            ]
        )
    )
    fields = visor.default_fields(entry, MTIME, b"\x7fELF")
    good = visor.encode_header(entry, fields, 4096 if entry.size else 0)
    assert visor.recognise_header(good) == visor._parse(good)
    header = bytearray(good)
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(header) - 1))
        header[at] = data.draw(st.sampled_from(b"\x00\x01 0157/_-.A\x80\xff"))
    if data.draw(st.booleans()):  # else its checksum gives every change away
        blank = bytes(header[:148]) + b" " * 8 + bytes(header[156:])
        total = sum(one - 256 * (one > 127) for one in blank)
        header[:] = tar.with_checksum(blank, max(total, 0))
    strict = read(visor._parse, bytes(header))
    assert visor.recognise_header(bytes(header)) in (None, strict)


@settings(max_examples=1500, deadline=None)
@given(st.text(alphabet="aA9._-+/ \\*é\x00", max_size=40) | st.integers(0, 300).map(lambda n: "a/" * n + "b"))
def test_a_usual_path_breaks_no_rule(path: str) -> None:
    found = rules.check_path(path)
    with strict_readers():
        assert rules.check_path(path) == found


def test_signers_have_the_same_standing_when_it_is_remembered() -> None:
    for kind in bundles.KINDS:
        bundle, policy = make(kind), trusting()
        first, second = (bundles.judge(bundle, policy) for _ in range(2))
        assert policy.standings
        with strict_readers():
            assert bundles.judge(bundle, trusting()) == first == second
