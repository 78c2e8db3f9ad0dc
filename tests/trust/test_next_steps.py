"""What is undecided for want of revocation data is cured by revocation data: the one next step says so everywhere."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from builders import crls, tsa
from builders.audits import audit_of
from builders.bundles import Bundle, codes, judge, make
from builders.pki import ISSUE, NOW, Identity, ca, leaf, new_key, root, signer
from builders.policies import anchor, pin, trusting, write
from builders.told import FORMS, require_told
from builders.transcript import run
from modseal.codes import CODES, next_step
from modseal.pki.revocation import RevocationRules
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy

DAY = timedelta(days=1)
SILENT = ca("Silent CA", key=new_key("p256", 70), usage=ISSUE - {"crl_sign"})
CURES = {
    "revocation-unknown": "current CRL",
    "crl-stale": "current CRL",
    "crl-invalid": "complete CRL",
    "crl-not-yet-valid": "clock",
    "crl-wrong-issuer": "own CRL",
    "crl-bad-signature": "CRL again",
}
DELTA = (x509.DeltaCRLIndicator(1), True)


def case(code: str) -> tuple[Identity, tuple[bytes, ...], bool]:
    """A CA, its lists, and whether they are required."""
    return {
        "revocation-unknown": (root(), (), True),
        "crl-stale": (root(), (crls.make(root(), end=NOW - DAY),), False),
        "crl-invalid": (root(), (crls.make(root(), extensions=[DELTA]),), False),
        "crl-not-yet-valid": (root(), (crls.make(root(), start=NOW + DAY),), False),
        "crl-wrong-issuer": (SILENT, (crls.make(SILENT),), False),
        "crl-bad-signature": (root(), (crls.make(root(), key=root(1).key),), False),
    }[code]


def rules(*lists: bytes, required: bool = False) -> RevocationRules:
    return RevocationRules(crls.read(*lists), required)


STALE = rules(crls.make(root(), end=NOW - DAY))


def undecided(bundle: Bundle, policy: Policy, code: str) -> str:
    """The next step of a bundle that is undecided for this reason."""
    examination = judge(bundle, policy)
    assert examination.verdict is Verdict.UNDECIDED, codes(examination)
    assert examination.primary
    assert examination.primary.code == code
    step = examination.primary.next_step
    assert step
    return step


@pytest.mark.parametrize("code", CURES)
def test_each_revocation_code_is_cured_by_revocation_data_in_every_report(code: str, tmp_path: Path) -> None:
    issuer, lists, required = case(code)
    bundle = make("seal", leaf("Below", issuer=issuer))
    policy = trusting(issuer, revocation=rules(*lists, required=required))
    step = undecided(bundle, policy, code)
    assert CURES[code] in step
    assert not {"bundle", "vendor", "module"} & set(step.lower().replace(".", " ").split())
    (tmp_path / "a.seal").write_bytes(bundle.data)
    audit = audit_of([tmp_path / "a.seal"], policy, NOW)
    assert [finding.next_step for finding in audit.findings() if finding.rule == code] == [step]
    require_told(audit, [code], FORMS)


def test_a_list_without_an_end_or_too_old_says_which() -> None:
    old = RevocationRules(crls.read(crls.make(root())), maximum_age=DAY)
    assert "older than the policy allows" in judge(make("seal", signer()), trusting(revocation=old)).primary.detail  # type: ignore[union-attr]
    field = crls.make(root())
    endless = crls.edited(field, lambda fields: [*fields[:4], *fields[5:]], root().key)
    found = judge(make("seal", signer()), trusting(revocation=rules(endless))).primary
    assert found
    assert (found.code, "no next update" in found.detail) == ("crl-stale", True)


# Several signers: what is there already is not asked for again.


def test_a_needed_signer_whose_crl_is_stale_leaves_the_bundle_undecided() -> None:
    other = signer("p256", 1)
    policy = trusting(anchor(root(), name="A"), pin(other), revocation=STALE, minimum_signers=2)
    assert undecided(make("seal", signer(), other), policy, "crl-stale") == CODES["crl-stale"].next_step
    required = trusting(anchor(root(), name="A"), pin(other), revocation=STALE, required_signers=("A",))
    assert undecided(make("seal", signer(), other), required, "crl-stale") == CODES["crl-stale"].next_step


def test_a_stranger_beside_a_signer_whose_crl_is_stale_is_set_aside() -> None:
    stranger = leaf("Stranger", issuer=root(3))
    bundle = make("seal", stranger, signer())
    undecided(bundle, trusting(revocation=STALE), "crl-stale")
    assert judge(bundle, trusting()).verdict is Verdict.ACCEPTED


def test_where_the_missing_crl_would_not_suffice_the_bundle_is_rejected() -> None:
    other = signer("p256", 1)
    policy = trusting(anchor(root(), name="A"), pin(other), revocation=STALE, minimum_signers=3)
    assert "too-few-signers" in codes(judge(make("seal", signer(), other), policy))
    gone = trusting(anchor(root(), name="A"), pin(other), revocation=STALE, required_signers=("B",))
    assert "required-signer-missing" in codes(judge(make("seal", signer(), other), gone))
    revoked = rules(crls.make(root(), signer()))
    policy = trusting(anchor(root(), name="A"), pin(other), revocation=revoked, minimum_signers=2)
    assert judge(make("seal", signer(), other), policy).verdict is Verdict.REJECTED


def test_a_signer_who_is_not_needed_is_set_aside() -> None:
    other = signer("p256", 1)
    policy = trusting(anchor(root(), name="A"), pin(other), revocation=STALE)
    assert judge(make("seal", signer(), other), policy).verdict is Verdict.ACCEPTED


# Where another code wraps the reason.


def test_a_timestamp_of_an_authority_whose_crl_is_stale_says_the_same() -> None:
    stale = crls.make(tsa.tsa_root(), end=NOW - DAY)
    policy = trusting(revocation=rules(stale), timestamp_anchors=(tsa.tsa_root().parsed,))
    bundle = make("seal", signer())
    stamped = bundle.with_block(tsa.stamped(bundle.manifest_bytes, signer(), tsa.token))
    assert undecided(stamped, policy, "crl-stale") == CODES["crl-stale"].next_step


@pytest.mark.parametrize("stale", [True, False])
def test_an_expired_signer_is_undecided_while_the_timestamp_that_may_save_it_is(stale: bool) -> None:
    """It was rejected once, with the advice to ask the vendor: a current CRL is all that is missing."""
    expired = leaf("Expired", end=NOW - DAY)
    crl = crls.make(tsa.tsa_root(), end=NOW - DAY if stale else NOW + DAY)
    policy = trusting(revocation=rules(crl), timestamp_anchors=(tsa.tsa_root().parsed,))
    bundle = make("seal", signer())
    stamped = bundle.with_block(
        tsa.stamped(bundle.manifest_bytes, expired, lambda signature: tsa.token(signature, NOW - 2 * DAY))
    )
    if stale:
        assert undecided(stamped, policy, "crl-stale") == CODES["crl-stale"].next_step
    else:
        assert judge(stamped, policy).verdict is Verdict.ACCEPTED


def test_an_expired_signer_of_a_stranger_is_rejected_whatever_a_timestamp_may_say() -> None:
    stale = crls.make(tsa.tsa_root(), end=NOW - DAY)
    expired = leaf("Expired", end=NOW - DAY, issuer=root(1))
    policy = trusting(revocation=rules(stale), timestamp_anchors=(tsa.tsa_root().parsed,))
    bundle = make("seal", signer())
    stamped = bundle.with_block(tsa.stamped(bundle.manifest_bytes, expired, tsa.token))
    examination = judge(stamped, policy)
    assert (examination.verdict, "no-path" in codes(examination)) == (Verdict.REJECTED, True)


def test_a_timestamp_of_a_revoked_authority_asks_for_a_new_timestamp() -> None:
    policy = trusting(
        revocation=rules(crls.make(tsa.tsa_root(), tsa.tsa())), timestamp_anchors=(tsa.tsa_root().parsed,)
    )
    bundle = make("seal", signer())
    primary = judge(bundle.with_block(tsa.stamped(bundle.manifest_bytes, signer(), tsa.token)), policy).primary
    assert primary
    assert (primary.code, primary.next_step) == ("bad-timestamp", next_step("bad-timestamp", {"reason": "revoked"}))
    assert "new timestamp" in (primary.next_step or "")


@pytest.mark.parametrize("code", CURES)
@pytest.mark.parametrize(("wrapper", "key"), [("bad-timestamp", "reason"), ("unfit-certificate", "reasons")])
def test_a_reason_of_revocation_has_its_own_cure(wrapper: str, key: str, code: str) -> None:
    assert next_step(wrapper, {key: code}) == CODES[code].next_step
    assert next_step(wrapper, {key: f"{code},expired"}) == CODES[wrapper].next_step
    assert next_step(wrapper, {}) == CODES[wrapper].next_step


def test_signing_under_a_policy_with_a_stale_crl_asks_for_a_crl(tmp_path: Path) -> None:
    (tmp_path / "root.crl").write_bytes(crls.make(root(), end=NOW - 700 * DAY))
    write(tmp_path, more='[revocation]\ncrls = ["root.crl"]\n')
    (tmp_path / "key").write_bytes(signer().key_pem)
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "cert").write_bytes(signer().pem)
    (tmp_path / "a.seal").write_bytes(make("seal").unsigned().data)
    before = (tmp_path / "a.seal").read_bytes()
    done = run("sign", "a.seal", "--key", "key", "--cert", "cert", "--policy", "policy.toml", cwd=tmp_path)
    assert done.code == 1
    assert f"next: {CODES['crl-stale'].next_step}" in done.err
    assert (tmp_path / "a.seal").read_bytes() == before


# Trust bundles: a signed statement that is too old.


@pytest.mark.parametrize("code", ["trust-bundle-expired", "trust-bundle-rollback"])
def test_an_old_trust_bundle_is_replaced_by_the_newest(code: str) -> None:
    assert "newest trust bundle" in CODES[code].next_step
