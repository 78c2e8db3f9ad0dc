"""`modseal.toml` beside the descriptor of a stage folder: the modes of its files, which no descriptor has.

A stage folder goes through version control and archives that keep no modes but whether a file is executable, so modes
that differ are written down where they stay the same on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.format import toml_text
from modseal.format.shape import Problem, Table, Text, TextMap
from modseal.packing.collect import PayloadTree

SCHEMA = "modseal/stage@1"
FILE = "modseal.toml"

SHAPE = Table(
    {"schema": Text(choices=(SCHEMA,))},
    {
        "modes": TextMap(
            Text(most=limits.PATH_LENGTH),
            Text(re.compile("[0-7]{4}"), form="4 octal digits like '0600'", least=4, most=4),
            most=limits.FILES,
            about="A path of a payload, without a slash in front, to its mode.",
        ),
    },
    about="What modseal.toml says beside the descriptor of a stage folder, as `modseal pack` reads it.",
)


def apply(data: bytes, path: Path, trees: Sequence[PayloadTree]) -> Iterator[str]:
    """Give the entries of some trees the modes that the file at `path` says, and say all that is wrong with it."""
    try:
        document = toml_text.parse(data)
    except toml_text.TomlError as error:
        yield error.describe(str(path))
        return
    if problems := document.problems(SHAPE, str(path)):
        yield from problems
        return
    modes: Any = document.values.get("modes", {})
    for name, mode in modes.items():
        found = [tree.set_mode(name, int(mode, 8)) for tree in trees if name in tree.inputs]
        if not found:
            yield document.describe(Problem(("modes", name), "is in no payload"), str(path))
        if False in found:
            yield document.describe(Problem(("modes", name), "is a symbolic link, which has no mode"), str(path))
