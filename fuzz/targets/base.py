"""What a fuzz target is, and the fixtures that all of them share.

A target takes any bytes. It returns where they are read as a value or refused by the one exception that the
reader documents, and raises whatever else happens: a foreign exception, or an `AssertionError` where
two things that must agree do not.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from modseal.errors import FormatError, ModsealError
from modseal.pki.certificate import Certificate
from modseal.policy.file import parse
from modseal.policy.material import read_certificates
from modseal.trust.policy import Policy

FOLDER = Path(__file__).parents[1]
FIXTURES = FOLDER / "fixtures"
SEEDS = FOLDER / "seeds"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
"""The time at which the seeds are good."""
CONTENT = b"the content that the seed blocks sign"
SIGNATURE = b"the signature that the seed tokens are over"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Target:
    """One reader under test.

    `longest` bounds the inputs, in bytes; `mutator` is a name from `mutators`, `dictionary` a file
    of `dictionaries/`.
    """

    name: str
    run: Callable[[bytes], object]
    longest: int = 4096
    mutator: str = ""
    dictionary: str = ""

    def seeds(self) -> dict[str, bytes]:
        """The committed inputs by name, all of them good."""
        return {path.name: path.read_bytes() for path in sorted((SEEDS / self.name).iterdir())}


def attempt(read: Callable[[bytes], _T], data: bytes, refusal: type[ModsealError] = FormatError) -> _T | None:
    """What a reader makes of some bytes, None where it refuses them."""
    try:
        return read(data)
    except refusal:
        return None


@functools.cache
def certificates(name: str) -> tuple[Certificate, ...]:
    """The certificates of a PEM file among the fixtures."""
    return read_certificates((FIXTURES / name).read_bytes())


@functools.cache
def policy(name: str = "policy.toml") -> Policy:
    """A policy among the fixtures."""
    return parse((FIXTURES / name).read_bytes(), name, read_fixture)


def read_fixture(name: str) -> bytes:
    """What a policy's reader of files does, without leaving the fixtures: the same errors, no other files."""
    if "\0" in name:
        raise ValueError("embedded null byte")  # as `open` does
    if "/" in name or name in ("", ".", "..") or len(name) > 64:
        raise FileNotFoundError(2, "No such file or directory", name)
    return (FIXTURES / name).read_bytes()
