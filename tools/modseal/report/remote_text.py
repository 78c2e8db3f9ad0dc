"""What hosts answered, as text for people. Each line is what a host says of itself; nothing was proved at this desk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from modseal.errors import Failure
from modseal.host import values
from modseal.remote.answers import ACCEPTED
from modseal.remote.fleet import HostOutcome
from modseal.report.text import plural, safe, table

Values = Mapping[str, Any]
_SHOWN = 20
"""Findings of one host that are shown in text; JSON has them all."""


def render(outcomes: Sequence[HostOutcome]) -> str:
    """What each host says, with its name before each line where there are several, and then the table of outcomes."""
    if len(outcomes) == 1:
        return "\n".join(_said(outcomes[0]))
    lines = [f"{safe(one.target.shown)}: {line}" for one in outcomes if one.verdict == ACCEPTED for line in _said(one)]
    if lines:
        lines.append("")
    rows = [("HOST", "VERDICT", "OUTCOME"), *((safe(one.target.shown), one.verdict, _short(one)) for one in outcomes)]
    lines += table(rows)
    for one in outcomes:
        if step := next_step(one):
            lines.append(f"{safe(one.target.shown)}: next: {step}")
    return "\n".join(lines)


def next_step(outcome: HostOutcome) -> str:
    """What to do about an outcome that is not accepted, else nothing."""
    first = _first(outcome)
    return "" if first is None else safe(first["next_step"])


def _said(outcome: HostOutcome) -> Iterator[str]:
    """An outcome in full."""
    if outcome.document is None or outcome.document["schema"] == values.PROBLEM:
        yield f"{outcome.verdict}: {_short(outcome)}"
    else:
        yield from _RENDER[outcome.document["schema"]](outcome.document)
        if outcome.verdict != ACCEPTED:
            yield f"{outcome.verdict}: {_short(outcome)}"
    if step := next_step(outcome):
        yield f"next: {step}"


def _short(outcome: HostOutcome) -> str:
    """An outcome in one line: what was done, or the first thing that speaks against it."""
    first = _first(outcome)
    if first is not None:
        return f"{first['code']}: {safe(first['detail'])}"
    return _SUMMARY[outcome.document["schema"]](outcome.document) if outcome.document else ""


def _first(outcome: HostOutcome) -> Values | None:
    """What speaks most against an outcome: as `code`, `detail` and `next_step`."""
    if isinstance(outcome.problem, Failure):
        failure = outcome.problem
        return {"code": failure.code, "detail": failure.detail, "next_step": failure.next_step}
    found = outcome.document or {}
    if outcome.verdict == ACCEPTED:
        return None
    if found["schema"] == values.PROBLEM:
        return found
    for key in ("problems", "findings", "lost"):
        if found.get(key):
            first: Values = found[key][0]
            return first
    for result in found.get("results", ()):
        for check in result["checks"]:
            if check["code"] is not None:
                detail = f"{result['bundle']}: {check['detail']}"
                return {"code": check["code"], "detail": detail, "next_step": check.get("next_step") or _NEXT}
    return {
        "code": outcome.verdict,
        "detail": "the host gives no reason in short; see --format json",
        "next_step": _NEXT,
    }


_NEXT = "See with --format json all that the host says."


def _change(found: Values) -> Iterator[str]:
    for key in ("installed", "updated", "repaired"):
        for one in found[key]:
            was = f", was {safe(one['from'])}" if key == "updated" else ""
            yield f"{key:<10} {_module(one)}{was}"
    for key in ("removed", "lost"):
        for one in found[key]:
            yield f"removed    {safe(one['name'])} {safe(one['version'])}"
    for one in found["skipped"]:
        yield f"skipped    {safe(one['name'])} {safe(one['version'])}: {safe(one['why'])}"
    for why in found["why_it_waits"]:
        yield f"waits      {safe(why)}"
    if found["verdict"] == ACCEPTED:
        yield _change_summary(found)


def _change_summary(found: Values) -> str:
    if found["generation"] is None:
        return "nothing to do"
    if found["waits"]:
        generation = found["generation"]
        return f"generation {generation} is ready; it becomes active with `activate`, or when the host starts again"
    return f"generation {found['generation']} is active"


def _module(one: Values) -> str:
    proven = one["proven_level"] or "none"
    name = f"{safe(one['name'])} {safe(one['version'])} ({safe(one['vendor'])})"
    return f"{name}, claimed {one['claimed_level'] or 'unknown'}, proven {proven}"


def _list(found: Values) -> Iterator[str]:
    rows = [("NAME", "VERSION", "VENDOR", "CLAIMED", "PROVEN")]
    for one in found["modules"]:
        names = (safe(one["name"]), safe(one["version"]), safe(one["vendor"]))
        claimed = one["claimed_level"]
        rows.append((*names, claimed or "unknown", (one["proven_level"] or "none") if claimed else "damaged"))
    if len(rows) > 1:
        yield from table(rows)
    elif not found["findings"]:
        yield "no module is installed"
    if found["pending"] is not None and found["shown"] != found["pending"]:
        yield f"generation {found['pending']} waits for `activate` (--pending shows it)"


def _one_module(found: Values) -> Iterator[str]:
    yield _module(found)
    if found["summary"] is None:
        return  # damaged: the findings say so
    yield f"  summary        {safe(found['summary'])}"
    for signer in found["signers"]:
        trusted = f"trusted: {safe(signer['anchor'])}" if signer["anchor"] else "not trusted"
        yield f"  signer         {safe(signer['subject'])} ({trusted})"
    yield f"  manifest       sha256:{found['manifest_sha256']}"
    yield f"  bundle         sha256:{found['bundle_sha256']}"
    yield f"  entries        {len(found['files'])}"


def _history(found: Values) -> Iterator[str]:
    for one in found["lost"]:
        yield f"! {safe(one['detail'])}"
    for one in found["generations"]:
        mark = {"active": "*", "pending": ">"}.get(one["state"], " ")
        names = ", ".join(f"{safe(each['name'])} {safe(each['version'])}" for each in one["modules"]) or "no modules"
        yield f"{mark} {one['number']:>4}  {one['made']}  {safe(one['action']):<9}  {names}"


def _verification(found: Values) -> Iterator[str]:
    yield f"{found['verdict']}: {_verification_summary(found)}"
    for one in found["findings"][:_SHOWN]:
        whose = f"{safe(one['module'])}: " if one["module"] else ""
        yield f"  {whose}{one['code']}: {safe(one['detail'])}"
    if len(found["findings"]) > _SHOWN:
        yield f"  ... and {len(found['findings']) - _SHOWN} more; --format json has them all"


def _verification_summary(found: Values) -> str:
    number = "no generation" if found["generation"] is None else f"generation {found['generation']}"
    return f"{number}, {plural(len(found['modules']), 'module')}, {plural(found['paths'], 'path')}"


def _log(found: Values) -> Iterator[str]:
    for one in found["events"]:
        by = one["by"]
        who = by.get("key") or by.get("user", by.get("uid", "?"))
        facts = "  ".join(f"{safe(name)}={safe(value)}" for name, value in one["facts"].items() if name != "state")
        mark = "" if one["proved"] else "? "
        yield f"{mark}{one['number']:>4}  {one['time']}  {safe(who)}  {safe(one['event'])}  {facts}".rstrip()
    if found["head"]:
        yield f"{plural(len(found['events']), 'event')}, unbroken; the newest is sha256:{found['head']}"


def _acceptance(found: Values) -> Iterator[str]:
    yield _acceptance_summary(found)


def _acceptance_summary(found: Values) -> str:
    was = f", was {found['was']}" if found["was"] else ""
    return f"acceptance level {found['level']}{was}; the policy's minimum is {found['policy_minimum']}"


def _lockdown(found: Values) -> Iterator[str]:
    yield f"mode        {found['mode']}"
    yield f"host        {safe(found['host'])}"
    if found["lock"]:
        yield f"lock        {safe(found['lock'])}"
    for key in found["controllers"]:
        yield f"controller  {safe(key)}"
    glass = found["break_glass"]
    yield f"break glass {glass['threshold']} of {plural(len(glass['keys']), 'key')}"
    for key in glass["keys"]:
        yield f"            {safe(key)}"


_RENDER: Mapping[str, Callable[[Values], Iterator[str]]] = {
    values.CHANGE: _change,
    values.LIST: _list,
    values.MODULE: _one_module,
    values.HISTORY: _history,
    values.VERIFICATION: _verification,
    values.LOG: _log,
    values.ACCEPTANCE: _acceptance,
    values.LOCKDOWN: _lockdown,
}
_SUMMARY: Mapping[str, Callable[[Values], str]] = {
    values.CHANGE: _change_summary,
    values.LIST: lambda found: plural(len(found["modules"]), "module"),
    values.MODULE: _module,
    values.HISTORY: lambda found: plural(len(found["generations"]), "generation"),
    values.VERIFICATION: _verification_summary,
    values.LOG: lambda found: plural(len(found["events"]), "event"),
    values.ACCEPTANCE: _acceptance_summary,
    values.LOCKDOWN: lambda found: f"{found['mode']} mode",
}
