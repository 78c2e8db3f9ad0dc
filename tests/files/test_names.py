"""Names of files in JSON: found again, told apart, and never what a reader of JSON may change."""

from __future__ import annotations

import json
import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modseal.files.names import dumped, native, portable

ANY = st.text(st.characters() | st.characters(categories=["Cs"]) | st.sampled_from("\\xu0f"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"plain \xc3\xa4.seal", "plain ä.seal"),
        (b"a\xff.seal", "a\\xff.seal"),
        (b"a\\xff.seal", "a\\\\xff.seal"),
        (b"\\", "\\\\"),
        (b"\xf0\x9f\x93\xa6", "\U0001f4e6"),
    ],
)
def test_how_a_name_is_written(name: bytes, text: str) -> None:
    assert portable(os.fsdecode(name)) == text
    assert os.fsencode(native(text)) == name


@given(ANY)
@example("\\xff\udcff\ud800\\u0041")
def test_a_name_is_found_again_and_so_none_is_another_s(name: str) -> None:
    assert native(portable(name)) == name
    portable(name).encode("utf-8")


@given(st.binary().filter(lambda name: b"\0" not in name))
def test_any_bytes_survive_a_reader_that_takes_utf_8_alone(name: bytes) -> None:
    text = json.loads(json.dumps(portable(os.fsdecode(name))).encode("ascii").decode("utf-8"))
    assert os.fsencode(native(text)) == name


@given(st.recursive(ANY, lambda inner: st.lists(inner) | st.dictionaries(ANY, inner), max_leaves=8))
@example("\U0001f4e6\udcff")
@example("\\\udc80")
def test_no_document_has_a_lone_surrogate_and_all_else_is_as_it_was(value: object) -> None:
    text = dumped(value)
    json.dumps(json.loads(text), ensure_ascii=False).encode("utf-8")
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return
    assert json.loads(text) == value
