"""Shapes find all problems at once, say what to do, and write themselves as JSON Schema."""

import re
import time

import json_schema
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modseal import limits
from modseal.format.shape import (
    UNBOUNDED,
    Array,
    Boolean,
    Integer,
    Nullable,
    Problem,
    Scalar,
    Table,
    Text,
    TextMap,
    Variant,
    location,
)

WORD = Text(re.compile("[a-z]+"), form="lower-case letters", most=8)
ANCHOR = Table(
    {"anchor": WORD, "level": Text(choices=("high", "low"))},
    {"count": Integer(1, 9), "on": Boolean(), "labels": TextMap(WORD, Text(), most=2)},
)
DOCUMENT = Table(
    {"anchors": Array(ANCHOR, least=1, most=3)},
    {"entry": Variant("type", {"file": Table({"size": Integer(0, 10)}), "link": Table({}, {"target": WORD})})},
)


def good():
    return {
        "anchors": [{"anchor": "abc", "level": "high", "count": 1, "on": True, "labels": {"a": "b"}}],
        "entry": {"type": "file", "size": 3},
    }


def messages(value, shape=DOCUMENT):
    return [str(problem) for problem in shape.problems(value)]


def test_a_value_of_the_shape_has_no_problem():
    assert DOCUMENT.problems(good()) == []


def test_an_unknown_key_is_named_with_the_nearest_known_one():
    value = good()
    value["anchors"][0]["anchr"] = value["anchors"][0].pop("anchor")
    assert messages(value) == [
        "anchors[0]: unknown key 'anchr'; did you mean 'anchor'?",
        "anchors[0]: the key 'anchor' is missing",
    ]


def test_all_problems_are_found_at_once_with_their_paths():
    value = good()
    value["anchors"][0] |= {"anchor": 7, "count": 10, "on": "yes"}
    value["entry"]["size"] = -1
    assert [problem.path for problem in DOCUMENT.problems(value)] == [
        ("anchors", 0, "anchor"),
        ("anchors", 0, "count"),
        ("anchors", 0, "on"),
        ("entry", "size"),
    ]


@pytest.mark.parametrize(
    ("shape", "value", "message"),
    [
        (WORD, 1, "must be text, not an integer"),
        (WORD, None, "must be text, not null"),
        (WORD, "", "has 0 characters, and must have 1 to 8"),
        (WORD, "abcdefghi", "has 9 characters, and must have 1 to 8"),
        (WORD, "abc\n", "is 'abc\\n', and must be lower-case letters"),
        (Nullable(WORD), 1, "must be text, not an integer"),
        (Scalar(), [], "must be text, an integer, a boolean or null, not an array"),
        (Array(WORD, unique=True), ["a", "b", "a"], "has an item twice"),
        (Text(choices=("high", "low")), "hihg", "is 'hihg', and must be one of 'high', 'low'; did you mean 'high'?"),
        (Text(choices=("modseal/x@1",)), "x", "is 'x', and must be 'modseal/x@1'"),
        (Integer(0, 9), True, "must be an integer, not a boolean"),
        (Integer(0, 9), 1.0, "must be an integer, not a number with a fraction"),
        (Integer(0, 9), 10, "is 10, and must be from 0 to 9"),
        (Integer(4, 4), 5, "is 5, and must be 4"),
        pytest.param(Integer(0, 9), 1 << 100_000, "is too large, and must be from 0 to 9", id="huge"),
        (Boolean(), 0, "must be true or false, not an integer"),
        (Text(least=4, most=4), "abc", "has 3 characters, and must have exactly 4"),
        (Array(WORD, least=1, most=2), [], "has 0 items, and must have 1 to 2"),
        (Array(WORD), {}, "must be an array, not a table"),
        (ANCHOR, [], "must be a table, not an array"),
        (TextMap(WORD, WORD, most=1), {"a": "b", "b": "c"}, "has 2 keys, and must have at most 1"),
        (TextMap(WORD, WORD), 3, "must be a table, not an integer"),
        (Variant("type", {"a": Table({})}), {}, "the key 'type' is missing"),
        (Variant("type", {"a": Table({})}), [], "must be a table, not an array"),
    ],
)
def test_a_message_says_what_is_and_what_must_be(shape, value, message):
    assert [problem.message for problem in shape.problems(value)] == [message]


def test_a_table_that_is_open_takes_other_keys():
    assert Table({"a": WORD}, open=True).problems({"a": "b", "other": 1}) == []


def test_null_is_a_value_where_it_may_be():
    assert Nullable(WORD).problems(None) == Scalar().problems(None) == []
    assert WORD.problems(None)


def test_what_has_no_bound_has_none_in_the_json_schema():
    numbers = TextMap(Text(most=UNBOUNDED), Integer(0, UNBOUNDED), most=UNBOUNDED)
    shape = Array(Table({"numbers": numbers}), most=UNBOUNDED)
    assert "max" not in str(json_schema.schema_of(shape))
    assert not shape.problems([{"numbers": {"x" * 100_000: 2**40}}])


def test_the_tag_of_a_variant_is_checked_by_name():
    assert messages({**good(), "entry": {"type": "fil"}}) == [
        "entry.type: is 'fil', and must be one of 'file', 'link'; did you mean 'file'?"
    ]
    assert messages({**good(), "entry": {"type": ["file"]}}) == ["entry.type: must be text, not an array"]


def test_the_keys_of_a_text_map_are_checked_too():
    assert messages({"A": "b"}, TextMap(WORD, WORD)) == ["A: is 'A', and must be lower-case letters"]


def test_a_location_is_readable_and_has_no_raw_controls():
    assert location(("files", 3, "mode")) == "files[3].mode"
    assert location(()) == "document"
    assert location(("a\x1b[31m",)) == "'a\\x1b[31m'"


def test_problems_stop_at_the_limit():
    table = Table({}, {})
    assert len(table.problems({f"key{index}": 0 for index in range(5000)})) == limits.PROBLEMS


def test_long_keys_and_values_stay_short_in_messages_and_cost_no_time():
    started = time.process_time()
    found = DOCUMENT.problems({"a" * 1_000_000: 1, "anchors": [{"anchor": "x", "level": "y" * 1_000_000}]})
    assert all(len(problem.message) < 200 for problem in found)
    assert time.process_time() - started < 0.5


def test_the_json_schema_agrees_on_good_and_bad_values():
    schema = json_schema.document(DOCUMENT, "urn:test", "test")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(good())
    for change in ({"anchors": []}, {"entry": {"type": "file"}}, {"other": 1}, {"entry": {"type": "link", "size": 1}}):
        assert not validator.is_valid({**good(), **change})
        assert DOCUMENT.problems({**good(), **change})


KEYS = st.sampled_from(["anchors", "anchor", "level", "entry", "type", "size", "labels"])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just("file"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
)


@settings(max_examples=200)
@given(PLAIN)
def test_any_plain_data_gives_problems_and_never_an_exception(value):
    assert all(isinstance(problem, Problem) for problem in DOCUMENT.problems(value))


@settings(max_examples=200)
@given(PLAIN)
def test_what_has_no_problem_is_valid_by_the_json_schema(value):
    validator = jsonschema.Draft202012Validator(json_schema.schema_of(ANCHOR))
    if not ANCHOR.problems(value):
        assert validator.is_valid(value)


@settings(max_examples=300)
@given(st.data())
def test_what_fits_is_what_has_no_problem(data):
    """What is asked again is told by one expression, which says the same as the checks one by one."""
    value = good()
    node, key = value, data.draw(st.sampled_from(sorted(value)))
    while isinstance(node[key], list | dict) and node[key] and data.draw(st.integers(0, 3)):
        node = node[key]
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
    others = [None, True, 0, 9, 10, 1.0, "", "high", "word", "WORD", "file", "link", [], [good()], {}, {"type": "link"}]
    node[key] = data.draw(st.sampled_from([node[key], *others]))
    scalars = Array(Nullable(Array(Scalar(), unique=True)), most=9)
    for shape, one in ((DOCUMENT, value), (scalars, [node[key]]), (scalars, [[node[key], 1, "a"]])):
        shape.fits(one)
        assert shape.fits(one) == shape._has(one) == (not shape.problems(one))


def test_a_shape_that_checks_more_than_its_base_says_so_each_time():
    class Even(Integer):
        """An even number."""

        def check(self, value, trail, found):
            """See `Shape.check`."""
            super().check(value, trail, found)
            if value % 2:
                found.add(trail, "is odd")

    shape = Table({"one": Even(0, 9)})
    for _ in range(3):
        assert len(shape.problems({"one": 3})) == 1
        assert not shape.problems({"one": 4})
