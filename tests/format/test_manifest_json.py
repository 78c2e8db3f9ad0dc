"""`manifest.json`: one encoding for each manifest, and nothing else is read."""

import json
import random
import time
from dataclasses import replace
from pathlib import Path

import json_schema
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal import limits
from modseal.errors import FormatError
from modseal.format import canonical_json, manifest_json, rules
from modseal.format.level import Level
from modseal.format.manifest import (
    Attachment,
    Constraint,
    Digest,
    Entry,
    FileType,
    Manifest,
    Payload,
    Relationships,
    VibFields,
    View,
)

SHA = bytes(range(32))
SCHEMA_FILE = Path(__file__).parents[2] / "schemas" / "manifest.schema.json"


def payload(name="base", size=10, **changes):
    chunks = -(-size // limits.CHUNK_SIZE)
    return Payload(
        **{
            "name": name,
            "type": "tar+zstd",
            "size": size,
            "unpacked_size": 1024,
            "chunks": (SHA,) * chunks,
            "mtime": 1_700_000_000,
            **changes,
        }
    )


def file(path, **changes):
    return Entry(
        **{"path": path, "type": FileType.FILE, "mode": 0o644, "size": 3, "sha256": SHA, "payload": "base", **changes}
    )


def manifest(**changes):
    values = {
        "kind": "seal",
        "vendor": "Acme, Inc.",
        "name": "acme-agent",
        "version": "1.2.3-4",
        "claimed_level": Level.PARTNER,
        "summary": "Agent",
        "description": "Line one\nline \u201ctwo\u201d \\ /",
        "released": "2026-01-31T12:00:00Z",
        "relationships": Relationships(
            depends=(Constraint("base", ">=", "1.0"), Constraint("other")),
            provides=(Constraint("agent", "=", "1.2"), Constraint("thing")),
        ),
        "payloads": (payload(), payload("more", limits.CHUNK_SIZE + 1, type="tar+gzip")),
        "files": (
            Entry("opt/acme", FileType.DIRECTORY, 0o755, payload="base"),
            file("opt/acme/agent", mode=0o4755),
            Entry("opt/acme/run", FileType.SYMLINK, 0o777, target="agent", payload="base"),
            file("opt/acme-data", payload="more"),
        ),
        "attachments": (Attachment("sbom.json", "application/vnd.cyclonedx+json", 12, SHA),),
        **changes,
    }
    return Manifest(**values)


SMALLEST = b'{"level":"community","name":"a","schema":"modseal/manifest@1","vendor":"V","version":"1"}'


def encoded(plain):
    return canonical_json.dump(plain)


def changed(change):
    """The good document with one thing changed in its plain data, in canonical form."""
    plain = json.loads(manifest_json.encode(manifest()))
    change(plain)
    return encoded(plain)


def refusal(data, code="bad-manifest"):
    with pytest.raises(FormatError) as caught:
        manifest_json.decode(data)
    assert caught.value.failure.code == code
    return caught.value.failure.detail


def test_a_manifest_comes_back_as_it_was():
    data = manifest_json.encode(manifest())
    assert manifest_json.decode(data) == manifest()
    assert manifest_json.encode(manifest_json.decode(data)) == data


def test_the_bytes_are_sorted_compact_utf8_without_a_final_newline():
    data = manifest_json.encode(manifest())
    assert data.startswith(b'{"attachments":[{"media-type":"application/vnd.cyclonedx+json","name":"sbom.json",')
    assert data.endswith(b'"vendor":"Acme, Inc.","version":"1.2.3-4"}')
    assert "\u201ctwo\u201d".encode() in data
    assert b"one\\nline" in data


def test_keys_with_empty_values_are_absent():
    smallest = Manifest("seal", "V", "a", "1", Level.COMMUNITY)
    assert manifest_json.encode(smallest) == SMALLEST
    assert manifest_json.decode(SMALLEST) == smallest


def test_a_module_may_be_without_payloads_but_then_has_no_files():
    assert manifest_json.decode(manifest_json.encode(manifest(payloads=(), files=()))).payloads == ()
    with pytest.raises(FormatError, match="not declared"):
        manifest_json.encode(manifest(payloads=()))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is not JSON"),
        (b"{}", "the key 'schema' is missing"),
        (b"[]", "must be a table"),
        (b"\xef\xbb\xbf" + SMALLEST, "it is not JSON"),
        (SMALLEST.decode().encode("utf-16"), "it is not UTF-8"),
        (SMALLEST.decode().encode("utf-32-le"), "it is not JSON"),
        (SMALLEST.replace(b'"V"', b'"\xc3"'), "it is not UTF-8 at byte"),
        (SMALLEST + b"\n", "not canonical (RFC 8785) from byte 89"),
        (b" " + SMALLEST, "not canonical (RFC 8785) from byte 0"),
        (SMALLEST.replace(b":", b": "), "not canonical"),
        (SMALLEST.replace(b'"V"', b'"\\u0056"'), "not canonical"),
        (SMALLEST.replace(b'"V"', b'"A\\/"'), "has a slash"),
        (SMALLEST.replace(b'"V"', b'"\\ud800"'), "control or invisible"),
        (SMALLEST.replace(b'{"level"', b'{"name":"b","level"'), "the key 'name' stands twice"),
        (b'{"version":"1",' + SMALLEST.replace(b',"version":"1"', b"")[1:], "not canonical"),
        (SMALLEST.replace(b'"1"}', b'"1","wersion":1}'), "unknown key 'wersion'"),
        (SMALLEST.replace(b'"1"}', b'"1","summry":"x"}'), "did you mean 'summary'?"),
        (SMALLEST.replace(b'"1"', b"1"), "must be text, not an integer"),
        (SMALLEST.replace(b'"1"', b"NaN"), "must be text, not a number with a fraction"),
        (SMALLEST.replace(b'"1"', b"9" * 5000), "a number that is too large"),
        (SMALLEST.replace(b"manifest@1", b"manifest@2"), "must be 'modseal/manifest@1'"),
        (SMALLEST.replace(b"community", b"CommunitySupported"), "must be one of"),
        (SMALLEST.replace(b'"1"}', b'"1","vendor":"W"}'), "stands twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (SMALLEST.replace(b'"V"', b'"V\x00"'), "it is not JSON"),
    ],
)
def test_any_other_bytes_are_refused_with_a_reason(data, words):
    assert words in refusal(data)


def test_a_manifest_over_the_size_limit_is_refused_before_it_is_parsed():
    refusal(b" " * (limits.MANIFEST_SIZE + 1), "limit-exceeded")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda m: m["files"][1].update(path="../x"), "unsafe-path"),
        (lambda m: m["files"][1].update(path="/x"), "unsafe-path"),
        (lambda m: m["files"][1].update(path="opt/ACME"), "unsafe-path"),
        (lambda m: m["files"][1].update(path="opt/acme"), "unsafe-path"),
        (lambda m: m["files"][3].update(path="opt/acme/agent/x"), "unsafe-path"),
        (lambda m: m["files"][3].update(path="opt/acme/run/x"), "unsafe-path"),
        (lambda m: m["files"][2].update(target="/etc/shadow"), "unsafe-link"),
        (lambda m: m["files"][2].update(target="../../../x"), "unsafe-link"),
        (lambda m: m["files"].reverse(), "bad-manifest"),
        (lambda m: m["files"].insert(0, m["files"].pop(1)), "bad-manifest"),
        (lambda m: m["files"][0].update(payload="nowhere"), "bad-manifest"),
        (lambda m: m["files"][0].update(size=1), "bad-manifest"),
        (lambda m: m["files"][0].update(type="device"), "bad-manifest"),
        (lambda m: m["files"][1].pop("sha256"), "bad-manifest"),
        (lambda m: m["files"][1].update(sha256="AB" * 32), "bad-manifest"),
        (lambda m: m["files"][1].update(mode="755"), "bad-manifest"),
        (lambda m: m["files"][1].update(mode="10755"), "bad-manifest"),
        (lambda m: m["files"][1].update(target="x"), "bad-manifest"),
        (lambda m: m["files"][2].update(mode="0777"), "bad-manifest"),
        (lambda m: m["files"][1].update(size=limits.FILE_SIZE + 1), "bad-manifest"),
        (lambda m: m["files"][1].update(size=True), "bad-manifest"),
        (lambda m: m["payloads"][0].update(name="sig.pkcs7"), "bad-manifest"),
        (lambda m: m["payloads"][0].update(name="manifest.json"), "bad-manifest"),
        (lambda m: m["attachments"][0].update(name="base"), "bad-manifest"),
        (lambda m: m["payloads"][0].update(name="a/b"), "bad-manifest"),
        (lambda m: m["payloads"][0].update(type="vgz"), "bad-manifest"),
        (lambda m: m["payloads"][0].update(size=0, chunks=[]), "bad-manifest"),
        (lambda m: m["payloads"][1]["chunks"].pop(), "bad-manifest"),
        (lambda m: m["payloads"][0]["chunks"].append("00" * 32), "bad-manifest"),
        (lambda m: m["payloads"][0].update({"chunk-size": 4096}), "bad-manifest"),
        (lambda m: m["payloads"][0].update({"unpacked-size": limits.UNPACKED_SIZE + 1}), "bad-manifest"),
        (lambda m: m["payloads"][0].update(mtime=2**33), "bad-manifest"),
        (lambda m: m["payloads"][0].update(mtime=-1), "bad-manifest"),
        (lambda m: m["payloads"][0].update(mtime=1.5), "bad-manifest"),
        (lambda m: m.update(released="2026-02-30T12:00:00Z"), "bad-manifest"),
        (lambda m: m.update(released="2026-01-31T12:00:00+00:00"), "bad-manifest"),
        (lambda m: m.update(released="2016-12-31T23:59:60Z"), "bad-manifest"),
        (lambda m: m.update(released="0000-01-01T00:00:00Z"), "bad-manifest"),
        (lambda m: m.update(released="2026-01-31T24:00:00Z"), "bad-manifest"),
        (lambda m: m.update(released="2025-02-29T12:00:00Z"), "bad-manifest"),
        (lambda m: m["payloads"][0].update(name="."), "bad-manifest"),
        (lambda m: m["attachments"][0].update(name=".."), "bad-manifest"),
        (lambda m: m["attachments"][0].update(name="sig.pkcs7"), "bad-manifest"),
        (lambda m: m["attachments"][0].update(name="descriptor.xml"), "bad-manifest"),
        (lambda m: m["attachments"][0].update({"media-type": "Text/plain"}), "bad-manifest"),
        (lambda m: m["attachments"][0].update({"media-type": "text/plain;a=b"}), "bad-manifest"),
        (lambda m: m["attachments"][0].update({"media-type": "text/*"}), "bad-manifest"),
        (lambda m: m["attachments"][0].update({"media-type": "!a/b"}), "bad-manifest"),
        (lambda m: m["attachments"][0].update({"media-type": f"{'a' * 64}/b"}), "bad-manifest"),
        (lambda m: m.update(summary=""), "bad-manifest"),
        (lambda m: m.update(conflicts=[]), "bad-manifest"),
        (lambda m: m["depends"][0].pop("version"), "bad-manifest"),
        (lambda m: m["depends"][0].update(relation="=="), "bad-manifest"),
        (lambda m: m["provides"][0].update(relation="="), "bad-manifest"),
        (lambda m: m.update(compatibleWith=[{"name": "a"}]), "bad-manifest"),
        (
            lambda m: m["attachments"].extend(
                {**m["attachments"][0], "name": f"a{i}"} for i in range(limits.ATTACHMENTS)
            ),
            "bad-manifest",
        ),
        (lambda m: m["attachments"][0].update({"media-type": "text"}), "bad-manifest"),
        (lambda m: m["attachments"][0].update(size=limits.ATTACHMENT_SIZE + 1), "bad-manifest"),
        (lambda m: m.update(vendor=" Acme"), "bad-manifest"),
        (lambda m: m.update(name="acme agent"), "bad-manifest"),
        (lambda m: m.update(version=None), "bad-manifest"),
    ],
)
def test_a_good_document_with_one_thing_broken_is_refused(change, code):
    refusal(changed(change), code)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(released="0001-01-01T00:00:00Z"),
        lambda m: m.update(released="2024-02-29T23:59:59Z"),
        lambda m: m["attachments"][0].update({"media-type": "a1!#$&-^_.+/0!#$&-^_.+"}),
        lambda m: m["attachments"][0].update({"media-type": f"{'a' * 63}/{'b' * 63}"}),
        lambda m: m["attachments"][0].update(name="..."),
    ],
)
def test_a_good_document_with_an_unusual_value_is_read(change):
    manifest_json.decode(changed(change))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "vib"},
        {"vib": VibFields()},
        {"relationships": Relationships(compatible_with=(Constraint("a"),))},
        {"payloads": (payload(unpacked_size=None),)},
        {"payloads": (payload(compression_option="level=1"),)},
        {"payloads": (payload(digests=(Digest("sha256", View.RAW, SHA),)),)},
        {"payloads": (payload(chunks=(SHA, SHA)),)},
        {"payloads": (payload(chunks=(SHA[1:],)),)},
        {"payloads": (payload(type="vgz"),)},
        {"files": (Entry("a"),)},
        {"files": (file("a", mode=None),)},
        {"files": (file("a", size=None),)},
        {"files": (file("a", target="b"),)},
        {"files": (file("b"), file("a"))},
        {"files": (file("a", payload=None),)},
        {"files": (Entry("a", FileType.SYMLINK, 0o755, target="b", payload="base"),)},
        {"files": (Entry("a", FileType.DIRECTORY, 0o755, size=0, payload="base"),)},
        {"vendor": ""},
        {"released": "yesterday"},
        {"summary": "\0"},
    ],
)
def test_encode_refuses_what_decode_would(changes):
    with pytest.raises(FormatError) as caught:
        manifest_json.encode(manifest(**{"files": (), **changes}))
    assert caught.value.failure.code == "bad-manifest"


def test_a_manifest_that_grows_over_the_limit_is_refused_on_encode(monkeypatch):
    monkeypatch.setattr(limits, "MANIFEST_SIZE", 100)
    with pytest.raises(FormatError) as caught:
        manifest_json.encode(manifest())
    assert caught.value.failure.code == "limit-exceeded"


def test_check_yields_every_problem_for_the_packer():
    broken = manifest(vendor="", name="", payloads=(payload(), payload()))
    assert len(list(manifest_json.check(broken))) > 3


def test_the_committed_json_schema_is_what_the_shape_says():
    assert SCHEMA_FILE.read_text("utf-8") == json_schema.text(json_schema.published("manifest")), (
        "write it again: docs/generate.py"
    )


def test_the_json_schema_accepts_a_good_manifest_and_refuses_an_unknown_key():
    schema = json.loads(SCHEMA_FILE.read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    plain = json.loads(manifest_json.encode(manifest()))
    validator.validate(plain)
    assert not validator.is_valid({**plain, "anchr": 1})
    plain["files"][0]["owner"] = "root"
    assert not validator.is_valid(plain)


def test_the_largest_module_is_read():
    paths = sorted((f"usr/lib/package-{index % 200}/file-{index}" for index in range(limits.FILES)), key=rules.sort_key)
    data = manifest_json.encode(manifest(files=tuple(map(file, paths))))
    assert len(data) < limits.MANIFEST_SIZE
    assert len(manifest_json.decode(data).files) == limits.FILES


def test_a_hidden_object_full_of_keys_costs_no_time():
    """The first of two equal keys is dropped by every JSON reader: its content is never checked, only read."""
    hidden = b'{"name":{' + b",".join(b'"%d":0' % index for index in range(100_000)) + b'},"level"'
    started = time.process_time()
    assert "'name' stands twice" in refusal(SMALLEST.replace(b'{"level"', hidden))
    assert time.process_time() - started < 30  # quadratic work would take hours; 0.1 s where it was written


WORDS = st.from_regex("[a-zA-Z0-9][a-z0-9._-]{0,5}", fullmatch=True)
FREE = st.text("ab 1\"'\\/\n\t\x7e\u00e9\u65e5\U0001f600", max_size=12)
LINE = st.text("ab 1\"',.\u00e9\u65e5\U0001f600", max_size=8).map(lambda text: f"x{text}".strip())
CONSTRAINTS = st.builds(
    lambda name, pair: Constraint(name, *pair),
    WORDS,
    st.just((None, None)) | st.tuples(st.sampled_from(rules.RELATIONS), WORDS),
)
PROVIDED = st.builds(
    lambda name, version: Constraint(name, "=" if version else None, version), WORDS, st.none() | WORDS
)
LISTS = st.lists(CONSTRAINTS, max_size=3).map(tuple)


@st.composite
def manifests(draw):
    names = draw(st.lists(st.from_regex(r"p[a-z0-9]{1,9}", fullmatch=True), unique=True, max_size=4))
    payloads = tuple(payload(name, draw(st.integers(1, 3 * limits.CHUNK_SIZE))) for name in names)
    part = st.text("abc\u00e9\u65e5 .-_0", min_size=1, max_size=4)
    paths = draw(st.lists(st.lists(part, min_size=1, max_size=3).map("/".join), max_size=8)) if names else []
    entries = []
    for path in paths:
        kinds = {
            FileType.FILE: file(path, mode=draw(st.integers(0, 0o7777)), size=draw(st.integers(0, limits.FILE_SIZE))),
            FileType.DIRECTORY: Entry(path, FileType.DIRECTORY, draw(st.integers(0, 0o7777))),
            FileType.SYMLINK: Entry(path, FileType.SYMLINK, 0o777, target="somewhere"),
        }
        entry = replace(kinds[draw(st.sampled_from(FileType))], payload=draw(st.sampled_from(names)))
        if not list(rules.check_entry(entry)) and not list(rules.check_tree([*entries, entry])):
            entries.append(entry)
    entries.sort(key=lambda entry: (names.index(entry.payload), rules.sort_key(entry.path)))
    return Manifest(
        kind="seal",
        vendor=draw(LINE),
        name=draw(WORDS),
        version=draw(WORDS),
        claimed_level=draw(st.sampled_from(Level)),
        summary=draw(FREE),
        description=draw(FREE),
        released=draw(st.sampled_from(["", "2000-02-29T23:59:59Z"])),
        relationships=Relationships(
            draw(LISTS), draw(LISTS), draw(LISTS), draw(st.lists(PROVIDED, max_size=2).map(tuple))
        ),
        payloads=payloads,
        files=tuple(entries),
        attachments=tuple(
            draw(
                st.lists(
                    st.builds(
                        Attachment,
                        st.from_regex(r"a[0-9]{1,9}", fullmatch=True),
                        st.just("text/plain"),
                        st.integers(0, 9),
                        st.just(SHA),
                    ),
                    max_size=2,
                    unique_by=lambda attachment: attachment.name,
                )
            )
        ),
    )


@settings(max_examples=80)
@given(manifests())
def test_any_sound_manifest_comes_back_as_it_was(value):
    data = manifest_json.encode(value)
    assert manifest_json.decode(data) == value


def is_value_or_refused(data):
    try:
        value = manifest_json.decode(data)
    except FormatError:
        return
    assert manifest_json.encode(value) == data


@settings(max_examples=200)
@given(st.binary(max_size=60) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_manifest_or_a_format_error(data):
    is_value_or_refused(data)


JUNK = st.sampled_from(
    [b'"', b"{", b"}", b",", b":", b"[", b"null", b"-1", b"1e9", b"\\ud800", b"\\u0041", b"\xff", b" ", b"\0"]
)


@settings(max_examples=300)
@given(st.data())
def test_a_good_document_that_was_tampered_with_gives_a_manifest_or_a_format_error(data):
    document = manifest_json.encode(manifest())
    start = data.draw(st.integers(0, len(document)))
    length = data.draw(st.integers(0, 12))
    is_value_or_refused(document[:start] + data.draw(JUNK | st.binary(max_size=6)) + document[start + length :])


@settings(max_examples=200)
@given(st.data())
def test_a_good_document_with_any_value_replaced_gives_a_manifest_or_a_format_error(data):
    plain = json.loads(manifest_json.encode(manifest()))
    node = plain
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = data.draw(st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just([]) | st.just({}))
    is_value_or_refused(
        json.dumps(plain, ensure_ascii=data.draw(st.booleans()), sort_keys=True, separators=(",", ":")).encode(
            "utf-8", "surrogatepass"
        )
    )


def test_every_order_of_keys_but_one_is_refused():
    plain = json.loads(SMALLEST)
    generator = random.Random(1)
    for _ in range(20):
        keys = sorted(plain)
        generator.shuffle(keys)
        data = json.dumps({key: plain[key] for key in keys}, separators=(",", ":")).encode()
        if data != SMALLEST:
            assert "not canonical" in refusal(data)
