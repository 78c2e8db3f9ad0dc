"""An examination with the policy's lines: which one decided each check, as text or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from modseal.bundle.values import check_values
from modseal.bundle.verify import Result
from modseal.codes import CODES
from modseal.files.names import dumped, portable
from modseal.report import colour, text
from modseal.report.text import safe, safe_name
from modseal.trust.examination import STEPS, Check, Examination, Status
from modseal.trust.policy import Anchor, Policy

SCHEMA = "modseal/explanation@1"
_OF_ANCHOR = "anchor."
_INTEGRITY = (0, 1, 7, 8)
_TABLE = {2: "time", 4: "algorithms", 5: "revocation"}
"""The policy table that rules a step."""
_RESTRICTIONS = tuple(dict.fromkeys(code.policy_key for code in CODES.values() if code.step == 9))
"""The policy tables that rule step 9."""
_MARK = {Status.PASSED: "ok", Status.FAILED: "FAILED", Status.NOT_APPLICABLE: "-", Status.INCONCLUSIVE: "UNDECIDED"}


@dataclass(frozen=True, slots=True)
class Decider:
    """One place of the policy: a key with its line, or a key that is not there, so that its default holds (0)."""

    key: str
    line: int


def deciders(check: Check, examination: Examination, policy: Policy) -> tuple[Decider, ...]:
    """What in the policy decided a check; nothing for integrity, which no policy can change."""
    return tuple(dict.fromkeys(_deciders(check, examination, policy)))


def _deciders(check: Check, examination: Examination, policy: Policy) -> Iterator[Decider]:
    if check.id.endswith(".examined"):
        return
    exempt = check.step in range(1, 7) and policy.allow_unsigned_community and not examination.signers
    if exempt and check.status in (Status.PASSED, Status.NOT_APPLICABLE):
        yield from _key("allow-unsigned-community", policy)
    elif check.id == "files.placement":
        yield from _key("paths", policy)
    elif check.id == "files.powers":
        yield from _powers(check, examination, policy)
    elif check.step in (3, 4) and _policy_key(check) == "algorithms":
        yield from _key("algorithms", policy)
    elif check.code == "wrong-purpose":
        return  # what a certificate is for stands in the certificate alone
    elif check.step in _TABLE:
        yield from _key(_TABLE[check.step], policy)
    elif check.step == STEPS.index("chain"):
        yield from _anchors(check, examination, policy)
        yield from (_key("intermediates", policy) if "intermediates" in policy.places.lines else ())
    elif check.step == STEPS.index("level"):
        yield from _level(check, examination, policy)
    elif check.step == STEPS.index("restrictions"):
        yield from _restrictions(check, examination, policy)


def _policy_key(check: Check) -> str:
    return CODES[check.code].policy_key if check.code else ""


def _level(check: Check, examination: Examination, policy: Policy) -> Iterator[Decider]:
    key = _policy_key(check)
    if key and not key.startswith(_OF_ANCHOR):
        yield from _key(key, policy)
    elif check.id == "level.signers":
        yield from _key("signers", policy)
    else:
        yield from _anchors(check, examination, policy)
        if check.code is None:
            yield from _key("minimum-level", policy)


def _restrictions(check: Check, examination: Examination, policy: Policy) -> Iterator[Decider]:
    key = _policy_key(check)
    if key == "versions" and examination.manifest:
        yield from _key(f"versions.{examination.manifest.name}", policy)
    elif key:
        yield from _key(key, policy)
    else:
        for table in _RESTRICTIONS:
            yield from (one for one in _key(table, policy) if one.line)


def _anchors(check: Check, examination: Examination, policy: Policy) -> Iterator[Decider]:
    """The anchor that a check names; else those that signers were led to; else all, as none of them did."""
    named = check.evidence.get("anchor")
    led_to = {one.evidence.get("anchor") for one in examination.checks if one.id == "chain.path"} - {None}
    chosen = [anchor for anchor in policy.anchors if anchor.name in ({named} if named else led_to)]
    for anchor in chosen or policy.anchors:
        yield _anchor(anchor, check, policy)
    if not policy.anchors:
        yield Decider("anchor", 0)


def _powers(check: Check, examination: Examination, policy: Policy) -> Iterator[Decider]:
    """Where the policy has the power, of the anchor or of unsigned modules; else what the default depends on."""
    if examination.trusted:
        yield from _anchors(check, examination, policy)
    elif not examination.signers:
        power = check.evidence.get("power")
        yield from _key(
            f"unsigned.may.{power}" if f"unsigned.may.{power}" in policy.places.lines else "unsigned", policy
        )


def _anchor(anchor: Anchor, check: Check, policy: Policy) -> Decider:
    index = policy.anchors.index(anchor)
    place = f"anchor[{index}]"
    key = _policy_key(check)
    which = key.removeprefix("anchor") if key.startswith(_OF_ANCHOR) else ""
    if check.id == "files.powers":
        said = [f".may.{check.evidence.get('power')}", ".may"]
        which = next((one for one in said if f"{place}{one}" in policy.places.lines), ".grants")
    line = policy.places.lines.get(f"{place}{which}", policy.places.line(("anchor", index)))
    return Decider(f"anchor {anchor.name!r}{which}", line)


def _key(key: str, policy: Policy) -> Iterator[Decider]:
    """The keys that the policy has at or below this one; the key itself, without a line, where there is none."""
    found = [Decider(name, line) for name, line in policy.places.lines.items() if name.startswith(f"{key}.")]
    if key in policy.places.lines and not found:
        found = [Decider(key, policy.places.lines[key])]
    yield from found or [Decider(key, 0)]


def render_json(result: Result, policy: Policy, at: str) -> str:
    """The explanation as JSON."""
    examination = result.examination
    failure = result.failure
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "policy": portable(policy.source),
        "at": at,
        "bundle": portable(result.bundle),
        "verdict": str(result.verdict),
        "error": {"code": failure.code, "detail": failure.detail} if failure else None,
        "steps": [],
    }
    for step, name in enumerate(STEPS) if examination else ():
        checks = (
            [
                {**check_values(check), "decided_by": _plain(check, examination, policy)}
                for check in examination.checks
                if check.step == step
            ]
            if examination
            else []
        )
        document["steps"].append({"step": step, "name": name, "integrity": step in _INTEGRITY, "checks": checks})
    return dumped(document, indent=2)


def _plain(check: Check, examination: Examination, policy: Policy) -> list[dict[str, Any]]:
    return [
        {"file": policy.source, "line": one.line or None, "key": one.key}
        for one in deciders(check, examination, policy)
    ]


def render_text(result: Result, policy: Policy, at: str, *, in_colour: bool = False) -> str:
    """The explanation as lines of text, without a final newline."""
    examination = result.examination
    if examination is None:
        return text.render(result, in_colour=in_colour)
    mark = colour.paint if in_colour else colour.plain
    return "\n".join(_lines(result, examination, policy, at, mark))


def _lines(result: Result, examination: Examination, policy: Policy, at: str, mark: text.Mark) -> Iterator[str]:
    yield f"{safe_name(result.bundle)}: {mark(result.verdict, str(result.verdict))}"
    yield f"  under {safe_name(policy.source)}, at {at}"
    for step, name in enumerate(STEPS):
        yield f"{step} {name}"
        for check in examination.checks:
            if check.step == step:
                yield from _check_lines(check, examination, policy, mark)
    primary = examination.primary
    if primary and primary.next_step:
        yield f"next: {primary.next_step}"


def _check_lines(check: Check, examination: Examination, policy: Policy, mark: text.Mark) -> Iterator[str]:
    code = f"{check.code}: " if check.code else ""
    yield f"  {mark(check.status, f'{_MARK[check.status]:<9}')} {code}{safe(check.detail)}"
    found = deciders(check, examination, policy)
    for one in found:
        yield " " * 12 + _place(one, policy)
    if not found and check.step in _INTEGRITY:
        yield " " * 12 + "integrity: no policy can change this"


def _place(one: Decider, policy: Policy) -> str:
    if not one.line:
        return f"{safe(one.key)} is not in the policy: its default holds"
    return f"{safe_name(policy.source)}:{one.line}: {safe(one.key)}"
