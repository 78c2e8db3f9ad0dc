"""A complete search for numbers that are true together, under clauses: it says which, or which clauses leave none.

Conflict-driven clause learning with two watched literals (Marques-Silva and Sakallah, GRASP, 1996; Moskewicz et al.,
Chaff, 2001). A literal is a number from 1, or its negative for "not". Only what a true number needs is ever made true,
the first way first; everything else stays false, so that the answer holds nothing that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class Clause:
    """Literals of which one has to be true, and what it was derived from (empty for one that was given)."""

    __slots__ = ("label", "literals", "parents")

    def __init__(self, literals: Iterable[int], label: int | None = None, parents: Sequence[Clause | int] = ()) -> None:
        self.literals = list(literals)
        self.label = label
        self.parents = parents


class Contradiction(Exception):  # noqa: N818 - an answer, and not an error
    """No choice is possible: `clauses` are given ones that cannot all hold."""

    def __init__(self, clauses: list[Clause]) -> None:
        super().__init__()
        self.clauses = clauses


class TooManyStepsError(Exception):
    """The limit was reached first."""


class StepsLeft:
    """How much work may still be done: one step for each rule or module that is looked at."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, count: int) -> None:
        """Raises `TooManyStepsError` where that is more than is left."""
        self.left -= count
        if self.left < 0:
            raise TooManyStepsError


class Search:
    """One search. Number 1 is who asks, and is true."""

    def __init__(self, size: int, clauses: Iterable[Clause], steps: StepsLeft) -> None:
        self._steps = steps
        steps.spend(size)
        # A list that is indexed by literals: a negative one counts from its end.
        self._value = [0] * (2 * size + 1)
        self._watched: list[list[Clause]] = [[] for _ in range(2 * size + 1)]
        self._level = [0] * (size + 1)
        self._reason: list[Clause | None] = [None] * (size + 1)
        self._trail: list[int] = []
        self._done = 0  # how many of the trail are propagated
        self._starts: list[tuple[int, int]] = []  # of each level: the trail's length, and what `_open` had passed
        self._passed = 0
        self._needs: list[list[tuple[int, ...]]] = [[] for _ in range(size + 1)]
        self._set(1, None)
        for clause in clauses:
            steps.spend(len(clause.literals))
            who, *ways = clause.literals
            if ways and ways[0] > 0:
                self._needs[-who].append(tuple(ways))
            self._add(clause)

    def run(self) -> list[int]:
        """The numbers that are true. Raises `Contradiction`, `TooManyStepsError`."""
        while True:
            self._steps.spend(1)
            if wrong := self._propagate():
                if not self._starts:
                    raise Contradiction(_origins(wrong, self._reason))
                self._learn(wrong)
            elif ways := self._open():
                self._starts.append((len(self._trail), self._passed))
                self._set(next(one for one in ways if not self._value[one]), None)
            else:
                return [one for one in self._trail if one > 1]

    def _add(self, clause: Clause) -> None:
        literals = clause.literals
        if len(literals) > 1:
            self._watched[literals[0]].append(clause)
            self._watched[literals[1]].append(clause)
        elif self._value[literals[0]] < 0:
            raise Contradiction(_origins(clause, self._reason))
        elif not self._value[literals[0]]:
            self._set(literals[0], clause)

    def _set(self, literal: int, reason: Clause | None) -> None:
        self._value[literal], self._value[-literal] = 1, -1
        self._level[abs(literal)] = len(self._starts)
        self._reason[abs(literal)] = reason
        self._trail.append(literal)

    def _propagate(self) -> Clause | None:
        """Make true what follows. Returns a clause of which nothing is left."""
        value = self._value
        while self._done < len(self._trail):
            false = -self._trail[self._done]
            self._done += 1
            watched, kept = self._watched[false], list[Clause]()
            self._watched[false] = kept
            self._steps.spend(len(watched))
            for place, clause in enumerate(watched):
                literals = clause.literals
                if literals[0] == false:
                    literals[0], literals[1] = literals[1], false
                first = literals[0]
                if value[first] <= 0:
                    other = next((k for k in range(2, len(literals)) if value[literals[k]] >= 0), 0)
                    if other:
                        literals[1], literals[other] = literals[other], false
                        self._watched[literals[1]].append(clause)
                        continue
                    if value[first] < 0:
                        kept += watched[place:]
                        return clause
                    self._set(first, clause)
                kept.append(clause)
        return None

    def _open(self) -> tuple[int, ...] | None:
        """The first need of a true number that nothing meets yet."""
        while self._passed < len(self._trail):
            who = self._trail[self._passed]
            for ways in self._needs[who] if who > 0 else ():
                self._steps.spend(len(ways))
                if not any(self._value[one] > 0 for one in ways):
                    return ways
            self._passed += 1
        return None

    def _learn(self, wrong: Clause) -> None:
        """Derive the clause that excludes this dead end (its first unique implication point), and go back."""
        now, seen, parents = len(self._starts), set[int](), list[Clause | int]()
        below, pending, place = list[int](), 0, len(self._trail)
        clause: Clause | None = wrong
        while True:
            if clause:
                parents.append(clause)
                self._steps.spend(len(clause.literals))
                for literal in clause.literals:
                    number = abs(literal)
                    if number in seen or self._value[literal] > 0:
                        continue
                    seen.add(number)
                    if self._level[number] == now:
                        pending += 1
                    elif self._level[number]:
                        below.append(literal)
                    else:
                        parents.append(number)
            place -= 1
            while abs(self._trail[place]) not in seen:
                place -= 1
            pending -= 1
            if not pending:
                break
            clause = self._reason[abs(self._trail[place])]
        below.sort(key=lambda literal: -self._level[abs(literal)])
        learned = Clause([-self._trail[place], *below], None, parents)
        back = self._level[abs(below[0])] if below else 0
        length, self._passed = self._starts[back]
        for literal in self._trail[length:]:
            self._value[literal] = self._value[-literal] = 0
        del self._trail[length:], self._starts[back:]
        self._done = length
        if below:
            self._add(learned)
        self._set(learned.literals[0], learned)


def _origins(wrong: Clause, reasons: Sequence[Clause | None]) -> list[Clause]:
    """The given clauses that a dead end with no choice left was derived from."""
    todo: list[Clause | int] = [wrong, *map(abs, wrong.literals)]
    seen, found = set[int](), list[Clause]()
    while todo:
        one = todo.pop()
        key = one if isinstance(one, int) else -id(one)
        if key in seen:
            continue
        seen.add(key)
        if isinstance(one, int):
            if reason := reasons[one]:
                todo += [reason, *map(abs, reason.literals)]
        elif one.parents:
            todo += one.parents
        else:
            found.append(one)
    return found
