"""The modes that `modseal.toml` beside the descriptor of a stage folder says, given to what is packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from modseal.bundle.stage_modes import SHAPE
from modseal.format import toml_text
from modseal.format.shape import Problem
from modseal.packing.collect import PayloadTree


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
