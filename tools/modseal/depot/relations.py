"""What modules need of one another, and whether a set of modules can live together: for the host and for solvers.

One meaning of each relation, on values alone:

* A module offers its own name with its version, and what it `provides`. What is provided without a version meets only
  constraints without one.
* `depends`: some module of the set offers it. A module may meet its own constraint.
* `conflicts`: no other module of the set offers it.
* `replaces`: the modules of that name and version go when this one comes. It looks at names alone and not at what is
  provided, because the power to replace is granted by name (`trust.granted`).
* `compatibleWith`: whichever other module offers the name has to meet the constraint. Nobody publishes what the field
  means and no genuine bundle has one, so this is the strict reading.

Versions are compared by `trust.version`, the one order of all versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar

from modseal.errors import Failure
from modseal.format.manifest import Constraint, Relationships
from modseal.trust.version import holds as holds_between
from modseal.trust.version import version_key
from modseal.values import dataclass


class Related(Protocol):
    """What of a module counts here. A `Manifest` has it."""

    @property
    def name(self) -> str:
        """The module's name."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def relationships(self) -> Relationships:
        """What it says of others."""


_CONSTRAINT = re.compile(r"\s*([^\s<>=]+)\s*(?:(<<|<=|=|>=|>>)\s*([^\s<>=]+)\s*)?")

M = TypeVar("M", bound=Related)


@dataclass(frozen=True, slots=True)
class Unmet:
    """A module that needs something which no module of the set offers."""

    module: Related
    constraint: Constraint


@dataclass(frozen=True, slots=True)
class Clash:
    """Two modules that cannot be in one set: what the first one says (`label`) the second one breaks."""

    module: Related
    other: Related
    label: str
    constraint: Constraint


def constraint_text(constraint: Constraint) -> str:
    """A constraint as people write it: `name`, or `name >= 1.0`."""
    return f"{constraint.name} {constraint.relation} {constraint.version}" if constraint.relation else constraint.name


def parse_constraint(text: str) -> Constraint | None:
    """The opposite of `constraint_text`; spaces around the relation may be missing. None where it has another form."""
    match = _CONSTRAINT.fullmatch(text)
    return Constraint(*match.groups()) if match else None


def is_newer(version: str, other: str) -> bool:
    """Whether a version comes after another one."""
    return version_key(version) > version_key(other)


def is_same_version(version: str, other: str) -> bool:
    """Whether two texts are the same version: `1.0` and `1.00` are."""
    return version_key(version) == version_key(other)


def holds(constraint: Constraint, version: str | None) -> bool:
    """Whether a version is in the range of a constraint. No version at all meets only a constraint without one."""
    if constraint.relation is None or constraint.version is None:
        return True
    return version is not None and holds_between(
        version_key(version), constraint.relation, version_key(constraint.version)
    )


def offers(module: Related) -> Iterator[Constraint]:
    """What a module offers: itself, and what it provides."""
    yield Constraint(module.name, "=", module.version)
    yield from module.relationships.provides


def meets(module: Related, constraint: Constraint) -> bool:
    """Whether a module offers what a constraint asks for."""
    return any(offer.name == constraint.name and holds(constraint, offer.version) for offer in offers(module))


def replaces(module: Related, other: Related) -> bool:
    """Whether a module says that it takes the other one's place. Not of its own name: that is an update."""
    return module.name != other.name and any(
        constraint.name == other.name and holds(constraint, other.version)
        for constraint in module.relationships.replaces
    )


def is_for(platforms: Sequence[str], target: str) -> bool:
    """Whether a bundle for these versions of ESXi is for a target, such as `8.0.2`.

    Genuine bundles name a release (`8.0`, which all of its updates are), a pattern (`8.*`), or nothing for any.
    """
    return not platforms or any(
        not one or fnmatchcase(target, one) or fnmatchcase(target, f"{one}.*") for one in platforms
    )


def unmet(modules: Sequence[Related]) -> Iterator[Unmet]:
    """Every need of a set that nobody in it meets."""
    by_offer = _by_offer(modules)
    for module in modules:
        for constraint in module.relationships.depends:
            if not any(meets(other, constraint) for other in by_offer.get(constraint.name, ())):
                yield Unmet(module, constraint)


def clashes(modules: Sequence[Related]) -> Iterator[Clash]:
    """Every pair of a set that cannot be together, by the word of one of them."""
    by_offer = _by_offer(modules)
    for module in modules:
        for constraint in module.relationships.conflicts:
            for other in by_offer.get(constraint.name, ()):
                if other is not module and meets(other, constraint):
                    yield Clash(module, other, "conflicts", constraint)
        for constraint in module.relationships.compatible_with:
            for other in by_offer.get(constraint.name, ()):
                if other is not module and not meets(other, constraint):
                    yield Clash(module, other, "compatibleWith", constraint)


def set_failures(modules: Sequence[Related], missing: str) -> Iterator[Failure]:
    """Why some modules cannot be together; `missing` says of what one needs that it is not there."""
    for need in unmet(modules):
        wanted = constraint_text(need.constraint)
        detail = f"{need.module.name} {need.module.version} needs {wanted}, {missing}"
        yield Failure("dependency-missing", detail, {"module": need.module.name, "needs": wanted})
    for clash in clashes(modules):
        said = f"{clash.label} {constraint_text(clash.constraint)}"
        detail = f"{clash.module.name} {clash.module.version} {said}: {clash.other.name} {clash.other.version}"
        yield Failure("module-conflicts", detail, {"module": clash.module.name, "other": clash.other.name})


def replaced_failures(modules: Sequence[Related], coming: Sequence[Related]) -> Iterator[Failure]:
    """Where one of some modules takes the place of one that comes."""
    for module in coming:
        for other in modules:
            if replaces(other, module):
                detail = f"{other.name} {other.version} replaces {module.name} {module.version}"
                yield Failure("module-conflicts", detail, {"module": module.name, "other": other.name})


def newest(modules: Iterable[M]) -> M:
    """The module with the newest version; of equal versions the last by their text, so that the answer is one."""
    return max(modules, key=lambda module: (version_key(module.version), module.version))


def _by_offer(modules: Iterable[Related]) -> dict[str, list[Related]]:
    """The modules that offer each name, in their order, each once."""
    found: dict[str, list[Related]] = {}
    for module in modules:
        for name in dict.fromkeys(offer.name for offer in offers(module)):
            found.setdefault(name, []).append(module)
    return found
