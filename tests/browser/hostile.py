"""Audits made of any values: hostile text in every place that a bundle's maker, or its finder, can write to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from builders.audit_samples import spool_of
from builders.pki import NOW
from builders.policies import trusting
from modseal.auditing.choice import choose
from modseal.auditing.finding import Finding, Kind, Severity
from modseal.auditing.run import Audit
from modseal.files.names import portable

TEXTS = (
    "</script><script>window.__x=1</script>",
    "</title></style><img src=x onerror=window.__x=1>",
    "\"'><svg onload=window.__x=1>",
    "<!--<script>",
    "]]>&lt;b&gt;&amp;&#60;",
    "javascript:window.__x=1",
    "{{ script }} ${window.__x=1}",
    "\u202egnp.\u2066exe\u200b\u00ad",
    "line\u2028line\u2029line\r\nline\x00\x1b[31m",
    "lone \ud800 and \udfff surrogates \udc80",
    "__proto__",
    "\u05d0\u05d1 \u0645\u0631\u062d\u0628\u0627",
    "n" * 10_000,
    "/",
    "",
)


def result(bundle: str, text: str | None = None, **changes: Any) -> dict[str, Any]:
    """One result with this text wherever a text can be; a plain one where it is None."""
    free = "plain" if text is None else text
    check = {"step": 1, "id": "signature.block", "status": "passed", "code": None, "detail": free, "next_step": None}
    failed = {**check, "step": 7, "status": "failed", "code": "payload-digest-mismatch", "next_step": free}
    values = {
        "bundle": bundle,
        "sha256": "ab" * 32,
        "verdict": "accepted" if text is None else "rejected",
        "module": {"vendor": free, "name": free, "version": free, "proved": text is None},
        "claimed_level": "partner",
        "proven_level": "partner" if text is None else None,
        "signers": [
            {
                "fingerprint": free,
                "subject": free,
                "block": 1,
                "algorithm": free,
                "claimed_time": free,
                "trusted": number == 1,
                "anchor": free if number == 1 else None,
                "not_before": "2024-01-01T00:00:00Z",
                "not_after": "2030-01-01T00:00:00Z",
                "timestamps": 0,
            }
            for number in ((1,) if text is None else (1, 2))
        ],
        "checks": [{**check, "evidence": {free: free}}] + ([{**failed, "evidence": {free: free}}] if text else []),
        "size": 1234,
        "format": "seal",
        "examined_at": "2026-01-01T00:00:00Z",
    }
    return {**values, **changes}


def finding(bundle: str, text: str = "a detail", **changes: Any) -> Finding:
    """One finding with this text wherever a text can be."""
    values: dict[str, Any] = {
        "rule": "claim-above-proven",
        "kind": Kind.RULE,
        "severity": Severity.HIGH,
        "detail": text,
        "next_step": text,
        "bundle": bundle,
        "sha256": "ab" * 32,
        "evidence": {text: text},
        "related": (text,),
        "reason": text,
    }
    return Finding(**{**values, **changes})


def audit(
    results: Iterable[dict[str, Any]], findings: Iterable[Finding] = (), *, complete: bool = True, **changes: Any
) -> Audit:
    """The audit of these results and findings."""
    policy = trusting()
    values = {"policy": policy, "at": NOW, "paths": ("depot",), "choice": choose(policy, NOW), **changes}
    made = Audit(**values, complete=complete)
    names = set()
    for one in results:
        names.add(one["bundle"])
        made.result_spool.append(json.dumps({**one, "bundle": portable(one["bundle"])}).encode("ascii"))
        made.summary.add_result(one["size"], one["verdict"], one["proven_level"])
    for each in findings:
        spool_of(each, made, names).add(each)
        made.summary.add_finding(str(each.severity), each.state)
    return made


def hostile() -> Audit:
    """Every text in every place."""
    results = [result(text, text) for text in TEXTS]
    findings = [finding(text, text) for text in TEXTS]
    return audit(results, findings, paths=TEXTS)
