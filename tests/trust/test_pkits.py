"""NIST PKITS: every case by its published result. 0 false accepts; false rejects by the published list alone.

The certificates and CRLs are in the package `cryptography_vectors`, the expected results beside the
repository. What is bypassed is our own profile of the signer's certificate (PKITS has no code signing); path
building, validation and revocation are the product's.
"""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from refusals import REFUSALS

from builders.paths import find_path, revocation_failures
from modseal.errors import Failure, FormatError
from modseal.format.level import Level
from modseal.pki.certificate import Certificate
from modseal.pki.certificate_policies import ANY_POLICY, PolicyInputs
from modseal.pki.crl import Crl
from modseal.pki.path import NoPath
from modseal.pki.purpose import ChainProfile
from modseal.pki.revocation import RevocationRules
from modseal.trust.policy import Anchor, Policy

RESULTS = Path(__file__).resolve().parents[2].parent / "shared" / "vectors" / "pkits.json"
AT = datetime(2011, 4, 15, tzinfo=UTC)
POLICY_OIDS = {"anyPolicy": ANY_POLICY} | {
    f"NIST-test-policy-{n}": f"2.16.840.1.101.3.2.1.48.{n}" for n in range(1, 11)
}
REFUSED = {section: refusal for refusal in REFUSALS for section in refusal.pkits}
MUST_ACCEPT, ACCEPTED = 114, 97


def vectors() -> Path:
    found = importlib.util.find_spec("cryptography_vectors")
    if found is None or found.origin is None:
        pytest.skip("cryptography_vectors is not installed")
    return Path(found.origin).parent / "x509" / "PKITS_data"


def cases() -> list[dict[str, Any]]:
    return list(json.loads(RESULTS.read_text("utf-8"))["cases"]) if RESULTS.exists() else []


def judge(case: dict[str, Any]) -> list[Failure]:
    """Why modseal does not accept a case, as a policy with `required = true` has it; empty where it does."""
    folder = vectors()
    try:
        root, *above, signer = (
            Certificate.parse((folder / "certs" / f"{name}.crt").read_bytes()) for name in case["certificates"]
        )
        lists = tuple(Crl.parse((folder / "crls" / f"{name}.crl").read_bytes(), name) for name in case["crls"])
    except FormatError as error:
        return [error.failure]
    anchor = Anchor("Trust Anchor", Level.CERTIFIED, certificate=root)
    rules = RevocationRules(lists, required=True)
    policy = Policy("PKITS", Level.COMMUNITY, (anchor,), intermediates=tuple(above), revocation=rules)
    inputs = PolicyInputs(
        acceptable=frozenset(POLICY_OIDS[name] for name in case["initial_policy_set"]),
        explicit=case["initial_explicit_policy"],
        inhibit_mapping=case["initial_policy_mapping_inhibit"],
        inhibit_any=case["initial_inhibit_any_policy"],
    )
    path = find_path(signer, (), policy, AT, ChainProfile("any purpose", None, inputs))
    return list(path.failures) if isinstance(path, NoPath) else revocation_failures(path, policy, AT)


@pytest.mark.skipif(not RESULTS.exists(), reason="the expected results of PKITS are not beside the repository")
@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['section']} {case['name']}")
def test_a_case_has_its_published_result(case: dict[str, Any]) -> None:
    failures = judge(case)
    if not case["accept"]:
        assert failures, "a false accept"
    elif case["section"] in REFUSED:
        assert failures, "no longer refused: take it off the published list"
        assert failures[0].code in REFUSED[case["section"]].codes
    else:
        assert not failures


@pytest.mark.skipif(not RESULTS.exists(), reason="the expected results of PKITS are not beside the repository")
def test_the_whole_suite_has_the_published_numbers() -> None:
    table = Counter((case["accept"], not judge(case)) for case in cases())
    assert table == {(True, True): ACCEPTED, (True, False): MUST_ACCEPT - ACCEPTED, (False, False): 135}
    assert len(REFUSED) == MUST_ACCEPT - ACCEPTED
