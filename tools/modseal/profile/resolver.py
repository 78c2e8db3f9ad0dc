"""Chooses modules by the rules of `depot.relations`: on values, and nothing is opened or proved.

Each module that what is asked for can lead to has a number, and each rule becomes clauses for `profile.search`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from modseal import limits
from modseal.depot import relations
from modseal.errors import UndecidedError
from modseal.format.manifest import Constraint
from modseal.profile.candidates import Candidate
from modseal.profile.platform import BASE, release
from modseal.profile.search import Clause, Contradiction, Search, StepsLeft, TooManyStepsError
from modseal.trust.version import version_key


@dataclass(frozen=True, slots=True)
class Condition:
    """What one module, or who asks (`by` is None), says of others.

    `kind` is `needs`, `conflicts`, `compatibleWith`, `replaces`, `platform` (it is for another ESXi), `files` (both
    bring a path, as `detail` says), `keeps` (`only` stays, gets newer or is replaced) or `is` (`only` and no other).
    For a refusal, `only` is the module that is refused.
    """

    kind: str
    constraint: Constraint
    by: Candidate | None = None
    only: Candidate | None = None
    detail: str = ""


class Impossible(Exception):  # noqa: N818 - an answer, and not an error
    """No set is possible: `rules` cannot all hold, and without any one of them the others could."""

    def __init__(self, rules: Sequence[Condition]) -> None:
        super().__init__()
        self.rules = tuple(rules)


class Universe:
    """All candidates, by their names and by what they offer, the best first."""

    def __init__(self, candidates: Iterable[Candidate], asked: Iterable[str]) -> None:
        asked = set(asked)
        self.by_name: dict[str, list[Candidate]] = {}
        self._by_offer: dict[str, list[tuple[Candidate, list[str | None]]]] = {}
        self._by_replaced: dict[str, list[Candidate]] = {}
        self._forbidden: dict[int, list[tuple[Condition, Candidate]]] = {}
        found = sorted(
            candidates, key=lambda one: (version_key(one.version), one.version, one.is_installed), reverse=True
        )
        # What the target has stays as it is, unless its name was asked for; else the newest first.
        for one in sorted(found, key=lambda one: not (one.is_installed and one.name not in asked)):
            self.by_name.setdefault(one.name, []).append(one)
            versions: dict[str, list[str | None]] = {}
            for offer in relations.offers(one):
                versions.setdefault(offer.name, []).append(offer.version)
            for name, offered in versions.items():
                self._by_offer.setdefault(name, []).append((one, offered))
            for name in dict.fromkeys(constraint.name for constraint in one.relationships.replaces):
                self._by_replaced.setdefault(name, []).append(one)

    def discard(self, gone: Candidate) -> None:
        """Take a candidate out."""
        for name in dict.fromkeys(offer.name for offer in relations.offers(gone)):
            self._by_offer[name] = [pair for pair in self._by_offer[name] if pair[0] is not gone]
        for name in dict.fromkeys(constraint.name for constraint in gone.relationships.replaces):
            self._by_replaced[name] = [one for one in self._by_replaced[name] if one is not gone]
        self.by_name[gone.name] = [one for one in self.by_name[gone.name] if one is not gone]

    def forbid(self, by: Candidate, other: Candidate, detail: str) -> None:
        """Never choose these two together: what they bring does not go together, whichever copies of them it is."""
        for one in self._copies(by):
            pairs = self._forbidden.setdefault(id(one), [])
            for each in self._copies(other):
                pairs.append((Condition("files", Constraint(each.name, "=", each.version), one, each, detail), each))

    def _copies(self, one: Candidate) -> list[Candidate]:
        return [each for each in self.by_name[one.name] if each is one or (one.digest and each.digest == one.digest)]

    def meeting(self, constraint: Constraint) -> list[Candidate]:
        """The modules that offer what is asked for."""
        return [one for one, meets in self._offering(constraint) if meets]

    def ways(self, rule: Condition) -> list[Candidate]:
        """The modules of which one has to come, for a rule that is not a refusal."""
        if rule.only is None:
            return self.meeting(rule.constraint)
        old = rule.only
        if rule.kind == "is":
            return [old]
        same = [one for one in self.by_name[old.name] if not relations.is_newer(old.version, one.version)]
        new = (one for one in self._by_replaced.get(old.name, ()) if not one.is_installed)
        return [*same, *(one for one in new if relations.replaces(one, old))]

    def offering(self, name: str) -> list[tuple[Candidate, list[str | None]]]:
        """The modules that offer a name, each with the versions of what it offers."""
        return self._by_offer.get(name, [])

    def breadth(self, one: Candidate) -> int:
        """How many offers of others all that a module says has to be held against."""
        said = one.relationships
        every = (*said.depends, *said.conflicts, *said.compatible_with, *said.replaces)
        found = sum(len(versions) for constraint in every for _, versions in self.offering(constraint.name))
        return found + len(self._forbidden.get(id(one), ())) + len(self.by_name.get(BASE, ()))

    def older(self, one: Candidate) -> list[Candidate]:
        """The older versions of a module."""
        return [other for other in self.by_name[one.name] if relations.is_newer(one.version, other.version)]

    def refusals(self, one: Candidate) -> Iterator[tuple[Condition, Candidate]]:
        """The modules that one does not go together with."""
        said = one.relationships
        for kind, constraints in (("conflicts", said.conflicts), ("compatibleWith", said.compatible_with)):
            for constraint in constraints:
                for other, meets in self._offering(constraint):
                    if other.name != one.name and meets == (kind == "conflicts"):
                        yield Condition(kind, constraint, one, other), other
        for constraint in said.replaces:
            for other in self.by_name.get(constraint.name, ()):
                # Hosts keep what replaces beside what is replaced where both are there already.
                there = one.is_installed and other.is_installed
                if other.name != one.name and not there and relations.holds(constraint, other.version):
                    yield Condition("replaces", constraint, one, other), other
        for base in self.by_name.get(BASE, ()) if one.name != BASE else ():
            if is_misfit(one, base):
                yield Condition("platform", Constraint(BASE), one, base), base
        yield from self._forbidden.get(id(one), ())

    def _offering(self, constraint: Constraint) -> Iterator[tuple[Candidate, bool]]:
        """The modules that offer a name, each with whether it meets the constraint."""
        for one, versions in self.offering(constraint.name):
            yield one, any(relations.holds(constraint, version) for version in versions)


def is_misfit(one: Candidate, base: Candidate) -> bool:
    """Whether a module is for another ESXi than that of an `esx-base`. What is installed together stays together."""
    there = one.is_installed and base.is_installed
    return not there and base.kind != "seal" and not one.fits(release(base.version))


def need(constraint: Constraint) -> Condition:
    """The rule that who asks needs something."""
    return Condition("needs", constraint)


def keep(one: Candidate) -> Condition:
    """The rule that a module of the target stays, or a newer one or one that replaces it comes, and never an older."""
    return Condition("keeps", Constraint(one.name, ">=", one.version), None, one)


def exactly(one: Candidate, asked: Constraint) -> Condition:
    """The rule that this module is in the set, for what was asked for."""
    return Condition("is", asked, None, one)


class _Rules:
    """What has to hold, in numbers: 1 is who asks, a module that the rules can lead to has one from 2.

    Numbers above those of the modules say that one of the first versions of a name is in the set.
    """

    def __init__(self, universe: Universe, roots: Sequence[Condition], steps: StepsLeft) -> None:
        self._numbers: dict[int, int] = {}  # by identity: to hash a candidate means to hash all that it says
        self._left = limits.SOLVER_RULES
        self.reached: list[Candidate] = []
        self.clauses: list[tuple[tuple[int, ...], Condition | None]] = []
        for rule in roots:
            self._add(rule, -1, *map(self._number, universe.ways(rule)))
        for one in self.reached:  # grows on the way
            steps.spend(universe.breadth(one))
            for constraint in one.relationships.depends:
                rule = Condition("needs", constraint, one)
                ways = [self._number(each) for each in universe.ways(rule)]
                if self._number(one) not in ways:
                    self._add(rule, -self._number(one), *ways)
        for one in self.reached:
            for rule, other in universe.refusals(one):
                if id(other) in self._numbers:
                    self._add(rule, -self._number(one), -self._number(other))
        for rule in roots:
            for other in universe.older(rule.only) if rule.only and rule.kind == "keeps" else ():
                if id(other) in self._numbers:
                    self._add(rule, -1, -self._number(other))
        self.size = len(self.reached) + 1
        for versions in universe.by_name.values():
            self._at_most_one([self._numbers[id(one)] for one in versions if id(one) in self._numbers])

    def _number(self, one: Candidate) -> int:
        if id(one) not in self._numbers:
            self.reached.append(one)
            self._numbers[id(one)] = len(self.reached) + 1
        return self._numbers[id(one)]

    def _add(self, rule: Condition | None, *literals: int) -> None:
        self._left -= len(literals)
        if self._left < 0:
            raise UndecidedError("limit-exceeded", "the modules have more rules for one another than the solver takes")
        self.clauses.append((literals, rule))

    def _at_most_one(self, versions: Sequence[int]) -> None:
        """In a row, each with the number that one up to it is there: pairs would be millions for a long history."""
        before = 0
        for one in versions[:-1]:
            self.size += 1
            self._add(None, -one, self.size)
            if before:
                self._add(None, -before, self.size)
                self._add(None, -before, -one)
            before = self.size
        if before:
            self._add(None, -before, -versions[-1])


def resolve(universe: Universe, roots: Sequence[Condition], steps: StepsLeft) -> list[Candidate]:
    """A set in which all rules hold, in the order of names.

    Raises `Impossible`, and `UndecidedError` (limit-exceeded).
    """
    try:
        rules = _Rules(universe, roots, steps)
        try:
            chosen = _search(rules, range(len(rules.clauses)), steps)
        except Contradiction as found:
            raise Impossible(_needed(rules, found)) from None
    except TooManyStepsError:
        detail = "no set was found within the limit of steps"
        raise UndecidedError("limit-exceeded", detail).because("search-too-long") from None
    return sorted((rules.reached[one - 2] for one in chosen if one - 2 < len(rules.reached)), key=lambda one: one.name)


def _search(rules: _Rules, places: Iterable[int], steps: StepsLeft) -> list[int]:
    """Search under the rules at these places alone."""
    return Search(rules.size, [Clause(rules.clauses[place][0], place) for place in places], steps).run()


def _needed(rules: _Rules, found: Contradiction) -> list[Condition]:
    """The rules of a contradiction without those that it does not need: the nearest to what was asked for are kept."""

    def conditions(places: Iterable[int]) -> dict[int, Condition]:
        return {id(rule): rule for place in places if (rule := rules.clauses[place][1])}

    core, steps = _places(found), StepsLeft(limits.SOLVER_STEPS // 50)
    kept = conditions(core)
    for one in reversed(kept):
        if one in kept:
            try:
                _search(rules, [place for place in core if id(rules.clauses[place][1]) != one], steps)
            except Contradiction as again:
                core = _places(again)
                kept = conditions(core)
            except TooManyStepsError:
                break  # true all the same
    return list(kept.values())


def _places(found: Contradiction) -> list[int]:
    return sorted(clause.label for clause in found.clauses if clause.label is not None)
