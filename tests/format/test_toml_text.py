"""TOML with line numbers: every key is found where it stands, whatever texts look like keys."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modseal.format.shape import Integer, Steps, Table, location
from modseal.format.toml_lines import places
from modseal.format.toml_text import TomlError, parse


def lines(text: str) -> dict[str, int]:
    return places(parse(text.encode()).text).lines


def test_a_key_in_a_text_over_several_lines_is_no_key() -> None:
    text = 'description = """\nvendor = what you like\n[anchor]\n"""\nvendor = "Acme"\n'
    assert lines(text) == {"description": 1, "vendor": 5}


@pytest.mark.parametrize(
    "value",
    [
        "'''\nb = 2\n'''",
        '"""\n\\"""\nb = 2"""',
        '"""a\n"""""',
        '[\n  "b = 2", # b = 2 ]\n  "x",\n]',
        '{ c = "b = 2" }',
        "{\n  c = 1,\n  d = [\n    2,\n  ],\n}",
        '"# no comment, \\" no end"',
        "2026-01-31T12:00:00Z # b = 3",
    ],
)
def test_what_a_value_holds_does_not_move_the_key_after_it(value: str) -> None:
    text = f"a = {value}\nb = 1\n"
    assert lines(text)["a"] == 1
    assert lines(text)["b"] == text.count("\n")


def test_tables_arrays_of_tables_and_what_is_below_their_items() -> None:
    text = '[[anchor]]\nname = "a"\n[anchor.may]\nsetuid = true\n\n[[anchor]]\n"name" = "b"\n[anchor.may]\npaths = []\n'
    assert lines(text) == {
        "anchor[0]": 1,
        "anchor[0].name": 2,
        "anchor[0].may": 3,
        "anchor[0].may.setuid": 4,
        "anchor[1]": 6,
        "anchor[1].name": 7,
        "anchor[1].may": 8,
        "anchor[1].may.paths": 9,
    }


def test_items_of_arrays_and_keys_of_inline_tables_have_lines_of_their_own() -> None:
    text = b'depends = [\n  { name = "a" },\n  { name = "b",\n    version = "1" },\n]\nnames = [\n  "x",\n\n  "y"]\n'
    document = parse(text)
    places = [("depends", 0), ("depends", 1, "name"), ("depends", 1, "version"), ("names", 0), ("names", 1)]
    assert [document.line(place) for place in places] == [2, 3, 4, 7, 9]
    assert lines(text.decode()) == {"depends": 1, "names": 6}


def test_dotted_and_quoted_keys() -> None:
    text = 'vib.tags = []\nvib.\'a b\'."c\\"d" = 1\n'
    assert lines(text) == {"vib": 1, "vib.tags": 1, "vib.a b": 2, 'vib.a b.c"d': 2}


def test_lines_that_end_with_carriage_returns_count_the_same() -> None:
    assert lines('a = """\r\nb = 1\r\n"""\r\nb = 2\r\n') == {"a": 1, "b": 4}


def test_a_problem_names_the_line_of_its_key() -> None:
    document = parse(b'text = """\nnumber = "x"\n"""\nnumber = "x"\n')
    shape = Table({"number": Integer(1, 2)}, open=True)
    assert document.problems(shape, "file") == ("file:4: number: must be an integer, not text",)


def test_the_grammar_is_that_of_toml_1_1_in_every_python() -> None:
    assert parse(b'a = {\n  b = "\\e",\n}\n').values == {"a": {"b": "\x1b"}}


def test_the_interpreters_own_reader_is_not_used() -> None:
    code = "import sys, modseal.format.toml_text; sys.exit('tomllib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


_TEXTS = st.text(st.sampled_from("ab=[]{}#\"'\\\n ,.x1"), max_size=30)


def _written(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"""\n{escaped}"""' if "\n" in value else f'"{escaped}"'


@given(st.lists(st.tuples(_TEXTS, st.booleans(), st.lists(_TEXTS, max_size=3)), max_size=8))
def test_every_key_is_found_on_its_line(items: list[tuple[str, bool, list[str]]]) -> None:
    """Keys k0, k1, ... with hostile texts as values, some in tables: the expected lines are counted while writing."""
    text, expected, inside = "", {}, {}
    place: Steps = ()
    for number, (value, table, array) in enumerate(items):
        if table:
            place = (f"t{number}",)
            expected[f"t{number}"] = text.count("\n") + 1
            text += f"[t{number}]  # x = [\n"
        expected[location((*place, f"k{number}"))] = text.count("\n") + 1
        text += f"k{number} = {_written(value)}\n"
        expected[location((*place, f"a{number}"))] = text.count("\n") + 1
        text += f"a{number} = [\n"
        for index, item in enumerate(array):
            inside[*place, f"a{number}", index] = text.count("\n") + 1
            text += f"  {_written(item)},\n"
        text += "]\n"
    document = parse(text.encode())
    assert lines(text) == expected
    assert {path: document.line(path) for path in inside} == inside


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a = 1\n[anchor]\n[anchor]\n", 3, "the table [anchor] is there twice; each of several is written [[anchor]]"),
        ("a = 1\nb = \u201cx\u201d\n", 2, "is not a quote of TOML"),
        ("a = 1\n\nb = \n", 3, "Invalid value (column 5)"),
        ("a = 1\n" + ".".join("k" * 80) + " = 1\n", 2, "a key has more than"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_without_python(text: str, line: int, words: str) -> None:
    with pytest.raises(TomlError) as caught:
        parse(text.encode())
    assert caught.value.describe("p.toml").startswith(f"p.toml:{line}: ")
    assert words in str(caught.value)
    assert "('" not in str(caught.value)
