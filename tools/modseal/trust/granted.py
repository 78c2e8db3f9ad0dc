"""Step 8, the other half: whether all that a module does is within what the policy grants.

`[paths]` binds every community module, signed or not. Powers come from one anchor: that of a single trusted signer has
to cover everything that the module does, because two signers who each vouch for a half have not vouched for the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from modseal.errors import Evidence, Failure
from modseal.format import rules
from modseal.format.level import Level
from modseal.format.manifest import Entry, FileType, Manifest, Payload
from modseal.format.payload import Measured
from modseal.trust.examination import Check, failed, passed, skipped, unexamined
from modseal.trust.policy import Anchor
from modseal.trust.powers import ALL_POWERS, May, Power, lends_rights, overlays, uses
from modseal.values import dataclass


@dataclass(frozen=True)
class Demand:
    """All that a module creates and does. `complete` says that nothing of it is unknown.

    `entries` are the measured ones, and those that the manifest declares and no payload was found to have. Folders
    that extraction makes without being told are not there: they are plain ones above an entry.
    `undeclared` says that no signature covers the modes of its files: a `.vib` declares none, and no signer vouches
    for an unsigned manifest (TAR-05).
    """

    manifest: Manifest
    entries: tuple[Entry, ...]
    relocatable: frozenset[str]
    complete: bool
    undeclared: bool

    @cached_property
    def uses(self) -> Mapping[Power, list[str]]:
        """What needs each power. Asked for only where some anchor withholds one, as 50,000 paths take half a second."""
        found: dict[Power, list[str]] = {}
        for use in (*uses(self.entries, self.relocatable), *overlays(self.manifest)):
            found.setdefault(use.power, []).append(use.where)
        return found


def demand_of(manifest: Manifest, measured: Iterable[tuple[Payload, Measured]], *, signed: bool) -> Demand:
    """What a module does, by its manifest and its measured payloads."""
    measured = tuple(measured)
    found = [entry for _, result in measured for entry in result.entries]
    relocatable = frozenset[str]().union(*(result.relocatable for _, result in measured))
    paths = {entry.path for entry in found}
    found += [entry for entry in manifest.files if entry.path not in paths]
    return Demand(
        manifest,
        tuple(found),
        relocatable,
        complete=len(measured) == len(manifest.payloads) and all(result.listed for _, result in measured),
        undeclared=manifest.kind == "vib" or not signed,
    )


def outside(entries: Iterable[Entry], allowed: tuple[str, ...]) -> Iterator[tuple[Entry, str]]:
    """What is not below one of some prefixes, and why. None allowed means no rule.

    A folder at or above a prefix has to exist anyway, so a plain one is fine: mode 0755. A link has to lead to what is
    at or below a prefix, or another module's files could pass through it.
    """
    for entry in entries if allowed else ():
        if entry.path.startswith(allowed):
            target = rules.link_leads_to(entry.path, entry.target or "")
            if entry.type is FileType.SYMLINK and not f"{target}/".startswith(allowed):
                yield entry, f"leads to {rules.shown(target or '.')!r}, outside the allowed paths"
        elif entry.type is FileType.DIRECTORY and any(prefix.startswith(f"{entry.path}/") for prefix in allowed):
            if entry.mode not in (None, 0o755):
                yield entry, f"has mode {entry.mode:o}, and only a plain folder (755) may be above the allowed paths"
        else:
            yield entry, "is outside the allowed paths"


def placement_failures(
    manifest: Manifest, entries: Iterable[Entry], allowed: tuple[str, ...], of_list: str = ""
) -> Iterator[Failure]:
    """What of a community module is outside some path prefixes, those of a built-in list where it is named."""
    if manifest.claimed_level is not Level.COMMUNITY:
        return
    for entry, why in outside(entries, allowed):
        detail = f"{entry.path!r} {why} of a community module" + (f" (list {of_list})" if of_list else "")
        evidence: Evidence = {"path": rules.shown(entry.path), **({"list": of_list} if of_list else {})}
        yield Failure("path-not-allowed", detail, evidence)


def undeclared_modes(demand: Demand) -> Iterator[Failure]:
    """Set-user-id and set-group-id bits in a community module that no signed manifest declares (TAR-05)."""
    if demand.undeclared and demand.manifest.claimed_level is Level.COMMUNITY:
        for entry in filter(lends_rights, demand.entries):
            evidence: Evidence = {
                "path": rules.shown(entry.path),
                "mode": f"{entry.mode:o}",
                "cause": "setuid-undeclared",
            }
            yield Failure("unsafe-mode", f"{entry.path!r} is setuid or setgid", evidence)


@dataclass(frozen=True, slots=True)
class PowerChecks:
    """Whether some anchor allows everything: the checks, and the anchor that does or comes nearest.

    `unsafe` are modes that no signed manifest declares: they are reported with what is wrong with the files.
    """

    checks: tuple[Check, ...]
    unsafe: tuple[Failure, ...] = ()
    anchor: Anchor | None = None


def judge(demand: Demand, holders: Sequence[Anchor | None], unsigned: May) -> PowerChecks:
    """The powers of a module held against anchors of its trusted signers; None stands for an unsigned module.

    Each anchor by itself: another signer can add what is allowed, and never take it away.
    """
    if not holders:
        # No anchor to judge by, and the bundle is not accepted anyway. Undeclared modes are bad all the same.
        check = skipped(8, "powers", "no trusted signer whose powers count")
        return PowerChecks((check,), tuple(undeclared_modes(demand)))
    refused = [(refusals(demand, holder, unsigned), holder) for holder in holders]
    allowing = [holder for failures, holder in refused if not failures]
    if allowing and demand.complete:
        who = allowing[0].name if allowing[0] else "the policy, for unsigned modules,"
        return PowerChecks((passed(8, "powers", f"{who} allows all that the module does"),), anchor=allowing[0])
    for holder in allowing:
        if holder and not holder.may.paths and holder.powers == ALL_POWERS:
            return PowerChecks((skipped(8, "powers", f"{holder.name} allows everything"),), anchor=holder)
    if allowing:
        check = unexamined(8, "what the module does is not all known, and its signers may not do everything")
        return PowerChecks((check,), anchor=allowing[0])
    fewest, nearest = min(refused, key=lambda one: len(one[0]))
    unsafe = tuple(failure for failure in fewest if failure.code == "unsafe-mode")
    return PowerChecks(tuple(failed(8, "powers", one) for one in fewest if one not in unsafe), unsafe, nearest)


def refusals(demand: Demand, anchor: Anchor | None, unsigned: May) -> list[Failure]:
    """What a module does and an anchor does not allow, one failure for each power; `anchor` is None where none signed.

    Undeclared bits need a grant by name: what an anchor allows by default is for bits that a signed manifest declares.
    """
    may, grants = (anchor.may, anchor.grants) if anchor else (unsigned, Level.COMMUNITY)
    unsafe = [] if Power.SETUID in may.granted else list(undeclared_modes(demand))
    withheld = ALL_POWERS - may.powers(grants) - ({Power.SETUID} if unsafe else frozenset())
    failures = []
    for power in Power if withheld else ():
        if power in withheld:
            wanted = [
                *demand.uses.get(power, ()),
                *(_replaced(demand.manifest, anchor) if power is Power.REPLACE else ()),
            ]
            failures += [_not_granted(power, wanted, anchor)] if wanted else []
    beyond = [entry.path for entry, _ in outside(demand.entries, may.paths)]
    return unsafe + failures + ([_not_granted("paths", beyond, anchor)] if beyond else [])


def _replaced(manifest: Manifest, anchor: Anchor | None) -> list[str]:
    """The modules that are replaced and that the anchor may not speak for; no anchor speaks for an unsigned one.

    Whose a module is that is replaced, its name has to tell: an anchor with vendors and no names speaks for none.
    """
    names = [constraint.name for constraint in manifest.relationships.replaces]
    if anchor is None or (anchor.vendors and not anchor.names):
        return names
    return [name for name in names if not anchor.speaks_for_name(name)]


def _not_granted(power: str, wanted: list[str], anchor: Anchor | None) -> Failure:
    who = f"signers under {anchor.name}" if anchor else "unsigned modules"
    first = min(wanted)
    more = f" and {len(wanted) - 1} more" if len(wanted) > 1 else ""
    evidence: Evidence = {"power": str(power), "path": rules.shown(first), "anchor": anchor.name if anchor else None}
    return Failure("power-not-granted", f"{who} may not: {power} ({first!r}{more})", evidence)
