"""Chooses modules by the rules of `depot.relations`, with resolvelib: on values, and nothing is opened or proved.

resolvelib pins one candidate for each identifier. A module's name is one, and `ABSENT` is a candidate of every name:
it meets what refuses and never what needs. A need that several names can meet is an identifier of its own, with a
`OneWay` for each module that offers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resolvelib import AbstractProvider, BaseReporter, Resolver
from resolvelib.resolvers import ResolutionImpossible, ResolutionTooDeep

from modseal import limits
from modseal.depot import relations
from modseal.depot.relations import constraint_text
from modseal.errors import UndecidedError
from modseal.format.manifest import Constraint
from modseal.profile.candidates import Candidate
from modseal.trust.version import version_key


@dataclass(frozen=True, slots=True)
class Demand:
    """What one module, or who asks (`by` is None), says of an identifier.

    `kind` is `needs`, `conflicts`, `compatibleWith`, `replaces`, `keeps` or `is`.
    """

    kind: str
    identifier: str
    constraint: Constraint
    by: Candidate | None = None
    only: Candidate | None = None

    def allows(self, one: Pin) -> bool:
        """Whether a pin of the identifier is in keeping with the rule."""
        if isinstance(one, OneWay):
            return True
        if isinstance(one, Absent):
            return self.kind in ("conflicts", "compatibleWith", "replaces")
        match self.kind:
            case "conflicts":
                return not relations.meets(one, self.constraint)
            case "replaces":
                return not relations.holds(self.constraint, one.version)
            case "compatibleWith":
                named = any(offer.name == self.constraint.name for offer in relations.offers(one))
                return not named or relations.meets(one, self.constraint)
            case "is":
                return one == self.only
            case _:
                return relations.meets(one, self.constraint)


@dataclass(frozen=True, slots=True)
class Absent:
    """No module of this name."""

    name: str


@dataclass(frozen=True, slots=True)
class OneWay:
    """One way to meet a need."""

    identifier: str
    module: Candidate


Pin = Candidate | Absent | OneWay


class Impossible(Exception):  # noqa: N818 - an answer, and not an error
    """No set is possible: `rules` are those that met in the end."""

    def __init__(self, rules: Sequence[Demand]) -> None:
        super().__init__()
        self.rules = tuple(rules)


class Universe:
    """All candidates, by their names and by what they offer."""

    def __init__(self, candidates: Iterable[Candidate], asked: Iterable[str] = ()) -> None:
        asked = set(asked)
        self.by_name: dict[str, list[Candidate]] = {}
        self.by_offer: dict[str, list[Candidate]] = {}
        for one in candidates:
            self.by_name.setdefault(one.name, []).append(one)
            for name in dict.fromkeys(offer.name for offer in relations.offers(one)):
                self.by_offer.setdefault(name, []).append(one)
        for found in (*self.by_name.values(), *self.by_offer.values()):
            # What the target has stays as it is, unless its name was asked for; else the newest first.
            found.sort(key=lambda one: (version_key(one.version), one.version, one.is_installed), reverse=True)
            found.sort(key=lambda one: not (one.is_installed and one.name not in asked))

    def meeting(self, constraint: Constraint) -> list[Candidate]:
        """The modules that offer what is asked for."""
        return [one for one in self.by_offer.get(constraint.name, ()) if relations.meets(one, constraint)]

    def need(self, constraint: Constraint, by: Candidate | None = None) -> Demand:
        """The rule that somebody needs something."""
        names = {one.name for one in self.by_offer.get(constraint.name, ())}
        identifier = constraint.name if names <= {constraint.name} else f"? {constraint_text(constraint)}"
        return Demand("needs", identifier, constraint, by)

    def keep(self, one: Candidate) -> Demand:
        """The rule that a module of the target stays, or a newer one or one that replaces it comes."""
        return Demand("keeps", f"= {one.name}", Constraint(one.name, ">=", one.version), None, one)

    def pins(self, rule: Demand) -> list[Pin]:
        """All pins of a rule's identifier, the best first."""
        if rule.identifier.startswith("? "):
            return [OneWay(rule.identifier, one) for one in self.meeting(rule.constraint)]
        if rule.kind == "keeps" and rule.only:
            old = rule.only
            same = [one for one in self.by_name[old.name] if not relations.is_newer(old.version, one.version)]
            others = [one for each in self.by_name.values() for one in each if relations.replaces(one, old)]
            return [OneWay(rule.identifier, one) for one in (*same, *others)]
        return [Absent(rule.identifier), *self.by_name.get(rule.identifier, ())]

    def rules_of(self, one: Pin) -> Iterator[Demand]:
        """All that a pin says of others."""
        if isinstance(one, OneWay):
            chosen = one.module
            yield Demand("is", chosen.name, Constraint(chosen.name, "=", chosen.version), None, chosen)
            return
        if isinstance(one, Absent):
            return
        said = one.relationships
        for constraint in said.depends:
            yield self.need(constraint, one)
        for kind, constraints in (("conflicts", said.conflicts), ("compatibleWith", said.compatible_with)):
            for constraint in constraints:
                names = {other.name for other in self.by_offer.get(constraint.name, ())} - {one.name}
                for name in sorted(names):
                    yield Demand(kind, name, constraint, one)
        for constraint in said.replaces:
            if constraint.name != one.name and constraint.name in self.by_name:
                yield Demand("replaces", constraint.name, constraint, one)


class _Provider(AbstractProvider):  # type: ignore[type-arg, misc, unused-ignore]
    """What resolvelib asks."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe

    def identify(self, requirement_or_candidate: Demand | Pin) -> str:
        if isinstance(requirement_or_candidate, Candidate | Absent):
            return requirement_or_candidate.name
        return requirement_or_candidate.identifier

    def get_preference(
        self,
        identifier: str,
        resolutions: Any,  # noqa: ARG002 - the library passes it
        candidates: Any,  # noqa: ARG002
        information: Any,
        backtrack_causes: Any,  # noqa: ARG002
    ) -> Any:
        # What is asked for first, then what is needed, and last what is only refused: by then it is mostly absent.
        # Then by name, so that the answer is always the same one.
        about = list(information[identifier])
        asked = any(each.parent is None for each in about)
        needed = any(not each.requirement.allows(Absent(identifier)) for each in about)
        return not asked, not needed, identifier

    def find_matches(
        self, identifier: str, requirements: Mapping[str, Iterator[Demand]], incompatibilities: Mapping[str, Any]
    ) -> list[Pin]:
        rules, bad = list(requirements[identifier]), list(incompatibilities[identifier])
        pins = self._universe.pins(rules[0])
        return [one for one in pins if one not in bad and all(rule.allows(one) for rule in rules)]

    def is_satisfied_by(self, requirement: Demand, candidate: Pin) -> bool:
        return requirement.allows(candidate)

    def get_dependencies(self, candidate: Pin) -> list[Demand]:
        return list(self._universe.rules_of(candidate))


def resolve(universe: Universe, rules: Sequence[Demand]) -> list[Candidate]:
    """A set in which all rules hold, in the order of names.

    Raises `Impossible`, and `UndecidedError` past the limit.
    """
    try:
        found = Resolver(_Provider(universe), BaseReporter()).resolve(rules, max_rounds=limits.SOLVER_ROUNDS)
    except ResolutionImpossible as error:
        raise Impossible([cause.requirement for cause in error.causes]) from None
    except ResolutionTooDeep:
        raise UndecidedError("limit-exceeded", "no set was found within the limit of steps") from None
    return sorted((one for one in found.mapping.values() if isinstance(one, Candidate)), key=lambda one: one.name)
