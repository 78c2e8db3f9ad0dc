"""A result as plain values: the one form of it that reports, processes and caches exchange.

Names and levels are text, nothing is left out, and nothing is judged: `report` makes documents of these values.
The shape is that of schemas/report.schema.json (`bundle.result_shape`).
"""

from __future__ import annotations

from typing import Any

from modseal.bundle.verify import Result
from modseal.trust.examination import Check, Examination

SCHEMA = "modseal/report@1"


def result_values(result: Result) -> dict[str, Any]:
    """One result: the bundle, its digest, the verdict, and what was examined."""
    head = {"bundle": result.bundle, "sha256": result.sha256, "verdict": str(result.verdict)}
    if result.examination:
        return head | _examination(result.examination)
    failure = result.failure
    reason = {"code": failure.code, "detail": failure.detail, "evidence": dict(failure.evidence)} if failure else None
    return head | {
        "module": None,
        "claimed_level": None,
        "proven_level": None,
        "signers": [],
        "checks": [],
        "error": reason,
    }


def _examination(examination: Examination) -> dict[str, Any]:
    manifest, proven = examination.manifest, examination.proven_level
    module = manifest and {
        "vendor": manifest.vendor,
        "name": manifest.name,
        "version": manifest.version,
        "proved": bool(examination.trusted),  # a signer that is not trusted proves nothing about the module
    }
    anchors = dict(examination.trusted)
    return {
        "module": module,
        "claimed_level": str(manifest.claimed_level) if manifest else None,
        "proven_level": str(proven) if proven else None,
        "signers": [
            {
                "fingerprint": signer.certificate.fingerprint,
                "subject": signer.certificate.subject,
                "block": signer.block,
                "algorithm": signer.algorithm,
                "claimed_time": signer.claimed_time,
                "trusted": signer.certificate.fingerprint in anchors,
                "anchor": anchors.get(signer.certificate.fingerprint),
            }
            for signer in examination.signers
        ],
        "checks": [check_values(check) for check in examination.checks],
    }


def check_values(check: Check) -> dict[str, Any]:
    """One check as plain values."""
    return {
        "step": check.step,
        "id": check.id,
        "status": str(check.status),
        "code": check.code,
        "detail": check.detail,
        "evidence": dict(check.evidence),
        "next_step": check.next_step,
    }
