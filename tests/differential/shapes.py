"""Values that have a shape, and values that nearly have it, for every shape that the package has."""

from __future__ import annotations

import copy
import functools
import importlib
import pkgutil
from datetime import UTC, date, datetime, time
from random import Random
from typing import Any

import modseal
from differential.bundle_mutants import NUMBERS, PATHS, TARGETS, TEXTS
from modseal.format.shape import Array, Boolean, Integer, Nullable, Scalar, Shape, Table, Text, TextMap, Variant

STRINGS = (
    *TEXTS,
    *PATHS,
    *TARGETS,
    "ab" * 32,
    "AB" * 32,
    "ab" * 20,
    "sha256:" + "ab" * 32,
    "key-sha256:" + "ab" * 32,
    "0755",
    "07777",
    "certified",
    "accepted",
    "partner",
    "modseal/manifest@2",
    "https://example.com/a",
    "pem:root.pem",
    "root.pem",
    "192.168.0.1",
    "fe80::1",
    "10.0.0.0/8",
    "host.example.com",
    "2026-01-31",
    "2026-01-31T12:00:00Z",
    "2026-01-31T12:00:00+00:00",
    "1.2.3",
    "1.2.3-4",
    "amd64",
    "c2lnbmVk",
    "-----BEGIN CERTIFICATE-----",
    "a\n",
    "\na",
    "0",
    "-1",
    "x" * 255,
    "x" * 256,
)
_OTHERS = (
    None, True, False, 0, -1, 1, 10, 1.0, 0.0, -0.0, 1.5, float("nan"), float("inf"), 2**63, 2**70, -(2**70), "", " ",
    "a", "file", "symlink", "x" * 9000, "\ud800", [], [[]], ["a"], ["a", "a"], [1, True], [None], {}, {"type": 1},
    {"type": []}, {"type": "file"}, date(2026, 1, 1), time(1), datetime(2026, 1, 1, tzinfo=UTC), {"": ""},
)  # fmt: skip


@functools.cache
def all_shapes() -> tuple[tuple[str, Shape], ...]:
    """All shapes that modules of the package name, each once, and those that stand within them."""
    found: dict[int, tuple[str, Shape]] = {}

    def take(name: str, value: object) -> None:
        if isinstance(value, dict):
            for key, one in value.items():
                take(f"{name}[{key!r}]", one)
        elif isinstance(value, Shape):
            if id(value) in found:
                return
            found[id(value)] = (name, value)
            for part in vars(value).values():
                take(name, part)

    for module in pkgutil.walk_packages(modseal.__path__, "modseal."):
        if module.name.endswith("__main__"):
            continue
        try:
            loaded = importlib.import_module(module.name)
        except ImportError:  # a library that is not everywhere
            continue
        for name, value in vars(loaded).items():
            if not name.startswith("__"):
                take(f"{module.name}.{name}", value)
    return tuple(found.values())


@functools.cache
def _texts(shape: Text) -> tuple[str, ...]:
    """Texts that fit, of those that are tried, and their like at the limits of the length."""
    if shape.choices:
        return shape.choices
    pattern = shape.pattern
    tried = [*STRINGS]
    for one in STRINGS:
        if one:
            lengths = (shape.least, min(shape.most, 20_000))
            tried += [(one * (length // len(one) + 1))[:length] for length in lengths]
    fitting = tuple(
        dict.fromkeys(
            one for one in tried if shape.least <= len(one) <= shape.most and (not pattern or pattern.fullmatch(one))
        )
    )
    return fitting or ("a",)


def value_of(rng: Random, shape: Shape) -> Any:
    """A value that has a shape, as far as one is known."""
    if isinstance(shape, Text):
        return rng.choice(_texts(shape))
    if isinstance(shape, Integer):
        least, most = shape.least, shape.most
        return rng.choice((least, most, min(most, least + 1), rng.randint(least, min(most, least + 9))))
    if isinstance(shape, Boolean):
        return rng.random() < 0.5
    if isinstance(shape, Array):
        count = min(shape.least + rng.choice((0, 0, 1, 2)), shape.most)
        return [value_of(rng, shape.item) for _ in range(count)]
    if isinstance(shape, Variant):
        return value_of(rng, rng.choice(tuple(shape.tables.values())))
    if isinstance(shape, Table):
        keys = [key for key in shape.fields if key in shape.required or rng.random() < 0.4]
        return {key: value_of(rng, shape.fields[key]) for key in keys}
    if isinstance(shape, TextMap):
        return {value_of(rng, shape.key): value_of(rng, shape.item) for _ in range(rng.randint(0, 2))}
    if isinstance(shape, Nullable):
        return None if rng.random() < 0.3 else value_of(rng, shape.shape)
    if isinstance(shape, Scalar):
        return rng.choice((None, True, 1, "a"))
    return copy.deepcopy(rng.choice(_OTHERS))


def changed(rng: Random, value: Any) -> Any:
    """The value with one thing in it changed; itself where nothing is in it."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.05:
        return _other(rng, value)
    holder: Any = value
    while True:
        key: Any = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
        if not (isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8):
            break
        holder = holder[key]
    kind = rng.randrange(8)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(rng.randint(0, len(holder)), copy.deepcopy(holder[key]))
    elif kind == 1:
        other = rng.choice(("x", "type", "size", "target", "name", "schema", key + " ", key.upper()))
        holder[other] = copy.deepcopy(holder[key])
    elif kind == 2 and isinstance(holder, list):
        rng.shuffle(holder)
    elif kind == 2:
        holder[rng.choice(("x", "type", "size", "target", "version"))] = holder.pop(key)
    else:
        holder[key] = _other(rng, holder[key])
    return value


def _other(rng: Random, value: Any) -> Any:
    kind = rng.randrange(4)
    if kind == 0 and isinstance(value, str) and value:
        at, another = rng.randrange(len(value)), rng.choice("0aZ/\u0661\u00e9\n.-")
        longer = (value + "\n", "\n" + value, value + " ", value * 2, value + rng.choice(TEXTS))
        return rng.choice((*longer, value[:-1], value.upper(), *[value[:at] + another + value[at + 1 :]] * 3))
    if kind == 0 and type(value) is int:
        small = value % 2**50
        return rng.choice((value + 1, value - 1, -value, float(small), bool(value), str(small), *NUMBERS))
    return rng.choice(STRINGS) if kind == 1 else copy.deepcopy(rng.choice(_OTHERS))


def plain(rng: Random, depth: int = 0) -> Any:
    """Plain data as JSON has it."""
    kind = rng.randrange(6 if depth < 3 else 4)
    if kind == 0:
        return rng.choice((None, True, False, "", "\\", '"', 'a"b', "\\\\", '\\"', ",[{:", "\u2028", "\x7f", "\x1f"))
    if kind == 1:
        return rng.choice((0, -1, 10**20, 1.5, 2**53 + 1, rng.randrange(1000)))
    if kind < 4:
        return rng.choice(STRINGS)
    if kind == 4:
        return [plain(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 3, 70 if depth < 2 else 1)))]
    keys = rng.sample(("a", "b", "B", "a.b", "", "\u00e9", "\U0001f642", "\ufb01", "10", "9"), rng.randint(0, 4))
    return {key: plain(rng, depth + 1) for key in keys}
