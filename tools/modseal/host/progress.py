"""How far a change or a verification is, for whoever looks while it goes on. Nothing is decided by it."""

from __future__ import annotations

from collections.abc import Sized
from typing import NamedTuple


class Step(NamedTuple):
    """The step that is being done: the `number`th of so many, and of what it works on, so many of so many are done."""

    number: int
    steps: int
    what: str
    done: int
    of: int

    @property
    def percent(self) -> int:
        """All steps count alike, whatever time they take; 99 at most, since the end is said otherwise."""
        return min(99, int(100 * (self.number - 1 + self.done / max(self.of, 1)) / self.steps))


class Progress:
    """Is told of steps as they begin, and forgets them: nobody looks."""

    def plan(self, steps: int) -> None:
        """So many steps are to come; what was begun before is none of them."""

    def begin(self, what: str, counted: Sized = (), of: int = 1) -> None:
        """A step begins: it is done when so many have been `counted`."""


SILENT = Progress()


class WatchedProgress(Progress):
    """Is told by the thread that works, and read by any other one."""

    def __init__(self) -> None:
        self._steps, self._begun = 1, 0
        self._now: tuple[int, int, str, Sized, int] | None = None

    def plan(self, steps: int) -> None:
        """See `Progress`."""
        self._steps, self._begun = steps, 0

    def begin(self, what: str, counted: Sized = (), of: int = 1) -> None:
        """See `Progress`."""
        self._begun += 1
        self._now = self._begun, max(self._steps, self._begun), what, counted, of  # in one go, since others read it

    def step(self) -> Step | None:
        """The step that is being done; None where none has begun."""
        if self._now is None:
            return None
        number, steps, what, counted, of = self._now
        return Step(number, steps, what, min(len(counted), of), of)
