"""Every check of some examinations, exactly: step, name, status and code, in order, and what goes with them."""

from __future__ import annotations

import functools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from builders import cms, crls
from builders.bundles import KINDS, Bundle, judge, make
from builders.pki import NOW, ca, leaf, new_key, root, signer
from builders.policies import anchor, pin, trusting
from builders.tsa import authority, stamped, token, tsa_root
from modseal import limits
from modseal.bundle.open import OpenBundle
from modseal.format.level import Level
from modseal.format.manifest import Kind, Payload
from modseal.format.payload import Measured
from modseal.format.source import BytesSource
from modseal.pki.revocation import RevocationRules
from modseal.trust.deny import Deny
from modseal.trust.examination import STEPS, Examination, Verdict
from modseal.trust.examine import examine
from modseal.trust.policy import Policy

kinds = pytest.mark.parametrize("kind", KINDS)

BEFORE = ["container.archive passed", "container.members passed"]
SIGNED = ["signature.block passed"]
JUDGED = ["time.verification passed", "chain.path passed", "purpose.use passed", "revocation.crl passed"]
GRANTED = ["level.grant passed", "level.signers passed"]
AFTER = ["payloads.content passed", "files.entries passed", "files.powers passed", "restrictions.policy passed"]
BY_NOBODY = [*AFTER[:2], "files.powers not-applicable", AFTER[3]]
"""The same where no signer is trusted."""


def rows(found: Examination) -> list[str]:
    """Each check as one line."""
    return [f"{check.id} {check.status}" + (f" {check.code}" if check.code else "") for check in found.checks]


def unexamined(*steps: str, status: str = "inconclusive") -> list[str]:
    return [f"{step}.examined {status}" for step in steps]


@functools.cache
def stranger() -> object:
    return leaf("Stranger", issuer=root(7))


def unknown(kind: Kind) -> Bundle:
    """A bundle whose one block has an algorithm that nobody knows."""
    return make(kind).signed(signer(), signature_algorithm=cms.algorithm(cms.UNKNOWN))


@kinds
def test_a_good_bundle(kind: Kind) -> None:
    found = judge(make(kind), trusting())
    assert rows(found) == [*BEFORE, *SIGNED, *JUDGED, *GRANTED, *AFTER]
    assert found.manifest == make(kind).manifest
    assert [one.certificate for one in found.signers] == [signer().parsed]
    assert (found.at, found.trusted) == (NOW, ((signer().fingerprint, "Anchor 0"),))


@kinds
def test_a_bundle_that_is_no_archive(kind: Kind) -> None:
    found = judge(make(kind).data[:-1], trusting())
    assert rows(found) == ["container.archive failed truncated", *unexamined(*STEPS[1:])]
    assert (found.manifest, found.manifest_signed, found.proven_level) == (None, False, None)
    assert (found.signers, found.trusted, found.at) == ((), (), NOW)


@kinds
@pytest.mark.parametrize("signed", [True, False])
def test_a_manifest_that_cannot_be_read(kind: Kind, signed: bool) -> None:
    bundle = make(kind).with_manifest_bytes(b"nonsense")
    found = judge(bundle if signed else bundle.unsigned(), trusting())
    first = "signature.block passed" if signed else "signature.blocks failed unsigned"
    second = "signature.manifest failed bad-manifest"
    assert rows(found) == [BEFORE[0], first, second, *unexamined(*STEPS[2:])]
    assert (found.manifest, found.manifest_signed, found.proven_level) == (None, False, None)
    assert (len(found.signers), found.trusted, found.at) == (int(signed), (), NOW)


@kinds
def test_an_unsigned_bundle(kind: Kind) -> None:
    found = judge(make(kind).unsigned(), trusting())
    unsigned = ["signature.blocks failed unsigned", *unexamined(*STEPS[2:6]), "level.grant failed level-not-granted"]
    assert rows(found) == [*BEFORE, *unsigned, *BY_NOBODY]
    assert (found.manifest_signed, found.proven_level, found.signers, found.trusted) == (False, None, (), ())


@kinds
@pytest.mark.parametrize(
    ("changes", "last"),
    [
        ({}, "level.grant passed"),
        ({"minimum": Level.PARTNER}, "level.grant failed level-below-minimum"),
        ({"minimum_signers": 2}, "level.grant failed too-few-signers"),
        ({"required_signers": ("x",)}, "level.grant failed required-signer-missing"),
    ],
)
def test_an_unsigned_community_module_that_the_policy_allows(kind: Kind, changes: dict[str, object], last: str) -> None:
    bundle = make(kind, claimed_level=Level.COMMUNITY).unsigned()
    found = judge(bundle, trusting(allow_unsigned_community=True, **changes))
    exempt = [f"{step}.signers not-applicable" for step in STEPS[1:6]]
    told = rows(found)
    if "required_signers" in changes:
        told.remove("level.grant failed too-few-signers")
    assert told == [*BEFORE, *exempt, last, *AFTER]


@kinds
def test_no_other_unsigned_module_is_exempt(kind: Kind) -> None:
    partner = make(kind).unsigned()
    community = make(kind, claimed_level=Level.COMMUNITY)
    for bundle, allowed in ((partner, True), (community.unsigned(), False), (community.with_signature(b"x"), True)):
        found = judge(bundle, trusting(allow_unsigned_community=allowed))
        assert found.verdict is Verdict.REJECTED
        assert unexamined(*STEPS[2:6]) == rows(found)[3:7]


@kinds
def test_a_signer_without_a_path(kind: Kind) -> None:
    found = judge(make(kind, stranger()), trusting())
    pathless = ["time.verification passed", "chain.path failed no-path", *unexamined("purpose", "revocation", "level")]
    assert rows(found) == [*BEFORE, *SIGNED, *pathless, *BY_NOBODY]
    assert (found.manifest_signed, found.proven_level, found.trusted) == (True, None, ())
    assert [one.certificate for one in found.signers] == [stranger().parsed]


@kinds
def test_a_signer_without_a_path_beside_a_trusted_one(kind: Kind) -> None:
    found = judge(make(kind, signer(), stranger()), trusting())
    aside = unexamined("purpose", "revocation", "level", status="not-applicable")
    assert rows(found) == [
        *BEFORE, *SIGNED, *SIGNED, JUDGED[0], JUDGED[0], JUDGED[1], "chain.path not-applicable no-path",
        JUDGED[2], aside[0], JUDGED[3], aside[1], GRANTED[0], aside[2], GRANTED[1], *AFTER,
    ]  # fmt: skip


@kinds
def test_a_block_that_cannot_be_judged(kind: Kind) -> None:
    found = judge(unknown(kind), trusting())
    unjudged = "signature.block inconclusive unsupported-algorithm"
    assert rows(found) == [*BEFORE, unjudged, *unexamined(*STEPS[2:7]), *BY_NOBODY]
    assert (found.verdict, found.manifest_signed, found.proven_level) == (Verdict.UNDECIDED, False, None)


@kinds
def test_a_block_that_cannot_be_judged_beside_a_good_one(kind: Kind) -> None:
    bundle = make(kind)
    found = judge(bundle.with_signature(unknown(kind).signature + bundle.signature), trusting())
    aside = "signature.block not-applicable unsupported-algorithm"
    assert rows(found) == [*BEFORE, *SIGNED, aside, *JUDGED, *GRANTED, *AFTER]


@kinds
def test_a_block_that_is_wrong_beside_a_good_one(kind: Kind) -> None:
    bundle = make(kind)
    wrong = bundle.signed(signer("p256", 1), signature=lambda _: cms.sign_raw(signer().key, b"another"))
    found = judge(bundle.with_signature(wrong.signature + bundle.signature), trusting())
    bad = "signature.block failed bad-signature"
    assert rows(found) == [*BEFORE, *SIGNED, bad, *JUDGED, *GRANTED, *AFTER]
    assert [one.block for one in found.signers] == [2]


@kinds
def test_a_block_that_is_wrong_beside_one_that_cannot_be_judged(kind: Kind) -> None:
    bundle = make(kind)
    both = bundle.with_signature(unknown(kind).signature + cms.pem(b"\x30\x00"))
    wanted = ["signature.block inconclusive unsupported-algorithm", "signature.block failed malformed-signature"]
    told = rows(judge(both, trusting()))
    assert told == [*BEFORE, *wanted, *unexamined(*STEPS[2:6]), "level.grant failed level-not-granted", *BY_NOBODY]


def test_members_in_another_order() -> None:
    good = make(attachments={"a.json": b"{}"})
    manifest, signature, payload, attachment = good.members
    found = judge(good.with_members(manifest, signature, attachment, payload), trusting())
    wrong = "container.members failed member-order"
    assert rows(found) == [BEFORE[0], wrong, *SIGNED, *JUDGED, *GRANTED, *AFTER]
    assert found.checks[1].evidence == {"actual": "manifest.json sig.pkcs7 a.json base"}


@kinds
def test_a_signer_whose_grant_does_not_suffice(kind: Kind) -> None:
    for policy, code, proven in (
        (trusting(anchor(root(), Level.COMMUNITY)), "level-not-granted", None),
        (trusting(minimum=Level.ACCEPTED), "level-below-minimum", Level.PARTNER),
        (trusting(anchor(root(), vendors=("Other",))), "vendor-out-of-scope", None),
        (trusting(anchor(root(), names=("other",))), "name-out-of-scope", None),
    ):
        found = judge(make(kind), policy)
        assert rows(found) == [*BEFORE, *SIGNED, *JUDGED, f"level.grant failed {code}", *BY_NOBODY]
        assert (found.proven_level, found.trusted) == (proven, ())


@kinds
def test_signers_together(kind: Kind) -> None:
    many = trusting(minimum_signers=2, required_signers=("Anchor 0", "x", signer().fingerprint, "y"))
    told = rows(judge(make(kind), many))
    missing = ["level.signers failed required-signer-missing"] * 2
    assert told == [
        *BEFORE, *SIGNED, *JUDGED, GRANTED[0], "level.signers failed too-few-signers", *missing, *AFTER,
    ]  # fmt: skip
    same_key = leaf("Another name", key=signer().key)
    twice = judge(make(kind, signer(), same_key), trusting(minimum_signers=2))
    assert twice.primary is not None
    assert (twice.primary.code, twice.primary.evidence) == ("too-few-signers", {"trusted": 1, "required": 2})
    both = judge(make(kind, signer(), signer("p256", 1)), trusting(minimum_signers=2))
    assert both.verdict is Verdict.ACCEPTED


@kinds
def test_a_pinned_signer(kind: Kind) -> None:
    odd = ca("Odd", key=new_key("p256", 61))
    found = judge(make(kind, odd), trusting(pin(odd)))
    assert rows(found) == [*BEFORE, *SIGNED, *JUDGED, *GRANTED, *AFTER]
    (path,) = (check for check in found.checks if check.id == "chain.path")
    assert (path.evidence["anchor"], path.evidence["pinned"], path.evidence["block"]) == ("Test pin", True, 1)
    weak = judge(make(kind, odd), trusting(pin(odd), algorithms=frozenset({"ed25519"})))
    assert "purpose.use failed algorithm-not-allowed" in rows(weak)


@kinds
def test_a_signer_that_is_not_for_code_signing(kind: Kind) -> None:
    mail = leaf("Mail", purposes=None)
    found = judge(make(kind, mail), trusting())
    wrong = [*JUDGED[:2], "purpose.use failed wrong-purpose", JUDGED[3]]
    assert rows(found) == [*BEFORE, *SIGNED, *wrong, GRANTED[0], *BY_NOBODY]
    assert found.proven_level is None


@kinds
def test_a_revoked_signer(kind: Kind) -> None:
    lists = crls.read(crls.make(root(), signer()))
    found = judge(make(kind), trusting(revocation=RevocationRules(lists)))
    revoked = [*JUDGED[:3], "revocation.crl failed revoked"]
    assert rows(found) == [*BEFORE, *SIGNED, *revoked, GRANTED[0], *BY_NOBODY]
    assert found.proven_level is None


# Time.


def stamped_bundle(*times: datetime, by: object = None) -> Bundle:
    good = make()
    tokens = [lambda signature, time=time: token(signature, time) for time in times]
    return good.with_block(stamped(good.manifest_bytes, by or signer(), *tokens))


def with_tsa(**changes: object) -> Policy:
    return trusting(**{"timestamp_anchors": (tsa_root().parsed,), **changes})


EARLY, ENDED = datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 9, 1, tzinfo=UTC)


def test_a_timestamped_bundle() -> None:
    found = judge(stamped_bundle(EARLY), with_tsa())
    assert rows(found) == [*BEFORE, *SIGNED, "time.timestamp passed", *JUDGED[1:], *GRANTED, *AFTER]


def test_timestamps_that_the_policy_has_no_anchor_for_are_counted() -> None:
    found = judge(stamped_bundle(EARLY), trusting())
    assert rows(found) == [*BEFORE, *SIGNED, *JUDGED, *GRANTED, *AFTER]
    (time,) = (check for check in found.checks if check.step == 2)
    assert "1 timestamps ignored" in time.detail
    (time,) = (check for check in judge(make(), trusting()).checks if check.step == 2)
    assert "ignored" not in time.detail


def test_a_timestamp_of_an_unknown_authority_beside_a_good_one() -> None:
    good = make()
    other = authority("Unknown TSA", issuer=tsa_root(1))
    tokens = [lambda signature: token(signature, EARLY), lambda signature: token(signature, EARLY, other)]
    both = good.with_block(stamped(good.manifest_bytes, signer(), *tokens))
    told = rows(judge(both, with_tsa()))
    aside = "time.timestamp not-applicable bad-timestamp"
    assert sorted(told[3:5]) == [aside, "time.timestamp passed"]
    assert told[5:] == [*JUDGED[1:], *GRANTED, *AFTER]


def test_a_missing_timestamp_that_is_required() -> None:
    found = judge(make(), with_tsa(timestamp_required=True))
    missing = "time.timestamp failed untrusted-time"
    assert rows(found) == [*BEFORE, *SIGNED, missing, *JUDGED[1:], GRANTED[0], *BY_NOBODY]


def test_the_chain_is_judged_when_the_signature_was_made_and_crls_when_it_is_verified() -> None:
    ended = leaf("Ended", end=ENDED)
    assert judge(stamped_bundle(EARLY, by=ended), with_tsa()).verdict is Verdict.ACCEPTED
    day = timedelta(days=1)
    lists = crls.read(*(crls.make(one, start=NOW - day, end=NOW + day) for one in (root(), tsa_root())))
    policy = with_tsa(revocation=RevocationRules(lists, required=True))
    assert judge(stamped_bundle(EARLY), policy).verdict is Verdict.ACCEPTED
    late = judge(stamped_bundle(EARLY), policy, NOW + 2 * day)
    assert [check.code for check in late.checks if check.code] == ["crl-stale", "crl-stale"]


def test_the_time_of_signing_counts_where_the_policy_lets_earlier_signatures_stand() -> None:
    superseded = [(x509.CRLReason(x509.ReasonFlags.superseded), False)]
    entry = crls.revoked(signer().certificate.serial_number, ENDED, superseded)
    lists = crls.read(crls.make(root(), entry), crls.make(tsa_root()))
    policy = with_tsa(revocation=RevocationRules(lists, accept_signed_before=True))
    assert judge(stamped_bundle(EARLY), policy).verdict is Verdict.ACCEPTED
    assert "revocation.crl failed revoked" in rows(judge(stamped_bundle(ENDED), policy))
    assert "revocation.crl failed revoked" in rows(judge(make(), policy))


# Payloads, files, restrictions.


class Watched(OpenBundle):
    """A bundle that notes how its payloads were measured."""

    def __init__(self, data: bytes) -> None:
        super().__init__(BytesSource(data), "watched")
        self.to_sink: list[bool] = []
        self.up_to: list[int | None] = []

    def measure(
        self, payload: Payload, member: object, *, up_to: int | None, to_sink: bool, raw: bool = False, **more: Any
    ) -> Measured:
        self.to_sink.append(to_sink)
        self.up_to.append(up_to)
        return super().measure(payload, member, up_to=up_to, to_sink=to_sink, raw=raw, **more)  # type: ignore[arg-type]


@kinds
def test_a_payload_is_known_to_be_measured_for_a_proved_manifest_or_not(kind: Kind) -> None:
    community = make(kind, claimed_level=Level.COMMUNITY).unsigned()
    for bundle, policy, proved in (
        (make(kind), trusting(), True),
        (make(kind).unsigned(), trusting(), False),
        (community, trusting(), False),
        (community, trusting(allow_unsigned_community=True), True),
    ):
        watched = Watched(bundle.data)
        examine(watched, policy, NOW)
        assert watched.to_sink == [proved]
        assert watched.up_to == [None if proved else limits.UNTRUSTED_UNPACKED]


@kinds
def test_a_payload_that_is_not_there(kind: Kind) -> None:
    good = make(kind)
    found = judge(good.without(good.members[2].name), trusting())
    told = rows(found)
    assert told[:2] == [BEFORE[0], "container.members failed missing-member"]
    assert told[-4:] == [
        "payloads.content failed payload-missing",
        "files.examined inconclusive",
        "files.powers not-applicable",
        AFTER[3],
    ]


@kinds
def test_a_setuid_file_needs_a_signature_over_it(kind: Kind) -> None:
    path = "opt/acme/agent"
    community = make(kind, claimed_level=Level.COMMUNITY, modes={path: 0o4755})
    unsigned = judge(community.unsigned(), trusting(allow_unsigned_community=True))
    assert "files.entries failed unsafe-mode" in rows(unsigned)
    assert ("files.entries failed unsafe-mode" in rows(judge(community, trusting()))) is (kind == "vib")


@kinds
def test_a_community_module_outside_its_paths(kind: Kind) -> None:
    community = make(kind, claimed_level=Level.COMMUNITY)
    told = rows(judge(community, trusting(community_paths=("usr/",))))
    listed = judge(community, trusting(community_paths=("usr/",), community_list="esxi-8"))
    assert {check.evidence["list"] for check in listed.checks if check.code} == {"esxi-8"}
    placed = ["files.placement failed path-not-allowed"] * 3  # the folder, too
    assert told == [*BEFORE, *SIGNED, *JUDGED, *GRANTED, *AFTER[:2], *placed, *AFTER[2:]]


@kinds
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"deny": Deny(names=("acme-*",))}, "denied"),
        ({"deny": Deny(signers=frozenset({signer().fingerprint}))}, "denied"),
        ({"floors": {"acme-agent": "1.2.3-5"}}, "version-below-floor"),
        ({"floors": {"acme-agent": "1.2.3-4"}}, None),
        ({"floors": {"other": "9"}}, None),
        ({"required_attachments": ("sbom.json",)}, "attachment-missing"),
    ],
)
def test_restrictions(kind: Kind, changes: dict[str, object], code: str | None) -> None:
    last = f"restrictions.policy failed {code}" if code else AFTER[3]
    assert rows(judge(make(kind), trusting(**changes))) == [*BEFORE, *SIGNED, *JUDGED, *GRANTED, *AFTER[:3], last]


def test_attachments() -> None:
    good = make(attachments={"a.json": b"{}", "b.json": b"[]"})
    assert rows(judge(good, trusting())) == [*BEFORE, *SIGNED, *JUDGED, *GRANTED, *AFTER]
    first = judge(good.with_member("a.json", data=b"[]"), trusting())
    second = judge(good.with_member("b.json", data=b"{}"), trusting())
    both = judge(good.with_member("b.json", data=b"{}").with_member("a.json", data=b"[]"), trusting())
    told = [[check.evidence["attachment"] for check in found.checks if check.code] for found in (first, second, both)]
    assert told == [["a.json"], ["b.json"], ["a.json", "b.json"]]


@kinds
def test_a_payload_that_is_damaged_leaves_its_files_unexamined(kind: Kind) -> None:
    good = make(kind)
    told = rows(judge(good.with_payload(b"\x1f\x8bno gzip", b"", unpacked_size=0), trusting()))
    assert "payloads.content passed" not in told
    assert "files.entries passed" not in told
    assert any(row.startswith("files.") for row in told)


def test_an_attachment_that_is_not_there_is_missing() -> None:
    good = make(attachments={"a.json": b"{}", "b.json": b"[]"})
    told = rows(judge(good.without("a.json"), trusting()))
    assert told[1] == "container.members failed missing-member"
    assert told[-4:] == AFTER


def test_the_path_that_is_not_revoked_now_is_found_for_a_signature_made_then() -> None:
    key = new_key("p256", 131)
    # In the order in which they stand in the block, so that the first one is tried first.
    middles = sorted((ca("Twice certified", issuer=root(each), key=key) for each in (31, 32)), key=lambda one: one.der)
    tops = [one.chain[0] for one in middles]
    one = leaf("Below two", issuer=middles[0]).with_chain(*middles)
    superseded = [(x509.CRLReason(x509.ReasonFlags.superseded), False)]
    day = timedelta(days=1)

    def found(since: datetime, at_once: bool = False, **rules: object) -> str:
        entry = crls.revoked(middles[0].certificate.serial_number, since, superseded)
        lists = crls.read(
            crls.make(tops[0], entry, start=NOW - day, end=NOW + day),
            *(crls.make(top, start=NOW - day, end=NOW + day) for top in (tops[1], tsa_root())),
        )
        policy = with_tsa(revocation=RevocationRules(lists, **rules))
        policy = replace(policy, anchors=trusting(*tops).anchors)
        bundle = make("seal", one) if at_once else stamped_bundle(EARLY, by=one)
        ((_, anchor_name),) = judge(bundle, policy).trusted
        return anchor_name

    assert found(ENDED, accept_signed_before=True) == "Anchor 0"
    assert found(ENDED) == found(EARLY - day, accept_signed_before=True) == "Anchor 1"
    assert found(NOW + timedelta(hours=1), at_once=True, accept_signed_before=True) == "Anchor 1"
