"""Which limits the tests of this folder cover: each test says it itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Test = TypeVar("Test", bound=Callable[..., object])

COVERED: set[str] = set()


def bounds(*names: str) -> Callable[[Test], Test]:
    """Marks a test that goes just under and just over these limits."""

    def mark(test: Test) -> Test:
        COVERED.update(names)
        return test

    return mark
