"""Results as JSON: the schema `modseal/report@1` (schemas/report.schema.json), for machines and gates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from modseal.bundle.verify import Result
from modseal.trust.examination import Check, Examination

SCHEMA = "modseal/report@1"


def render(results: Sequence[Result], policy: str, at: datetime) -> str:
    """All results as one JSON document, two spaces of indent."""
    document = {
        "schema": SCHEMA,
        "policy": policy,
        "at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "results": [_result(result) for result in results],
    }
    return json.dumps(document, indent=2, ensure_ascii=True)


def _result(result: Result) -> dict[str, Any]:
    head = {"bundle": result.bundle, "sha256": result.sha256, "verdict": str(result.verdict)}
    if result.examination:
        return head | _examination(result.examination)
    failure = result.failure
    reason = {"code": failure.code, "detail": failure.detail} if failure else None
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
        "proved": bool(examination.trusted),  # a stranger's signature proves nothing
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
