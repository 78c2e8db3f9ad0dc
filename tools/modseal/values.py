"""The one kind of value in the rooms that a `verify` loads: a dataclass that is cheap to define and to make.

`dataclasses.dataclass` writes and compiles up to seven functions for each frozen class with slots: for the 53 that a
cold `verify` loads, a quarter of its time (docs/adr/0039). Here it writes none: comparison, hash and text are shared,
`__init__` is written for a class of which more than a few values are made, and what `dataclasses` knows of a class is
made when `replace` or `fields` asks first. To the type checker it is `dataclasses.dataclass` itself, so that an
assignment to a field of a frozen value is an error there. At run time it is not refused.

`replace`, `fields` and `field` of `dataclasses` are for these values too. No field is inherited.

`regex` is `re.compile` for what a module names once: to compile them all was a tenth of modseal's own part of a cold
`verify`, and most are for what a sound bundle does not have.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, field, fields
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
            kinds = {name: kind for name, kind in cls.__annotations__.items() if "ClassVar" not in str(kind)}
            known = {name: _as_field(cls.__dict__.get(name, MISSING)) for name in kinds}
            body = {name: value for name, value in vars(cls).items() if name not in (*kinds, "__dict__", "__weakref__")}
            if slots:  # which a class has from its start
                body["__slots__"] = (*kinds, "__weakref__") if weakref_slot else tuple(kinds)
            if eq:
                body |= _compared_by_fields(known, frozen=frozen)
            body |= {"__qualname__": cls.__qualname__, "__repr__": _repr, "__dataclass_fields__": _Fields(kinds, known)}
            made = type(cls)(cls.__name__, cls.__bases__, body)
            made.__init__ = _init_when_called(made, known)
            return made

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


class _Fields:
    """`__dataclass_fields__`, as `dataclasses` would have made them."""

    def __init__(self, kinds: dict[str, str], known: dict[str, Field[Any]]) -> None:
        self._kinds, self._known = kinds, known

    def __get__(self, value: object, cls: Any) -> dict[str, Field[Any]]:
        # Without a text, `dataclasses` would write one, for which Python's own tokenizer is made ready.
        body = {"__annotations__": self._kinds, "__module__": cls.__module__, "__doc__": "fields", **self._known}
        plain: Any = _dataclass(type(cls.__name__, (), body), init=False, eq=False, repr=False)
        known: dict[str, Field[Any]] = plain.__dataclass_fields__
        cls.__dataclass_fields__ = known
        return known


def _as_field(default: Any) -> Field[Any]:
    return default if isinstance(default, Field) else field(default=default)


def _init_when_called(cls: Any, known: dict[str, Field[Any]]) -> Any:
    left = _FEW

    def init(self: Any, *values: Any, **named: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0 or not _assigned(self, known, values, named):
            cls.__init__ = _written_init(known, has_more=hasattr(cls, "__post_init__"))
            cls.__init__(self, *values, **named)

    return init


def _assigned(self: Any, known: dict[str, Field[Any]], values: tuple[Any, ...], named: dict[str, Any]) -> bool:
    """Do what a written `__init__` does; False where it would refuse the arguments."""
    names = [name for name, each in known.items() if each.init]
    given = dict(zip(names, values, strict=False)) | named
    if len(given) != len(values) + len(named) or not given.keys() <= set(names):
        return False
    for name, each in known.items():
        if name in given:
            value = given[name]
        elif each.default_factory is not MISSING:
            value = each.default_factory()
        elif each.default is not MISSING:
            value = each.default
        else:
            return False
        setattr(self, name, value)
    if hasattr(self, "__post_init__"):
        self.__post_init__()
    return True


def _written_init(known: dict[str, Field[Any]], *, has_more: bool) -> Any:
    """The `__init__` that `dataclasses` would write: a parameter for each field that has one, and an assignment."""
    scope: dict[str, Any] = {"_NONE_GIVEN": MISSING}
    parameters, lines = ["self"], []
    for name, each in known.items():
        value = name
        scope[f"_default_{name}"] = each.default
        if each.default_factory is not MISSING:
            scope[f"_make_{name}"] = each.default_factory
            value = f"_make_{name}() if {name} is _NONE_GIVEN else {name}" if each.init else f"_make_{name}()"
        elif not each.init:
            value = f"_default_{name}"
        if each.init:
            has_default = each.default is not MISSING or each.default_factory is not MISSING
            parameters.append(f"{name}=_default_{name}" if has_default else name)
        lines.append(f"self.{name} = {value}")
    if has_more:
        lines.append("self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"]), scope)  # noqa: S102 - names of our fields
    return scope["__init__"]


def _repr(self: Any) -> str:
    shown = ", ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({shown})"


def _compared_by_fields(known: dict[str, Field[Any]], *, frozen: bool) -> dict[str, Any]:
    names = [name for name, field in known.items() if field.compare]
    values = attrgetter(*names) if names else lambda _: ()

    def equal(self: Any, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values(self) == values(other)

    return {"__eq__": equal, "__hash__": (lambda self: hash(values(self))) if frozen else None}
