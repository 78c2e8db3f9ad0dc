"""What a whole ESXi host shows once all of its VIBs were examined: its findings, and its line in a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from modseal.auditing.depots import bounded, finding_of
from modseal.auditing.finding import Finding
from modseal.auditing.record import Record
from modseal.auditing.rule import Hit, Rule
from modseal.auditing.rules import esxi as rules
from modseal.auditing.target import End
from modseal.depot.esxi_database import Database, OddFile
from modseal.errors import Scalar
from modseal.format import rules as format_rules
from modseal.format.level import Level
from modseal.format.shape import quote
from modseal.trust.examination import Verdict
from modseal.values import dataclass

_NAMED = 20
"""VIBs or documents that one finding names."""


class HostVib(NamedTuple):
    """What is kept of an installed VIB until all of its host were seen. `rewritten`: the host shows another one."""

    bundle: str
    verdict: Verdict
    id: str | None
    claimed: Level | None
    proven: Level | None
    rewritten: bool

    @classmethod
    def of(cls, record: Record) -> HostVib:
        """Of what was found of a VIB."""
        row = record.row
        rewritten = any(finding.rule == rules.REWRITTEN.id for finding in record.findings)
        return cls(row.bundle, row.verdict, row.id, row.claimed, row.proven, rewritten)

    def proves(self, level: Level | None) -> bool:
        """Whether it is whole, and proven to be of at least this level."""
        return self.verdict is Verdict.ACCEPTED and bool(self.proven and level and self.proven >= level)


class BootBank(NamedTuple):
    """What lies in a host's boot bank and what boots from it, but for what its VIBs account for.

    `strays` are payloads of no VIB, `loaded` is what `boot.cfg` loads and no VIB has; `undeclared` are the VIB, name
    and file of each payload that the image profile gives a VIB and its descriptor does not.
    """

    strays: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()
    undeclared: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class HostEnd(End):
    """All VIBs of a host have been given. `unlike` are documents that differ in the boot bank's own database, `other`.

    `payloads` are declared, and `present` of them were there.
    """

    name: str
    database: Database
    bank: BootBank
    payloads: int
    present: int
    odd: tuple[OddFile, ...] = ()
    unlike: tuple[str, ...] = ()
    other: str = ""

    @property
    def held(self) -> int:
        """See `End.held`."""
        return sum(len(vib.shown) for vib in self.database.vibs)

    def findings(self, members: Iterable[HostVib]) -> Iterator[Finding]:
        """What the whole host shows, given its VIBs."""
        vibs = tuple(members)
        found = (finding_of(failure, self.name) for failure in self.database.failures)
        hits = chain(self._odd_hits(), self._hits(vibs), self._level_hits(vibs))
        return bounded(chain(found, (rule.finding(hit, self.name) for rule, hit in hits)), self.name)

    def summary(self, members: Iterable[HostVib]) -> dict[str, object]:
        """The host as JSON has it: what its profile claims, and what its weakest VIB proves."""
        vibs = tuple(members)
        profile = self.database.profile
        proven = [vib.proven for vib in vibs if vib.proven and vib.verdict is Verdict.ACCEPTED]
        level = min(proven) if proven and len(proven) == len(vibs) else None
        twice = _twice(vibs)
        return {
            "host": self.name,
            "profile": profile.name if profile else None,
            "claimed_level": str(profile.level) if profile and profile.level else None,
            "proven_level": str(level) if level else None,
            "vibs": len(vibs),
            "vibs_as_claimed": sum(
                vib.proves(vib.claimed) and vib.proven == vib.claimed and not vib.rewritten and vib.id not in twice
                for vib in vibs
            ),
            "payloads": self.payloads,
            "payloads_present": self.present,
        }

    def _odd_hits(self) -> Iterator[tuple[Rule, Hit]]:
        """What could not be read as a host reads it."""
        for path, why in chain(self.database.odd, self.odd):
            evidence = {"file": format_rules.shown(path), "why": format_rules.shown(why)}
            yield rules.ODD, Hit(f"{quote(path, most=200)}: {why}", evidence, undecided=True)
        if self.unlike:
            named = ", ".join(map(quote, self.unlike[:3])) + (", ..." if len(self.unlike) > 3 else "")
            detail = f"the boot bank has another database, in {quote(self.other, most=200)}: it differs in {named}"
            shown = ", ".join(map(format_rules.shown, self.unlike[:_NAMED]))
            yield rules.DATABASES, Hit(detail, {"differing": len(self.unlike), "documents": shown})

    def _hits(self, members: tuple[HostVib, ...]) -> Iterator[tuple[Rule, Hit]]:
        """Where database, image profile and boot bank disagree."""
        for id_, bundles in _twice(members).items():
            detail = f"{quote(id_)} is in the database {len(bundles)} times"
            evidence: dict[str, Scalar] = {"id": format_rules.shown(id_), "times": len(bundles)}
            yield rules.TWICE, Hit(detail, evidence, related=bundles[:_NAMED])
        profile = self.database.profile
        if profile is None:
            unread = self.database.unread_profiles
            count = len(self.database.profiles) + len(unread)
            named = ", ".join(quote(path) for path in unread[:_NAMED])
            which = f", of which {len(unread)} cannot be read ({named})" if unread else ""
            detail = f"image profiles in the database: {count}{which}; which VIBs belong to the host cannot be told"
            first = format_rules.shown(unread[0]) if unread else None
            yield rules.PROFILE, Hit(detail, {"profiles": count, "unread": first}, undecided=True)
            return
        for id_ in sorted(profile.vibs.keys() - {vib.id for vib in members}):
            detail = f"the image profile lists {quote(id_)}, which the database does not have"
            yield rules.NOT_IN_DATABASE, Hit(detail, {"id": format_rules.shown(id_)})
        for id_, payload, file in self.bank.undeclared:
            detail = (
                f"the image profile gives {quote(id_)} the payload {quote(payload)}, in the boot file {quote(file)};"
                " its descriptor declares none of that name"
            )
            shown = {
                "id": format_rules.shown(id_),
                "payload": format_rules.shown(payload),
                "file": format_rules.shown(file),
            }
            yield rules.UNDECLARED, Hit(detail, shown)
        for name in self.bank.strays:
            yield rules.BOOT_FILE, Hit(f"{quote(name)} is a payload of no VIB", {"file": format_rules.shown(name)})
        for name in self.bank.loaded:
            detail = f"boot.cfg loads {quote(name)}, which is a payload of no VIB"
            yield rules.BOOT_FILE, Hit(detail, {"file": format_rules.shown(name), "loaded": True})

    def _level_hits(self, members: tuple[HostVib, ...]) -> Iterator[tuple[Rule, Hit]]:
        """Whether the host is of the level that its profile claims."""
        profile = self.database.profile
        if profile is None:
            return
        claimed = profile.level
        if claimed is None:
            said = (
                f"says {quote(profile.said_level)}, which is none" if profile.said_level else "says no acceptance level"
            )
            detail = (
                f"the image profile {said}; which level the host has, and whether its VIBs reach it, cannot be told"
            )
            unknown = {"profile": format_rules.shown(profile.name), "claimed": format_rules.shown(profile.said_level)}
            yield rules.HOST_LEVEL, Hit(detail, unknown, undecided=True)
        elif claimed > Level.COMMUNITY and (below := [vib for vib in members if not vib.proves(claimed)]):
            detail = (
                f"the image profile claims {claimed}, and {len(below)} of {len(members)} VIBs are not proven to be that"
            )
            evidence: dict[str, Scalar] = {
                "profile": format_rules.shown(profile.name),
                "claimed": str(claimed),
                "below": len(below),
            }
            # A VIB that only lacks a payload in the copy may be all that it claims.
            doubt = all(vib.verdict is Verdict.UNDECIDED and vib.proven and vib.proven >= claimed for vib in below)
            related = tuple(vib.bundle for vib in below[:_NAMED])
            yield rules.HOST_LEVEL, Hit(detail, evidence, related=related, undecided=doubt)


def _twice(members: tuple[HostVib, ...]) -> dict[str, tuple[str, ...]]:
    """The documents of each VIB that is in the database more than once, by its id."""
    counted = Counter(vib.id for vib in members)
    return {
        id_: tuple(vib.bundle for vib in members if vib.id == id_)
        for id_, count in sorted((id_, count) for id_, count in counted.items() if id_ is not None)
        if count > 1
    }
