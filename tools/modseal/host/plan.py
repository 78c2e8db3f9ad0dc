"""What a change would make of the modules that are installed: decided on values, before anything is written.

All that speaks against it is found at once. A new generation consists of modules that today's policy accepts, at the
host's level or above, that have what they need and can live together. Nothing forces one that does not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from modseal.depot import ownership, relations
from modseal.errors import Failure
from modseal.format.level import Level
from modseal.host.documents import ModuleName
from modseal.host.image import placement_failures
from modseal.host.installed import Installed, is_accepted
from modseal.values import dataclass

SAME = "installed already"
"""Why a module is skipped that is there as it comes."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A module that stays out, and why: nothing is wrong with it."""

    module: Installed
    why: str


@dataclass(frozen=True, slots=True)
class LostModule:
    """A module whose stored parts are not those that were installed, as it is recorded, and why it proves nothing."""

    recorded: ModuleName
    why: Failure


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """The modules after a change, in order of their names, and how they differ from those before.

    `lost` are modules that go and of which nothing can be proved any more. `waits` says why the change needs
    `host activate`; without a reason it can be made on the running host.
    """

    modules: tuple[Installed, ...]
    installed: tuple[Installed, ...] = ()
    updated: tuple[tuple[Installed, Installed], ...] = ()
    removed: tuple[Installed, ...] = ()
    repaired: tuple[Installed, ...] = ()
    lost: tuple[ModuleName, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    failures: tuple[Failure, ...] = ()
    waits: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything is other than before."""
        return bool(self.installed or self.updated or self.removed or self.repaired or self.lost)


def arrival(
    present: Sequence[Installed],
    lost: Sequence[LostModule],
    arriving: Sequence[Installed],
    level: Level,
    *,
    update: bool,
) -> ChangePlan:
    """The plan for modules that come; `update` takes only newer ones of those that are installed.

    One that comes takes the place of a lost one of its name; a lost one that would stay is a failure.
    """
    failures = list(_twice(arriving))
    coming: list[Installed] = []
    skipped: list[Skipped] = []
    before = {module.name: module for module in present}
    for module in arriving:
        old = before.get(module.name)
        why = _why_skipped(old, module, update=update)
        against = refusal(old, module, before)
        if why:
            skipped.append(Skipped(module, why))
        elif against:
            failures.append(against)
        else:
            coming.append(module)
    names = {module.name for module in coming}
    staying = [module for module in present if module.name not in names]
    replaced = [old for old in staying if any(relations.replaces(new, old) for new in coming)]
    names = {module.name for module in replaced}
    staying = [module for module in staying if module.name not in names]
    after = sorted([*staying, *coming], key=lambda module: module.name)
    failures += _set_failures(after, staying, coming, level)
    failures += _lost_failures(lost, coming)
    plan = ChangePlan(
        tuple(after),
        installed=tuple(module for module in coming if module.name not in before),
        updated=tuple((before[module.name], module) for module in coming if module.name in before),
        removed=tuple(replaced),
        skipped=tuple(skipped),
        failures=tuple(failures),
    )
    return replace(plan, waits=tuple(_waits(plan)))


def repair(plan: ChangePlan, damaged: Collection[str | None]) -> ChangePlan:
    """A plan that changes nothing, made into one that lays the same modules out again.

    `damaged` are the names of the modules of which something was found, None for what is not a module's: that goes
    whichever module is laid out again.
    """
    again = tuple(
        one.module for one in plan.skipped if one.why == SAME and (None in damaged or one.module.name in damaged)
    )
    return replace(
        plan, repaired=(*plan.repaired, *again), skipped=tuple(one for one in plan.skipped if one.module not in again)
    )


def removal(present: Sequence[Installed], lost: Sequence[LostModule], names: Sequence[str]) -> ChangePlan:
    """The plan for modules that go. What stays is not judged: with fewer modules a host gets no worse.

    Only a lost one cannot stay: a new generation cannot be made of it.
    """
    known = {*(module.name for module in present), *(one.recorded.name for one in lost)}
    failures = [not_installed(name) for name in names if name not in known]
    failures += [one.why for one in lost if one.recorded.name not in names]
    after = tuple(module for module in present if module.name not in names)
    gone = tuple(module for module in present if module.name in names)
    before = list(relations.unmet(present))
    for need in relations.unmet(after):
        if need not in before:
            wanted = relations.constraint_text(need.constraint)
            detail = f"{need.module.name} {need.module.version} needs {wanted}, which nothing else offers"
            failures.append(Failure("module-needed", detail, {"module": need.module.name, "needs": wanted}))
    broken = tuple(one.recorded for one in lost if one.recorded.name in names)
    plan = ChangePlan(after, removed=gone, lost=broken, failures=tuple(failures))
    return replace(plan, waits=tuple(_waits(plan)))


def exchange(before: Sequence[Installed], after: Sequence[Installed]) -> ChangePlan:
    """How one generation differs from another one: for a rollback, whose target was judged when it was made."""
    old = {module.name: module for module in before}
    new = {module.name: module for module in after}
    plan = ChangePlan(
        tuple(after),
        installed=tuple(module for module in after if module.name not in old),
        updated=tuple(
            (old[module.name], module)
            for module in after
            if module.name in old and module.record != old[module.name].record
        ),
        removed=tuple(module for module in before if module.name not in new),
    )
    return replace(plan, waits=tuple(_waits(plan)))


def unfit(modules: Sequence[Installed], level: Level) -> Iterator[Failure]:
    """What keeps each of some modules from being active: today's policy, or the host's level."""
    yield from policy_failures(modules)
    yield from level_failures(modules, level)


def generation_failures(modules: Sequence[Installed], level: Level) -> Iterator[Failure]:
    """Why some modules must not be the active generation: everything that a change that brought them would find."""
    yield from unfit(modules, level)
    yield from _twice(modules)
    yield from together_failures(modules)


def level_failures(modules: Iterable[Installed], level: Level) -> Iterator[Failure]:
    """The modules below a host's level."""
    for module in modules:
        if is_accepted(module) and module.level < level:
            yield Failure(
                "level-below-host",
                f"{module.name} {module.version} is proved for {module.level}, and this host takes {level} or above",
                {"module": module.name, "level": str(module.level), "host": str(level)},
            )


def policy_failures(modules: Iterable[Installed]) -> Iterator[Failure]:
    """The installed modules that today's policy does not accept, each with what decided."""
    for module in modules:
        primary = module.examination.primary
        if not is_accepted(module) and primary:
            label = f"{module.name} {module.version}"
            why = primary.detail
            code = primary.code or "internal-error"
            yield Failure(code, f"{label}, which is installed: {why}", {"module": module.name, **primary.evidence})


def _twice(arriving: Sequence[Installed]) -> Iterator[Failure]:
    seen: dict[str, Installed] = {}
    for module in arriving:
        other = seen.setdefault(module.name.lower(), module)
        if other is not module:
            detail = f"{other.name} {other.version} and {module.name} {module.version} cannot both be installed"
            yield Failure("module-conflicts", detail, {"module": module.name, "other": other.name})


def _why_skipped(old: Installed | None, module: Installed, *, update: bool) -> str:
    if update and old is None:
        return "not installed"
    same = old and (old.record.manifest, old.record.signature) == (module.record.manifest, module.record.signature)
    if old and same and is_accepted(old):  # else its payloads were changed, and this bundle has the right ones
        return SAME
    if update and old and not relations.is_newer(module.version, old.version):
        return f"not newer than {old.version}"
    return ""


def refusal(old: Installed | None, module: Installed, before: dict[str, Installed]) -> Failure | None:
    """What speaks against a module for what is installed under its name. `before` is all that is installed, by name."""
    evidence = {"module": module.name, "version": module.version}
    if old is None:
        twin = next((one for one in before if one.lower() == module.name.lower()), None)
        if twin is None:
            return None
        detail = f"{module.name} and {twin}, which is installed, differ by letter case alone"
        return Failure("module-conflicts", detail, {"module": module.name, "other": twin})
    evidence |= {"installed": old.version}
    if old.manifest.vendor != module.manifest.vendor:
        return _of_another_vendor(module, old.manifest.vendor, old.version)
    if relations.is_newer(old.version, module.version):
        detail = f"{module.name} {module.version} is older than {old.version}, which is installed"
        return Failure("version-downgraded", detail, evidence)
    same = relations.is_same_version(old.version, module.version)
    if same and old.record.manifest != module.record.manifest:
        detail = f"another {module.name} {old.version} is installed, with other content"
        return Failure("version-changed", detail, evidence)
    return None


def _of_another_vendor(module: Installed, vendor: str, version: str) -> Failure:
    detail = f"{module.name} of {module.manifest.vendor} would take the place of that of {vendor}"
    evidence = {"module": module.name, "version": module.version, "installed": version}
    return Failure("module-of-another-vendor", detail, evidence)


def _lost_failures(lost: Sequence[LostModule], coming: Sequence[Installed]) -> Iterator[Failure]:
    arriving = {module.name: module for module in coming}
    for one in lost:
        new, name, version = arriving.get(one.recorded.name), one.recorded.name, one.recorded.version
        if new is None:
            yield one.why
        elif new.manifest.vendor != one.recorded.vendor:
            yield _of_another_vendor(new, one.recorded.vendor, version)
        elif relations.is_newer(version, new.version):
            detail = f"{name} {new.version} is older than {version}, which is recorded to be installed"
            yield Failure("version-downgraded", detail, {"module": name, "version": new.version, "installed": version})


def _set_failures(
    after: Sequence[Installed], staying: Sequence[Installed], coming: Sequence[Installed], level: Level
) -> Iterator[Failure]:
    """What is wrong with the modules of the new generation."""
    yield from policy_failures(staying)
    yield from level_failures(after, level)
    yield from relations.replaced_failures(after, coming)
    yield from together_failures(after)


def together_failures(after: Sequence[Installed]) -> Iterator[Failure]:
    """Why some modules cannot be one image: where they lie, what they need, what they refuse, whose each path is."""
    for module in after:
        for failure in placement_failures(module.entries):
            yield replace(failure, evidence={"module": module.name, **failure.evidence})
    yield from relations.set_failures(after, "which is not installed")
    if len(after) > 1:  # one module's own tree was judged with its manifest
        yield from ownership.collisions(after)


def _waits(plan: ChangePlan) -> Iterator[str]:
    """Why a change must not be made on the running host. A `.seal` says nothing of it, and can."""
    for module in (*plan.installed, *(new for _, new in plan.updated)):
        fields = module.manifest.vib
        if fields and (fields.maintenance_mode or not fields.live_install_allowed):
            yield f"{module.name} {module.version} cannot be installed on a running host"
    for module in (*plan.removed, *(old for old, _ in plan.updated)):
        fields = module.manifest.vib
        if fields and (fields.maintenance_mode or not fields.live_remove_allowed):
            yield f"{module.name} {module.version} cannot be removed from a running host"


def not_installed(name: str) -> Failure:
    """The failure for a name that nothing has."""
    return Failure("not-installed", f"no module {name!r} is installed", {"module": name})
