"""Differential test: chains made at random, judged by modseal and by pyhanko-certvalidator.

Nothing may be accepted that the oracle rejects, and what only modseal rejects must be one of these:

| code | why modseal rejects what the oracle accepts |
|---|---|
| wrong-purpose | a CA's extended key usage limits what is below it (the oracle looks at the signer alone) |
| wrong-purpose | the signer has no key usage at all: digitalSignature must be asserted |
| any, of the anchor | the anchor's own certificate counts, its policies too (the oracle takes its name and key) |
| crl-invalid | a CRL that the issuer signed but that is not judged blocks, even beside a good one |
| revoked | an entry counts in any CRL that the issuer signed, even in one for other certificates |
| those of `RESTING_ON_LISTS` | a CA has two certificates: see below |

Where a CA has two certificates, the oracle meets a CRL while it judges that CRL's own signer. It then takes
the list without checking its signature (version 0.33, `_find_crl_issuer`, "if we're recursing"). So it
accepts what rests on a list that modseal does not, and now and then rejects because of a list that nobody
in the chain has signed. For the latter it is asked again without such lists, and then must accept.

`MODSEAL_ORACLE_CASES` sets how many chains are judged; the default keeps the suite quick.
"""

from __future__ import annotations

import asyncio
import logging
import os
import warnings
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from builders import chains, crls
from builders.chains import Case
from builders.paths import find_path, revocation_failures
from builders.pki import NOW
from builders.policies import trusting
from modseal.errors import Failure, FormatError
from modseal.pki import algorithms, purpose
from modseal.pki.certificate import Certificate
from modseal.pki.crl import Crl
from modseal.pki.path import NoPath
from modseal.pki.revocation import RevocationRules

logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    oracle: Any = pytest.importorskip("pyhanko_certvalidator", reason="pyhanko-certvalidator is not installed")
    asn1_x509: Any = pytest.importorskip("asn1crypto.x509", reason="asn1crypto is not installed")

CASES = int(os.environ.get("MODSEAL_ORACLE_CASES", "300"))
BATCH = 50
RESTING_ON_LISTS = ("crl-bad-signature", "crl-wrong-issuer", "crl-stale", "crl-not-yet-valid", "revocation-unknown")


def judge(case: Case) -> list[Failure]:
    """Why modseal does not accept a case; empty where it does."""
    rules = RevocationRules() if case.crls is None else RevocationRules(crls.read(*case.crls), required=True)
    candidates = tuple(each.parsed for each in case.candidates)
    policy = trusting(case.root, intermediates=candidates, revocation=rules)
    path = find_path(case.signer.parsed, (), policy, NOW)
    if isinstance(path, NoPath):
        return list(path.failures)
    signer = case.signer.parsed
    return [
        *purpose.leaf_failures(signer),
        *purpose.key_failures(signer),
        *revocation_failures(path, policy, NOW),
    ]


def ask(case: Case) -> str | None:
    """Why the oracle does not accept a case, None where it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = oracle.ValidationContext(
            trust_roots=[asn1_x509.Certificate.load(case.root.der)],
            moment=NOW,
            allow_fetching=False,
            crls=[] if case.crls is None else list(case.crls),
            revocation_mode="soft-fail" if case.crls is None else "require",
        )
        validator = oracle.CertificateValidator(
            asn1_x509.Certificate.load(case.signer.der),
            [asn1_x509.Certificate.load(each.der) for each in case.candidates],
            validation_context=context,
        )
        try:
            asyncio.run(validator.async_validate_usage({"digital_signature"}, {"code_signing"}))
        except Exception as error:  # noqa: BLE001 - whatever it raises is no acceptance
            return f"{type(error).__name__}: {error}"
    return None


def explained(case: Case, failures: list[Failure]) -> bool:
    """Whether a rejection that is modseal's alone is one of the table above."""
    root, signer = case.root.parsed.fingerprint, case.signer.parsed
    names = Counter(each.parsed.subject_name for each in case.candidates)
    twice = max(names.values(), default=0) > 1

    def listed(failure: Failure) -> bool:
        by_ca = failure.code == "wrong-purpose" and "certificate" in failure.evidence
        without_usage = failure.code == "wrong-purpose" and signer.key_usage is None
        unsure = twice and failure.code in RESTING_ON_LISTS
        narrowed = case.root.parsed.policies.policies is not None and "a policy is required" in failure.detail
        return by_ca or without_usage or unsure or narrowed or failure.code in ("crl-invalid", "revoked")

    of_anchor = any(failure.evidence.get("certificate") == root for failure in failures)
    return of_anchor or all(map(listed, failures))


def without_forged_lists(case: Case) -> Case:
    """The case without the CRLs that no CA in it has signed."""

    def is_signed(data: bytes) -> bool:
        (crl,) = crls.read(data)
        return any(signed_by(crl, each.parsed) for each in (case.root, *case.candidates))

    return replace(case, crls=tuple(filter(is_signed, case.crls or ())))


def signed_by(crl: Crl, certificate: Certificate) -> bool:
    try:
        row, salt = algorithms.identify(crl.signature_algorithm, None, certificate.key)
        algorithms.verify(row, certificate.key, crl.signature, crl.signed_bytes, salt)
    except FormatError:
        return False
    return True


BATCHES = [range(start, min(start + BATCH, CASES)) for start in range(0, CASES, BATCH)]


@pytest.mark.parametrize("numbers", BATCHES, ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_nothing_is_accepted_that_the_oracle_rejects(numbers: range, record_property: Any) -> None:
    verdicts: Counter[str] = Counter()
    for number in numbers:
        case = chains.make(number)
        failures, reason = judge(case), ask(case)
        if not failures and reason:
            assert case.crls is not None, f"case {number} is accepted; the oracle: {reason}"
            again = ask(without_forged_lists(case))
            assert again is None, f"case {number} is accepted; the oracle: {again}"
        if failures and reason is None:
            assert explained(case, failures), f"case {number} is refused: {failures}; the oracle accepts it"
        ours, its = "rejects" if failures else "accepts", "rejects" if reason else "accepts"
        verdicts[f"modseal {ours}, oracle {its}"] += 1
    record_property("verdicts", dict(verdicts))


def test_the_cases_are_of_both_kinds() -> None:
    verdicts = [not judge(chains.make(number)) for number in range(100)]
    assert 10 < sum(verdicts) < 90
