"""Values of the rooms that a `verify` loads: what they have in common with the dataclasses that they stand for."""

from __future__ import annotations

import ast
import copy
import dataclasses
import pickle
import re
from dataclasses import field
from importlib import import_module
from pathlib import Path
from typing import ClassVar

import pytest

import modseal
from modseal.values import _Pattern, dataclass, regex

PACKAGE = Path(modseal.__file__).parent
ROOMS = ("errors.py", "format", "files", "pki", "trust", "policy", "bundle")


@dataclass(frozen=True, slots=True)
class Light:
    name: str
    size: int = 0
    notes: dict[str, str] = field(default_factory=dict)
    source: str = field(default="", repr=False, compare=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Heavy:
    name: str
    size: int = 0
    notes: dict[str, str] = field(default_factory=dict)
    source: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Pair:
    left: str
    right: Light | None = None


@dataclass(frozen=True)
class Open:
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class ByName:
    name: str
    size: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByName) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


@dataclass(frozen=True, slots=True)
class Counted:
    most: ClassVar[int] = 3
    name: str


@dataclass(slots=True)
class Changing:
    count: int = 0


def test_values_are_equal_and_hashed_by_their_fields_and_their_class() -> None:
    assert Pair("a", None) == Pair("a")
    assert Pair("a") != Pair("b")
    assert Pair("a") != Open("a")
    assert Pair("a") != ("a", None)
    assert len({Pair("a"), Pair("a"), Pair("b")}) == 2
    assert Light("a", source="here") == Light("a", source="there")


def test_a_class_that_says_itself_what_is_equal_keeps_its_word() -> None:
    assert ByName("a", 1) == ByName("a", 2)
    assert len({ByName("a", 1), ByName("a", 2)}) == 1


def test_what_belongs_to_the_class_is_no_field() -> None:
    assert [each.name for each in dataclasses.fields(Counted)] == ["name"]
    assert Counted("a") == Counted("a")
    assert Counted.most == 3


def test_what_may_change_has_no_hash() -> None:
    changing = Changing()
    changing.count += 1
    assert changing == Changing(1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(changing)


@pytest.mark.parametrize(
    "make",
    [
        lambda kind: kind("a"),
        lambda kind: kind("a", 1, {"x": "y"}, "here"),
        lambda kind: dataclasses.replace(kind("a"), size=2),
        lambda kind: copy.deepcopy(kind("a", notes={"x": "y"})),
    ],
)
def test_texts_fields_and_changed_copies_are_those_of_a_dataclass(make) -> None:
    light, heavy = make(Light), make(Heavy)
    assert repr(light) == repr(heavy).replace("Heavy", "Light")
    assert dataclasses.asdict(light) == dataclasses.asdict(heavy)
    assert not hasattr(light, "__dict__")


def test_each_value_has_its_own_default() -> None:
    assert Light("a").notes is not Light("b").notes


@pytest.mark.parametrize("wrong", [{}, {"name": "a", "other": 1}])
def test_fields_are_neither_left_out_nor_added(wrong: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        Light(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [Light("a", 1, {"x": "y"}), Pair("a", Light("b")), Open("a")])
def test_values_go_to_another_process_and_back(value: object) -> None:
    assert pickle.loads(pickle.dumps(value)) == value


def test_the_rooms_of_a_verify_have_one_kind_of_dataclass() -> None:
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "dataclasses":
                assert "dataclass" not in {alias.name for alias in node.names}, f"{path}: take it from modseal.values"


def test_a_regular_expression_is_compiled_once_and_does_what_it_would_do_compiled_at_once() -> None:
    name = regex(r"(?P<first>[a-z])[a-z0-9]*", re.IGNORECASE)
    assert (name.pattern, name.groupindex) == (r"(?P<first>[a-z])[a-z0-9]*", {"first": 1})
    assert name.fullmatch("Ab1")
    assert not name.fullmatch("1ab")
    assert name.sub("x", "ab 1 cd") == "x 1 x"
    assert name.fullmatch is name.fullmatch, "it is the compiled one's own method, bound once"


def modules() -> list[Path]:
    """The files of these rooms."""
    return [one for room in ROOMS for one in (PACKAGE / room, *(PACKAGE / room).rglob("*.py")) if one.suffix == ".py"]


def test_every_regular_expression_that_a_module_names_can_be_compiled() -> None:
    names = [".".join(("modseal", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in modules()]
    found = [value for name in names for value in vars(import_module(name)).values() if isinstance(value, _Pattern)]
    assert len(found) > 60
    for one in found:
        assert one.groups >= 0


def test_no_module_of_these_rooms_compiles_a_regular_expression_while_it_is_loaded() -> None:
    for path in modules():
        body = [node for node in ast.parse(path.read_text("utf-8")).body if not isinstance(node, ast.FunctionDef)]
        assert "re.compile(" not in "".join(map(ast.unparse, body)), f"{path}: use modseal.values.regex"
