"""A second reading of the rules for sets of modules, which shares no code with the solver: whole numbers as versions.

It says of one set whether it may be, and of a small universe which sets may be, by trying them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from modseal.format.manifest import Constraint
from modseal.profile.candidates import Candidate


def _fits(version: str | None, constraint: Constraint) -> bool:
    if constraint.relation is None:
        return True
    if version is None:
        return False
    have, want = int(version), int(str(constraint.version))
    return {"<<": have < want, "<=": have <= want, "=": have == want, ">=": have >= want, ">>": have > want}[
        constraint.relation
    ]


def is_offered(one: Candidate, constraint: Constraint) -> bool:
    """Whether a module offers what a constraint asks for."""
    own = one.name == constraint.name and _fits(one.version, constraint)
    return own or any(
        each.name == constraint.name and _fits(each.version, constraint) for each in one.relationships.provides
    )


def _offers_name(one: Candidate, name: str) -> bool:
    return name == one.name or name in [each.name for each in one.relationships.provides]


def _ousts(one: Candidate, other: Candidate) -> bool:
    """Whether one says that it takes the other's place."""
    return one.name != other.name and any(
        each.name == other.name and _fits(other.version, each) for each in one.relationships.replaces
    )


def what_is_wrong(
    chosen: Sequence[Candidate], asked: Iterable[Constraint], installed: Iterable[Candidate]
) -> Iterator[str]:
    """Every rule that a set breaks."""
    names = [one.name for one in chosen]
    if len(set(names)) < len(names):
        yield "two versions of one name"
    for constraint in (*asked, *(each for one in chosen for each in one.relationships.depends)):
        if not any(is_offered(one, constraint) for one in chosen):
            yield f"nothing meets {constraint}"
    for one, other in product(chosen, chosen):
        if one is not other:
            yield from _refusals(one, other)
    for old in installed:
        same = [int(one.version) for one in chosen if one.name == old.name]
        if any(version < int(old.version) for version in same):
            yield f"{old} gets older"
        if not same and not any(one.path and _ousts(one, old) for one in chosen):
            yield f"{old} goes"


def _refusals(one: Candidate, other: Candidate) -> Iterator[str]:
    if any(is_offered(other, each) for each in one.relationships.conflicts):
        yield f"{one} conflicts {other}"
    for each in one.relationships.compatible_with:
        if _offers_name(other, each.name) and not is_offered(other, each):
            yield f"{one} is not compatible with {other}"
    if _ousts(one, other) and (one.path or other.path):  # two that are installed were together before
        yield f"{one} replaces {other}"


def good_sets(
    among: Sequence[Candidate], asked: Sequence[Constraint], installed: Sequence[Candidate]
) -> Iterator[list[Candidate]]:
    """Every set that may be."""
    universe = [*installed, *among]
    by_name = [[None, *(one for one in universe if one.name == name)] for name in sorted({o.name for o in universe})]
    for picked in product(*by_name):
        chosen = [one for one in picked if one]
        if not any(what_is_wrong(chosen, asked, installed)):
            yield chosen
