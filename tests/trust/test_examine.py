"""The main path: which step says what, in which order, and what it all adds up to.

The attacks have their own tests (tests/attacks); here is how the steps work together.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from builders import cms
from builders.bundles import KINDS, Bundle, Member, accepted, codes, judge, make, refused
from builders.pki import NOW, ca, leaf, new_key, root, signer
from builders.policies import anchor, pin, trusting
from modseal.codes import CODES
from modseal.errors import Failure
from modseal.format.level import Level
from modseal.format.manifest import Kind
from modseal.trust.deny import Deny
from modseal.trust.examination import (
    STEPS,
    Check,
    Examination,
    Status,
    Verdict,
    collect,
    failed,
    passed,
    set_aside,
    skipped,
    unexamined,
)
from modseal.trust.policy import Policy

kinds = pytest.mark.parametrize("kind", KINDS)


def by_step(found: Examination) -> dict[int, list[Status]]:
    steps: dict[int, list[Status]] = {}
    for check in found.checks:
        steps.setdefault(check.step, []).append(check.status)
    return steps


@kinds
def test_a_good_bundle_passes_every_step(kind: Kind) -> None:
    found = accepted(make(kind), trusting())
    assert list(by_step(found)) == list(range(len(STEPS)))
    assert {check.status for check in found.checks} == {Status.PASSED}
    assert (found.manifest_signed, found.proven_level) == (True, Level.PARTNER)
    assert found.trusted == ((signer().fingerprint, "Anchor 0"),)


@kinds
def test_what_counts_of_a_module_is_its_proven_level_and_community_without_one(kind: Kind) -> None:
    assert accepted(make(kind), trusting()).effective_level is Level.PARTNER
    unsigned = make(kind, claimed_level=Level.COMMUNITY).unsigned()
    assert accepted(unsigned, trusting(allow_unsigned_community=True)).effective_level is Level.COMMUNITY


@kinds
def test_ids_name_their_step_and_codes_belong_to_it(kind: Kind) -> None:
    broken = make(kind).unsigned().with_member(make(kind).members[2].name, data=b"x")
    for found in (judge(make(kind), trusting()), judge(broken, trusting()), judge(b"", trusting())):
        for check in found.checks:
            assert check.id.startswith(f"{STEPS[check.step]}.")
            assert (check.code is None) == (check.next_step is None)
            assert check.code is None or check.code in CODES
            assert check.detail


@kinds
def test_an_unreadable_container_leaves_nothing_to_examine(kind: Kind) -> None:
    found = judge(make(kind).data[:-1], trusting())
    assert by_step(found) == {0: [Status.FAILED], **{step: [Status.INCONCLUSIVE] for step in range(1, 10)}}
    assert (found.manifest, found.signers, found.verdict) == (None, (), Verdict.REJECTED)


@kinds
def test_an_unreadable_manifest_leaves_its_signers_and_nothing_else(kind: Kind) -> None:
    found = judge(make(kind).with_manifest_bytes(b"nonsense"), trusting())
    assert codes(found) == ["bad-manifest"]
    assert len(found.signers) == 1
    assert (found.manifest, found.manifest_signed, found.proven_level) == (None, False, None)


@kinds
def test_a_failed_signature_does_not_stop_the_diagnosis(kind: Kind) -> None:
    good = make(kind)
    broken = good.with_signature(b"nonsense").with_member(good.members[2].name, data=b"changed")
    told = codes(judge(broken, trusting(deny=Deny(names=("acme-*",)))))
    assert told[:4] == ["malformed-signature", "level-not-granted", "payload-size-mismatch", "payload-digest-mismatch"]
    assert told[-1] == "denied"


@kinds
def test_no_later_step_mends_the_verdict(kind: Kind) -> None:
    for broken in (make(kind).unsigned(), make(kind).insert(3, Member("x", b"")), make(kind).with_signature(b"x")):
        found = judge(broken, trusting(allow_unsigned_community=True))
        assert found.verdict is Verdict.REJECTED
        assert found.proven_level is None or found.primary is not None


# (0) members.


@kinds
def test_every_undeclared_and_missing_member_is_told(kind: Kind) -> None:
    good = make(kind)
    found = judge(
        good.without(good.members[2].name).insert(2, Member("a", b"")).insert(2, Member("b", b"")), trusting()
    )
    told = [(check.code, check.evidence["member"]) for check in found.checks if check.id == "container.members"]
    assert told == [("unknown-member", "b"), ("unknown-member", "a"), ("missing-member", good.members[2].name)]


@kinds
def test_a_renamed_payload_is_still_compared(kind: Kind) -> None:
    good = make(kind)
    found = judge(good.with_member(good.members[2].name, name="renamed"), trusting())
    assert codes(found) == ["unknown-member", "missing-member", "payload-undeclared"]


# (2) to (6) signers.


def two(kind: Kind) -> Bundle:
    return make(kind, signer(), leaf("Stranger", issuer=root(7)))


@kinds
def test_a_signer_that_is_not_needed_is_set_aside_and_reported(kind: Kind) -> None:
    found = accepted(two(kind), trusting())
    aside = [check for check in found.checks if check.status is Status.NOT_APPLICABLE]
    assert "no-path" in {check.code for check in aside}
    assert all("set aside" in check.detail for check in aside if check.code)
    assert found.trusted == ((signer().fingerprint, "Anchor 0"),)


@kinds
def test_a_signer_that_is_needed_is_not(kind: Kind, tmp_path: Path) -> None:
    refused(two(kind), trusting(minimum_signers=2), "too-few-signers", tmp_path)
    refused(two(kind), trusting(required_signers=("somebody",)), "required-signer-missing", tmp_path)
    accepted(two(kind), trusting(required_signers=(signer().fingerprint,)))
    accepted(two(kind), trusting(required_signers=("Anchor 0",)))


@kinds
def test_an_untrusted_required_signer_does_not_count(kind: Kind, tmp_path: Path) -> None:
    expired = leaf("Expired", end=NOW - timedelta(days=1))
    policy = trusting(required_signers=(expired.fingerprint,))
    refused(make(kind, signer(), expired), policy, "required-signer-missing", tmp_path)


@kinds
@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ({"vendors": ("Other",)}, "vendor-out-of-scope"),
        ({"names": ("other-*",)}, "name-out-of-scope"),
        ({"vendors": ("acme",)}, "vendor-out-of-scope"),
        ({"names": ("acme",)}, "name-out-of-scope"),
    ],
)
def test_an_anchor_speaks_within_its_scope(
    kind: Kind, scope: dict[str, tuple[str, ...]], code: str, tmp_path: Path
) -> None:
    found = refused(make(kind), trusting(anchor(root(), **scope)), code, tmp_path)
    assert found.proven_level is None


@kinds
def test_scopes_are_patterns(kind: Kind) -> None:
    accepted(make(kind), trusting(anchor(root(), vendors=("X", "A?me"), names=("acme-*",))))


@kinds
def test_the_proven_level_may_be_below_the_minimum(kind: Kind, tmp_path: Path) -> None:
    found = refused(make(kind), trusting(minimum=Level.CERTIFIED), "level-below-minimum", tmp_path)
    assert found.proven_level is Level.PARTNER


@kinds
def test_a_pin_needs_no_chain_purpose_or_crl(kind: Kind) -> None:
    odd = ca("Self-signed signer")
    found = accepted(make(kind, odd), trusting(pin(odd)))
    assert "pins this exact certificate" in next(check.detail for check in found.checks if check.step == 3)


@kinds
def test_the_policy_s_algorithms_bind(kind: Kind, tmp_path: Path) -> None:
    rsa = trusting(algorithms=frozenset({"rsa-pkcs1-sha256"}))
    refused(make(kind), rsa, "algorithm-not-allowed", tmp_path)
    refused(make(kind, signer("rsa")), trusting(minimum_rsa_bits=3072), "weak-key", tmp_path)
    pinned = trusting(pin(signer()), algorithms=frozenset({"rsa-pkcs1-sha256"}))
    refused(make(kind), pinned, "algorithm-not-allowed", tmp_path)


@kinds
def test_the_policy_may_bring_the_intermediates(kind: Kind, tmp_path: Path) -> None:
    middle = ca("Middle", issuer=root(), key=new_key("p256", 60))
    bundle = make(kind, leaf("Below", issuer=middle))
    refused(bundle, trusting(), "no-path", tmp_path)
    accepted(bundle, trusting(intermediates=(middle.parsed,)))


@kinds
def test_what_cannot_be_judged_is_undecided(kind: Kind, tmp_path: Path) -> None:
    unknown = make(kind).signed(signer(), signature_algorithm=cms.algorithm(cms.UNKNOWN))
    found = refused(unknown, trusting(), "unsupported-algorithm", tmp_path, verdict=Verdict.UNDECIDED)
    assert Status.FAILED not in {check.status for check in found.checks}


# Unsigned community modules.


@kinds
def test_an_exempt_module_has_steps_1_to_5_not_applicable(kind: Kind) -> None:
    found = accepted(make(kind, claimed_level=Level.COMMUNITY).unsigned(), trusting(allow_unsigned_community=True))
    steps = by_step(found)
    assert all(steps[step] == [Status.NOT_APPLICABLE] for step in range(1, 6))
    assert (found.proven_level, found.manifest_signed) == (None, False)


@kinds
def test_an_exempt_module_still_meets_all_other_rules(kind: Kind, tmp_path: Path) -> None:
    community = make(kind, claimed_level=Level.COMMUNITY).unsigned()

    def policy(**changes: object) -> Policy:
        return trusting(allow_unsigned_community=True, **changes)

    name = community.members[2].name
    damaged = community.with_member(name, data=community[name].data[:-1] + b"!")
    assert judge(damaged, policy()).verdict is Verdict.REJECTED
    refused(community, policy(community_paths=("usr/",)), "path-not-allowed", tmp_path)
    refused(community, policy(deny=Deny(names=("acme-agent",))), "denied", tmp_path)
    refused(community, policy(floors={"acme-agent": "2"}), "version-below-floor", tmp_path)
    refused(community, policy(required_attachments=("sbom.json",)), "attachment-missing", tmp_path)


@kinds
def test_a_bad_signature_makes_no_module_exempt(kind: Kind, tmp_path: Path) -> None:
    community = make(kind, claimed_level=Level.COMMUNITY)
    refused(community.with_signature(b"x"), trusting(allow_unsigned_community=True), "malformed-signature", tmp_path)
    stranger = make(kind, leaf("Stranger", issuer=root(7)), claimed_level=Level.COMMUNITY)
    refused(stranger, trusting(allow_unsigned_community=True), "no-path", tmp_path)


# (9) restrictions.


@kinds
def test_the_deny_list_names_bundles_signers_and_modules(kind: Kind, tmp_path: Path) -> None:
    import hashlib

    bundle = make(kind)
    digest = hashlib.sha256(bundle.data).hexdigest()
    for deny in (
        Deny(digests=frozenset({digest})),
        Deny(signers=frozenset({signer().fingerprint})),
        Deny(names=("acme-*",)),
    ):
        refused(bundle, trusting(deny=deny), "denied", tmp_path)
    accepted(bundle, trusting(deny=Deny(frozenset({"0" * 64}), frozenset({"0" * 64}), ("other",))))


@kinds
def test_a_denied_signer_taints_a_bundle_even_where_another_suffices(kind: Kind, tmp_path: Path) -> None:
    other = signer("p256", 1)
    refused(
        make(kind, signer(), other), trusting(deny=Deny(signers=frozenset({other.fingerprint}))), "denied", tmp_path
    )


def test_required_attachments_go_by_name_or_media_type(tmp_path: Path) -> None:
    with_sbom = make("seal", attachments={"sbom.json": b"{}"})
    for wanted in ("sbom.json", "application/json"):
        accepted(with_sbom, trusting(required_attachments=(wanted,)))
        refused(make("seal"), trusting(required_attachments=(wanted,)), "attachment-missing", tmp_path)


def test_attachments_are_bound_by_their_digest(tmp_path: Path) -> None:
    good = make("seal", attachments={"sbom.json": b"{}"})
    accepted(good, trusting())
    for data in (b"[]", b"{}\n", b""):
        refused(good.with_member("sbom.json", data=data), trusting(), "attachment-mismatch", tmp_path)


# Values.


def check(status: Status, code: str | None = None) -> Check:
    return Check(1, "signature.block", status, "detail", code)


@pytest.mark.parametrize(
    ("statuses", "verdict", "primary"),
    [
        ((Status.PASSED,), Verdict.ACCEPTED, None),
        ((Status.PASSED, Status.NOT_APPLICABLE), Verdict.ACCEPTED, None),
        ((Status.INCONCLUSIVE, Status.PASSED), Verdict.UNDECIDED, 0),
        ((Status.INCONCLUSIVE, Status.FAILED, Status.FAILED), Verdict.REJECTED, 1),
    ],
)
def test_the_verdict_is_the_worst_and_its_reason_the_first(
    statuses: tuple[Status, ...], verdict: Verdict, primary: int | None
) -> None:
    checks = tuple(map(check, statuses))
    found = Examination(checks, None, False, None, (), NOW)
    assert found.verdict is verdict
    assert found.primary is (None if primary is None else checks[primary])


def test_checks_are_made_with_their_status() -> None:
    assert passed(3, "path", "fine", anchor="a").id == "chain.path"
    assert failed(3, "path", Failure("no-path", "x")).status is Status.FAILED
    assert failed(1, "block", Failure("unsupported-algorithm", "x")).status is Status.INCONCLUSIVE
    assert skipped(1, "signers", "x").status is Status.NOT_APPLICABLE
    assert unexamined(4, "x").status is Status.INCONCLUSIVE
    assert [one.status for one in collect(7, "content", [], "fine")] == [Status.PASSED]
    assert [one.code for one in collect(7, "content", [Failure("bad-payload", "x")] * 2, "fine")] == ["bad-payload"] * 2


def test_setting_aside_keeps_what_was_found() -> None:
    bad = failed(3, "path", Failure("no-path", "x", {"a": 1}))
    aside = set_aside(bad)
    assert (aside.status, aside.code, aside.evidence) == (Status.NOT_APPLICABLE, "no-path", {"a": 1})
    good = passed(3, "path", "fine")
    assert set_aside(good) is good
