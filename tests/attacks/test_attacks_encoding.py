"""Attack catalogue, sections 2 and 3: what RFCs forbid and libraries read. Each test is named by the id of its row.

A good object with one thing changed, signed again with the real key where it is signed.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from builders import certificates as odd
from builders import cms, policies, tsa
from builders.bundles import KINDS, Bundle, accepted, codes, judge, make, refused
from builders.pki import NOW, Identity, ca, leaf, new_key, root, signer
from builders.policies import trusting
from modseal import limits
from modseal.errors import PolicyError
from modseal.format import cms as cms_format
from modseal.format import der
from modseal.format.manifest import Kind
from modseal.policy import sources as policy_sources
from modseal.trust.examination import Verdict

kinds = pytest.mark.parametrize("kind", KINDS)
UTC_SIGNING = [der.encode_time("2025-06-01T12:00:00Z")]


# CMS-17: attributes that are not where they belong, and sets that are empty.

SIGNED_ONLY: dict[str, cms.Attribute] = {
    "contentType": (cms_format.CONTENT_TYPE, [der.encode_oid(cms_format.ID_DATA)]),
    "messageDigest": (cms_format.MESSAGE_DIGEST, [cms.octets(bytes(32))]),
    "signingTime": (cms_format.SIGNING_TIME, UTC_SIGNING),
    "cmsAlgorithmProtection": (cms_format.ALGORITHM_PROTECTION, [cms.sequence()]),
    "signingCertificate": tsa.sha1_binding(signer()),
    "signingCertificateV2": (
        cms_format.SIGNING_CERTIFICATE_V2,
        [cms.sequence(cms.sequence(cms.sequence(cms.octets(bytes(32)))))],
    ),
}


@kinds
@pytest.mark.parametrize("name", SIGNED_ONLY)
def test_CMS_17_what_must_be_signed_is_refused_unsigned(name: str, kind: Kind, tmp_path: Path) -> None:
    bad = make(kind).signed(signer(), unsigned=[SIGNED_ONLY[name]])
    refused(bad, trusting(), "malformed-signature", tmp_path)


@kinds
@pytest.mark.parametrize("oid", [cms_format.COUNTERSIGNATURE, cms_format.TIMESTAMP_TOKEN])
def test_CMS_17_what_is_over_the_signature_is_refused_signed(oid: str, kind: Kind, tmp_path: Path) -> None:
    extra: cms.Attribute = (oid, [cms.sequence()])
    bad = make(kind).signed(signer(), attributes=lambda good: [*good, extra])
    refused(bad, trusting(), "malformed-signature", tmp_path)


@kinds
def test_CMS_17_empty_sets_are_refused(kind: Kind, tmp_path: Path) -> None:
    good = make(kind)
    for bad in (
        good.signed(signer(), unsigned_raw=der.encode(der.context(1))),
        good.signed(signer(), unsigned=[(cms.UNKNOWN, [])]),
        good.signed(signer(), attributes=lambda some: [*some, (cms.UNKNOWN, [])]),
        good.signed(signer(), attributes=lambda _: []),
    ):
        refused(bad, trusting(), "malformed-signature", tmp_path)


@kinds
def test_CMS_17_attributes_that_nobody_knows_decide_nothing_signed_or_not(kind: Kind) -> None:
    unknown: cms.Attribute = (cms.UNKNOWN, [cms.octets(b"anything")])
    accepted(make(kind).signed(signer(), attributes=lambda good: [*good, unknown]), trusting())
    accepted(make(kind).signed(signer(), unsigned=[(cms_format.COUNTERSIGNATURE, [cms.sequence()])]), trusting())


def test_CMS_17_a_timestamp_token_is_held_to_the_same() -> None:
    policy = trusting(timestamp_anchors=(tsa.tsa_root().parsed,))
    unsigned: list[dict[str, Any]] = [{"unsigned": [one]} for one in SIGNED_ONLY.values()]
    unsigned += [{"unsigned_raw": der.encode(der.context(1))}, {"unsigned": [(cms.UNKNOWN, [])]}]
    for changes in unsigned:
        assert codes(judge(stamped(signer=changes), policy)) == ["bad-timestamp"]
    accepted(stamped(signer={"unsigned": [(cms.UNKNOWN, [cms.octets(b"x")])]}), policy)


def stamped(by: Identity | None = None, **changes: Any) -> Bundle:
    bundle = make("seal")
    return bundle.with_block(
        tsa.stamped(bundle.manifest_bytes, signer(), lambda one: tsa.token(one, NOW - timedelta(days=1), by, **changes))
    )


# CMS-18: the attributes that name the signer's certificate.


def naming(*attributes: cms.Attribute) -> Any:
    return lambda good: [*good, *attributes]


def version_2(identity: Identity, issuer_serial: bytes = b"", more: bytes = b"") -> cms.Attribute:
    digest = cms.hashlib.sha256(identity.der).digest()
    return cms_format.SIGNING_CERTIFICATE_V2, [
        cms.sequence(cms.sequence(cms.sequence(cms.octets(digest), issuer_serial)), more)
    ]


def issuer_serial(identity: Identity) -> bytes:
    directory = der.encode(der.context(4), identity.certificate.issuer.public_bytes())
    return cms.sequence(cms.sequence(directory), der.encode_integer(identity.certificate.serial_number))


@kinds
def test_CMS_18_each_attribute_that_names_the_certificate_must_name_this_one(kind: Kind, tmp_path: Path) -> None:
    one, other = signer(), signer("p256", 1)
    for good in ((tsa.sha1_binding(one),), (version_2(one),), (tsa.sha1_binding(one), version_2(one))):
        accepted(make(kind).signed(one, attributes=naming(*good)), trusting())
    for bad in (
        (tsa.sha1_binding(other),),
        (tsa.sha1_binding(other), version_2(one)),
        (tsa.sha1_binding(one), version_2(other)),
    ):
        refused(make(kind).signed(one, attributes=naming(*bad)), trusting(), "bad-signature", tmp_path)


@kinds
def test_CMS_18_issuer_and_serial_number_must_be_this_certificates(kind: Kind, tmp_path: Path) -> None:
    one, other = signer(), signer("p256", 1)
    accepted(make(kind).signed(one, attributes=naming(version_2(one, issuer_serial(one)))), trusting())
    wrong = version_2(one, issuer_serial(other))
    refused(make(kind).signed(one, attributes=naming(wrong)), trusting(), "bad-signature", tmp_path)
    junk = version_2(one, cms.sequence(cms.octets(b"junk")))
    refused(make(kind).signed(one, attributes=naming(junk)), trusting(), "malformed-signature", tmp_path)
    limited = version_2(one, more=cms.sequence(cms.sequence(der.encode_oid("1.2.3"))))
    refused(make(kind).signed(one, attributes=naming(limited)), trusting(), "malformed-signature", tmp_path)


def test_CMS_18_a_timestamp_token_that_names_its_certificate_twice_names_the_same() -> None:
    policy = trusting(timestamp_anchors=(tsa.tsa_root().parsed,))
    own, other = tsa.tsa(), tsa.authority("Another TSA")

    def verdict(named: Identity) -> Verdict:
        return judge(stamped(attributes=naming(tsa.sha1_binding(named))), policy).verdict

    assert (verdict(own), verdict(other)) == (Verdict.ACCEPTED, Verdict.REJECTED)


# CMS-19: what cannot be judged, beside what can.


@kinds
def test_CMS_19_an_unknown_algorithm_in_the_same_block_leaves_it_undecided(kind: Kind, tmp_path: Path) -> None:
    """A block is one statement of all its signers; another block is another's."""
    unknown = cms.Signer(signer("p256", 1), signature_algorithm=cms.algorithm(cms.UNKNOWN))
    bundle = make(kind)
    both = cms.Block([cms.Signer(signer()), unknown]).encode(bundle.manifest_bytes)
    refused(bundle.with_block(both), trusting(), "unsupported-algorithm", tmp_path, verdict=Verdict.UNDECIDED)
    alone = cms.Block([unknown]).encode(bundle.manifest_bytes)
    good = cms.Block([cms.Signer(signer())]).encode(bundle.manifest_bytes)
    accepted(bundle.with_signature(cms.pem(good) + cms.pem(alone)), trusting())
    accepted(bundle.with_signature(cms.pem(both) + cms.pem(good)), trusting())


@kinds
def test_CMS_19_a_certificate_that_nobody_uses_must_be_readable_all_the_same(kind: Kind, tmp_path: Path) -> None:
    unread = odd.with_field(odd.KEY, cms.sequence(), signer("p256", 1))
    bad = make(kind).signed(signer(), certificates=[signer().der, unread])
    refused(bad, trusting(), "malformed-certificate", tmp_path)
    unknown = odd.with_field(odd.KEY, odd.key_info(cms.UNKNOWN, None, b"key"), signer("p256", 1))
    undecided = make(kind).signed(signer(), certificates=[signer().der, unknown])
    refused(undecided, trusting(), "unsupported-algorithm", tmp_path, verdict=Verdict.UNDECIDED)


# CMS-04: signing times that are none.


@kinds
@pytest.mark.parametrize(
    "value",
    [
        der.encode(der.UTC_TIME, b"250231120000Z"),
        der.encode(der.UTC_TIME, b"161231235960Z"),
        der.encode(der.GENERALIZED_TIME, b"20250601120000Z"),
        der.encode(der.GENERALIZED_TIME, b"20491231235959Z"),
        der.encode(der.GENERALIZED_TIME, b"19491231235959Z"),
        der.encode(der.GENERALIZED_TIME, b"00000601120000Z"),
    ],
)
def test_CMS_04_a_signing_time_is_one_of_the_calendar_in_the_form_of_its_year(
    kind: Kind, value: bytes, tmp_path: Path
) -> None:
    bad = make(kind).signed(signer(), attributes=lambda good: cms.replaced(good, cms_format.SIGNING_TIME, value))
    refused(bad, trusting(), "malformed-signature", tmp_path)
    late = der.encode(der.GENERALIZED_TIME, b"20500601120000Z")
    accepted(
        make(kind).signed(signer(), attributes=lambda good: cms.replaced(good, cms_format.SIGNING_TIME, late)),
        trusting(),
    )


# CMS-10: the parameters of a digest, and white space.


@kinds
def test_CMS_10_the_parameters_of_a_digest_are_absent_or_null(kind: Kind, tmp_path: Path) -> None:
    """RFC 5754 section 2; in the block and in its signer they are the same bytes."""
    sha256 = cms.DIGESTS["sha256"]
    absent, null = cms.algorithm(sha256), cms.algorithm(sha256, cms.NULL)
    for one in (absent, null):
        accepted(make(kind).signed(signer(), digest="sha256", digest_algorithm=one), trusting())
    for bad in (cms.algorithm(sha256, cms.sequence()), cms.algorithm(sha256, cms.octets(b""))):
        odd_one = make(kind).signed(signer(), digest="sha256", digest_algorithm=bad)
        refused(odd_one, trusting(), "algorithm-mismatch", tmp_path)
    for block in ([null], [absent, null]):
        unlike = make(kind).signed(signer(), digest="sha256", digest_algorithm=absent, digest_algorithms=block)
        refused(unlike, trusting(), "algorithm-mismatch", tmp_path)
    twice = make(kind).signed(signer(), digest_algorithms=[absent, absent])
    refused(twice, trusting(), "malformed-signature", tmp_path)


@kinds
@pytest.mark.parametrize("space", [b" ", b"\t", b"\r", b"\n", b"\v", b"\f", b"\xa0"])
def test_CMS_10_there_is_no_white_space_in_a_pem_block_but_its_line_feeds(
    space: bytes, kind: Kind, tmp_path: Path
) -> None:
    good = make(kind)
    lines = good.signature.splitlines()
    for number in (0, 1, len(lines) - 2, len(lines) - 1):
        for changed in (space + lines[number], lines[number] + space):
            text = b"\n".join([*lines[:number], changed, *lines[number + 1 :]]) + b"\n"
            refused(good.with_signature(text), trusting(), "malformed-signature", tmp_path)


# SIG-11: numbers of a signature that are no signature.


@kinds
def test_SIG_11_ecdsa_numbers_are_in_range_and_in_their_one_encoding(kind: Kind, tmp_path: Path) -> None:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    key = signer().key

    def numbers(r: int, s: int) -> Any:
        return lambda _: encode_dss_signature(r, s)

    def longer(good: bytes) -> bytes:
        return der.encode(der.SEQUENCE, der.Reader(good).next().content, cms.NULL)

    for change in (numbers(0, 0), numbers(0, 1), numbers(1, 0), numbers(order, order), numbers(1, order), longer):
        refused(make(kind).signed(signer(), signature=change), trusting(), "bad-signature", tmp_path)
    accepted(
        make(kind).signed(signer(), sign=lambda data: key.sign(data, ec.ECDSA(hashes.SHA256()))),
        trusting(),
    )


# X5-15: keys that are not in their one form, or that anybody can sign with, in every role.

ODD = odd.odd_key_infos(signer().key)


@kinds
@pytest.mark.parametrize("case", ODD)
def test_X5_15_a_signer_with_an_odd_key_is_refused(case: str, kind: Kind, tmp_path: Path) -> None:
    bad = odd.with_field(odd.KEY, ODD[case])
    refused(make(kind).signed(signer(), certificates=[bad]), trusting(), "malformed-certificate", tmp_path)


@kinds
def test_X5_15_nobody_signs_with_the_identity_point(kind: Kind, tmp_path: Path) -> None:
    """R = identity and S = 0 is a signature over anything under that key."""
    point = (1).to_bytes(32, "little")
    identity = odd.remade(leaf("Identity", key=new_key("ed25519", 1)), odd.KEY, odd.key_info(odd.ED25519, None, point))
    forged = make(kind).signed(identity, sign=lambda _: point + bytes(32), certificates=[identity.der])
    refused(forged, trusting(), "malformed-certificate", tmp_path)


@pytest.mark.parametrize("case", ODD)
def test_X5_15_an_issuer_with_an_odd_key_is_refused(case: str, tmp_path: Path) -> None:
    middle = ca("Odd middle", issuer=root(), key=signer().key)
    below = leaf("Below odd", issuer=middle)
    bad = odd.with_field(odd.KEY, ODD[case], middle)
    accepted(make("seal").signed(below, certificates=[below.der, middle.der]), trusting())
    refused(make("seal").signed(below, certificates=[below.der, bad]), trusting(), "malformed-certificate", tmp_path)


@pytest.mark.parametrize("case", ODD)
def test_X5_15_a_timestamp_authority_with_an_odd_key_is_refused(case: str) -> None:
    bad = odd.with_field(odd.KEY, ODD[case], tsa.tsa(), tsa.tsa_root().key)
    policy = trusting(timestamp_anchors=(tsa.tsa_root().parsed,))
    found = judge(stamped(certificates=[bad]), policy)
    assert codes(found) == ["bad-timestamp"]
    assert found.primary is not None
    assert found.primary.evidence["reason"] == "malformed-certificate"


@pytest.mark.parametrize("role", ["anchor", "intermediates", "time"])
@pytest.mark.parametrize("case", ODD)
def test_X5_15_a_policy_names_no_certificate_with_an_odd_key(case: str, role: str, tmp_path: Path) -> None:
    """Nor can such a key sign a CRL: who signs a list is one of these certificates."""
    own = ca("Odd root", key=signer().key)
    bad = odd.with_field(odd.KEY, ODD[case], own, own.key)
    more = {"anchor": "", "intermediates": 'intermediates = ["odd.pem"]', "time": '[time]\nanchors = ["odd.pem"]'}
    for data, good in ((own.der, True), (bad, False)):
        path = policies.write(tmp_path, own)
        text = path.read_text()
        head, tail = text.split("\n\n", 1)
        path.write_text(f"{head}\n{more[role]}\n{tail}" if role == "intermediates" else f"{text}\n{more[role]}\n")
        (tmp_path / ("root.pem" if role == "anchor" else "odd.pem")).write_bytes(cms.pem(data, "CERTIFICATE"))
        if good:
            policy_sources.load(str(path))
        else:
            with pytest.raises(PolicyError):
                policy_sources.load(str(path))


# X5-16: times that are none of the calendar, or not in the form of their year.


@kinds
@pytest.mark.parametrize(
    "start",
    [
        der.encode(der.GENERALIZED_TIME, b"00000101000000Z"),
        der.encode(der.UTC_TIME, b"240231000000Z"),
        der.encode(der.UTC_TIME, b"161231235960Z"),
        der.encode(der.UTC_TIME, b"2401010000Z"),
        der.encode(der.UTC_TIME, b"240101000000+0000"),
    ],
)
def test_X5_16_a_validity_is_in_the_form_of_its_year(start: bytes, kind: Kind, tmp_path: Path) -> None:
    good = odd.with_field(odd.VALIDITY, odd.validity(der.encode(der.UTC_TIME, b"240101000000Z")))
    accepted(make(kind).signed(signer(), certificates=[good]), trusting())
    bad = odd.with_field(odd.VALIDITY, odd.validity(start))
    refused(make(kind).signed(signer(), certificates=[bad]), trusting(), "malformed-certificate", tmp_path)


# X5-12: how many timestamps a signer may carry.


def test_X5_12_the_number_of_timestamps_is_limited_under_every_policy() -> None:
    bundle = make("seal")

    def with_tokens(count: int) -> Bundle:
        tokens = [lambda one, hours=hours: tsa.token(one, NOW - timedelta(hours=hours)) for hours in range(count)]
        return bundle.with_block(tsa.stamped(bundle.manifest_bytes, signer(), *tokens))

    for policy in (trusting(), trusting(timestamp_anchors=(tsa.tsa_root().parsed,))):
        accepted(with_tokens(limits.TIMESTAMPS_PER_SIGNER), policy)
        found = judge(with_tokens(limits.TIMESTAMPS_PER_SIGNER + 1), policy)
        assert codes(found) == ["bad-timestamp"]
        assert found.primary is not None
        assert found.primary.evidence["reason"] == "limit-exceeded"
