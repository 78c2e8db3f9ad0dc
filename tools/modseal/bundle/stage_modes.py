"""`modseal.toml` beside the descriptor of a stage folder: the modes of its files, which no descriptor has.

A stage folder goes through version control and archives that keep no modes but whether a file is executable, so modes
that differ are written down where they stay the same on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from modseal import limits
from modseal.format import rules
from modseal.format.manifest import FileType
from modseal.format.shape import Table, Text, TextMap
from modseal.values import regex

SCHEMA = "modseal/stage@1"
FILE = "modseal.toml"

EXECUTABLE_MODE = 0o755
FILE_MODE = 0o644
DIRECTORY_MODE = 0o755

SHAPE = Table(
    {"schema": Text(choices=(SCHEMA,))},
    {
        "modes": TextMap(
            Text(most=limits.PATH_LENGTH),
            Text(regex("[0-7]{4}"), form="4 octal digits like '0600'", least=4, most=4),
            most=limits.FILES,
            about="A path of a payload, without a slash in front, to its mode.",
        ),
    },
    about="What modseal.toml says beside the descriptor of a stage folder, as `modseal pack` reads it.",
)


def usual(kind: FileType, mode: int, keep: int = 0) -> int:
    """The mode that a file or folder on disk gets where nobody says another; `keep` are bits of files that stay."""
    if kind is FileType.DIRECTORY:
        return DIRECTORY_MODE
    return (EXECUTABLE_MODE if mode & 0o100 else FILE_MODE) | (mode & keep)


def is_usual(kind: FileType, mode: int) -> bool:
    """Whether a file or folder of a `.vib` with this mode gets it again without being told."""
    return mode == usual(kind, mode, rules.STICKY)


def encode(modes: Mapping[str, int]) -> bytes:
    """The file for some modes by path."""
    lines = (f'{json.dumps(path, ensure_ascii=False)} = "{mode:04o}"' for path, mode in modes.items())
    return "\n".join([f'schema = "{SCHEMA}"', "", "[modes]", *lines, ""]).encode()
