"""Step 2: what a timestamp proves, and every way in which one does not."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import cms as cms_builder
from builders.bundles import Bundle, accepted, codes, judge, make
from builders.cms import DIGESTS, NULL, RSA_ENCRYPTION, algorithm, octets, replaced, sequence, sign_raw
from builders.pki import EPOCH, FAR, NOW, Identity, ca, crl, digest_for, leaf, new_key, root, signer
from builders.policies import trusting, write
from builders.tsa import TIME_STAMPING, authority, sha1_binding, stamped, token, tsa, tsa_root
from modseal import limits
from modseal.errors import FormatError, PolicyError
from modseal.format import cms, der
from modseal.format import timestamp as token_format
from modseal.pki.algorithms import ALGORITHMS
from modseal.pki.crl import Crl
from modseal.pki.effort import Effort
from modseal.pki.revocation import RevocationRules
from modseal.policy.sources import load
from modseal.trust import timestamp
from modseal.trust.examination import Status, Verdict
from modseal.trust.policy import Policy

SIGNED = datetime(2025, 6, 1, tzinfo=UTC)
ENDED = datetime(2025, 9, 1, tzinfo=UTC)
SIGNATURE = b"signature bytes"
NAMES_OF_RSA = (RSA_ENCRYPTION, "1.2.840.113549.1.1.11")
"""Of PKCS #1 v1.5 with SHA-256, where the digest is named beside it."""
Make = Callable[[bytes], bytes]


def trusting_tsa(*more: Identity, **changes: Any) -> Policy:
    """A policy that trusts good signers and good timestamp authorities."""
    anchors = tuple(each.parsed for each in (tsa_root(), *more))
    return trusting(**{"timestamp_anchors": anchors, **changes})


def at(time: datetime, **changes: Any) -> Make:
    return lambda signature: token(signature, time, **changes)


def bundle(*tokens: Make, by: Identity | None = None) -> Bundle:
    good = make()
    return good.with_block(stamped(good.manifest_bytes, by or signer(), *tokens))


def expired() -> Identity:
    """A signer whose certificate ended between `SIGNED` and `NOW`."""
    return leaf("Ended signer", end=ENDED)


def reason(make_token: Make, policy: Policy | None = None) -> str | None:
    """Why a bundle with this token is refused: the primary code must be bad-timestamp."""
    examination = judge(bundle(make_token), policy or trusting_tsa())
    primary = examination.primary
    assert primary is not None
    assert (examination.verdict, primary.code, primary.step) == (Verdict.REJECTED, "bad-timestamp", 2)
    assert codes(examination) == ["bad-timestamp"]
    why = primary.evidence.get("reason")
    return str(why) if why else None


# What a good token proves.


def test_a_timestamp_lets_a_signature_outlive_its_certificate() -> None:
    policy = trusting_tsa()
    examination = accepted(bundle(at(SIGNED), by=expired()), policy)
    (check,) = (check for check in examination.checks if check.step == 2)
    assert (check.id, check.evidence["time"]) == ("time.timestamp", SIGNED.isoformat())
    assert codes(judge(bundle(by=expired()), policy)) == ["expired"]


def test_a_timestamp_after_the_certificate_ended_does_not_help() -> None:
    late = ENDED + timedelta(days=1)
    assert codes(judge(bundle(at(late), by=expired()), trusting_tsa())) == ["expired"]


def test_the_accuracy_counts_against_the_signer() -> None:
    accuracy = sequence(der.encode_integer(60))
    made = at(ENDED - timedelta(seconds=30), accuracy=accuracy)
    assert codes(judge(bundle(made, by=expired()), trusting_tsa())) == ["expired"]
    accepted(bundle(at(ENDED - timedelta(seconds=60), accuracy=accuracy), by=expired()), trusting_tsa())


def test_the_earliest_of_two_good_timestamps_counts() -> None:
    late, early = at(ENDED + timedelta(days=1)), at(SIGNED)
    examination = accepted(bundle(late, early, by=expired()), trusting_tsa())
    assert SIGNED.isoformat() in {check.evidence.get("time") for check in examination.checks}


def test_a_policy_can_require_a_timestamp() -> None:
    policy = trusting_tsa(timestamp_required=True)
    accepted(bundle(at(SIGNED)), policy)
    assert codes(judge(bundle(), policy)) == ["untrusted-time"]
    assert codes(judge(bundle(), trusting(timestamp_required=True))) == ["untrusted-time"]


def test_a_required_timestamp_without_an_anchor_is_refused() -> None:
    assert reason(at(SIGNED), trusting(timestamp_required=True)) == "no-anchors"


@pytest.mark.parametrize("made", [at(SIGNED), lambda _: b"\x30\x03\x02\x01\x01"], ids=["good", "garbage"])
def test_without_a_timestamp_anchor_tokens_prove_nothing_and_are_noted(made: Make) -> None:
    examination = accepted(bundle(made), trusting())
    (check,) = (check for check in examination.checks if check.step == 2)
    assert check.id == "time.verification"
    assert "1 timestamps ignored" in check.detail
    assert codes(judge(bundle(made, by=expired()), trusting())) == ["expired"]


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
def test_authorities_with_usual_keys_are_judged(kind: str) -> None:
    accepted(bundle(at(SIGNED, by=tsa(kind)), by=expired()), trusting_tsa())


def test_an_authority_below_an_intermediate_for_time_stamping_is_accepted() -> None:
    between = ca("TSA intermediate", issuer=tsa_root(), purposes=[TIME_STAMPING])
    below = authority("Lower TSA", issuer=between)
    for order in ((below.der, between.der), (between.der, below.der)):
        accepted(bundle(at(SIGNED, by=below, certificates=order), by=expired()), trusting_tsa())
    alone = at(SIGNED, by=below, certificates=[below.der])
    accepted(bundle(alone, by=expired()), trusting_tsa(intermediates=(between.parsed,)))


def test_an_authority_that_has_expired_since_still_proves_the_time() -> None:
    ended = authority("Ended TSA", end=ENDED)
    accepted(bundle(at(SIGNED, by=ended), by=expired()), trusting_tsa())


def test_the_older_certificate_binding_with_sha1_is_read() -> None:
    def older(good: list[cms_builder.Attribute]) -> list[cms_builder.Attribute]:
        return [*replaced(good, cms.SIGNING_CERTIFICATE_V2), sha1_binding(tsa())]

    accepted(bundle(at(SIGNED, attributes=older), by=expired()), trusting_tsa())


# X5-12: fake or wrong timestamps.


def rsa_with(digest: str) -> dict[str, Any]:
    key = tsa("rsa").key
    return {"digest": digest, "sign": lambda data: sign_raw(key, data, digest)}


def flipped(good: bytes) -> bytes:
    return good[:-1] + bytes([good[-1] ^ 1])


def with_attribute(oid: str, *values: bytes) -> Callable[[Any], Any]:
    return lambda good: replaced(good, oid, *values)


EVIL_ROOT = ca("Evil root", key=new_key("p256", 970))
EVIL = authority("Evil TSA", issuer=EVIL_ROOT)
TWIN = authority("Twin TSA", serial=tsa().certificate.serial_number)
CODE_CA = ca("Code CA", issuer=tsa_root(), purposes=[ExtendedKeyUsageOID.CODE_SIGNING])
BELOW_CODE_CA = authority("TSA below code CA", issuer=CODE_CA)
CRITICAL = der.encode(der.context(1), sequence(der.encode_oid("1.2.3"), b"\x01\x01\xff", octets(b"")))
V2 = cms.SIGNING_CERTIFICATE_V2
DATA = der.encode_oid(cms.ID_DATA)
ANOTHER = sequence(sequence(sequence(octets(bytes(32)))))

BAD: dict[str, tuple[Make, str | None]] = {
    "invalid signature": (at(SIGNED, signer={"signature": flipped}), "bad-signature"),
    "no embedded certificate": (at(SIGNED, certificates=[]), "signer-certificate-missing"),
    "authority expired then": (at(SIGNED, by=authority("Old TSA", end=EPOCH + timedelta(days=1))), "expired"),
    "authority not valid yet": (at(SIGNED, by=authority("New TSA", start=ENDED)), "not-yet-valid"),
    "unknown authority": (at(SIGNED, by=EVIL), "no-path"),
    "injected root": (at(SIGNED, by=EVIL, certificates=sorted((EVIL.der, EVIL_ROOT.der))), "no-path"),
    "injected twin": (at(SIGNED, certificates=sorted((tsa().der, TWIN.der))), "signer-certificate-missing"),
    "injected stranger": (at(SIGNED, certificates=sorted((tsa().der, EVIL.der))), "invalid-chain"),
    "for another signature": (lambda _: token(b"another", SIGNED), "content-digest-mismatch"),
    "certificate for code signing": (
        at(SIGNED, by=authority("Coder", purposes=[ExtendedKeyUsageOID.CODE_SIGNING])),
        "wrong-purpose",
    ),
    "two purposes": (
        at(SIGNED, by=authority("Both", purposes=[TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING])),
        "wrong-purpose",
    ),
    "purpose not critical": (at(SIGNED, by=authority("Lax", critical=False)), "wrong-purpose"),
    "no purpose": (at(SIGNED, by=authority("None", extensions=[])), "wrong-purpose"),
    "not for signatures": (at(SIGNED, by=authority("Encipherer", usage=["key_encipherment"])), "wrong-purpose"),
    "a CA": (at(SIGNED, by=authority("CA", basic=(True, None))), "wrong-purpose"),
    "below a code signing CA": (
        at(SIGNED, by=BELOW_CODE_CA, certificates=sorted((BELOW_CODE_CA.der, CODE_CA.der))),
        "wrong-purpose",
    ),
    "a module signer": (at(SIGNED, by=signer()), "wrong-purpose"),
    "an authority of the module root": (at(SIGNED, by=authority("Site TSA", issuer=root())), "no-path"),
    "SHA-1": (at(SIGNED, by=tsa("rsa"), signer=rsa_with("sha1")), "algorithm-not-allowed"),
    "MD5": (at(SIGNED, by=tsa("rsa"), signer=rsa_with("md5")), "algorithm-not-allowed"),
    "weak key": (at(SIGNED, by=authority("Weak", key=new_key("rsa-1024"))), "weak-key"),
    "imprint of MD5": (at(SIGNED, imprint_algorithm=algorithm(DIGESTS["md5"])), "algorithm-not-allowed"),
    "names no certificate": (at(SIGNED, attributes=with_attribute(V2)), None),
    "names another certificate": (at(SIGNED, attributes=with_attribute(V2, ANOTHER)), "bad-signature"),
    "content type of a signature": (at(SIGNED, content_type=cms.ID_DATA), None),
    "content type not signed": (at(SIGNED, attributes=with_attribute(cms.CONTENT_TYPE, DATA)), None),
    "content replaced": (at(SIGNED, attributes=with_attribute(cms.MESSAGE_DIGEST, octets(bytes(32)))), "bad-signature"),
    "no signed attributes": (at(SIGNED, signer={"signed_attributes": False}), None),
    "critical extension": (at(SIGNED, extensions=CRITICAL), None),
    "another version": (at(SIGNED, version=2), None),
    "useless accuracy": (at(SIGNED, accuracy=sequence(der.encode_integer(10**9))), None),
    "local time": (at(b"20250601000000"), None),  # type: ignore[arg-type]
    "impossible time": (at(b"20251301000000Z"), None),  # type: ignore[arg-type]
    "unsupported certificate": (at(SIGNED, certificates=[sequence(b"\x05\x00")]), "malformed-certificate"),
    "too long": (lambda _: sequence(bytes(limits.TIMESTAMP_SIZE)), None),
    "garbage": (lambda _: sequence(b"\x02\x01\x01"), None),
}


@pytest.mark.parametrize("case", BAD)
def test_X5_12_a_bad_timestamp_is_refused(case: str) -> None:
    made, why = BAD[case]
    assert reason(made) == why


def test_a_revoked_authority_proves_nothing_whatever_the_date() -> None:
    rules = RevocationRules((as_crl(tsa_root(), tsa(), since=ENDED),), accept_signed_before=True)
    assert reason(at(SIGNED), trusting_tsa(revocation=rules)) == "revoked"


def test_a_missing_crl_of_the_authority_leaves_a_required_check_undecided() -> None:
    rules = RevocationRules((as_crl(root()),), required=True)
    examination = judge(bundle(at(SIGNED)), trusting_tsa(revocation=rules))
    assert examination.verdict is Verdict.UNDECIDED
    assert examination.primary
    assert examination.primary.step == 2


@pytest.mark.parametrize("kind", ["ed25519"])
def test_an_authority_that_the_second_verifier_cannot_judge_is_inconclusive(kind: str) -> None:
    examination = judge(bundle(at(SIGNED, by=tsa(kind))), trusting_tsa())
    assert (examination.verdict, codes(examination)) == (Verdict.UNDECIDED, ["unsupported-algorithm"])


def test_the_algorithms_that_the_policy_allows_hold_for_timestamps_too() -> None:
    policy = trusting_tsa(algorithms=frozenset({"ecdsa-p256-sha256"}))
    assert reason(at(SIGNED, by=tsa("rsa")), policy) == "algorithm-not-allowed"


def test_too_many_timestamps_are_refused_before_they_cost_anything() -> None:
    made = [at(SIGNED + timedelta(days=day)) for day in range(limits.TIMESTAMPS_PER_SIGNER + 1)]
    examination = judge(bundle(*made), trusting_tsa())
    assert codes(examination) == ["bad-timestamp"]
    accepted(bundle(*made[1:]), trusting_tsa())


# Several tokens.


def test_a_broken_timestamp_fails_even_beside_a_good_one() -> None:
    wrong = BAD["for another signature"][0]
    assert codes(judge(bundle(at(SIGNED), wrong), trusting_tsa())) == ["bad-timestamp"]


@pytest.mark.parametrize("other", [at(SIGNED, by=EVIL), at(SIGNED, by=tsa("ed25519"))], ids=["unknown", "unsupported"])
def test_a_timestamp_that_cannot_be_judged_is_set_aside_beside_a_good_one(other: Make) -> None:
    examination = accepted(bundle(at(SIGNED), other, by=expired()), trusting_tsa())
    aside = [check for check in examination.checks if check.step == 2 and check.status is Status.NOT_APPLICABLE]
    assert len(aside) == 1
    assert "another timestamp suffices" in aside[0].detail
    assert examination.proven_level is not None


# X5-14: the verifier's clock.


def test_a_clock_before_the_timestamp_is_refused() -> None:
    examination = judge(bundle(at(NOW)), trusting_tsa(), NOW - timedelta(days=1))
    assert codes(examination) == ["untrusted-time"]
    assert examination.verdict is Verdict.REJECTED


def test_a_clock_that_is_a_little_behind_is_not() -> None:
    accepted(bundle(at(NOW)), trusting_tsa(), NOW - timestamp.CLOCK_TOLERANCE)
    late = NOW - timestamp.CLOCK_TOLERANCE - timedelta(seconds=1)
    assert codes(judge(bundle(at(NOW)), trusting_tsa(), late)) == ["untrusted-time"]


# SIG-10: one key, one role.


def test_a_timestamp_authority_cannot_sign_a_module() -> None:
    good = make()
    by_tsa = good.with_block(stamped(good.manifest_bytes, tsa()))
    assert codes(judge(by_tsa, trusting_tsa())) == ["no-path"]
    assert codes(judge(by_tsa, trusting(root(), tsa_root()))) == ["wrong-purpose"]


# The twelve cells (X5-11).


class Cell(NamedTuple):
    """One row of the table in the docs: the verdicts by default, and with accept-signed-before-revocation."""

    expired: bool
    timestamped: bool
    revoked: str
    default: str
    accepting: str


CELLS = (
    Cell(expired=False, timestamped=False, revoked="no", default="accepted", accepting="accepted"),
    Cell(expired=False, timestamped=False, revoked="before signing", default="revoked", accepting="revoked"),
    Cell(expired=False, timestamped=False, revoked="after signing", default="revoked", accepting="revoked"),
    Cell(expired=False, timestamped=True, revoked="no", default="accepted", accepting="accepted"),
    Cell(expired=False, timestamped=True, revoked="before signing", default="revoked", accepting="revoked"),
    Cell(expired=False, timestamped=True, revoked="after signing", default="revoked", accepting="accepted"),
    Cell(expired=True, timestamped=False, revoked="no", default="expired", accepting="expired"),
    Cell(expired=True, timestamped=False, revoked="before signing", default="expired", accepting="expired"),
    Cell(expired=True, timestamped=False, revoked="after signing", default="expired", accepting="expired"),
    Cell(expired=True, timestamped=True, revoked="no", default="accepted", accepting="accepted"),
    Cell(expired=True, timestamped=True, revoked="before signing", default="revoked", accepting="revoked"),
    Cell(expired=True, timestamped=True, revoked="after signing", default="revoked", accepting="accepted"),
)
"""Expired and revoked are at the time of verification; the first code that decides is given."""

REVOKED_AT = {"before signing": SIGNED - timedelta(days=30), "after signing": SIGNED + timedelta(days=30)}


def as_crl(
    issuer: Identity, *revoked: Identity, since: datetime = EPOCH, why: str = "superseded", end: datetime = FAR
) -> Crl:
    """A CRL of an issuer, parsed, with a reason for each entry."""
    if not revoked:
        return Crl.parse(crl(issuer, end=end).public_bytes(Encoding.DER), "crl.pem")
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(EPOCH).next_update(end).add_extension(x509.CRLNumber(1), critical=False)
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number).revocation_date(since)
        if why != "none":
            entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags(why)), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    made = builder.sign(issuer.key, digest_for(issuer.key))
    return Crl.parse(made.public_bytes(Encoding.DER), "crl.pem")


def cell_case(cell: Cell, why: str = "superseded") -> tuple[Bundle, Crl]:
    by = expired() if cell.expired else leaf("Current signer")
    revoked = [by] if cell.revoked in REVOKED_AT else []
    since = REVOKED_AT.get(cell.revoked, EPOCH)
    return bundle(*([at(SIGNED)] if cell.timestamped else []), by=by), as_crl(root(), *revoked, since=since, why=why)


def outcome(made: Bundle, *crls: Crl, accepting: bool) -> str:
    rules = RevocationRules(crls, accept_signed_before=accepting)
    examination = judge(made, trusting_tsa(revocation=rules))
    if examination.verdict is Verdict.ACCEPTED:
        return "accepted"
    assert examination.primary
    return str(examination.primary.code)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: "-".join(map(str, cell[:3])))
def test_each_cell_has_its_verdict(cell: Cell) -> None:
    made, list_ = cell_case(cell)
    assert outcome(made, list_, accepting=False) == cell.default
    assert outcome(made, list_, accepting=True) == cell.accepting


def test_the_table_has_every_cell_once() -> None:
    assert len({cell[:3] for cell in CELLS}) == len(CELLS) == 12


@pytest.mark.parametrize(
    "why",
    ["keyCompromise", "cACompromise", "aACompromise", "unspecified", "none", "certificateHold", "privilegeWithdrawn"],
)
def test_a_revocation_that_may_mean_misuse_is_never_forgiven(why: str) -> None:
    made, list_ = cell_case(CELLS[5], why)
    assert outcome(made, list_, accepting=True) == "revoked"


@pytest.mark.parametrize("why", ["superseded", "cessationOfOperation", "affiliationChanged"])
def test_a_revocation_for_other_reasons_can_be_forgiven(why: str) -> None:
    made, list_ = cell_case(CELLS[5], why)
    assert outcome(made, list_, accepting=True) == "accepted"


def test_a_revocation_at_the_very_time_of_signing_counts_as_before() -> None:
    by = leaf("Same second")
    assert outcome(bundle(at(SIGNED), by=by), as_crl(root(), by, since=SIGNED), accepting=True) == "revoked"


def test_a_crl_must_be_current_at_verification_not_at_signing() -> None:
    stale = as_crl(root(), end=SIGNED + timedelta(days=1))
    assert outcome(bundle(at(SIGNED)), stale, accepting=True) == "crl-stale"


def test_a_forgiven_revocation_does_not_make_a_stale_crl_current() -> None:
    by = leaf("Forgiven")
    stale = as_crl(root(), by, since=ENDED, end=ENDED + timedelta(days=1))
    assert outcome(bundle(at(SIGNED), by=by), stale, accepting=True) == "crl-stale"


# The token itself.


@pytest.mark.parametrize(
    ("text", "accuracy", "earliest", "latest"),
    [
        (b"20260101000000Z", b"", 0, 0),
        (b"20260101000000.25Z", b"", 0, 1),
        (b"20260101000010Z", sequence(der.encode_integer(5)), 5, 15),
        (b"20260101000010Z", sequence(der.encode(0x80, b"\x01\xf4")), 9, 11),
        (b"20260101000010Z", sequence(der.encode(0x81, b"\x01")), 9, 11),
        (b"20260101000010.5Z", sequence(der.encode_integer(1), der.encode(0x80, b"\x01")), 8, 13),
    ],
)
def test_the_time_is_rounded_outwards(text: bytes, accuracy: bytes, earliest: int, latest: int) -> None:
    decoded = token_format.decode(token(SIGNATURE, text, accuracy=accuracy))
    assert (decoded.earliest, decoded.latest) == (NOW + timedelta(seconds=earliest), NOW + timedelta(seconds=latest))


@pytest.mark.parametrize(
    "text",
    [
        b"20260101000000.0Z",
        b"20260101000000.Z",
        b"20260101000000.50Z",
        b"202601010000Z",
        b"20260101000000+0100",
        b"99991231235959.5Z",
        b"20260101000060Z",
    ],
)
def test_a_time_in_another_form_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        token_format.decode(token(SIGNATURE, text))
    assert caught.value.failure.code == "bad-timestamp"


@pytest.mark.parametrize(
    "accuracy",
    [
        sequence(der.encode(0x80, b"\x00")),
        sequence(der.encode(0x80, b"\x03\xe8")),
        sequence(der.encode(der.INTEGER, b"\xff")),
        sequence(octets(b"")),
    ],
)
def test_an_accuracy_out_of_range_is_refused(accuracy: bytes) -> None:
    with pytest.raises(FormatError, match="timestamp token"):
        token_format.decode(token(SIGNATURE, NOW, accuracy=accuracy))


@given(st.binary(max_size=64) | st.binary(max_size=64).map(sequence))
@settings(max_examples=200)
def test_any_bytes_are_a_token_or_a_bad_timestamp(data: bytes) -> None:
    for read in (token_format.decode, token_format.token_of_response):
        with pytest.raises(FormatError) as caught:
            read(data)
        assert caught.value.failure.code == "bad-timestamp"


@given(data=st.data())
@settings(max_examples=250)
def test_no_changed_token_proves_anything_else_and_none_raises_anything_else(data: st.DataObject) -> None:
    good = token(SIGNATURE, SIGNED, by=tsa("rsa"))
    position = data.draw(st.integers(0, len(good) - 1))
    changed = bytearray(good)
    changed[position] = data.draw(st.integers(0, 255).filter(lambda byte: byte != good[position]))
    try:
        found = verify(bytes(changed), SIGNATURE, trusting_tsa()).token
    except FormatError:
        return
    # Nothing binds which of its two names PKCS #1 v1.5 with SHA-256 has: the same is verified (docs/format.md, 5.3).
    names = {found.signature_algorithm.oid, token_format.decode(good).signature_algorithm.oid}
    assert names == set(NAMES_OF_RSA)
    assert replace(found, raw=good, signature_algorithm=token_format.decode(good).signature_algorithm) == (
        token_format.decode(good)
    )


def test_the_two_names_of_rsa_say_the_same_of_a_token() -> None:
    """And the name for another digest does not."""
    good = token(SIGNATURE, SIGNED, by=tsa("rsa"))
    found = token_format.decode(good).signature_algorithm
    other, sha384 = (algorithm(one, NULL) for one in (*(set(NAMES_OF_RSA) - {found.oid}), "1.2.840.113549.1.1.12"))
    at_signer = good.rindex(found.raw)
    assert len(found.raw) == len(other) == len(sha384)
    renamed, wrong = (good[:at_signer] + one + good[at_signer + len(found.raw) :] for one in (other, sha384))
    assert verify(renamed, SIGNATURE, trusting_tsa()).time == verify(good, SIGNATURE, trusting_tsa()).time
    with pytest.raises(FormatError):
        verify(wrong, SIGNATURE, trusting_tsa())


# What verification must not do.


def test_verification_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("verification opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    accepted(bundle(at(SIGNED), by=expired()), trusting_tsa())


def test_a_verification_without_a_timestamp_does_not_load_the_library(tmp_path: Path) -> None:
    (tmp_path / "a.seal").write_bytes(make().data)
    write(tmp_path, minimum="community")
    script = (
        "import sys; from modseal.cli.main import run;"
        "code = run(['verify', 'a.seal', '--policy', 'policy.toml', '--at', '2026-01-01']);"
        "unwanted = ('rfc3161_client', 'modseal.signing', 'urllib.request');"
        "print([name for name in unwanted if name in sys.modules], code)"
    )
    source = str(Path(__file__).parents[2] / "tools")
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": source}, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[] 0", done.stderr


# The policy file.


def policy_with(folder: Path, more: str) -> Policy:
    return load(str(write(folder, more=more)))


def test_a_policy_file_names_timestamp_anchors(tmp_path: Path) -> None:
    (tmp_path / "tsa.pem").write_bytes(tsa_root().pem + tsa_root(1).pem)
    policy = policy_with(
        tmp_path,
        '[time]\nanchors = ["tsa.pem"]\nrequire-timestamp = true\n'
        "[revocation]\naccept-signed-before-revocation = true\n",
    )
    assert policy.timestamp_anchors == (tsa_root().parsed, tsa_root(1).parsed)
    assert policy.timestamp_required
    assert policy.revocation.accept_signed_before


def test_forgiveness_is_off_unless_the_policy_says_so(tmp_path: Path) -> None:
    policy = policy_with(tmp_path, "")
    assert not policy.revocation.accept_signed_before
    assert not policy.timestamp_required
    assert policy.timestamp_anchors == ()


@pytest.mark.parametrize("identity", [tsa(), ca("Lower", issuer=tsa_root())], ids=["authority", "intermediate"])
def test_a_timestamp_anchor_is_a_self_signed_ca(tmp_path: Path, identity: Identity) -> None:
    (tmp_path / "tsa.pem").write_bytes(identity.pem)
    with pytest.raises(PolicyError, match="is not a self-signed CA"):
        policy_with(tmp_path, '[time]\nanchors = ["tsa.pem"]\n')


@pytest.mark.parametrize("line", ["anchors = []", 'anchor = ["root.pem"]', 'anchors = ["missing.pem"]'])
def test_a_time_table_with_a_mistake_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(PolicyError):
        policy_with(tmp_path, f"[time]\n{line}\n")


# What a refusal says.


WITHOUT_AUTHORITY = {
    "no embedded certificate",
    "injected twin",
    "injected stranger",
    "for another signature",
    "imprint of MD5",
    "unsupported certificate",
    "SHA-1",
    "MD5",
}
"""Refused before it is known whose token it is."""


@pytest.mark.parametrize("case", [case for case, (_, why) in BAD.items() if why])
def test_a_refusal_names_the_signer_the_reason_and_whose_token_it_is(case: str) -> None:
    made, why = BAD[case]
    primary = judge(bundle(made), trusting_tsa()).primary
    assert primary is not None
    assert primary.detail.startswith("the timestamp token does not verify: ")
    assert "Certificate(" not in primary.detail
    assert "None" not in primary.detail.removeprefix("the timestamp token does not verify: CN=None")
    assert {key: primary.evidence[key] for key in ("signer", "subject", "block", "reason")} == {
        **judge(bundle(), trusting()).signers[0].evidence,
        "reason": why,
    }
    assert ("authority" in primary.evidence) is (case not in WITHOUT_AUTHORITY)
    assert ("authority_certificate" in primary.evidence) is (case not in WITHOUT_AUTHORITY)


def verify(raw: bytes, signature: bytes, policy: Policy) -> Any:
    return timestamp.verify(raw, signature, policy.timestamp_anchors, policy.path_rules, NOW, denied=policy.deny)


def failure_of(raw: bytes, policy: Policy | None = None) -> Any:
    with pytest.raises(FormatError) as raised:
        verify(raw, SIGNATURE, policy or trusting_tsa())
    return raised.value.failure


@pytest.mark.parametrize(
    ("raw", "policy", "detail"),
    [
        (token(SIGNATURE, SIGNED, certificates=[]), None, "0 of its certificates fit its signer; one must"),
        (
            token(SIGNATURE, SIGNED, certificates=sorted((tsa().der, TWIN.der))),
            None,
            "2 of its certificates fit its signer; one must",
        ),
        (
            token(SIGNATURE, SIGNED, certificates=sorted((tsa().der, EVIL.der))),
            None,
            f"it carries {EVIL.parsed.subject}, which neither signed it nor is a CA",
        ),
        (
            token(SIGNATURE, SIGNED, attributes=with_attribute(cms.MESSAGE_DIGEST, octets(bytes(32)))),
            None,
            "its content is not what was signed",
        ),
        (
            token(SIGNATURE, SIGNED, attributes=with_attribute(V2, ANOTHER)),
            None,
            "its signer signed for another certificate",
        ),
        (token(b"another", SIGNED), None, "it is over another signature"),
        (
            token(SIGNATURE, SIGNED, authority("Encipherer", usage=["key_encipherment"])),
            None,
            "its signer's key usage is not for signatures",
        ),
        (token(SIGNATURE, SIGNED, authority("CA", basic=(True, None))), None, "its signer is a CA"),
        (
            token(SIGNATURE, SIGNED, authority("Lax", critical=False)),
            None,
            "its signer's certificate is not for timeStamping alone",
        ),
        (
            token(SIGNATURE, SIGNED, tsa("rsa")),
            trusting_tsa(algorithms=frozenset({"ecdsa-p256-sha256"})),
            "the policy does not allow rsa-pkcs1-sha256",
        ),
    ],
)
def test_a_refusal_says_what_is_wrong(raw: bytes, policy: Policy | None, detail: str) -> None:
    failure = failure_of(raw, policy)
    assert (failure.code, failure.detail) == ("bad-timestamp", f"the timestamp token does not verify: {detail}")


def test_a_key_usage_for_content_commitment_is_for_signatures_too() -> None:
    for usage in (["content_commitment"], ["digital_signature", "content_commitment"], ["digital_signature"], None):
        by = authority("Committed", usage=usage)
        assert verify(token(SIGNATURE, SIGNED, by), SIGNATURE, trusting_tsa()).time == SIGNED


def test_what_cannot_be_judged_keeps_its_code_and_its_evidence() -> None:
    failure = failure_of(token(SIGNATURE, SIGNED, tsa("ed25519")))
    assert (failure.code, failure.evidence) == ("unsupported-algorithm", {"algorithm": "ed25519"})
    assert "timestamp tokens signed with ed25519 are not supported" in failure.detail
    sha3 = failure_of(token(SIGNATURE, SIGNED, imprint_algorithm=algorithm(DIGESTS["sha3_256"])))
    assert (sha3.code, sha3.evidence) == ("unsupported-algorithm", {"algorithm": DIGESTS["sha3_256"]})
    assert sha3.detail.startswith("the timestamp token cannot be judged: ")


@pytest.mark.parametrize(("digest", "code"), [("sha3_256", "unsupported-algorithm"), ("md5", "bad-timestamp")])
def test_a_certificate_that_is_named_by_another_digest_is_not_compared(digest: str, code: str) -> None:
    named = sequence(sequence(sequence(algorithm(DIGESTS[digest]), octets(bytes(32)))))
    failure = failure_of(token(SIGNATURE, SIGNED, attributes=with_attribute(V2, named)))
    assert failure.code == code


def test_a_stamp_names_its_authority_and_its_anchor() -> None:
    stamp = verify(token(SIGNATURE, SIGNED), SIGNATURE, trusting_tsa())
    assert (stamp.time, stamp.authority, stamp.anchor) == (SIGNED, tsa().parsed, tsa_root().parsed.subject)
    assert stamp.evidence == {
        "time": SIGNED.isoformat(),
        "authority": tsa().parsed.subject,
        "authority_certificate": tsa().fingerprint,
    }


def test_the_anchor_of_a_stamp_is_the_end_of_its_path() -> None:
    between = ca("TSA intermediate", issuer=tsa_root(), purposes=[TIME_STAMPING])
    below = authority("Lower TSA", issuer=between)
    made = token(SIGNATURE, SIGNED, below, certificates=sorted((below.der, between.der)))
    assert verify(made, SIGNATURE, trusting_tsa()).anchor == tsa_root().parsed.subject


def test_an_authority_that_is_unknown_is_the_cause_and_no_other_refusal_has_it() -> None:
    assert failure_of(token(SIGNATURE, SIGNED, EVIL)).evidence["cause"] == "unknown-timestamp-authority"
    for other in (authority("Old TSA", end=EPOCH + timedelta(days=1)), authority("Weak", key=new_key("rsa-1024"))):
        assert "cause" not in failure_of(token(SIGNATURE, SIGNED, other)).evidence


def test_where_the_policy_has_no_anchor_the_refusal_says_so_and_names_the_authority() -> None:
    failure = failure_of(token(SIGNATURE, SIGNED), trusting())
    assert (failure.detail, failure.evidence) == (
        "the timestamp token does not verify: the policy names no timestamp anchor",
        {"reason": "no-anchors", "authority": tsa().parsed.subject, "authority_certificate": tsa().fingerprint},
    )


@pytest.mark.parametrize(("kind", "units"), [("p256", 20), ("rsa", 7), ("p521", 110)])
def test_a_token_costs_what_it_is_to_read_and_the_signature_of_its_authority(kind: str, units: int) -> None:
    made, effort = token(SIGNATURE, SIGNED, tsa(kind)), Effort()
    timestamp.verify_consistent(made, SIGNATURE, effort)
    assert effort.spent == 10 + len(made) // 16 + units


def test_a_consistent_token_has_one_authority_and_what_it_carries() -> None:
    found = timestamp.verify_consistent(token(SIGNATURE, SIGNED, tsa("rsa")), SIGNATURE)
    assert (found.authority, found.embedded) == (tsa("rsa").parsed, (tsa("rsa").parsed,))
    assert found.algorithm.name == "rsa-pkcs1-sha256"


def test_times_that_are_missing_or_wrong_name_the_signer() -> None:
    required = judge(bundle(), trusting_tsa(timestamp_required=True))
    evidence = required.signers[0].evidence
    assert required.primary is not None
    assert required.primary.evidence == evidence
    early = NOW - timedelta(days=1)
    clock = judge(bundle(at(NOW)), trusting_tsa(), early).primary
    assert clock is not None
    assert clock.evidence == {**evidence, "at": early.isoformat(), "newest": NOW.isoformat()}
    assert f"{NOW:%Y-%m-%dT%H:%M:%SZ}" in clock.detail
    many = [at(SIGNED + timedelta(days=day)) for day in range(limits.TIMESTAMPS_PER_SIGNER + 1)]
    crowd = judge(bundle(*many), trusting_tsa()).primary
    assert crowd is not None
    assert crowd.evidence == {**judge(bundle(*many), trusting()).signers[0].evidence, "reason": "limit-exceeded"}
    assert crowd.detail == f"{len(many)} timestamp tokens, {limits.TIMESTAMPS_PER_SIGNER} are allowed"


def test_the_newest_of_several_timestamps_tells_of_a_wrong_clock() -> None:
    late = NOW + timedelta(days=2)
    for order in ((at(SIGNED), at(late)), (at(late), at(SIGNED))):
        primary = judge(bundle(*order), trusting_tsa()).primary
        assert primary is not None
        assert (primary.code, primary.evidence["newest"]) == ("untrusted-time", late.isoformat())


def test_tokens_alone_are_unknown_or_broken_in_this_order() -> None:
    wrong, unknown = BAD["for another signature"][0], at(SIGNED, by=EVIL)
    examination = judge(bundle(unknown, wrong), trusting_tsa())
    assert [check.evidence["reason"] for check in examination.checks if check.step == 2] == [
        "content-digest-mismatch",
        "no-path",
    ]
    (found,) = examination.signers
    unanchored, broken = token(found.signature, SIGNED), token(b"another", SIGNED)
    for tokens in ((unanchored, broken), (broken, unanchored)):
        signed = timestamp.judge_tokens(replace(found, timestamps=tokens), trusting(), NOW, Effort())
        assert [failure.evidence["reason"] for failure in signed.failures] == ["content-digest-mismatch", "no-anchors"]


class Panic(BaseException):
    """What stands for the Rust code's own exception."""


@pytest.mark.parametrize(("kind", "caught"), [("PanicException", True), ("KeyboardInterrupt", False), ("Other", False)])
def test_only_the_librarys_panic_is_a_failure_of_the_token(
    kind: str, caught: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = type(kind, (Panic,), {})

    def fail(*_: object) -> None:
        raise raised("x")

    monkeypatch.setattr(timestamp.token_format, "sort_certificates", fail)
    if caught:
        failure = failure_of(token(SIGNATURE, SIGNED))
        assert (failure.code, failure.evidence["reason"]) == ("bad-timestamp", "bad-signature")
        assert failure.detail.endswith("rfc3161-client refuses it (x)")
        assert failure.evidence["authority"] == tsa().parsed.subject
    else:
        with pytest.raises(raised):
            verify(token(SIGNATURE, SIGNED), SIGNATURE, trusting_tsa())


def test_what_the_second_verifier_refuses_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("not so")

    monkeypatch.setattr(timestamp.token_format, "sort_certificates", fail)
    failure = failure_of(token(SIGNATURE, SIGNED))
    assert (failure.code, failure.evidence["reason"]) == ("bad-timestamp", "bad-signature")
    assert failure.detail.endswith("rfc3161-client refuses it (not so)")
    assert failure.evidence["authority_certificate"] == tsa().fingerprint


def test_the_least_size_of_rsa_holds_for_authorities_too() -> None:
    assert reason(at(SIGNED, by=tsa("rsa")), trusting_tsa(minimum_rsa_bits=3072)) == "weak-key"


def test_refusals_for_algorithm_and_revocation_name_the_authority() -> None:
    allowed = frozenset({"ecdsa-p256-sha256"})
    revoked = RevocationRules((as_crl(tsa_root(), tsa(), since=ENDED),))
    for raw, policy, by in (
        (token(SIGNATURE, SIGNED, tsa("rsa")), trusting_tsa(algorithms=allowed), tsa("rsa")),
        (token(SIGNATURE, SIGNED), trusting_tsa(revocation=revoked), tsa()),
    ):
        assert failure_of(raw, policy).evidence["authority"] == by.parsed.subject


def test_a_token_signed_with_pss_is_verified_before_it_is_set_aside() -> None:
    key = tsa("rsa").key
    pss = ALGORITHMS["rsa-pss-sha256"].signature_parameters
    assert pss is not None

    def sign(data: bytes) -> bytes:
        return key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 33), hashes.SHA256())

    longer = algorithm(cms_builder.RSA_PSS, pss.replace(b"\x02\x01\x20", b"\x02\x01\x21"))
    made = {"sign": sign, "signature_algorithm": longer}
    assert failure_of(token(SIGNATURE, SIGNED, tsa("rsa"), signer=made)).code == "unsupported-algorithm"
    wrong = {**made, "signature": flipped}
    assert failure_of(token(SIGNATURE, SIGNED, tsa("rsa"), signer=wrong)).code == "bad-timestamp"
