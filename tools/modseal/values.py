"""The one kind of value in the rooms that a `verify` loads: a dataclass that is cheap to define and to make.

`dataclasses.dataclass` writes and compiles up to seven functions for each frozen class with slots: for the 53 that a
cold `verify` loads, a quarter of its time (docs/adr/0039). Here it writes none: comparison, hash and text are shared,
and `__init__` is written for a class of which more than a few values are made. To the type checker it is
`dataclasses.dataclass` itself, so that an assignment to a field of a frozen value is an error there. At run time it is
not refused.

`replace`, `fields` and `field` of `dataclasses` are for these values too.

`regex` is `re.compile` for what a module names once: to compile them all was a tenth of modseal's own part of a cold
`verify`, and most are for what a sound bundle does not have.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from dataclasses import dataclass as _dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "regex"]

_FEW = 8
"""Values of a class that are made without a written `__init__`: writing one takes as long as making twenty so."""

if TYPE_CHECKING:
    from dataclasses import dataclass
    from re import compile as regex
else:

    def regex(pattern, flags=0):
        """See `re.compile`; a mistake in the pattern is found when it is used first."""
        return _Pattern(pattern, flags)

    def dataclass(cls=None, /, *, frozen=False, slots=False, eq=True, weakref_slot=False):
        """See `dataclasses.dataclass`; the parameters that no value needs are left out."""

        def make(cls):
            cls = _dataclass(cls, init=False, slots=slots, eq=False, repr=False, weakref_slot=weakref_slot)
            cls.__init__ = _init_when_called(cls)
            cls.__repr__ = _repr
            if eq:
                _compare_by_fields(cls, frozen=frozen)
            return cls

        return make if cls is None else make(cls)


class _Pattern:
    """A regular expression that is compiled when it is used first; its methods are those of the compiled one."""

    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self.pattern, self._flags = pattern, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(re.compile(self.pattern, self._flags), name)
        setattr(self, name, method)  # from now on found without this function
        return method


def _init_when_called(cls: Any) -> Any:
    left = _FEW

    def init(self: Any, *values: Any, **named: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0 or not _assigned(self, values, named):
            cls.__init__ = _written_init(cls)
            cls.__init__(self, *values, **named)

    return init


def _assigned(self: Any, values: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Do what a written `__init__` does; False where it would refuse the arguments."""
    known = fields(self)
    names = [field.name for field in known if field.init]
    given = dict(zip(names, values, strict=False)) | named
    if len(given) != len(values) + len(named) or not given.keys() <= set(names):
        return False
    for field in known:
        if field.name in given:
            value = given[field.name]
        elif field.default_factory is not MISSING:
            value = field.default_factory()
        elif field.default is not MISSING:
            value = field.default
        else:
            return False
        setattr(self, field.name, value)
    if hasattr(self, "__post_init__"):
        self.__post_init__()
    return True


def _written_init(cls: Any) -> Any:
    """The `__init__` that `dataclasses` would write: a parameter for each field that has one, and an assignment."""
    known: dict[str, Any] = {"_NONE_GIVEN": MISSING}
    parameters, lines = ["self"], []
    for field in fields(cls):
        name, value = field.name, field.name
        known[f"_default_{name}"] = field.default
        if field.default_factory is not MISSING:
            known[f"_make_{name}"] = field.default_factory
            value = f"_make_{name}() if {name} is _NONE_GIVEN else {name}" if field.init else f"_make_{name}()"
        elif not field.init:
            value = f"_default_{name}"
        if field.init:
            has_default = field.default is not MISSING or field.default_factory is not MISSING
            parameters.append(f"{name}=_default_{name}" if has_default else name)
        lines.append(f"self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"]), known)  # noqa: S102 - names of our fields
    return known["__init__"]


def _repr(self: Any) -> str:
    shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({shown})"


def _compare_by_fields(cls: Any, *, frozen: bool) -> None:
    names = [field.name for field in fields(cls) if field.compare]
    values = attrgetter(*names) if names else lambda _: ()

    def equal(self: Any, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    cls.__eq__ = equal
    cls.__hash__ = (lambda self: hash(values(self))) if frozen else None
