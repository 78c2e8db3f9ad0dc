"""Shapes: what a table of plain data (from JSON or TOML) must look like, said once.

A shape checks data and finds all problems at once, each with its place and a sentence that says
what to do. `format.json_schema` writes it as JSON Schema 2020-12, so the published schema cannot drift
from the code. Rules that need more than one value stay with the reader that has them.

It is our own and small because a general schema library costs more time to import than a whole
verification takes, and its messages name the rule that failed rather than the mistake (docs/adr).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from modseal import limits
from modseal.values import dataclass, regex

Steps = tuple[str | int, ...]
Trail = tuple[Any, str | int] | None
"""A path as linked pairs, last step first: cheap to extend for values that have no problem."""

_KINDS = {
    str: "text",
    int: "an integer",
    bool: "a boolean",
    float: "a number with a fraction",
    list: "an array",
    dict: "a table",
    type(None): "null",
}
_QUOTED = 60

MAXIMUM_VERSION = 2**31 - 1
"""The last version of a document that counts them up."""

UNBOUNDED = sys.maxsize
"""The `most` of what has no bound: of documents that we write. A reader of a foreign one bounds everything."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, and what. As text: `files[3].mode: must be text, not an integer`.

    `key` is that of an entry which should not be there, below `path`: its line is the one to correct.
    """

    path: Steps
    message: str
    key: str | None = None

    def __str__(self) -> str:
        return f"{location(self.path)}: {self.message}"


def location(path: Steps) -> str:
    """A path as people write it; `document` for the whole."""
    text = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step if step.isprintable() else ascii(step)}" for step in path
    )
    return text.removeprefix(".")[: 4 * _QUOTED] or "document"


def quote(value: str, most: int = _QUOTED) -> str:
    """A value for a message: quoted, with escapes, and cut after `most` characters."""
    return repr(value) if len(value) <= most else f"{value[:most]!r}..."


def suggestion(word: str, words: Iterable[str]) -> str:
    """`; did you mean 'anchor'?` for a word that is nearly one of `words`, else nothing."""
    if len(word) > _QUOTED:  # difflib is quadratic
        return ""
    import difflib

    close = difflib.get_close_matches(word, list(words), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


class _Enough(Exception):  # noqa: N818 - a jump, not an error
    """There are `limits.PROBLEMS` problems: enough for one reader."""


class Problems:
    """The problems so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, trail: Trail, message: str, key: str | None = None) -> None:
        """Note one problem; `key` as in `Problem`."""
        steps: list[str | int] = []
        while trail:
            steps.append(trail[1])
            trail = trail[0]
        self.problems.append(Problem(tuple(reversed(steps)), message, key))
        if len(self.problems) == limits.PROBLEMS:
            raise _Enough


class Shape:
    """The base of all shapes. `about` is a sentence for the reader of the JSON Schema.

    A shape that is asked again is written as one Python expression, which says whether a value has it: for a manifest
    in a fifth of the time. What is wrong with one that has not, `check` finds.
    """

    about: str = ""
    _asked = False
    _fits: Callable[[object], object] | None = None

    def __init_subclass__(cls) -> None:
        """What overrides `check` alone has no expression of its base: it would say something else."""
        if "check" in vars(cls) and "expression" not in vars(cls):
            cls.expression = Shape.expression  # type: ignore[method-assign]

    def problems(self, value: object) -> list[Problem]:
        """All that is wrong with a value (at most `limits.PROBLEMS`); empty when it has this shape."""
        if self.fits(value):
            return []
        found = Problems()
        with suppress(_Enough):
            self.check(value, None, found)
        return found.problems

    def fits(self, value: object) -> bool:
        """Whether `check` would find nothing; False as well where it is asked first, which in most processes is all."""
        if self._fits is None and self._asked:
            names: dict[str, object] = {}
            self._fits = eval(f"lambda value: {self.expression('value', names)}", names)  # noqa: S307 - of our shapes
        self._asked = True
        try:
            return self._fits is not None and bool(self._fits(value))
        except (TypeError, AttributeError, LookupError):  # of something of another type
            return False

    def check(self, value: object, trail: Trail, found: Problems) -> None:
        """Add what is wrong with a value to `found`."""
        raise NotImplementedError

    def expression(self, value: str, names: dict[str, object]) -> str:
        """A Python expression that is true where `value`, an expression, has this shape; `names` are for what it uses.

        Of a value of another type it may be no more than a `TypeError`, `AttributeError` or `LookupError`.
        """
        return f"{_named(self._has, names)}({value})"

    def _has(self, value: object) -> bool:
        found = Problems()
        with suppress(_Enough):
            self.check(value, None, found)
        return not found.problems

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of a shape that `format.json_schema` does not know."""
        raise NotImplementedError


def _named(thing: object, names: dict[str, object]) -> str:
    name = f"_{len(names)}"
    names[name] = thing
    return name


class Text(Shape):
    """A text of `least` to `most` characters that fully matches `pattern`, or is one of `choices`.

    `form` says in words what the pattern allows; it stands in the message.
    """

    def __init__(
        self,
        pattern: re.Pattern[str] | None = None,
        *,
        form: str = "",
        least: int = 1,
        most: int = limits.TEXT_LENGTH,
        choices: Iterable[str] = (),
        about: str = "",
    ) -> None:
        self.pattern, self.form, self.least, self.most, self.about = pattern, form, least, most, about
        self.choices = tuple(choices)

    def check(self, value: object, trail: Trail, found: Problems) -> None:
        """See `Shape.check`."""
        if type(value) is not str:
            found.add(trail, f"must be text, not {kind(value)}")
        elif self.choices:
            if value not in self.choices:
                allowed = ", ".join(map(repr, self.choices))
                found.add(
                    trail,
                    f"is {quote(value)}, and must be {'one of ' if len(self.choices) > 1 else ''}{allowed}"
                    + suggestion(value, self.choices),
                )
        elif not self.least <= len(value) <= self.most:
            found.add(trail, f"has {len(value)} characters, and must have {_span(self.least, self.most)}")
        elif self.pattern and not self.pattern.fullmatch(value):
            found.add(trail, f"is {quote(value)}, and must be {self.form or 'of another form'}")

    def expression(self, value: str, names: dict[str, object]) -> str:
        """See `Shape.expression`."""
        if self.choices:
            return f"{value} in {_named(frozenset(self.choices), names)}"
        length = rf"(?s:.){{{self.least},{'' if self.most == UNBOUNDED else self.most}}}"
        if not self.pattern:
            return f"{_named(regex(length).fullmatch, names)}({value})"
        both = regex(rf"(?={length}\Z)(?:{self.pattern.pattern})", self.pattern.flags)
        return f"{_named(both.fullmatch, names)}({value})"


class Integer(Shape):
    """An integer from `least` to `most`."""

    def __init__(self, least: int, most: int, *, about: str = "") -> None:
        self.least, self.most, self.about = least, most, about

    def check(self, value: object, trail: Trail, found: Problems) -> None:
        """See `Shape.check`."""
        if type(value) is not int:
            found.add(trail, f"must be an integer, not {kind(value)}")
        elif not self.least <= value <= self.most:
            bounds = f"from {self.least} to {self.most}" if self.least != self.most else str(self.least)
            # A huge integer is not printed: Python refuses to convert it (int_max_str_digits).
            shown = value if value.bit_length() <= 64 else "too large"
            found.add(trail, f"is {shown}, and must be {bounds}")

    def expression(self, value: str, _names: dict[str, object]) -> str:
        """See `Shape.expression`."""
        return f"(type({value}) is int and {self.least} <= {value} <= {self.most})"


class Boolean(Shape):
    """True or false."""

    def __init__(self, *, about: str = "") -> None:
        self.about = about

    def check(self, value: object, trail: Trail, found: Problems) -> None:
        """See `Shape.check`."""
        if type(value) is not bool:
            found.add(trail, f"must be true or false, not {kind(value)}")


class Array(Shape):
    """An array of `least` to `most` items of one shape, none of them twice if they are `unique`."""

    def __init__(
        self, item: Shape, *, least: int = 0, most: int = limits.ITEMS, unique: bool = False, about: str = ""
    ) -> None:
        self.item, self.least, self.most, self.unique, self.about = item, least, most, unique, about

    def check(self, value: object, trail: Trail, found: Problems) -> None:
        """See `Shape.check`."""
        if type(value) is not list:
            found.add(trail, f"must be an array, not {kind(value)}")
        elif not self.least <= len(value) <= self.most:
            found.add(trail, f"has {len(value)} items, and must have {_span(self.least, self.most)}")
        else:
            check = self.item.check
            for index, item in enumerate(value):
                check(item, (trail, index), found)
            if self.unique and len(set(map(repr, value))) < len(value):
                found.add(trail, "has an item twice")

    def expression(self, value: str, names: dict[str, object]) -> str:
        """See `Shape.expression`."""
        one = _named(None, names)  # no other has this name
        each = f"all([{self.item.expression(one, names)} for {one} in {value}])"
        unique = f" and len(set(map(repr, {value}))) == len({value})" if self.unique else ""
        return f"(type({value}) is list and {self.least} <= len({value}) <= {self.most} and {each}{unique})"


class Table(Shape):
    """A table with these keys, each with its shape, and no other unless it is `open`."""

    def __init__(
        self,
        required: Mapping[str, Shape],
        optional: Mapping[str, Shape] | None = None,
        *,
        open: bool = False,  # noqa: A002 - the word of the schema
        about: str = "",
    ) -> None:
        self.fields = {**required, **(optional or {})}
        self._checks = {key: shape.check for key, shape in self.fields.items()}
        self.required = frozenset(required)
        self.open, self.about = open, about
        self.order = tuple(required)

    def check(self, value: object, trail: Trail, found: Problems) -> None:
        """See `Shape.check`."""
        if type(value) is not dict:
            found.add(trail, f"must be a table, not {kind(value)}")
            return
        fields, check_of = self.fields, self._checks.get
        for key, item in value.items():
            check = check_of(key)
            if check:
                check(item, (trail, key), found)
            elif not self.open:
                missing = [name for name in fields if name not in value]
                found.add(trail, f"unknown key {quote(key)}{suggestion(key, missing)}", key)
        if not value.keys() >= self.required:
            for key in self.order:
                if key not in value:
                    found.add(trail, f"the key {key!r} is missing{_only_value(key, fields[key])}")

    def expression(self, value: str, names: dict[str, object]) -> str:
        """See `Shape.expression`."""
        optional = self.fields.keys() - self.required
        parts = [f"{value}.keys() {'>=' if optional or self.open else '=='} {_named(self.required, names)}"]
        if optional and not self.open:
            parts.append(f"{value}.keys() <= {_named(self.fields.keys(), names)}")
        for key, shape in self.fields.items():
            has = shape.expression(f"{value}[{key!r}]", names)
            parts.append(has if key in self.required else f"({key!r} not in {value} or {has})")
        return f"({' and '.join(parts)})"


def _only_value(key: str, shape: Shape) -> str:
    """What to write where a key can have one value alone."""
    return f'; write {key} = "{shape.choices[0]}"' if isinstance(shape, Text) and len(shape.choices) == 1 else ""


class TextMap(Shape):
    """A table with free keys, at most `most`: each key has the shape `key`, each value `item`."""

    def __init__(self, key: Text, item: Shape, *, most: int = limits.ITEMS, about: str = "") -> None:
        self.key, self.item, self.most, self.about = key, item, most, about

    def check(self, value: object, trail: Trail, found: Problems) -> None:
        """See `Shape.check`."""
        if type(value) is not dict:
            found.add(trail, f"must be a table, not {kind(value)}")
        elif len(value) > self.most:
            found.add(trail, f"has {len(value)} keys, and must have at most {self.most}")
        else:
            for key, item in value.items():
                self.key.check(key, (trail, key), found)
                self.item.check(item, (trail, key), found)


class Nullable(Shape):
    """A value of another shape, or null."""

    def __init__(self, shape: Shape, *, about: str = "") -> None:
        self.shape, self.about = shape, about

    def check(self, value: object, trail: Trail, found: Problems) -> None:
        """See `Shape.check`."""
        if value is not None:
            self.shape.check(value, trail, found)


class Scalar(Shape):
    """A text, an integer, a boolean or null: a value of evidence."""

    def check(self, value: object, trail: Trail, found: Problems) -> None:
        """See `Shape.check`."""
        if type(value) not in (str, int, bool, type(None)):
            found.add(trail, f"must be text, an integer, a boolean or null, not {kind(value)}")


class Variant(Shape):
    """One of several tables, told apart by the text under the key `tag`, which all of them have."""

    def __init__(self, tag: str, tables: Mapping[str, Table], *, about: str = "") -> None:
        self.tag, self.about = tag, about
        self._choice = Text(choices=tables)
        self.tables = {
            name: Table(
                {tag: Text(choices=(name,)), **{key: table.fields[key] for key in table.order}},
                {key: shape for key, shape in table.fields.items() if key not in table.required},
                open=table.open,
                about=table.about,
            )
            for name, table in tables.items()
        }

    def check(self, value: object, trail: Trail, found: Problems) -> None:
        """See `Shape.check`."""
        if type(value) is not dict:
            found.add(trail, f"must be a table, not {kind(value)}")
        elif self.tag not in value:
            found.add(trail, f"the key {self.tag!r} is missing")
        else:
            name = value[self.tag]
            table = self.tables.get(name) if type(name) is str else None
            if table is None:
                self._choice.check(name, (trail, self.tag), found)
            else:
                table.check(value, trail, found)

    def expression(self, value: str, names: dict[str, object]) -> str:
        """See `Shape.expression`."""
        tag = f"{value}[{self.tag!r}]"
        each = (f"{tag} == {name!r} and {table.expression(value, names)}" for name, table in self.tables.items())
        return f"({' or '.join(each)})"


def _span(least: int, most: int) -> str:
    """How many there may be, in words."""
    return f"{least} to {most}" if least != most else f"exactly {least}"


def kind(value: object) -> str:
    """What a value is, in the words of the messages."""
    return _KINDS.get(type(value)) or f"a {type(value).__name__}"
