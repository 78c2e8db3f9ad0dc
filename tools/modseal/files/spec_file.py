"""A file in TOML that a person has written, read and held against its shape: hosts, services, host images."""

from __future__ import annotations

from pathlib import Path

from modseal import limits
from modseal.causes import CauseName
from modseal.errors import SpecError, SpecProblem, require_spec
from modseal.files.small import read_small
from modseal.format import toml_text
from modseal.format.shape import Table
from modseal.format.toml_text import TomlDocument


def read_spec(path: Path, shape: Table, cause: CauseName) -> TomlDocument:
    """The file's document, which has the shape. `cause` is that of what is wrong with such a file.

    Raises `SpecError` with every problem, each with its line, and `InputError`.
    """
    source = str(path)
    try:
        document = toml_text.parse(read_small(path, limits.SPEC_SIZE).data)
    except toml_text.TomlError as error:
        raise SpecError(error.describe(source)).because(cause) from None
    require_spec(SpecProblem(one, cause) for one in document.problems(shape, source))
    return document
