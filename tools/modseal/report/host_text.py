"""What a host's commands say, as text for people."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from modseal.depot import relations
from modseal.errors import Failure
from modseal.format.recall import Recall
from modseal.format.times import time_text
from modseal.host.change import Change
from modseal.host.documents import Event, Generation, Lockdown, Reference
from modseal.host.installed import Installed
from modseal.host.plan import ChangePlan
from modseal.host.prune import Pruned
from modseal.host.store import Store
from modseal.host.values import standing
from modseal.host.verify import Verification
from modseal.report import text
from modseal.report.text import plural, safe
from modseal.trust.examination import Verdict

if TYPE_CHECKING:  # SQLite, and lockdowns, are for one command each
    from modseal.host.break_glass import BrokenGlass
    from modseal.host.index import IndexedFile
    from modseal.host.lockdown import LockdownChange

_SHOWN = 20
"""Findings shown in text; an exchanged folder can give thousands. JSON has them all."""


def change(done: Change) -> str:
    """What was changed, or why nothing was."""
    return "\n".join(_refused(done) if done.verdict is not Verdict.ACCEPTED else _changed(done))


def modules(store: Store, found: Sequence[Installed], *, pending: bool) -> str:
    """The table of modules: what each claims beside what is proved of it."""
    rows = [("NAME", "VERSION", "VENDOR", "CLAIMED", "PROVEN")]
    for module in found:
        proven = module.examination.proven_level
        manifest = module.manifest
        names = (safe(manifest.name), safe(manifest.version), safe(manifest.vendor))
        rows.append((*names, str(manifest.claimed_level), str(proven) if proven else "none"))
    lines = text.table(rows)
    state = store.state
    if state.pending and not pending:
        lines.append(f"generation {state.pending.number} waits for `modseal host activate` (--pending shows it)")
    return "\n".join(lines if found or state.pending else ["no module is installed"])


def _refused(done: Change) -> Iterator[str]:
    learned = any(one.version != one.before for one in done.depots)
    yield f"{done.action}: {done.verdict}; {'no module' if learned else 'nothing'} was changed"
    yield from _depots(done)
    for result in done.results:
        if result.verdict is not Verdict.ACCEPTED:
            yield text.render(result)
    yield from text.failure_lines(done.failures)


def _depots(done: Change) -> Iterator[str]:
    for one in done.depots:
        before = "" if one.before in (None, one.version) else f", was {one.before}"
        yield f"depot      {safe(one.name)}, version {one.version}{before}"


def _changed(done: Change) -> Iterator[str]:
    found = done.plan or ChangePlan(())
    yield from _depots(done)
    for refusal in done.refused:
        yield f"not taken  {safe(refusal.label)}: {refusal.failure.code}: {safe(refusal.failure.detail)}"
    for module in found.installed:
        yield f"installed  {_named(module)}"
    for old, new in found.updated:
        yield f"updated    {_named(new)}, was {safe(old.version)}"
    for recorded in found.lost:
        yield f"removed    {safe(recorded.name)} {safe(recorded.version)}, of which nothing could be proved"
    for module in found.removed:
        yield f"removed    {safe(module.name)} {safe(module.version)}"
    for module in found.repaired:
        yield f"repaired   {safe(module.name)} {safe(module.version)}"
    for skipped in found.skipped:
        yield f"skipped    {safe(skipped.module.name)} {safe(skipped.module.version)}: {safe(skipped.why)}"
    if done.generation is None:
        yield "nothing to do"
    elif done.waits:
        for why in found.waits:
            yield f"waits      {safe(why)}"
        yield f"generation {done.generation} is ready; it becomes active with `modseal host activate`"
    else:
        yield f"generation {done.generation} is active"


def _named(module: Installed) -> str:
    proven = module.examination.proven_level or "none"
    name = f"{safe(module.name)} {safe(module.version)} ({safe(module.manifest.vendor)})"
    return f"{name}, claimed {module.manifest.claimed_level}, proven {proven}"


def module(found: Installed) -> str:
    """One module. What is not proved is said to be unproved."""
    manifest, anchors = found.manifest, dict(found.examination.trusted)
    unproved = (
        "" if found.examination.verdict is Verdict.ACCEPTED else "  (unproved: today's policy does not accept it)"
    )
    lines = [
        f"{safe(manifest.name)} {safe(manifest.version)}{unproved}",
        f"  vendor         {safe(manifest.vendor)}",
        f"  summary        {safe(manifest.summary)}",
        f"  claimed level  {manifest.claimed_level}",
        f"  proven level   {found.examination.proven_level or 'none'}",
        f"  verdict        {found.examination.verdict}",
    ]
    for signer in found.examination.signers:
        anchor = anchors.get(signer.certificate.fingerprint)
        lines.append(f"  signer         {safe(signer.certificate.subject)} ({_trust(anchor)})")
    for label, constraints in manifest.relationships.by_label():
        lines += [f"  {label:<15}{safe(relations.constraint_text(one))}" for one in constraints]
    lines += [
        f"  manifest       sha256:{found.record.manifest}",
        f"  bundle         sha256:{found.record.bundle}",
        f"  entries        {len(found.entries)}",
    ]
    primary = found.examination.primary
    if primary:
        lines.append(f"  {primary.code or 'undecided'}: {safe(primary.detail)}")
        lines += [f"  next: {primary.next_step}"] if primary.next_step else []
    return "\n".join(lines)


def _trust(anchor: str | None) -> str:
    return f"trusted: {safe(anchor)}" if anchor else "not trusted"


def history(store: Store, generations: Sequence[Generation], lost: Mapping[Reference, Failure]) -> str:
    """The generations, the oldest first, each with what is recorded of it, after those that are lost."""
    lines = [f"! {one.number:>4}  {failure.code}: {safe(failure.detail)}" for one, failure in lost.items()]
    lines += [f"  next: {failure.next_step}" for failure in [*lost.values()][:1]]
    for one in generations:
        mark = {"active": "*", "pending": ">"}.get(standing(store, one.number), " ")
        names = ", ".join(f"{safe(each.name)} {safe(each.version)}" for each in one.modules) or "no modules"
        lines.append(f"{mark} {one.number:>4}  {one.made}  {safe(one.action):<9}  {names}")
    return "\n".join(lines)


def recalls(kept: Sequence[Recall], new: Collection[Recall]) -> str:
    """The recalls that a host keeps, those that are new marked."""
    lines = [
        f"{'+' if one in new else ' '} {safe(one.name)}, version {one.version}: {len(one.modules)} withdrawn, "
        f"current until {time_text(one.expires)}"
        for one in kept
    ]
    return "\n".join(lines or ["no recall is kept"])


def pruned(done: Pruned) -> str:
    """The generations that went, and how many there are."""
    lines = [f"removed    generation {one.number}" for one in done.removed]
    count = len(done.kept)
    return "\n".join([*(lines or ["nothing to do"]), f"{plural(count, 'generation')} kept"])


def verification(root: str, found: Verification) -> str:
    """The verdict first, then what was found, the module in front."""
    lines = [f"{safe(root)}: {found.verdict}"]
    lines.append(f"  {_extent(found)}")
    for one in found.findings[:_SHOWN]:
        whose = f"{safe(one.module)}: " if one.module else ""
        lines.append(f"  {whose}{one.failure.code}: {safe(one.failure.detail)}")
    if len(found.findings) > _SHOWN:
        lines.append(f"  ... and {len(found.findings) - _SHOWN} more; --format json has them all")
    if found.findings:
        lines.append(f"  next: {found.findings[0].failure.next_step}")
    return "\n".join(lines)


def _extent(found: Verification) -> str:
    """What was verified."""
    number = "no generation" if found.generation is None else f"generation {found.generation}"
    extent = f"{number}, {plural(len(found.modules), 'module')}, {plural(found.paths, 'path')}"
    return extent if found.state else f"{extent}; the state cannot be read, and the one before it stands in for it"


def verdict_line(found: Verification) -> str:
    """One line for a log that is read at boot."""
    if not found.findings:
        return f"host accepted: {_extent(found)}"
    first = found.findings[0]
    more = f" (and {len(found.findings) - 1} more)" if len(found.findings) > 1 else ""
    whose = f"{safe(first.module)}: " if first.module else ""
    said = f"{whose}{first.failure.code}: {safe(first.failure.detail)}{more}"
    number = "no generation" if found.generation is None else f"generation {found.generation}"
    return f"host {found.verdict}: {number}: {said}"


def event(one: Event) -> str:
    """One event of the log."""
    who = one.by.get("key") or one.by.get("user", one.by.get("uid", "?"))
    login = f", login {one.by['login_uid']}" if "login_uid" in one.by else ""
    facts = "  ".join(f"{safe(name)}={safe(value)}" for name, value in one.facts.items() if name != "state")
    return f"{one.number:>4}  {one.time}  {safe(who)}{safe(login)}  {safe(one.event)}  {facts}".rstrip()


def lockdown(host: str, found: Lockdown, *, dry_run: bool = False) -> str:
    """Who may change a host, and which keys would end that."""
    lines = [f"mode        {found.mode}", f"host        {host}"]
    lines += [f"lock        {found.lock}"] if found.lock and not dry_run else []
    lines += [f"controller  {key}" for key in found.controllers] or ["controller  none is named"]
    of = f"{found.threshold} of {plural(len(found.keys), 'key')}" if found.keys else "no key is named"
    return "\n".join([*lines, f"break glass {of}", *(f"            {key}" for key in found.keys)])


def lockdown_set(done: LockdownChange, *, dry_run: bool) -> str:
    """A lockdown that was set. The lock of a dry run is none that a host will ever have."""
    if done.after == done.before:
        return f"nothing to do\n{lockdown(done.host, done.after)}"
    note = "\nNote host and lock somewhere else: who breaks the glass needs both."
    return lockdown(done.host, done.after, dry_run=dry_run) + (note if done.after.is_strict and not dry_run else "")


def broken_glass(done: BrokenGlass) -> str:
    """The end of strict mode."""
    return "\n".join(
        [
            "strict mode has ended: whoever may run `modseal host` may change this host",
            f"reason      {safe(done.glass.reason)}",
            *(f"signed by   {key}" for key in done.keys),
        ]
    )


def owners(path: str, found: Sequence[IndexedFile]) -> str:
    """Who brings a path or content, as recorded."""
    lines = [
        f"generation {one.generation}  {safe(one.module)} {safe(one.version)}  "
        f"{one.type} {one.mode:04o}  {safe(one.path)}"
        for one in found
    ]
    return "\n".join(lines) if found else f"no module brings {safe(path)}"
