"""Chooses modules by the rules of `depot.relations`: on values, and nothing is opened or proved.

Each module that what is asked for can lead to has a number, and each rule becomes clauses for `profile.search`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from modseal import limits
from modseal.depot import relations
from modseal.errors import UndecidedError
from modseal.format.manifest import Constraint
from modseal.profile.candidates import Candidate
from modseal.profile.search import Clause, Contradiction, Search, TooManyStepsError
from modseal.trust.version import version_key


@dataclass(frozen=True, slots=True)
class Condition:
    """What one module, or who asks (`by` is None), says of others.

    `kind` is `needs`, `conflicts`, `compatibleWith`, `replaces`, `keeps` (`only` stays or gets newer) or `is` (`only`
    and no other).
    """

    kind: str
    constraint: Constraint
    by: Candidate | None = None
    only: Candidate | None = None


class Impossible(Exception):  # noqa: N818 - an answer, and not an error
    """No set is possible: `rules` cannot all hold."""

    def __init__(self, rules: Sequence[Condition]) -> None:
        super().__init__()
        self.rules = tuple(rules)


class Universe:
    """All candidates, by their names and by what they offer, the best first."""

    def __init__(self, candidates: Iterable[Candidate], asked: Iterable[str] = ()) -> None:
        asked = set(asked)
        self.by_name: dict[str, list[Candidate]] = {}
        self.by_offer: dict[str, list[Candidate]] = {}
        found = sorted(
            candidates, key=lambda one: (version_key(one.version), one.version, one.is_installed), reverse=True
        )
        # What the target has stays as it is, unless its name was asked for; else the newest first.
        for one in sorted(found, key=lambda one: not (one.is_installed and one.name not in asked)):
            self.by_name.setdefault(one.name, []).append(one)
            for name in dict.fromkeys(offer.name for offer in relations.offers(one)):
                self.by_offer.setdefault(name, []).append(one)

    def meeting(self, constraint: Constraint) -> list[Candidate]:
        """The modules that offer what is asked for."""
        return [one for one in self.by_offer.get(constraint.name, ()) if relations.meets(one, constraint)]

    def ways(self, rule: Condition) -> list[Candidate]:
        """The modules of which one has to come, for a rule that is no refusal."""
        if rule.only is None:
            return self.meeting(rule.constraint)
        old = rule.only
        if rule.kind == "is":
            return [old]
        same = [one for one in self.by_name[old.name] if not relations.is_newer(old.version, one.version)]
        others = [one for each in self.by_name.values() for one in each if relations.replaces(one, old)]
        return [*same, *others]

    def refusals(self, one: Candidate) -> Iterator[tuple[Condition, Candidate]]:
        """The modules that one does not go together with."""
        said = one.relationships
        for kind, constraints in (("conflicts", said.conflicts), ("compatibleWith", said.compatible_with)):
            for constraint in constraints:
                for other in self.by_offer.get(constraint.name, ()):
                    if other.name != one.name and relations.meets(other, constraint) == (kind == "conflicts"):
                        yield Condition(kind, constraint, one), other
        for constraint in said.replaces:
            for other in self.by_name.get(constraint.name, ()):
                if other.name != one.name and relations.holds(constraint, other.version):
                    yield Condition("replaces", constraint, one), other


def need(constraint: Constraint) -> Condition:
    """The rule that who asks needs something."""
    return Condition("needs", constraint)


def keep(one: Candidate) -> Condition:
    """The rule that a module of the target stays, or a newer one or one that replaces it comes."""
    return Condition("keeps", Constraint(one.name, ">=", one.version), None, one)


def exactly(one: Candidate) -> Condition:
    """The rule that this module is in the set."""
    return Condition("is", Constraint(one.name, "=", one.version), None, one)


def _clauses(universe: Universe, rules: Sequence[Condition]) -> tuple[list[Candidate], list[Clause]]:
    """The modules that the rules can lead to, numbered from 2, and all that has to hold among them."""
    numbers = dict[int, int]()  # by identity: to hash a candidate means to hash all that it says
    reached = list[Candidate]()
    clauses = list[Clause]()

    def number(one: Candidate) -> int:
        if id(one) not in numbers:
            reached.append(one)
            numbers[id(one)] = len(reached) + 1
        return numbers[id(one)]

    for rule in rules:
        clauses.append(Clause([-1, *map(number, universe.ways(rule))], rule))
    for one in reached:  # grows on the way
        for constraint in one.relationships.depends:
            rule = Condition("needs", constraint, one)
            ways = [number(each) for each in universe.ways(rule)]
            if number(one) not in ways:
                clauses.append(Clause([-number(one), *ways], rule))
    for one in reached:
        for rule, other in universe.refusals(one):
            if id(other) in numbers:
                clauses.append(Clause([-number(one), -number(other)], rule))
    for versions in universe.by_name.values():
        for pair in combinations([numbers[id(one)] for one in versions if id(one) in numbers], 2):
            clauses.append(Clause([-each for each in pair]))
    return reached, clauses


def resolve(universe: Universe, rules: Sequence[Condition]) -> list[Candidate]:
    """A set in which all rules hold, in the order of names.

    Raises `Impossible`, and `UndecidedError` past the limit.
    """
    reached, clauses = _clauses(universe, rules)
    try:
        chosen = Search(len(reached) + 1, clauses).run(limits.SOLVER_ROUNDS)
    except Contradiction as found:
        core = set(map(id, found.clauses))
        labels = [clause.label for clause in clauses if id(clause) in core]
        raise Impossible([label for label in labels if isinstance(label, Condition)]) from None
    except TooManyStepsError:
        raise UndecidedError("limit-exceeded", "no set was found within the limit of steps") from None
    return sorted((reached[one - 2] for one in chosen), key=lambda one: one.name)
