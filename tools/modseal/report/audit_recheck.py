"""What became of an old report that was checked, as text for people or as JSON (`modseal/audit-recheck@1`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from modseal.auditing.recheck import Deviation, Recheck
from modseal.auditing.vsa import Attestation
from modseal.files.names import portable
from modseal.report.audit_json import compact, document
from modseal.report.text import plural, safe, safe_name

SCHEMA = "modseal/audit-recheck@1"
_CLAIM = "A report is a claim: it proves nothing by itself. What counts is what was found now."
_TIMES = "its times are the signer's word"


def render_text(check: Recheck, attested: Attestation | None = None) -> Iterator[bytes]:
    """The check as lines of text."""
    for line in _lines(check, attested):
        yield f"{line}\n".encode("utf-8", "backslashreplace")


def _lines(check: Recheck, attested: Attestation | None) -> Iterator[str]:
    report = check.report
    yield f"{safe_name(report.name)}: {_conclusion(check)}"
    yield f"  sha256 {report.sha256}, made at {report.head['at']} under {safe(report.policy['source'])}"
    if not report.complete:
        yield "  the audit was interrupted: the report does not have every bundle"
    yield f"  {plural(check.bundles, 'bundle')} found and read again"
    if check.unjudged:
        yield f"  verdicts and findings were not compared: {safe(check.unjudged)}"
    elif not check.several:
        yield "  findings that come from comparing bundles were not compared: the bundles are not the same"
    if attested:
        yield from _attested(attested)
    for deviation in (*check.deviations, *check.unreadable):
        about = f"{safe_name(deviation.bundle)}: " if deviation.bundle else ""
        yield f"  {deviation.what:<21} {about}{safe(deviation.detail)}"
    yield _CLAIM


def _attested(attested: Attestation) -> Iterator[str]:
    levels = dict.fromkeys((attested.result, *attested.levels))
    what = f"{safe(' '.join(levels))}, {plural(attested.subjects, 'bundle')}"
    yield f"  attested: {what}, at {safe(attested.verified)} ({_TIMES})"
    yield f"    by {safe(attested.signer)} with {attested.algorithm}, key id {attested.key_id}"
    yield f"    as {safe(attested.verifier)}, for {safe(attested.resource)}"


def _conclusion(check: Recheck) -> str:
    if check.deviations:
        return f"not reproduced, {plural(len(check.deviations), 'deviation')}"
    return "reproduced" if check.reproduced else "could not be checked to the end"


def render_json(check: Recheck, attested: Attestation | None = None) -> Iterator[bytes]:
    """The check as a JSON document, in pieces."""
    report = check.report
    head: dict[str, Any] = {
        "schema": SCHEMA,
        "report": report.name,
        "sha256": report.sha256,
        "at": report.head["at"],
        "complete": report.complete,
        "policy": report.policy,
        "reproduced": check.reproduced,
        "bundles": check.bundles,
        "unjudged": check.unjudged,
        "compared_several": check.several and not check.unjudged,
        "attestation": _plain(attested) if attested else None,
    }
    return document(head, {"deviations": _rows(check.deviations), "unreadable": _rows(check.unreadable)})


def _rows(deviations: Iterable[Deviation]) -> Iterator[bytes]:
    for one in deviations:
        name = None if one.bundle is None else portable(one.bundle)
        yield compact({"what": one.what, "bundle": name, "detail": one.detail})


def _plain(attested: Attestation) -> dict[str, Any]:
    return {
        "signer": attested.signer,
        "key_id": attested.key_id,
        "algorithm": attested.algorithm,
        "result": attested.result,
        "levels": list(attested.levels),
        "verifier": attested.verifier,
        "resource": attested.resource,
        "time_verified": attested.verified,
        "bundles": attested.subjects,
    }
