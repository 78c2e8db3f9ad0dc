"""Limits of what a manifest says: just under is taken, just over is refused, in both formats where it applies.

Manifests are changed as plain data, so that neither the packer nor the writer is in the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from builders.bundles import make
from limits.cover import bounds
from modseal import limits
from modseal.errors import FormatError
from modseal.format import canonical_json, descriptor, manifest_json, rules, strict_xml
from modseal.format.manifest import Attachment, Constraint, Entry, FileType, Manifest, Relationships
from modseal.format.shape import Array, Integer

SEAL, VIB = make("seal").manifest, make("vib").manifest
FILE = Entry("f", FileType.FILE, 0o644, 0, bytes(32), payload="base")


def problems(manifest: Manifest) -> list[str]:
    return [failure.detail for failure in rules.check_module(manifest)]


def edited(change: Callable[[Any], None]) -> str | None:
    """The code for a `manifest.json` that was changed as plain data; None where it is taken."""
    plain = canonical_json.load(make("seal").manifest_bytes, "manifest.json")
    change(plain)
    try:
        manifest_json.decode(canonical_json.dump(plain))
    except FormatError as error:
        return error.failure.code
    return None


@bounds("MANIFEST_VALUES")
def test_a_json_document_has_at_most_so_many_values() -> None:
    most = limits.MANIFEST_VALUES
    assert len(canonical_json.load(b"[" + b"1," * (most - 1) + b"1]", "x")) == most
    with pytest.raises(FormatError) as caught:
        canonical_json.load(b"[" + b"1," * most + b"1]", "x")
    assert caught.value.failure.code == "limit-exceeded"


def test_commas_inside_of_strings_are_no_values() -> None:
    """11,000 directories whose paths have commas are a manifest like any other."""
    path = b"/".join([b"," * 60] * 2)
    items = [b'{"mode":"0755","path":"%s%05d","payload":"base"}' % (path, number) for number in range(11_000)]
    data = b"[" + b",".join(items) + b"]"
    assert data.count(b",") > limits.MANIFEST_VALUES
    assert len(canonical_json.load(data, "x")) == 11_000


@pytest.mark.parametrize("text", [b"a", b'\\"', b"\\\\", b'\\\\\\"', b",[{", b"\\u0022"])
def test_no_string_hides_the_values_after_it(text: bytes) -> None:
    """Also where a slice of what is counted ends within it."""
    most = limits.MANIFEST_VALUES
    for long in (1, 30_000):
        data = b'["' + text * long + b'",' + b"1," * most + b"1]"
        with pytest.raises(FormatError) as caught:
            canonical_json.load(data, "x")
        assert caught.value.failure.code == "limit-exceeded"


@bounds("MANIFEST_ATTRIBUTES")
def test_an_xml_document_has_at_most_so_many_attributes() -> None:
    grammar = strict_xml.ElementRule("a", strict_xml.Child(strict_xml.ElementRule("b", text=True), 0, 10**6))
    element = b"<b>" + b"=" * 10_000 + b"</b>"
    count = limits.MANIFEST_ATTRIBUTES // 10_000
    assert strict_xml.parse(b"<a>" + element * count + b"</a>", grammar)
    with pytest.raises(FormatError) as caught:
        strict_xml.parse(b"<a>" + element * count + b"<b>=</b></a>", grammar)
    assert caught.value.failure.code == "limit-exceeded"


@bounds("PAYLOADS")
def test_a_module_has_at_most_so_many_payloads() -> None:
    for manifest in (SEAL, VIB):
        [payload] = manifest.payloads
        many = tuple(replace(payload, name=f"p{number}") for number in range(limits.PAYLOADS + 1))
        assert problems(replace(manifest, payloads=many[:-1])) == []
        assert problems(replace(manifest, payloads=many)) == ["there are 121 payloads, and may be at most 120"]


@bounds("ATTACHMENTS", "ATTACHMENT_SIZE")
def test_a_module_has_at_most_so_many_attachments_of_that_size() -> None:
    many = tuple(Attachment(f"a{number}", "text/plain", 1, bytes(32)) for number in range(limits.ATTACHMENTS + 1))
    assert problems(replace(SEAL, attachments=many[:-1])) == []
    assert problems(replace(SEAL, attachments=many)) == ["there are 7 attachments, and may be at most 6"]
    largest = replace(many[0], size=limits.ATTACHMENT_SIZE)
    assert manifest_json.decode(manifest_json.encode(replace(SEAL, attachments=(largest,)))).attachments == (largest,)
    with pytest.raises(FormatError, match="67108864"):
        manifest_json.encode(replace(SEAL, attachments=(replace(largest, size=limits.ATTACHMENT_SIZE + 1),)))


@bounds("FILES")
def test_a_manifest_has_at_most_so_many_files() -> None:
    most = tuple(replace(FILE, path=f"f{number:05}") for number in range(limits.FILES))
    assert problems(replace(SEAL, files=most)) == []
    assert problems(replace(SEAL, files=(*most, FILE)))[0] == "there are 50001 files, and may be at most 50000"


@bounds("PATH_LENGTH", "PATH_DEPTH")
def test_a_path_has_at_most_so_many_bytes_and_components() -> None:
    assert rules.check_path("n" * limits.PATH_LENGTH) is None
    assert rules.check_path("é" * (limits.PATH_LENGTH // 2)) is None
    assert rules.check_path("/".join("d" * limits.PATH_DEPTH)) is None
    for path in (
        "n" * (limits.PATH_LENGTH + 1),
        "é" * (limits.PATH_LENGTH // 2 + 1),
        "/".join("d" * (limits.PATH_DEPTH + 1)),
    ):
        failure = rules.check_path(path)
        assert failure
        assert failure.code == "unsafe-path"


@bounds("LINK_LENGTH")
def test_a_link_s_target_has_at_most_so_many_bytes() -> None:
    assert rules.check_link("l", "t" * limits.LINK_LENGTH) is None
    failure = rules.check_link("l", "t" * (limits.LINK_LENGTH + 1))
    assert failure
    assert failure.code == "unsafe-link"


@bounds("MEMBER_SIZE", "UNPACKED_SIZE", "FILE_SIZE")
def test_a_manifest_declares_at_most_these_sizes() -> None:
    for where, key, most in (
        ("payloads", "unpacked-size", limits.UNPACKED_SIZE),
        ("files", "size", limits.FILE_SIZE),
    ):
        at = 0 if where == "payloads" else 1
        assert edited(lambda plain, w=where, k=key, m=most, i=at: plain[w][i].update({k: m})) is None
        assert edited(lambda plain, w=where, k=key, m=most, i=at: plain[w][i].update({k: m + 1})) == "bad-manifest"
    [payload] = VIB.payloads
    for key, most in (("size", limits.MEMBER_SIZE), ("unpacked_size", limits.UNPACKED_SIZE)):
        assert descriptor.decode(descriptor.encode(replace(VIB, payloads=(replace(payload, **{key: most}),))))
        with pytest.raises(FormatError, match=str(most)):
            descriptor.encode(replace(VIB, payloads=(replace(payload, **{key: most + 1}),)))


@bounds("TEXT_LENGTH")
def test_a_text_has_at_most_so_many_characters() -> None:
    longest = "é" * limits.TEXT_LENGTH
    for manifest, codec in ((SEAL, manifest_json), (VIB, descriptor)):
        said = codec.encode(replace(manifest, description=longest))
        assert codec.decode(said).description == longest
        with pytest.raises(FormatError):
            codec.encode(replace(manifest, description=longest + "é"))
        with pytest.raises(FormatError) as caught:
            codec.decode(said.replace(longest.encode(), longest.encode() + b"x"))
        assert caught.value.failure.code == "bad-manifest"


@bounds("NAME_LENGTH")
@pytest.mark.parametrize("field", ["vendor", "name", "version"])
def test_a_name_has_at_most_so_many_characters(field: str) -> None:
    for manifest in (SEAL, VIB):
        assert problems(replace(manifest, **{field: "n" * limits.NAME_LENGTH})) == []
        assert problems(replace(manifest, **{field: "n" * (limits.NAME_LENGTH + 1)}))


@bounds("ITEMS")
def test_a_list_has_at_most_so_many_items() -> None:
    many = tuple(Constraint(f"m{number}") for number in range(limits.ITEMS + 1))
    for manifest, codec in ((SEAL, manifest_json), (VIB, descriptor)):
        said = codec.encode(replace(manifest, relationships=Relationships(depends=many[:-1])))
        assert len(codec.decode(said).relationships.depends) == limits.ITEMS
        with pytest.raises(FormatError) as caught:
            codec.encode(replace(manifest, relationships=Relationships(depends=many)))
        assert caught.value.failure.code == "bad-manifest"
        assert "4096" in caught.value.failure.detail


@bounds("EXPECTED_SIGNERS")
def test_a_manifest_expects_at_most_so_many_signers() -> None:
    keys = [f"key-sha256:{number:064x}" for number in range(1, limits.EXPECTED_SIGNERS + 2)]

    def with_keys(count: int) -> list[str]:
        return [one.detail for one in rules.check_expected_signers(tuple(keys[:count]))]

    assert with_keys(limits.EXPECTED_SIGNERS) == []
    assert "17 expected signers" in with_keys(limits.EXPECTED_SIGNERS + 1)[0]


@bounds("PROBLEMS")
def test_at_most_so_many_problems_are_collected() -> None:
    shape = Array(Integer(0, 1))
    assert len(shape.problems([2] * (limits.PROBLEMS - 1))) == limits.PROBLEMS - 1
    assert len(shape.problems([2] * (limits.PROBLEMS + 1))) == limits.PROBLEMS
