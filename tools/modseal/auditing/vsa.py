"""What an audit attests: an in-toto Statement v1 with a Verification Summary Attestation, written and read back.

A passed audit speaks of the bundles that were accepted, and of no other; its one level is the lowest proven level
among them. A failed one lists all. What the specification has no field for (the report, the time of judgement, the
threshold) stands in an extension field. Bundles are the subjects and no attestations, so `inputAttestations` is left
out, and so is `slsaVersion`: none of our levels is one of SLSA.

Sources: SLSA v1.2, verification_summary.md (`SlsaResult`: custom values must not start with `SLSA_`); in-toto
attestation spec/v1/statement.md and resource_descriptor.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from modseal import __version__
from modseal.auditing.finding import Finding, Severity, State
from modseal.auditing.report_file import ReportFile
from modseal.auditing.run import LEVELS
from modseal.errors import FormatError
from modseal.files.names import portable
from modseal.format import dsse
from modseal.format.cms import Algorithm
from modseal.format.times import parse_time, time_text
from modseal.pki import purpose
from modseal.pki.algorithms import ALGORITHMS, SignatureAlgorithm, identify, verify
from modseal.pki.certificate import Certificate
from modseal.values import dataclass

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/verification_summary/v1"
DETAILS = "urn:modseal:audit:1"
"""The extension field (its name must be a URI): what docs/how-to/keep-evidence-of-audits.md describes."""
RESOURCE = "urn:modseal:audit:1"
"""The `resourceUri` of an audit whose caller names none: bundles, wherever they are fetched."""
VERIFIER = "urn:modseal:key:sha256:"
"""The start of a verifier's id that its caller did not give: the SHA-256 of the public key follows."""
POLICY = "urn:modseal:policy:sha256:"
"""The start of a policy's URI: its digest follows, as `modseal policy check` and reports have it."""
LEVEL = "MODSEAL_LEVEL_"

Rows = Iterable[Mapping[str, Any]]
"""Results, as a report has them."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a statement says besides its subjects. Digests are lower-case hex."""

    passed: bool
    at: datetime
    verified: datetime
    fail_on: Severity
    policy: str
    policy_sha256: str
    report: str | None
    report_sha256: str
    media_type: str
    verifier: str
    resource: str


def statement(claim: Claim, results: Rows) -> dict[str, Any]:
    """The statement on an audit. It has no subject where no bundle can be one: then there is nothing to attest."""
    subjects, level, bundles = _subjects(results, passed=claim.passed)
    report = {"name": claim.report} if claim.report else {}
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "verifier": {"id": claim.verifier, "version": {"modseal": __version__}},
            "timeVerified": time_text(claim.verified),
            "resourceUri": claim.resource,
            "policy": {
                "name": claim.policy,
                "uri": f"{POLICY}{claim.policy_sha256}",
                "digest": {"sha256": claim.policy_sha256},
            },
            "verificationResult": "PASSED" if claim.passed else "FAILED",
            "verifiedLevels": [f"{LEVEL}{level.upper()}" if claim.passed else "FAILED"],
            DETAILS: {
                "report": {**report, "mediaType": claim.media_type, "digest": {"sha256": claim.report_sha256}},
                "at": time_text(claim.at),
                "failOn": str(claim.fail_on),
                "bundles": bundles,
            },
        },
    }


def _subjects(results: Rows, *, passed: bool) -> tuple[list[dict[str, Any]], str, int]:
    """The bundles that the statement is about, the level that each accepted one has at least, the number of all.

    One whose bytes could not be read to the end has no digest to say.
    """
    seen: set[tuple[str, str]] = set()
    subjects: list[dict[str, Any]] = []
    lowest = count = 0
    for result in results:
        count += 1
        name, digest, accepted = result["bundle"], result["sha256"], result["verdict"] == "accepted"
        if digest and (name, digest) not in seen and (accepted or not passed):
            seen.add((name, digest))
            subjects.append({"name": portable(name), "digest": {"sha256": digest}})
        if accepted:
            lowest = max(lowest, LEVELS.index(result["proven_level"] or LEVELS[-1]))
    return subjects, LEVELS[lowest], count


def key_id(certificate: Certificate) -> str:
    """The SHA-256 of a certificate's public key (the DER of its SubjectPublicKeyInfo), as `signing.dsse` has it."""
    return hashlib.sha256(certificate.key_der).hexdigest()


def passes(findings: Iterable[Finding], fail_on: Severity) -> bool:
    """Whether nothing that counts was found at this severity or above, and nothing that counts is undecided."""
    counted = (finding for finding in findings if finding.state is State.NEW)
    return not any(finding.undecided or finding.severity >= fail_on for finding in counted)


@dataclass(frozen=True, slots=True)
class Attestation:
    """An attestation that holds for a report: who signed it and what it says. Its times are the signer's word."""

    signer: str
    key_id: str
    algorithm: str
    result: str
    levels: tuple[str, ...]
    verifier: str
    resource: str
    verified: str
    subjects: int


def check(data: bytes, name: str, certificate: Certificate, report: ReportFile) -> Attestation:
    """An envelope of `modseal audit --attest` against the report that it should be of, and the key that should sign.

    Raises `FormatError` (bad-attestation): it cannot be read, this key did not sign it, the certificate may not sign
    or was not valid at the time that it says, it is about another report, or does not say what that report says.
    """
    envelope = dsse.decode(data, name)
    if envelope.payload_type != dsse.STATEMENT:
        raise dsse.bad(name, "what it has in it is not an in-toto statement")
    algorithm = _signed_with(envelope, certificate)
    if algorithm is None:
        raise dsse.bad(name, f"{certificate.subject} did not sign it")
    plain = _statement(envelope.payload, name)
    claim = _claim(plain, name)
    if why := _unfit(certificate, claim.verified) or _unlike(plain, claim, certificate, report):
        raise dsse.bad(name, why)
    predicate = plain["predicate"]
    return Attestation(
        certificate.subject,
        key_id(certificate),
        algorithm.name,
        predicate["verificationResult"],
        tuple(map(str, predicate["verifiedLevels"])),
        claim.verifier,
        claim.resource,
        predicate["timeVerified"],
        len(plain["subject"]),
    )


def _signed_with(envelope: dsse.Envelope, certificate: Certificate) -> SignatureAlgorithm | None:
    """The algorithm of a signature that verifies under the certificate's key. An envelope does not name it."""
    message = dsse.pae(envelope.payload_type, envelope.payload)
    for _, signature in envelope.signatures:
        for row in filter(lambda row: _fits(row, certificate), ALGORITHMS.values()):
            try:
                verify(row, certificate.key, signature, message)
            except FormatError:
                continue
            return row
    return None


def _fits(row: SignatureAlgorithm, certificate: Certificate) -> bool:
    try:
        written = Algorithm(row.signature_oid, row.signature_parameters, b"")
        return identify(written, row.digest_name, certificate.key)[0] == row
    except FormatError:
        return False


def _statement(payload: bytes, name: str) -> dict[str, Any]:
    try:
        plain = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise dsse.bad(name, f"its statement is not JSON: {error}") from None
    if not isinstance(plain, dict) or (plain.get("_type"), plain.get("predicateType")) != (
        STATEMENT_TYPE,
        PREDICATE_TYPE,
    ):
        raise dsse.bad(name, "it is not a verification summary (v1) in an in-toto statement (v1)")
    return plain


def _claim(plain: dict[str, Any], name: str) -> Claim:
    """What `statement` was given. Raises `FormatError`."""
    try:
        predicate = plain["predicate"]
        details = predicate[DETAILS]
        report = details["report"]
        return Claim(
            passed=predicate["verificationResult"] == "PASSED",
            at=parse_time(details["at"]),
            verified=parse_time(predicate["timeVerified"]),
            fail_on=Severity(details["failOn"]),
            policy=predicate["policy"]["name"],
            policy_sha256=predicate["policy"]["digest"]["sha256"],
            report=report.get("name"),
            report_sha256=report["digest"]["sha256"],
            media_type=report["mediaType"],
            verifier=str(predicate["verifier"]["id"]),
            resource=str(predicate["resourceUri"]),
        )
    except KeyError as error:
        raise dsse.bad(name, f"its statement has no {error.args[0]}") from None
    except (ValueError, TypeError, AttributeError, IndexError):
        raise dsse.bad(name, "its statement is not one of `modseal audit --attest`") from None


def _unfit(certificate: Certificate, at: datetime) -> str | None:
    """Why the certificate may not have signed at this time, which nothing but the statement says."""
    failures = [*purpose.leaf_failures(certificate), *purpose.key_failures(certificate)]
    outside = purpose.validity_failure(certificate, at)
    failures += [outside] if outside else []
    return "; ".join(failure.detail for failure in failures) or None


def _unlike(plain: dict[str, Any], claim: Claim, certificate: Certificate, report: ReportFile) -> str | None:
    """What it says otherwise than the report. Everything but names is said again from the report, and compared."""
    if claim.report_sha256 != report.sha256:
        return f"it is about another report: sha256 {claim.report_sha256}, not {report.sha256}"
    if claim.verifier.startswith(VERIFIER) and claim.verifier != f"{VERIFIER}{key_id(certificate)}":
        return "it names another verifier than the key that signed it"
    if claim.passed and not (report.complete and passes(report.findings(), claim.fail_on)):
        return "it says PASSED, and the report does not"
    policy = report.policy
    if (claim.policy, claim.policy_sha256, claim.at) != (policy["source"], policy["sha256"], report.at):
        return "it is about another policy or time than the report"
    again = statement(claim, report.results())
    again["predicate"]["verifier"] = plain["predicate"]["verifier"]
    return None if again == plain else "it does not list what the report has"
