"""Post-quantum signatures beside classic ones: verifiers that know both, and those that know only the classic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from builders.bundles import Bundle, accepted, codes, make, refused
from builders.pki import Identity, ca, leaf, new_key, root, signer
from builders.policies import anchor, trusting
from modseal.format import rules
from modseal.pki import algorithms, certificate, public_key
from modseal.pki.algorithms import ALGORITHMS
from modseal.trust import signature
from modseal.trust.examination import Status, Verdict

POST_QUANTUM = ("ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
CLASSIC = frozenset(ALGORITHMS) - set(POST_QUANTUM)
classics = pytest.mark.parametrize("kind", ["rsa", "p256"])


def hybrid(kind: str, size: str = "ml-dsa-65", **changes: Any) -> Bundle:
    return make("seal", signer(kind), signer(size), **changes)


def forget() -> None:
    """Certificates that were read, and what their keys are for: a process knows one library and one table."""
    certificate._parse.cache_clear()
    signature._identified.cache_clear()


def unknown_by_table() -> Any:
    """An older modseal: it has no row for ML-DSA."""
    return mock.patch.object(algorithms, "ALGORITHMS", {name: ALGORITHMS[name] for name in sorted(CLASSIC)})


def unknown_by_library() -> Any:
    """A modseal of today with a library that was built without ML-DSA: it cannot read such a key."""

    def older(data: bytes) -> Any:
        key = load_der_public_key(data)
        if isinstance(key, mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey):
            raise UnsupportedAlgorithm("Unknown key type")
        return key

    return mock.patch.object(public_key, "load", older)


@pytest.fixture(params=[unknown_by_table, unknown_by_library], ids=["table", "library"])
def classic_only(request: pytest.FixtureRequest) -> Iterator[None]:
    """A verifier that knows only the classic algorithms."""
    forget()
    with request.param():
        yield
    forget()


@classics
@pytest.mark.parametrize("size", POST_QUANTUM)
def test_both_signatures_verify_and_count(kind: str, size: str) -> None:
    found = accepted(hybrid(kind, size), trusting(minimum_signers=2))
    assert [one.algorithm for one in found.signers][1] == size
    assert len(found.trusted) == 2


@pytest.mark.parametrize("size", POST_QUANTUM)
def test_a_post_quantum_signature_stands_alone(size: str) -> None:
    accepted(make("seal", signer(size)), trusting())
    accepted(make("vib", signer(size)), trusting())


def test_a_chain_that_is_post_quantum_throughout_verifies() -> None:
    authority = ca("ML-DSA root", key=new_key("ml-dsa-87", 1))
    below = leaf("ML-DSA signer", issuer=authority, key=new_key("ml-dsa-65", 2))
    accepted(make("seal", below), trusting(authority))


@classics
@pytest.mark.usefixtures("classic_only")
def test_a_verifier_that_knows_only_the_classic_one_passes_it_and_reports_the_other(kind: str) -> None:
    found = accepted(hybrid(kind), trusting())
    assert [check.status for check in found.checks if check.code == "unsupported-algorithm"] == [Status.NOT_APPLICABLE]
    assert len(found.signers) == 1


@pytest.mark.usefixtures("classic_only")
def test_a_verifier_that_knows_only_the_classic_one_cannot_decide_on_the_other_alone(tmp_path: Path) -> None:
    bundle = make("seal", signer("ml-dsa-65"))
    found = refused(bundle, trusting(), "unsupported-algorithm", tmp_path, verdict=Verdict.UNDECIDED)
    assert "bad-signature" not in codes(found)


def requiring_both(*identities: Identity) -> tuple[Any, ...]:
    """Policies that want both, by number and by name."""
    return (
        trusting(minimum_signers=2),
        trusting(required_signers=tuple(one.fingerprint for one in identities)),
    )


@pytest.mark.parametrize("left", ["rsa", "ml-dsa-65"])
def test_a_policy_that_requires_both_sees_that_either_was_stripped(left: str, tmp_path: Path) -> None:
    for policy, code in zip(
        requiring_both(signer("rsa"), signer("ml-dsa-65")), ["too-few-signers", "required-signer-missing"], strict=True
    ):
        accepted(hybrid("rsa"), policy)
        refused(make("seal", signer(left)), policy, code, tmp_path)


def test_a_policy_may_trust_each_kind_under_a_root_of_its_own(tmp_path: Path) -> None:
    authority = ca("ML-DSA root", key=new_key("ml-dsa-87", 1))
    new = leaf("ML-DSA signer", issuer=authority, key=new_key("ml-dsa-65", 2))
    old = signer("rsa")
    policy = trusting(
        *(anchor(one, name=name) for one, name in ((authority, "new"), (root(), "old"))),
        required_signers=("new", "old"),
    )
    accepted(make("seal", old, new), policy)
    refused(make("seal", old), policy, "required-signer-missing", tmp_path)
    refused(make("seal", new), policy, "required-signer-missing", tmp_path)


@pytest.mark.usefixtures("classic_only")
def test_a_policy_that_requires_both_blocks_where_only_one_can_be_judged(tmp_path: Path) -> None:
    for policy in requiring_both(signer("rsa"), signer("ml-dsa-65")):
        found = refused(hybrid("rsa"), policy, policy_code(policy), tmp_path)
        assert found.verdict is Verdict.REJECTED


def policy_code(policy: Any) -> str:
    return "too-few-signers" if policy.minimum_signers > 1 else "required-signer-missing"


def test_a_damaged_post_quantum_signature_rejects_whatever_stands_beside_it(tmp_path: Path) -> None:
    bundle = hybrid("rsa")
    other = make("seal", signer("ml-dsa-65"), version="9")
    mixed = bundle.with_signature(make("seal", signer("rsa")).signature + other.signature)
    refused(mixed, trusting(), "content-digest-mismatch", tmp_path)


def test_a_policy_may_allow_the_post_quantum_algorithms_alone(tmp_path: Path) -> None:
    authority = ca("ML-DSA root", key=new_key("ml-dsa-87", 1))
    new = leaf("ML-DSA signer", issuer=authority, key=new_key("ml-dsa-65", 2))
    policy = trusting(authority, root(), algorithms=frozenset(POST_QUANTUM))
    accepted(make("seal", signer("rsa"), new), policy)
    refused(make("seal", signer("rsa")), policy, "algorithm-not-allowed", tmp_path)


def expecting_both() -> tuple[str, ...]:
    return tuple(sorted(rules.key_name(signer(kind).parsed.key_der) for kind in ("rsa", "ml-dsa-65")))


def test_a_manifest_that_expects_both_shows_that_the_newer_one_was_stripped(tmp_path: Path) -> None:
    expected = expecting_both()
    accepted(hybrid("rsa", expected_signers=expected), trusting())
    refused(make("seal", signer("rsa"), expected_signers=expected), trusting(), "expected-signer-missing", tmp_path)


@pytest.mark.parametrize("simulate", [unknown_by_table, unknown_by_library])
def test_a_manifest_that_expects_both_is_undecided_where_only_one_can_be_judged(simulate: Any, tmp_path: Path) -> None:
    bundle = hybrid("rsa", expected_signers=expecting_both())
    forget()
    with simulate():
        refused(bundle, trusting(), "unsupported-algorithm", tmp_path, verdict=Verdict.UNDECIDED)
    forget()
