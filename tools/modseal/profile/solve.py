"""Which modules a target gets when some are asked for: chosen by their claims, then proved, until all of them hold.

A candidate whose bundle the policy does not accept is taken out and the choice is made again, so that only the bundles
of chosen modules are read whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from modseal import limits
from modseal.depot import ownership, relations
from modseal.depot.relations import constraint_text
from modseal.errors import InternalError, UndecidedError, UsageError
from modseal.format import rules
from modseal.format.manifest import Constraint, Entry
from modseal.profile.candidates import Candidate, Refused
from modseal.profile.installed import TargetModules
from modseal.profile.platform import BASE
from modseal.profile.resolver import Condition, Impossible, Universe, exactly, is_misfit, keep, need, resolve
from modseal.profile.search import StepsLeft


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
    asked = relations.parse_constraint(text)
    if asked is None:
        raise UsageError(f"{text!r} is neither a name nor a name with a version, such as 'acme-agent >= 1.0'")
    for failure in rules.check_constraint("what is asked for", asked):
        raise UsageError(failure.detail)
    return asked


def solve(
    asked: Sequence[Constraint],
    candidates: Sequence[Candidate],
    installed: TargetModules,
    why_not: Callable[[Candidate], Refused | None],
    refused: Sequence[Refused] = (),
    platform: str | None = None,
    files_of: Callable[[Candidate], tuple[Entry, ...] | None] = lambda one: one.files,
) -> Solution:
    """The set for what is asked. `why_not` proves one bundle; `platform` is what candidates were held against.

    `files_of` has all that a proved candidate brings, None where that is not known.

    Raises `UndecidedError` past the solver's limits.
    """
    found, proved = list(refused), set[int]()
    notes = [*installed.notes, *_other_contents(candidates, installed)]
    universe = Universe([*installed.modules, *candidates], {one.name for one in asked})
    steps = StepsLeft(limits.SOLVER_STEPS)
    roots = [*map(need, asked), *map(keep, installed.modules)]
    while True:
        try:
            chosen = resolve(universe, roots, steps)
        except Impossible as impossible:
            reasons = _reasons(universe, asked, installed, impossible, steps)
            uncertain = any(one.undecided for one in found)
            if not installed.is_whole and (unseen := list(_unseen(impossible, installed))):
                uncertain = True
                notes += unseen
            return Solution(reasons=reasons, refused=tuple(found), uncertain=uncertain, notes=tuple(notes))
        wrong = [
            (one, refusal)
            for one in chosen
            if not one.is_installed and id(one) not in proved and (refusal := why_not(one))
        ]
        if not wrong:
            # What they bring is known only now, when they are proved: two that bring one path are no set.
            placed = [replace(one, files=files_of(one)) for one in chosen]
            if _forbid_clashes(universe, chosen, placed):
                continue
            _require_sound(asked, chosen, installed)
            notes += _without_files(placed)
            if platform is None and not any(one.name == BASE for one in chosen):
                notes += _for_unknown(chosen)
            names = {one.name for one in chosen}
            gone = tuple(one for one in installed.modules if one.name not in names)
            return Solution(tuple(chosen), gone, refused=tuple(found), notes=tuple(notes))
        proved |= set(map(id, chosen))
        for one, refusal in wrong:
            if refusal not in found:  # of two copies the same is said once
                found.append(refusal)
            universe.discard(one)


def _forbid_clashes(universe: Universe, chosen: Sequence[Candidate], placed: Sequence[Candidate]) -> bool:
    """Forbid each two of a set of which both lay claim to a path; False where there are none."""
    by_name = {one.name: one for one in chosen}
    pairs: dict[tuple[str, str], str] = {}
    for failure in ownership.collisions(placed):
        pair = str(failure.evidence["module"]), str(failure.evidence["owner"])
        together = all(by_name[name].is_installed for name in pair)  # they are there, whatever they bring
        if not together and pair[0] != pair[1]:
            pairs.setdefault(pair, failure.detail)
    for (name, other), detail in pairs.items():
        universe.forbid(by_name[name], by_name[other], detail)
    return bool(pairs)


def _without_files(chosen: Sequence[Candidate]) -> Iterator[str]:
    """That nobody knows what some modules bring, where another one comes to them."""
    unknown = [one for one in chosen if one.files is None and one.is_installed]
    if unknown and any(not one.is_installed for one in chosen):
        count = f"{len(unknown)} installed modules have" if len(unknown) > 1 else f"{unknown[0].name} (installed) has"
        yield f"nothing says which files {count}: whether a new module brings the same ones is not known"


def _unseen(impossible: Impossible, installed: TargetModules) -> Iterator[str]:
    """The needs behind a no that an installed module may meet, of which a list says only the version."""
    listed = {one.name for one in installed.modules}
    for rule in impossible.rules:
        if rule.kind == "needs" and rule.by and rule.constraint.name not in listed:
            wanted = constraint_text(rule.constraint)
            yield f"whether an installed module provides {wanted}, the list cannot say; take `esxcli software vib get`"


def _other_contents(candidates: Sequence[Candidate], installed: TargetModules) -> Iterator[str]:
    """Where a depot has an installed module with another content."""
    there = {(one.vendor, one.name, one.version): one.digest for one in installed.modules if one.digest}
    for one in candidates:
        digest = there.get((one.vendor, one.name, one.version), one.digest)
        if digest != one.digest and one.path.lower().endswith(".vib"):
            yield (
                f"{one.name} {one.version} is installed with another content than {one.depot}/{one.path} has:"
                f" the SHA-256 of its manifest is {digest}, there it is {one.digest}"
            )


def _for_unknown(chosen: Sequence[Candidate]) -> Iterator[str]:
    """New modules for certain versions of ESXi, where nobody knows the target's."""
    for one in chosen:
        if (one.other_product or any(one.platforms)) and one.kind != "seal" and not one.is_installed:
            yield (
                f"{one.name} {one.version} {one.only_for}, and nothing says what the target runs; name its ESXi with"
                f" --platform"
            )


def _require_sound(asked: Sequence[Constraint], chosen: Sequence[Candidate], installed: TargetModules) -> None:
    """The resolver's answer is held against the rules that hosts use."""
    by_name = {one.name: one for one in chosen}
    replaced = any(
        relations.replaces(one, other) and not (one.is_installed and other.is_installed)
        for one in chosen
        for constraint in one.relationships.replaces
        if (other := by_name.get(constraint.name))
    )
    missed = any(not any(relations.meets(each, one) for each in chosen) for one in asked)
    older = any(
        (one := by_name.get(old.name)) and relations.is_newer(old.version, one.version) for old in installed.modules
    )
    base = by_name.get(BASE)
    misfits = base is not None and any(is_misfit(one, base) for one in chosen if one is not base)
    if len(by_name) < len(chosen):
        raise InternalError("the resolver gave a set with two versions of one module")
    if missed or replaced or older or misfits or any(relations.unmet(chosen)) or any(relations.clashes(chosen)):
        raise InternalError("the resolver gave a set that breaks the rules of its own modules")


def _reasons(
    universe: Universe, asked: Sequence[Constraint], installed: TargetModules, impossible: Impossible, steps: StepsLeft
) -> tuple[str, ...]:
    """Why nothing fits, told of the newest of what was asked for."""
    met, older = impossible.rules, dict[int, str]()
    pinned = list[Condition]()
    for one in asked:
        if versions := universe.meeting(one):
            newest = relations.newest(versions)
            pinned.append(exactly(newest, one))
            count = len({(each.vendor, each.name, each.version) for each in versions})
            if count > 1:
                older[id(newest)] = f"no other {constraint_text(one)} of the {count} fits either"
    try:
        resolve(universe, [*pinned, *map(need, asked), *map(keep, installed.modules)], steps)
    except Impossible as narrower:
        met = narrower.rules
    except UndecidedError:
        older = {}  # that there is no set is certain all the same
    else:
        older = {}  # several newest fit together only without the others' rules
    of_these = [older[id(rule.only)] for rule in met if rule.kind == "is" and id(rule.only) in older]
    return tuple(dict.fromkeys((*_texts(universe, met), *of_these)))


def _texts(universe: Universe, met: Sequence[Condition]) -> Iterator[str]:
    """Each rule as a sentence. What one module says of several versions of another is one."""
    if not any(rule.kind == "is" or (rule.kind == "needs" and rule.by is None) for rule in met):
        yield "whatever is asked for, what is installed does not go together"
    told = {id(one) for rule in met if rule.kind != "is" for one in (rule.by, rule.only)}
    together: dict[tuple[str, int, Constraint], list[Condition]] = {}
    for rule in (rule for rule in met if rule.kind != "is" or id(rule.only) not in told):
        together.setdefault((rule.kind, id(rule.by), rule.constraint), []).append(rule)
    for (kind, _, constraint), found in together.items():
        by, wanted = found[0].by, constraint_text(constraint)
        who = _named(by) if by else ""
        others = ", ".join(dict.fromkeys(_named(rule.only) for rule in found if rule.only))
        if kind == "is":
            several = len({(each.name, each.version) for each in universe.meeting(constraint)}) > 1
            yield f"asked for: {wanted}{f', the newest of which is {others}' if several else ''}"
        elif kind == "keeps":
            yield f"{constraint.name} {constraint.version} is installed: it stays, gets newer or is replaced"
        elif kind == "needs":
            text = f"{who} needs {wanted}" if by else f"asked for: {wanted}"
            yield text if universe.meeting(constraint) else f"{text}, and {_what_there_is(universe, constraint)}"
        elif kind == "conflicts":
            yield f"{who} conflicts with {wanted}: {others}"
        elif kind == "compatibleWith":
            yield f"{who} is compatible only with {wanted}, not with {others}"
        elif kind == "platform":
            yield f"{who} {by.only_for if by else ''}, and does not go onto {others}"
        elif kind == "files":
            yield found[0].detail
        else:
            yield f"{who} replaces {wanted}: {others}"


def _named(one: Candidate) -> str:
    return f"{one.name} {one.version}{' (installed)' if one.is_installed else ''}"


def _what_there_is(universe: Universe, constraint: Constraint) -> str:
    """The nearest that there is to what nothing meets: what has its name, else what provides it."""
    if found := universe.by_name.get(constraint.name):
        one = relations.newest(found)
        return f"the newest {one.name} {f'in {one.depot}' if one.depot else 'installed'} is {one.version}"
    for one, versions in universe.offering(constraint.name):
        offered = ", ".join(version or f"{constraint.name} without a version" for version in versions)
        return f"{_named(one)} offers {offered if None in versions else f'{constraint.name} {offered}'}"
    return "nothing that can be used offers it"
