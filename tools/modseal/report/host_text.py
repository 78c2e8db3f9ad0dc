"""What a host's commands say, as text for people."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from modseal.format.recall import Recall
from modseal.format.times import time_text
from modseal.host.documents import Event, Lockdown
from modseal.host.values import standing
from modseal.report import text
from modseal.report.text import plural, safe
from modseal.trust.examination import Verdict

if TYPE_CHECKING:  # each is for some commands alone
    from modseal.host.break_glass import BrokenGlass
    from modseal.host.change import Change
    from modseal.host.compare import HostDifference
    from modseal.host.index import IndexedFile
    from modseal.host.installed import Installed
    from modseal.host.lockdown import LockdownChange
    from modseal.host.look import ShownHistory, ShownLog, ShownModules, ShownOne
    from modseal.host.prune import Pruned
    from modseal.host.verify import Verification

_SHOWN = 20
"""Findings shown in text; an exchanged folder can give thousands. JSON has them all."""


def change(done: Change) -> str:
    """What was changed, or why nothing was."""
    return "\n".join(_refused(done) if done.verdict is not Verdict.ACCEPTED else _changed(done))


def modules(found: ShownModules) -> str:
    """The table of modules: what each claims beside what is proved of it, and what is damaged."""
    rows = [("NAME", "VERSION", "VENDOR", "CLAIMED", "PROVEN")]
    for recorded, module in found.modules or ():
        names = (safe(recorded.name), safe(recorded.version), safe(recorded.vendor))
        if module is None:
            rows.append((*names, "unknown", "damaged"))
        else:
            rows.append((*names, str(module.manifest.claimed_level), _proven(module) if found.judged else "undecided"))
    waits = found.state.pending
    lines = text.table(rows) if found.modules or (waits and found.modules is not None) else []
    if found.modules == () and not waits:
        lines = ["no module is installed"]
    if waits and waits != found.shown:
        lines.append(f"generation {waits.number} waits for `modseal host activate` (--pending shows it)")
    return "\n".join([*lines, *_findings(found.findings)])


def _proven(module: Installed) -> str:
    """The level that is proved of a module which today's policy accepts; else why it does not."""
    why = module.examination.primary
    if why and module.examination.verdict is not Verdict.ACCEPTED:
        return f"{module.examination.verdict}: {why.code}"
    return str(module.examination.proven_level or "none")


def _findings(found: Sequence[HostDifference]) -> list[str]:
    """What was found, the module in front, and the next step of the first."""
    whose = [f"{safe(one.module)}: " if one.module else "" for one in found[:_SHOWN]]
    lines = [f"  {name}{one.failure.code}: {safe(one.failure.detail)}" for name, one in zip(whose, found, strict=False)]
    if len(found) > _SHOWN:
        lines.append(f"  ... and {len(found) - _SHOWN} more; --format json has them all")
    return [*lines, *(f"  next: {one.failure.next_step}" for one in found[:1])]


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
    from modseal.host.plan import ChangePlan

    found = done.plan or ChangePlan(())
    yield from _depots(done)
    for refusal in done.refused:
        yield f"not taken  {safe(refusal.label)}: {refusal.failure.code}: {safe(refusal.failure.detail)}"
    for module in found.installed:
        yield f"installed  {_named(module)}"
    for old, new in found.updated:
        lower = f", proved for {old.level}: its level is lower now" if new.level < old.level else ""
        yield f"updated    {_named(new)}, was {safe(old.version)}{lower}"
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


def module(shown: ShownOne) -> str:
    """One module. What is not proved is said to be unproved."""
    from modseal.depot.relations import constraint_text

    recorded, found = shown.module
    if found is None:
        lines = [
            f"{safe(recorded.name)} {safe(recorded.version)}  (damaged: nothing of it is proved)",
            f"  vendor         {safe(recorded.vendor)}",
        ]
        return "\n".join([*lines, *_findings(shown.findings)])
    manifest, anchors = found.manifest, dict(found.examination.trusted)
    unproved = ""
    if not shown.judged:
        unproved = "  (unproved: it cannot be judged, for the reason below)"
    elif found.examination.verdict is not Verdict.ACCEPTED:
        unproved = "  (unproved: today's policy does not accept it)"
    lines = [
        f"{safe(manifest.name)} {safe(manifest.version)}{unproved}",
        f"  vendor         {safe(manifest.vendor)}",
        f"  summary        {safe(manifest.summary)}",
        f"  claimed level  {manifest.claimed_level}",
        f"  proven level   {found.examination.proven_level or 'none'}",
        f"  verdict        {shown.verdict}",
    ]
    for signer in found.examination.signers:
        anchor = anchors.get(signer.certificate.fingerprint)
        lines.append(f"  signer         {safe(signer.certificate.subject)} ({_trust(anchor)})")
    for label, constraints in manifest.relationships.by_label():
        lines += [f"  {label:<15}{safe(constraint_text(one))}" for one in constraints]
    lines += [
        f"  manifest       sha256:{found.record.manifest}",
        f"  bundle         sha256:{found.record.bundle}",
        f"  entries        {len(found.entries)}",
    ]
    lines += _findings(shown.findings)
    primary = found.examination.primary
    if primary and not shown.findings:
        lines.append(f"  {primary.code or 'undecided'}: {safe(primary.detail)}")
        lines += [f"  next: {primary.next_step}"] if primary.next_step else []
    return "\n".join(lines)


def _trust(anchor: str | None) -> str:
    return f"trusted: {safe(anchor)}" if anchor else "not trusted"


_MARKS = {"active": "*", "pending": ">"}


def history(found: ShownHistory) -> str:
    """The generations, the oldest first, each with what is recorded of it, after those that are lost or damaged."""
    rest = [one.failure for one in found.findings if one.failure not in found.damaged.values()]
    lines = [f"  {failure.code}: {safe(failure.detail)}" for failure in rest]
    damaged = {**found.damaged, **found.lost}
    for reference, failure in damaged.items():
        mark = _MARKS.get(standing(found.state, reference.number), "")
        lines.append(f"{mark + '!':<2}{reference.number:>4}  {failure.code}: {safe(failure.detail)}")
    lines += [f"  next: {failure.next_step}" for failure in [*rest, *damaged.values()][:1]]
    for one in found.generations:
        mark = _MARKS.get(standing(found.state, one.number), " ")
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
    return "\n".join([*lines, *_findings(found.findings)])


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


def unbroken(found: ShownLog) -> str:
    """A log that was verified, in one line."""
    return f"{plural(len(found.lines), 'event')}, unbroken; the newest is sha256:{found.head}"


def log(found: ShownLog) -> str:
    """The lines of a log. Of one that was changed, each is marked that cannot be read, or that nothing proves."""
    if not found.findings:
        return "\n".join(_event(one.event) for one in found.lines if one.event)
    lines = []
    for one in found.lines:
        if one.event:
            lines.append(f"{' ' if one.proved else '?'} {_event(one.event)}")
        elif one.failure:
            lines.append(f"! {one.number:>4}  {one.failure.code}: {safe(one.failure.detail)}")
    inline = [line.failure for line in found.lines]
    named = [one for one in found.findings if one.failure not in inline]
    return "\n".join([*lines, *(_findings(named) or [f"  next: {found.findings[0].failure.next_step}"])])


def _event(one: Event) -> str:
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
