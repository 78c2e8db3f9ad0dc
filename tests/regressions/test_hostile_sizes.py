"""Inputs that once took minutes, gigabytes or an internal error: each is refused at once, in little memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import pytest

from modseal import limits
from modseal.errors import FormatError
from modseal.format import canonical_json, cms, der, descriptor, rules, toml_text
from modseal.format.manifest import Entry, FileType

SECOND = 1.0


def _refused(read: Callable[[], object], code: str) -> None:
    start = time.process_time()
    with pytest.raises(FormatError) as caught:
        read()
    assert caught.value.failure.code == code
    assert time.process_time() - start < SECOND


@pytest.mark.parametrize("size", [limits.DER_OID + 1, 3_000, 700_000])
def test_an_object_identifier_with_a_huge_arc_is_refused_at_once(size: int) -> None:
    _refused(lambda: der.decode_oid(b"\x2a" + b"\xff" * (size - 2) + b"\x01"), "malformed-signature")


def test_the_longest_object_identifier_is_read() -> None:
    assert der.decode_oid(b"\x2a" + b"\x01" * (limits.DER_OID - 1)).startswith("1.2.1.")


def test_a_version_with_thousands_of_digits_is_malformed_and_no_internal_error() -> None:
    version = der.encode(der.INTEGER, b"\x7f" * 3_000)
    signed = der.encode(der.SEQUENCE, version)
    block = der.encode(der.SEQUENCE, der.encode_oid(cms.ID_SIGNED_DATA), der.encode(der.context(0), signed))
    _refused(lambda: cms.decode(block), "malformed-signature")


def test_the_largest_integer_can_be_printed() -> None:
    number = der.Reader(der.encode(der.INTEGER, b"\x7f" * limits.DER_INTEGER)).integer()
    assert len(str(number)) > 2_000


@pytest.mark.parametrize("value", [b"{}", b"[]", b'"ab"', b"1000"])
def test_a_manifest_of_millions_of_values_is_refused_before_they_are_made(value: bytes) -> None:
    data = b"[" + b",".join([value] * (limits.MANIFEST_VALUES + 1)) + b"]"
    tracemalloc.start()
    _refused(lambda: canonical_json.load(data, "manifest.json"), "limit-exceeded")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < limits.MIB


def test_a_manifest_with_just_as_many_values_as_allowed_is_parsed() -> None:
    data = b"[" + b",".join([b"0"] * limits.MANIFEST_VALUES) + b"]"
    assert len(canonical_json.load(data, "manifest.json")) == limits.MANIFEST_VALUES


def test_an_element_with_too_many_attributes_is_refused_before_they_are_read() -> None:
    attributes = b"".join(b' a%x=""' % number for number in range(limits.MANIFEST_ATTRIBUTES))
    _refused(lambda: descriptor.decode(b'<vib version="5.0"' + attributes + b"/>"), "limit-exceeded")


def test_deep_paths_cost_no_table_of_all_their_parents() -> None:
    deep = "/".join(["b"] * (limits.PATH_DEPTH - 2))
    entries = [Entry(f"{number:06x}/{deep}/c") for number in range(5_000)]
    tracemalloc.start()
    assert list(rules.check_tree(entries)) == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * limits.MIB


@pytest.mark.parametrize(
    ("one", "other"),
    [("opt/A/x", "opt/a/y"), ("opt/a/y", "opt/A/x"), ("Opt/a", "opt/b/c/d"), ("a\u0301/x", "\u00c1/y")],
)
def test_folders_that_collide_are_found_in_any_order(one: str, other: str) -> None:
    assert [failure.code for failure in rules.check_tree([Entry(one), Entry("zz"), Entry(other)])] == ["unsafe-path"]


def test_a_path_below_a_file_is_found_however_far_apart_they_are_listed() -> None:
    between = [Entry(f"opt/a-{number}", FileType.FILE) for number in range(20)]
    entries = [Entry("opt/a", FileType.FILE), *between, Entry("opt/a/b/c", FileType.FILE)]
    assert [failure.evidence["other"] for failure in rules.check_tree(entries)] == ["opt/a"]


def test_a_long_line_of_spaces_in_a_spec_is_scanned_in_no_time() -> None:
    start = time.process_time()
    toml_text.parse(b'text = """\n[' + b" " * 200_000 + b'x\n"""\n[table]\nkey = 1\n')
    assert time.process_time() - start < SECOND


@pytest.mark.parametrize("header", ["[[ file ]]", "[[file]] # one", "\t[[file]]"])
def test_the_line_of_a_key_below_any_spelling_of_a_header_is_found(header: str) -> None:
    document = toml_text.parse(f"a = 1\n{header}\npath = 'x'\n".encode())
    assert document.line(("file", 0, "path")) == 3
