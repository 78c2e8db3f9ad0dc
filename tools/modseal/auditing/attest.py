"""Signs what an audit found: a Verification Summary Attestation in a DSSE envelope, for whoever trusts the auditor.

It is made after the report, and names the report by its digest. An audit that was interrupted attests nothing, not
even that it failed: nobody knows what it would have found.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.auditing import vsa
from modseal.auditing.finding import Severity
from modseal.auditing.run import Audit
from modseal.errors import RefusedError, UsageError
from modseal.files.output import output_file
from modseal.packing.provenance import URI, dump
from modseal.signing import dsse, fitness
from modseal.signing.signer import Signer
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class Report:
    """The report that was written: the file's name (None for standard output), its media type and its SHA-256."""

    name: str | None
    media_type: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Attested:
    """An envelope that was written: where, by whom, what it says, and of how many bundles."""

    path: Path
    subject: str
    algorithm: str
    key_id: str
    passed: bool
    bundles: int


def attest(
    audit: Audit,
    report: Report,
    signer: Signer,
    output: Path,
    at: datetime,
    *,
    passed: bool,
    fail_on: Severity,
    algorithm: str | None = None,
    resource: str = "",
    verifier: str = "",
) -> Attested:
    """Sign what `audit` found into an envelope at `output`.

    `passed` is the audit's own conclusion (exit status 0) and `at` the time now, which the certificate must be valid
    at. `resource` and `verifier` are URIs: where the bundles are fetched, and who judged them.

    Raises `UsageError` (an interrupted audit, nothing to attest, `output` is one of the bundles), `RefusedError`
    (an unfit certificate; more bundles than an envelope may list), `KeyMaterialError`, `InputError`.
    """
    if not audit.complete:
        raise UsageError("an audit that was interrupted attests nothing")
    fitness.check_certificate(signer.certificate, signer.chain, at)
    row = fitness.choose_algorithm(signer.certificate, algorithm)
    claim = vsa.Claim(
        passed=passed and vsa.passes(audit.findings(), fail_on),
        at=audit.at,
        verified=at,
        fail_on=fail_on,
        policy=audit.policy.source,
        policy_sha256=_digest(audit),
        report=report.name,
        report_sha256=report.sha256,
        media_type=report.media_type,
        verifier=_uri("verifier id", verifier) or f"{vsa.VERIFIER}{dsse.key_id(signer)}",
        resource=_uri("resource", resource) or vsa.RESOURCE,
    )
    statement = vsa.statement(claim, _others_than(output, audit.results()))
    if not statement["subject"]:
        raise UsageError("there is no bundle that could be attested")
    data = dsse.envelope(dump(statement), signer, row)
    if len(data) > limits.ENVELOPE_SIZE:
        raise RefusedError("limit-exceeded", f"{output}: the envelope is over {limits.ENVELOPE_SIZE} bytes").because(
            "too-many-bundles"
        )
    with output_file(output) as file:
        file.write(data)
    subject = fitness.parse(signer.certificate).subject
    return Attested(output, subject, row.name, dsse.key_id(signer), claim.passed, len(statement["subject"]))


def _digest(audit: Audit) -> str:
    if audit.policy.origin is None:
        raise UsageError("only an audit under a policy that was read from a file can be attested")
    return audit.policy.origin.digest


def _uri(label: str, text: str) -> str:
    if text and not URI.fullmatch(text):
        raise UsageError(f"the {label} is {text!r}, and must be a URI")
    return text


def _others_than(output: Path, results: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The results, once it is sure that none is of the file that is going to be written."""
    targets = {os.path.abspath(output), os.path.realpath(output)}
    for result in results:
        if os.path.abspath(result["bundle"]) in targets:
            raise UsageError(f"{output} is one of the bundles; name another file for the attestation")
        yield result
