"""Results about a host as plain values: what `--format json` prints (schemas/host.schema.json).

A module's fields are those of its manifest. `proven_level` is what today's policy proves, null where it proves nothing;
then everything about the module is unproved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from modseal.bundle.values import result_values
from modseal.codes import CODES
from modseal.errors import Failure
from modseal.format.level import Level
from modseal.format.manifest import Constraint, Entry
from modseal.format.recall import Recall
from modseal.format.times import time_text
from modseal.host.compare import HostDifference
from modseal.host.documents import Event, HostState, Lockdown
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy, PolicyBytes

if TYPE_CHECKING:  # each is for some commands alone
    from modseal.host.break_glass import BrokenGlass
    from modseal.host.change import Change
    from modseal.host.index import IndexedFile
    from modseal.host.installed import Installed
    from modseal.host.look import ShownHistory, ShownLog, ShownModule, ShownModules, ShownOne
    from modseal.host.measure import Measurement
    from modseal.host.prune import Pruned
    from modseal.host.verify import Verification

CHANGE = "modseal/host-change@1"
LIST = "modseal/host-list@1"
MODULE = "modseal/host-get@1"
HISTORY = "modseal/host-history@1"
RECALLS = "modseal/host-recalls@1"
PRUNED = "modseal/host-prune@1"
VERIFICATION = "modseal/host-verification@1"
LOG = "modseal/host-log@1"
ACCEPTANCE = "modseal/host-acceptance@1"
OWNERS = "modseal/host-owner@1"
MADE = "modseal/host-init@1"
POLICY = "modseal/host-policy@1"
EXPORT = "modseal/host-export@1"
INDEX = "modseal/host-index@1"
REPLAY = "modseal/host-replay@1"
PROBLEM = "modseal/host-problem@1"
LOCKDOWN = "modseal/host-lockdown@1"
BROKEN_GLASS = "modseal/host-break-glass@1"


def module_values(module: Installed) -> dict[str, Any]:
    """One module: who it says it is, and for which level it is proved, if today's policy accepts it."""
    proven = module.examination.proven_level if module.examination.verdict is Verdict.ACCEPTED else None
    return {
        "vendor": module.manifest.vendor,
        "name": module.manifest.name,
        "version": module.manifest.version,
        "claimed_level": str(module.manifest.claimed_level),
        "proven_level": str(proven) if proven else None,
    }


def failure_values(failure: Failure) -> dict[str, Any]:
    """One thing that speaks against a change, or that was found."""
    return {
        "code": failure.code,
        "detail": failure.detail,
        "evidence": dict(failure.evidence),
        "next_step": failure.next_step,
    }


def change_values(change: Change) -> dict[str, Any]:
    """A change, made or refused. A dry run gives the same values as the real one."""
    from modseal.host.plan import ChangePlan

    found = change.plan or ChangePlan(())
    return {
        "schema": CHANGE,
        "action": change.action,
        "verdict": str(change.verdict),
        "generation": change.generation,
        "waits": change.waits,
        "why_it_waits": list(found.waits),
        "installed": [module_values(one) for one in found.installed],
        "updated": [{**module_values(new), "from": old.version} for old, new in found.updated],
        "removed": [module_values(one) for one in found.removed],
        "repaired": [module_values(one) for one in found.repaired],
        "lost": [{"vendor": m.vendor, "name": m.name, "version": m.version} for m in found.lost],
        "skipped": [{**module_values(one.module), "why": one.why} for one in found.skipped],
        "refused": [{"bundle": one.label, **failure_values(one.failure)} for one in change.refused],
        "depots": [{"name": one.name, "version": one.version, "before": one.before} for one in change.depots],
        "problems": [failure_values(failure) for failure in change.failures],
        "results": [result_values(result) for result in change.results],
    }


def finding_values(finding: HostDifference) -> dict[str, Any]:
    """One thing that was found, and the module that it belongs to, if to any."""
    return {"module": finding.module, **failure_values(finding.failure)}


def list_values(found: ShownModules) -> dict[str, Any]:
    """The modules of the active generation, or of the one that waits."""
    state = found.state
    return {
        "schema": LIST,
        "verdict": str(found.verdict),
        "generation": state.generation.number,
        "pending": state.pending.number if state.pending else None,
        "shown": found.shown.number,
        "level": str(state.level),
        "modules": [shown_values(one, judged=found.judged) for one in found.modules or ()],
        "findings": [finding_values(one) for one in found.findings],
    }


def shown_values(one: ShownModule, *, judged: bool) -> dict[str, Any]:
    """One module; where it is damaged, its recorded names, of which nothing is proved.

    Without the policy that holds (`judged`), nobody knows whether it is accepted.
    """
    if one.module:
        verdict = one.module.examination.verdict if judged else Verdict.UNDECIDED
        return {**module_values(one.module), "verdict": str(verdict)}
    recorded = one.recorded
    names = {"vendor": recorded.vendor, "name": recorded.name, "version": recorded.version}
    return {**names, "claimed_level": None, "proven_level": None, "verdict": str(Verdict.UNDECIDED)}


_UNREAD = ("kind", "summary", "released", "manifest_sha256", "bundle_sha256")


def get_values(found: ShownOne) -> dict[str, Any]:
    """All that is known of one module. Without an accepted verdict nothing of it is proved."""
    common = {
        "schema": MODULE,
        **shown_values(found.module, judged=found.judged),
        "verdict": str(found.verdict),
        "findings": [finding_values(one) for one in found.findings],
    }
    module = found.module.module
    if module is None:
        return {**common, **dict.fromkeys(_UNREAD), "signers": [], "relations": {}, "files": []}
    manifest, record = module.manifest, module.record
    return {
        **common,
        "kind": record.kind,
        "summary": manifest.summary,
        "released": manifest.released,
        "manifest_sha256": record.manifest,
        "bundle_sha256": record.bundle,
        "signers": signer_values(module),
        "relations": {
            label: [_constraint(one) for one in constraints]
            for label, constraints in manifest.relationships.by_label()
            if constraints
        },
        "files": [_entry(entry) for entry in module.entries],
    }


def signer_values(module: Installed) -> list[dict[str, Any]]:
    """Who signed a module; `anchor` is null for whoever is not trusted."""
    anchors = dict(module.examination.trusted)
    return [
        {
            "subject": signer.certificate.subject,
            "fingerprint": signer.certificate.fingerprint,
            "anchor": anchors.get(signer.certificate.fingerprint),
        }
        for signer in module.examination.signers
    ]


def history_values(found: ShownHistory) -> dict[str, Any]:
    """Every generation with the modules that it is recorded to have, and why others are lost."""
    return {
        "schema": HISTORY,
        "verdict": str(found.verdict),
        "generations": [
            {
                "number": one.number,
                "parent": one.parent,
                "made": one.made,
                "action": one.action,
                "state": standing(found.state, one.number),
                "modules": [{"vendor": m.vendor, "name": m.name, "version": m.version} for m in one.modules],
            }
            for one in found.generations
        ],
        "lost": [failure_values(failure) for failure in found.lost.values()],
        "findings": [finding_values(one) for one in found.findings],
    }


def standing(state: HostState, number: int) -> str:
    """Whether a generation is the active one, waits, or is neither."""
    if number == state.generation.number:
        return "active"
    return "pending" if state.pending and number == state.pending.number else "kept"


def recalls_values(kept: Iterable[Recall], new: Collection[Recall]) -> dict[str, Any]:
    """The recalls that a host keeps: each counted when it came."""
    return {
        "schema": RECALLS,
        "recalls": [
            {
                "name": one.name,
                "version": one.version,
                "expires": time_text(one.expires),
                "sha256": one.sha256,
                "modules": len(one.modules),
                "new": one in new,
            }
            for one in kept
        ],
    }


def pruned_values(done: Pruned) -> dict[str, Any]:
    """The generations that went, and those that there are."""
    return {
        "schema": PRUNED,
        "removed": [one.number for one in done.removed],
        "kept": [one.number for one in done.kept],
    }


def verification_values(found: Verification, at: datetime) -> dict[str, Any]:
    """A verification with everything that was found."""
    return {
        "schema": VERIFICATION,
        "verdict": str(found.verdict),
        "at": time_text(at),
        "policy": found.state.policy.source if found.state else None,
        "generation": found.generation,
        "paths": found.paths,
        "modules": [{**module_values(one), "verdict": str(one.examination.verdict)} for one in found.modules],
        "findings": [finding_values(one) for one in found.findings],
    }


def log_values(found: ShownLog) -> dict[str, Any]:
    """The events of a host."""
    return {
        "schema": LOG,
        "verdict": str(found.verdict),
        "head": found.head,
        "events": [_event(line.event, proved=line.proved) for line in found.lines if line.event],
        "findings": [finding_values(one) for one in found.findings],
    }


def _event(one: Event, *, proved: bool) -> dict[str, Any]:
    return {
        "number": one.number,
        "time": one.time,
        "by": dict(one.by),
        "event": one.event,
        "facts": dict(one.facts),
        "previous": one.previous,
        "proved": proved,
    }


def owner_values(found: Iterable[IndexedFile]) -> dict[str, Any]:
    """Who brings a path or content, as recorded."""
    return {"schema": OWNERS, "files": [{**one._asdict(), "mode": f"{one.mode:04o}"} for one in found]}


def acceptance_values(level: Level, minimum: Level, was: Level | None = None) -> dict[str, Any]:
    """A host's acceptance level, and the minimum of its policy, which holds as well; `was` is the one before."""
    before = None if was is None else str(was)
    return {"schema": ACCEPTANCE, "level": str(level), "policy_minimum": str(minimum), "was": before}


def made_values(state: HostState) -> dict[str, Any]:
    """A host that was made."""
    return {
        "schema": MADE,
        "level": str(state.level),
        "policy": state.policy.source,
        "policy_sha256": state.policy.text,
    }


def policy_values(policy: Policy, not_accepted: Iterable[Installed] | None = None) -> dict[str, Any]:
    """A host's policy: its own words, and whom it trusts. `not_accepted` are installed modules, once it was set."""
    origin = policy.origin or PolicyBytes(b"", ())
    return {
        "schema": POLICY,
        "source": policy.source,
        "sha256": origin.digest,
        "minimum_level": str(policy.minimum_level),
        "anchors": [
            {
                "name": one.name,
                "grants": str(one.grants),
                "kind": "ca" if one.certificate else "pin",
                "fingerprint": one.certificate.fingerprint if one.certificate else one.fingerprint,
                "vendors": list(one.vendors),
                "names": list(one.names),
            }
            for one in policy.anchors
        ],
        "text": origin.text.decode("utf-8"),
        "not_accepted": None if not_accepted is None else [module_values(one) for one in not_accepted],
    }


def index_values(entries: int) -> dict[str, Any]:
    """An index that was made anew."""
    return {"schema": INDEX, "entries": entries}


def replay_values(measured: Iterable[Measurement], value: bytes) -> dict[str, Any]:
    """What was measured, and the value that the register must have."""
    from modseal.host.measure import PCR

    return {"schema": REPLAY, "pcr": PCR, "sha256": value.hex(), "events": [dict(one.event) for one in measured]}


def problem_values(failure: Failure) -> dict[str, Any]:
    """Why a command has no result."""
    undecided = CODES[failure.code].undecided
    return {"schema": PROBLEM, "verdict": "undecided" if undecided else "rejected", **failure_values(failure)}


def lockdown_values(host: str, found: Lockdown, *, dry_run: bool = False) -> dict[str, Any]:
    """Who may change a host: `lock` is what a break-glass file names, null in normal mode and in a dry run."""
    return {
        "schema": LOCKDOWN,
        "host": host,
        "mode": found.mode,
        "lock": None if dry_run else found.lock,
        "controllers": list(found.controllers),
        "break_glass": {"keys": list(found.keys), "threshold": found.threshold},
    }


def broken_glass_values(done: BrokenGlass) -> dict[str, Any]:
    """The end of strict mode, by whose keys."""
    glass = done.glass
    return {
        "schema": BROKEN_GLASS,
        "host": glass.host,
        "lock": glass.lock,
        "reason": glass.reason,
        "sha256": glass.sha256,
        "keys": list(done.keys),
    }


def _constraint(constraint: Constraint) -> dict[str, Any]:
    return {"name": constraint.name, "relation": constraint.relation, "version": constraint.version}


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "type": str(entry.type),
        "mode": f"{entry.mode or 0:04o}",
        "size": entry.size,
        "sha256": entry.sha256.hex() if entry.sha256 else None,
        "target": entry.target,
    }
