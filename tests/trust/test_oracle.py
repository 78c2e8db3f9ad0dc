"""Differential test: chains made at random, judged by modseal and by pyhanko-certvalidator.

Nothing may be accepted that the oracle rejects. What only modseal rejects must be one of its published
refusals; these are all that occur, by code:

| code | why modseal rejects what the oracle accepts |
|---|---|
| wrong-purpose | a CA's extended key usage limits what is below it (the oracle looks at the signer alone) |
| wrong-purpose | the signer has no key usage at all (digitalSignature must be asserted) |
| expired, not-yet-valid, invalid-chain, unsupported-extension | the anchor's own certificate counts (the oracle takes name and key) |
| crl-invalid | a CRL that the issuer signed but that is not judged blocks, even beside a good one |

`MODSEAL_ORACLE_CASES` sets how many chains are judged; the default keeps the suite quick.
"""

from __future__ import annotations

import asyncio
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from builders import chains, crls
from builders.chains import Case
from builders.pki import NOW
from builders.policies import trusting

from modseal.errors import Failure
from modseal.trust import purpose
from modseal.trust.path import NoPath, find_path, revocation_failures
from modseal.trust.revocation import RevocationRules

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    oracle: Any = pytest.importorskip("pyhanko_certvalidator", reason="pyhanko-certvalidator is not installed")
    asn1_x509: Any = pytest.importorskip("asn1crypto.x509", reason="asn1crypto is not installed")

CASES = int(os.environ.get("MODSEAL_ORACLE_CASES", "300"))
BATCH = 50


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
    """Whether a rejection that is modseal's alone is, in each of its reasons, one of the table above."""
    root, signer = case.root.parsed.fingerprint, case.signer.parsed

    def listed(failure: Failure) -> bool:
        by_ca = failure.code == "wrong-purpose" and "certificate" in failure.evidence
        without_usage = failure.code == "wrong-purpose" and signer.key_usage is None
        return by_ca or without_usage or failure.evidence.get("certificate") == root or failure.code == "crl-invalid"

    return all(map(listed, failures))


def batches() -> Iterator[range]:
    for start in range(0, CASES, BATCH):
        yield range(start, min(start + BATCH, CASES))


@pytest.mark.parametrize("numbers", batches(), ids=lambda numbers: f"{numbers.start}-{numbers.stop - 1}")
def test_nothing_is_accepted_that_the_oracle_rejects(numbers: range, record_property: Any) -> None:
    verdicts: Counter[str] = Counter()
    for number in numbers:
        case = chains.make(number)
        failures, reason = judge(case), ask(case)
        assert failures or reason is None, f"case {number} is accepted; the oracle: {reason}"
        if failures and reason is None:
            assert explained(case, failures), f"case {number} is refused: {failures}; the oracle accepts it"
        verdicts[f"modseal {'rejects' if failures else 'accepts'}, oracle {'accepts' if reason is None else 'rejects'}"] += 1
    record_property("verdicts", dict(verdicts))


def test_the_cases_are_of_both_kinds() -> None:
    verdicts = [not judge(chains.make(number)) for number in range(100)]
    assert 10 < sum(verdicts) < 90
