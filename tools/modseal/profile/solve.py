"""Which modules a target gets when some are asked for: chosen by their claims, then proved, until all of them hold.

A candidate whose bundle the policy does not accept is taken out and the choice is made again, so that only the bundles
of chosen modules are read whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modseal.depot import relations
from modseal.depot.relations import constraint_text
from modseal.errors import InternalError, UsageError
from modseal.format.manifest import Constraint
from modseal.profile.candidates import Candidate, Refused
from modseal.profile.installed import TargetModules
from modseal.profile.resolver import Condition, Impossible, Universe, exactly, keep, need, resolve

_ASKED = re.compile(r"\s*([^\s<>=]+)\s*(?:(<<|<=|=|>=|>>)\s*([^\s<>=]+)\s*)?")


@dataclass(frozen=True, slots=True)
class Solution:
    """The answer: the modules of the set, or why there is none (`reasons`), and what was refused on the way.

    `uncertain` says that modseal cannot judge: a bundle that could not be examined might change the answer.
    """

    modules: tuple[Candidate, ...] = ()
    removed: tuple[Candidate, ...] = ()
    reasons: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()
    uncertain: bool = False
    notes: tuple[str, ...] = ()


def parse_asked(text: str) -> Constraint:
    """`name`, or `name >= 1.0`. Raises `UsageError`."""
    match = _ASKED.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is neither a name nor a name with a version, such as 'acme-agent >= 1.0'")
    return Constraint(*match.groups())


def solve(
    asked: Sequence[Constraint],
    candidates: Sequence[Candidate],
    installed: TargetModules,
    why_not: Callable[[Candidate], Refused | None],
    refused: Sequence[Refused] = (),
) -> Solution:
    """The set for what is asked. `why_not` proves one bundle. Raises `UndecidedError` past the solver's limit."""
    left, found, proved = list(candidates), list(refused), set[Candidate]()
    notes = (_NOTE,) if installed.is_list else ()
    while True:
        universe = Universe([*installed.modules, *left], {one.name for one in asked})
        roots = [*map(need, asked), *map(keep, installed.modules)]
        try:
            chosen = resolve(universe, roots)
        except Impossible as impossible:
            reasons = _reasons(universe, asked, installed, impossible)
            uncertain = any(one.undecided for one in found)
            return Solution(reasons=reasons, refused=tuple(found), uncertain=uncertain, notes=notes)
        wrong = dict[Candidate, Refused]()
        for one in chosen:
            if not one.is_installed and one not in proved:
                if refusal := why_not(one):
                    wrong[one] = refusal
                else:
                    proved.add(one)
        if not wrong:
            _require_sound(asked, chosen)
            names = {one.name for one in chosen}
            gone = tuple(one for one in installed.modules if one.name not in names)
            return Solution(tuple(chosen), gone, refused=tuple(found), notes=notes)
        found += wrong.values()
        left = [one for one in left if one not in wrong]


_NOTE = "the list of installed modules says only names and versions: each counts as offering these and nothing else"


def _require_sound(asked: Sequence[Constraint], chosen: Sequence[Candidate]) -> None:
    """The resolver's answer is held against the rules that hosts use. What is installed was judged by its host."""
    new = {one.name for one in chosen if not one.is_installed}
    by_name = {one.name: one for one in chosen}
    broken = [one for one in relations.unmet(chosen) if one.module.name in new]
    broken_pairs = [one for one in relations.clashes(chosen) if one.module.name in new or one.other.name in new]
    missed = [one for one in asked if not any(relations.meets(each, one) for each in chosen)]
    replaced = [
        one
        for one in chosen
        for constraint in one.relationships.replaces
        if (other := by_name.get(constraint.name))
        and relations.replaces(one, other)
        and (one.name in new or other.name in new)
    ]
    if len(by_name) < len(chosen):
        raise InternalError("the resolver gave a set with two versions of one module")
    if broken or broken_pairs or missed or replaced:
        raise InternalError("the resolver gave a set that breaks the rules of its own modules")


def _reasons(
    universe: Universe, asked: Sequence[Constraint], installed: TargetModules, impossible: Impossible
) -> tuple[str, ...]:
    """Why nothing fits, told of the newest of what was asked for."""
    rules, older = impossible.rules, list[str]()
    pinned = list[Condition]()
    for one in asked:
        if versions := universe.meeting(one):
            newest = relations.newest(versions)
            pinned.append(exactly(newest))
            if len(versions) > 1:
                older.append(f"no other {constraint_text(one)} of the {len(versions)} fits either")
    try:
        resolve(universe, [*pinned, *map(need, asked), *map(keep, installed.modules)])
    except Impossible as narrower:
        rules = narrower.rules
    else:
        older = []  # several newest fit together only without the others' rules
    texts = [_reason(universe, rule) for rule in rules if rule.by or rule.kind != "is"]
    if not texts:  # the rules that met are all of ways to meet needs, which would tell nobody anything
        together = ", ".join(map(constraint_text, asked))
        texts = [f"asked for: {together}, and no way to meet all needs is free of conflicts"]
    return tuple(dict.fromkeys((*texts, *older)))


def _reason(universe: Universe, rule: Condition) -> str:
    wanted = constraint_text(rule.constraint)
    if rule.kind == "keeps":
        return f"{rule.constraint.name} {rule.constraint.version} is installed, and stays or gets newer"
    text = f"{rule.by.name} {rule.by.version} {rule.kind} {wanted}" if rule.by else f"asked for: {wanted}"
    if rule.kind == "needs" and not universe.meeting(rule.constraint):
        text += f", and {_what_there_is(universe, rule.constraint)}"
    return text


def _what_there_is(universe: Universe, constraint: Constraint) -> str:
    found = universe.by_name.get(constraint.name)
    if not found:
        return "nothing that can be used offers it"
    one = relations.newest(found)
    return f"the newest {one.name} {f'in {one.depot}' if one.depot else 'installed'} is {one.version}"
