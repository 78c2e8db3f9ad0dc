"""Who and what is denied stays denied, however it is encoded."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.bundles import KINDS, Bundle, accepted, codes, judge, make, refused
from builders.cms import RSA_ENCRYPTION, RSA_PSS, pem, sequence, sign_raw
from builders.cms import algorithm as make_algorithm
from builders.pki import NOW, Identity, ca, crl, leaf, new_key, root, signer
from builders.policies import anchor, pin, trusting
from builders.reencode import REENCODERS, accepted_in, beside, mirrored_certificate
from builders.tsa import authority, stamped, token, tsa, tsa_root
from modseal.bundle.open import OpenBundle
from modseal.errors import FormatError
from modseal.format import der, rules
from modseal.format.der import Reader
from modseal.format.level import Level
from modseal.format.manifest import Kind
from modseal.format.source import BytesSource
from modseal.pki.algorithms import ALGORITHMS, verify
from modseal.pki.certificate import Certificate
from modseal.pki.crl import Crl
from modseal.pki.revocation import RevocationRules
from modseal.trust.deny import Deny, fingerprints
from modseal.trust.examination import Verdict

kinds = pytest.mark.parametrize("kind", KINDS)
SIGNERS = ("p256", "rsa", "ed25519")
OTHER = signer("p256", 7)


def key_of(identity: Identity) -> str:
    return rules.key_name(identity.parsed.key_der)


def denials(bundle: Bundle, identity: Identity) -> dict[str, Deny]:
    """Every way to deny a bundle or its signer that no re-encoding may get around."""
    return {
        "fingerprint": Deny(signers=frozenset({identity.fingerprint})),
        "key": Deny(keys=frozenset({key_of(identity)})),
        "certificate": Deny(certificates=(identity.parsed,)),
        "key of the CA": Deny(keys=frozenset({key_of(root())})),
        "manifest": Deny(digests=frozenset({hashlib.sha256(bundle.manifest_bytes).hexdigest()})),
        "payload": Deny(digests=frozenset({hashlib.sha256(bundle.members[2].data).hexdigest()})),
    }


DENIALS = tuple(denials(make(), signer()))


@functools.cache
def chained(kind: str = "p256") -> Identity:
    """A signer with a CA between it and the root, both embedded."""
    middle = ca("Middle", issuer=root(), key=new_key("p256", 61))
    return leaf(f"Below {kind}", issuer=middle, key=new_key(kind, 62)).with_chain(middle, root())


def rich(kind: Kind, identity: Identity) -> Bundle:
    """A good bundle in which there is something to change: a chain, a timestamp, and a second signer."""
    good = make(kind)
    first = stamped(good.manifest_bytes, identity, token)
    return good.with_signature(pem(first) + make(kind, OTHER).signature)


@pytest.mark.parametrize("name", REENCODERS)
@pytest.mark.parametrize("denial", DENIALS)
@kinds
def test_no_reencoding_gets_around_a_denial(kind: Kind, denial: str, name: str) -> None:
    good = rich(kind, chained())
    changed = REENCODERS[name](good)
    denied = trusting(deny=denials(good, chained())[denial])
    assert changed.data != good.data
    if name in accepted_in(kind):
        accepted(changed, trusting())
        assert codes(judge(changed, denied)) == ["denied"]
    else:
        assert codes(judge(changed, trusting()))[0] == "malformed-signature"
        assert judge(changed, denied).verdict is Verdict.REJECTED


@settings(max_examples=100)
@given(
    kind=st.sampled_from(KINDS),
    key=st.sampled_from(SIGNERS),
    denial=st.sampled_from(DENIALS),
    sealed=st.booleans(),
    names=st.lists(st.sampled_from([*REENCODERS, "another signer"]), max_size=5),
)
def test_no_row_of_reencodings_turns_denied_into_accepted(
    kind: Kind, key: str, denial: str, sealed: bool, names: Sequence[str]
) -> None:
    identity = chained(key)
    bundle = make(kind).sealed(identity) if sealed else rich(kind, identity)
    policy = trusting(deny=denials(bundle, identity)[denial])
    assert judge(bundle, policy).verdict is Verdict.REJECTED
    for name in names:
        bundle = (REENCODERS | {"another signer": beside(OTHER)})[name](bundle)
        assert judge(bundle, policy).verdict is not Verdict.ACCEPTED, name


# Certificates.


@pytest.mark.parametrize("curve", ["p256", "p384", "p521"])
def test_a_certificate_of_an_ecdsa_issuer_is_known_by_both_of_its_encodings(curve: str) -> None:
    authority = ca("Elliptic", key=new_key(curve, 50))
    one = leaf(issuer=authority)
    twin = Certificate.parse(mirrored_certificate(one.der, authority.key.curve.name))
    twin.verify_issued_by(authority.parsed)
    assert one.fingerprint != twin.fingerprint
    assert {one.fingerprint, twin.fingerprint} <= fingerprints(one.parsed) & fingerprints(twin)


@pytest.mark.parametrize("kind", ["rsa", "ed25519", "ml-dsa-44"])
def test_a_certificate_of_another_issuer_has_one_encoding(kind: str) -> None:
    one = leaf(issuer=ca("Other", key=new_key(kind, 51)))
    assert fingerprints(one.parsed) == {one.fingerprint}


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_other_values_of_a_signature_do_not_verify(kind: str) -> None:
    """RSA: the value and the modulus; Ed25519: the scalar and the group's order. A lax verifier takes both."""
    key, data = new_key(kind, 51), b"to be signed"
    signature = sign_raw(key, data)
    if kind == "rsa":
        value = int.from_bytes(signature) + key.public_key().public_numbers().n
        others = [b"\0" + signature, value.to_bytes(257), (value % 2**2048).to_bytes(256), signature[:-1]]
    else:
        scalar = int.from_bytes(signature[32:], "little") + 2**252 + 27742317777372353535851937790883648493
        others = [signature[:32] + scalar.to_bytes(32, "little"), signature + b"\0"]
    row = ALGORITHMS["rsa-pkcs1-sha256" if kind == "rsa" else "ed25519"]
    verify(row, key.public_key(), signature, data)
    for other in others:
        with pytest.raises(FormatError):
            verify(row, key.public_key(), other, data)


def spelled(identity: Identity, spki: bytes) -> Identity:
    """A certificate of the same issuer with its public key spelled in another way."""
    reader = Reader(identity.der).enter()
    body, algorithm = reader.next().raw, reader.next().raw
    own = identity.parsed.key_der
    assert body.count(own) == 1
    inner = Reader(body).enter()
    changed = der.encode(der.SEQUENCE, *(part if part != own else spki for part in every(inner)))
    bits = der.encode(der.BIT_STRING, b"\0" + sign_raw(root().key, changed))
    data = der.encode(der.SEQUENCE, changed, algorithm, bits)
    return Identity(x509.load_der_x509_certificate(data), identity.key)


def every(reader: Reader) -> Iterator[bytes]:
    while reader.more():
        yield reader.next().raw


def spellings(kind: str) -> Iterator[bytes]:
    """The SubjectPublicKeyInfo of a signer's key, in every other form that the library reads."""
    key = signer(kind).key.public_key()
    if kind == "rsa":
        bits = der.encode(der.BIT_STRING, b"\0" + key.public_bytes(Encoding.DER, PublicFormat.PKCS1))
        for algorithm in (make_algorithm(RSA_ENCRYPTION), make_algorithm(RSA_PSS)):
            yield der.encode(der.SEQUENCE, algorithm, bits)
    else:
        full = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        short = key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        curve = der.encode_oid("1.2.840.10045.3.1.7")
        for point in (short, bytes([6 + (full[-1] & 1)]) + full[1:]):
            algorithm = make_algorithm("1.2.840.10045.2.1", curve)
            yield der.encode(der.SEQUENCE, algorithm, der.encode(der.BIT_STRING, b"\0" + point))


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_a_key_has_one_name_however_a_certificate_spells_it(kind: str) -> None:
    """Compressed points, RSA keys under the other identifier: no second spelling is read, so none evades a list."""
    own = signer(kind)
    assert spelled(own, own.parsed.key_der).parsed.key_der == own.parsed.key_der
    for spki in spellings(kind):
        other = spelled(own, spki)
        assert spki in other.der
        with pytest.raises(FormatError) as caught:
            Certificate.parse(other.der)
        assert caught.value.failure.code in ("malformed-certificate", "unsupported-algorithm")
        assert judge(make("vib", other), trusting()).verdict is not Verdict.ACCEPTED
        assert judge(make("vib", own, other), trusting(minimum_signers=2)).verdict is not Verdict.ACCEPTED


# What each form of an entry denies.


def again(identity: Identity) -> Identity:
    """Another certificate of the same CA for the same key."""
    return leaf("Renewed", key=identity.key)


@kinds
@pytest.mark.parametrize("form", ["key", "certificate"])
def test_a_denied_key_is_denied_in_every_certificate(kind: Kind, form: str, tmp_path: Path) -> None:
    bundle = make(kind, again(signer()))
    refused(bundle, trusting(deny=denials(bundle, signer())[form]), "denied", tmp_path)


@kinds
def test_a_fingerprint_alone_denies_one_certificate_and_no_key(kind: Kind) -> None:
    """The digest of a certificate does not tell its key. docs/policy.md and `policy check` say so."""
    deny = denials(make(kind), signer())["fingerprint"]
    assert deny.signers_without_key == {signer().fingerprint}
    accepted(make(kind, again(signer())), trusting(deny=deny))


@kinds
def test_a_denied_key_on_the_path_denies_all_below_it(kind: Kind, tmp_path: Path) -> None:
    middle = ca("Middle", issuer=root(), key=new_key("p256", 61))
    below = leaf("Below", issuer=middle, key=new_key("p256", 62)).with_chain(middle)
    bundle = make(kind, below)
    accepted(bundle, trusting())
    for denied in (middle, root()):
        for deny in (Deny(keys=frozenset({key_of(denied)})), Deny(signers=frozenset({denied.fingerprint}))):
            found = refused(bundle, trusting(deny=deny), "denied", tmp_path)
            assert found.primary is not None
            assert "is above the signer" in found.primary.detail
    renewed = ca("Middle", issuer=root(), key=middle.key)
    moved = make(kind, below.with_chain(renewed))
    accepted(moved, trusting())
    refused(moved, trusting(deny=Deny(certificates=(middle.parsed,))), "denied", tmp_path)
    accepted(bundle, trusting(pin(below), deny=Deny(keys=frozenset({key_of(middle)}))))


@kinds
def test_a_path_around_a_denied_ca_is_taken_whichever_stands_first(kind: Kind) -> None:
    middle = ca("Middle", issuer=root(), key=new_key("p256", 61))
    cross = ca("Middle", issuer=root(3), key=middle.key)
    below = leaf("Below", issuer=middle, key=new_key("p256", 62))
    for chain in ((middle, cross), (cross, middle)):
        bundle = make(kind, below.with_chain(*chain))
        for denied in (root(), root(3)):
            deny = Deny(keys=frozenset({key_of(denied)}))
            accepted(bundle, trusting(root(), root(3), deny=deny))
        both = Deny(keys=frozenset({key_of(root()), key_of(root(3))}))
        assert codes(judge(bundle, trusting(root(), root(3), deny=both))) == ["denied"]


@kinds
def test_a_denied_signer_taints_a_bundle_though_nobody_trusts_it(kind: Kind, tmp_path: Path) -> None:
    stranger = leaf("Stranger", issuer=root(9))
    bundle = make(kind, signer(), stranger)
    accepted(bundle, trusting())
    found = refused(bundle, trusting(deny=Deny(keys=frozenset({key_of(stranger)}))), "denied", tmp_path)
    assert found.primary is not None
    assert found.primary.evidence == {
        "signer": stranger.fingerprint,
        "subject": stranger.parsed.subject,
        "block": 2,
        "denied": key_of(stranger),
    }


def test_a_denied_timestamp_authority_proves_no_time(tmp_path: Path) -> None:
    good = make("seal")
    bundle = good.with_block(stamped(good.manifest_bytes, signer(), token))
    policy = trusting(timestamp_anchors=(tsa_root().parsed,))
    accepted(bundle, policy)
    for denied in (tsa_root(), tsa()):
        deny = Deny(keys=frozenset({key_of(denied)}))
        found = refused(bundle, replace(policy, deny=deny), "bad-timestamp", tmp_path)
        assert found.primary is not None
        assert found.primary.evidence["reason"] == "denied"


@pytest.mark.parametrize("number", [0, 1])
def test_a_path_around_a_denied_ca_is_taken_for_a_timestamp_too(number: int) -> None:
    twins = [ca("TSA CA", issuer=tsa_root(), key=new_key("p256", 69), serial=n) for n in (1, 2)]
    by = authority("Below twins", issuer=twins[0])
    good = make("seal")
    certificates = sorted([by.der, *(one.der for one in twins)])
    made = good.with_block(
        stamped(good.manifest_bytes, signer(), lambda signature: token(signature, by=by, certificates=certificates))
    )
    policy = trusting(timestamp_anchors=(tsa_root().parsed,), deny=Deny(signers=frozenset({twins[number].fingerprint})))
    (judged,) = accepted(made, policy).judgements
    assert judged.proven_time == NOW


def test_a_refusal_names_the_authority_that_is_denied() -> None:
    good = make("seal")
    bundle = good.with_block(stamped(good.manifest_bytes, signer(), token))
    deny = Deny(keys=frozenset({key_of(tsa_root())}))
    primary = judge(bundle, trusting(timestamp_anchors=(tsa_root().parsed,), deny=deny)).primary
    assert primary is not None
    assert primary.detail.endswith("the deny list has its authority, or a CA above it")
    assert primary.evidence["authority"] == tsa().parsed.subject


def test_a_denial_says_whom_it_is_about() -> None:
    (own,) = Deny(keys=frozenset({key_of(signer())})).failures([signer().parsed, root().parsed])
    assert own.detail == f"the deny list has the signer {signer().parsed.subject} ({key_of(signer())})"
    (above,) = Deny(keys=frozenset({key_of(root())})).failures([signer().parsed, root().parsed])
    assert above.detail == (
        f"the deny list has {root().parsed.subject}, which is above the signer {signer().parsed.subject} "
        f"({key_of(root())})"
    )


@pytest.mark.parametrize(("r", "s", "twins"), [(1, 1, 3), (0, 1, 0), (1, 0, 0), (2, 5, 3)])
def test_only_a_value_that_could_verify_has_twins(r: int, s: int, twins: int) -> None:
    """SEC 1 section 4.1.4: both numbers are from 1 to n - 1; there are three curves."""
    value = sequence(der.encode_integer(r), der.encode_integer(s))
    one = replace(signer().parsed, signature=value)
    assert len(fingerprints(one)) == 1 + twins


@pytest.mark.parametrize(("more", "twins"), [(-1, 3), (0, 2), (1, 2)])
def test_a_value_beyond_the_order_of_a_curve_is_of_another_curve(more: int, twins: int) -> None:
    value = sequence(der.encode_integer(2), der.encode_integer(ec.SECP256R1().group_order + more))
    assert len(fingerprints(replace(signer().parsed, signature=value))) == 1 + twins


def test_a_mirrored_pin_is_nobody(tmp_path: Path) -> None:
    """A pin is one exact certificate: its twin is not taken for it, nor for a required signer."""
    changed = REENCODERS["mirrored certificates"](make("vib"))
    refused(changed, trusting(pin(signer())), "no-path", tmp_path)
    required = trusting(required_signers=(signer().fingerprint,))
    accepted(make("vib"), required)
    refused(changed, required, "required-signer-missing", tmp_path)


@kinds
def test_the_twin_of_a_pinned_signer_is_not_taken_under_a_ca(kind: Kind, tmp_path: Path) -> None:
    """Pins say all that a signer may do. Its twin, which anybody can make, is no other signer."""
    policy = trusting(anchor(root(), Level.CERTIFIED, "CA"), pin(signer(), Level.COMMUNITY, "No more than this"))
    claimed = make(kind, claimed_level=Level.CERTIFIED)
    refused(claimed, policy, "level-not-granted", tmp_path)
    refused(REENCODERS["mirrored certificates"](claimed), policy, "no-path", tmp_path)
    accepted(make(kind, OTHER, claimed_level=Level.CERTIFIED), policy)


@kinds
def test_who_must_have_signed_has_not_where_the_way_there_is_denied(kind: Kind, tmp_path: Path) -> None:
    """A path around a denied CA is taken, and stands for the anchor that it leads to alone."""
    first, second = (ca(f"Root {number}", key=new_key("p256", 63 + number)) for number in range(2))
    denied = ca("Denied", issuer=first, key=new_key("p256", 65))
    middle = ca("Middle", issuer=denied, key=new_key("p256", 66))
    around = ca("Middle", issuer=second, key=middle.key)
    bundle = make(kind, leaf("Below", issuer=middle, key=new_key("p256", 67)).with_chain(middle, denied, around))
    anchors = anchor(first, name="First"), anchor(second, name="Second")
    deny = Deny(keys=frozenset({key_of(denied)}))
    accepted(bundle, trusting(*anchors, required_signers=("First",)))
    accepted(bundle, trusting(*anchors, required_signers=("Second",), deny=deny))
    refused(bundle, trusting(*anchors, required_signers=("First",), deny=deny), "required-signer-missing", tmp_path)


def test_twins_are_one_signer_and_no_stranger_to_a_crl(tmp_path: Path) -> None:
    good = make("vib")
    both = good.with_signature(good.signature + REENCODERS["mirrored certificates"](good).signature)
    accepted(both, trusting())
    refused(both, trusting(minimum_signers=2), "too-few-signers", tmp_path)
    listed = Crl.parse(crl(root(), signer()).public_bytes(Encoding.DER), "crl")
    rules_of_site = RevocationRules((listed,))
    for name in ("mirrored certificates", "mirrored signers"):
        refused(REENCODERS[name](good), trusting(revocation=rules_of_site), "revoked", tmp_path)


# Digests.


@kinds
def test_a_digest_names_the_manifest_a_payload_or_the_file(kind: Kind, tmp_path: Path) -> None:
    bundle = make(kind)
    manifest, payload, whole = (
        hashlib.sha256(data).hexdigest() for data in (bundle.manifest_bytes, bundle.members[2].data, bundle.data)
    )
    for digest, told in ((manifest, "manifest"), (payload, f"payload '{bundle.members[2].name}'"), (whole, "file")):
        found = refused(bundle, trusting(deny=Deny(frozenset({digest}))), "denied", tmp_path)
        assert found.primary is not None
        assert f"the SHA-256 of its {told}" in found.primary.detail.replace("of the file", "of its file")
        assert (manifest in found.primary.detail) is (told == "file")


def test_who_denies_the_manifest_and_the_file_is_not_told_to_deny_the_manifest() -> None:
    bundle = make("seal")
    digests = {hashlib.sha256(data).hexdigest() for data in (bundle.manifest_bytes, bundle.data)}
    found = judge(bundle, trusting(deny=Deny(frozenset(digests))))
    assert [check.detail for check in found.checks if check.code] == [
        "the deny list has the SHA-256 of its manifest",
        "the deny list has the SHA-256 of the file",
    ]


def test_a_payload_is_denied_under_another_manifest(tmp_path: Path) -> None:
    bundle = make("seal")
    deny = Deny(frozenset({hashlib.sha256(bundle.members[2].data).hexdigest()}))
    refused(bundle.with_manifest(version="1.2.3-5"), trusting(deny=deny), "denied", tmp_path)
    for packed in ("tar+gzip", "tar+zstd"):
        other = make("seal", payload_type=packed, files={"opt": None, "opt/a": bytes(9_000_000)})
        accepted(other, trusting(deny=deny))
        own = Deny(frozenset({hashlib.sha256(other.members[2].data).hexdigest()}))
        refused(other, trusting(deny=own), "denied", tmp_path)


def test_no_payload_of_a_seal_is_hashed_as_a_whole_where_no_digest_is_denied() -> None:
    bundle = make("seal")
    opened = OpenBundle(BytesSource(bundle.data), "test bundle")
    payload, member = bundle.manifest.payloads[0], opened.members[2]
    assert opened.measure(payload, member, up_to=None, to_sink=True).digests == {}
    raw = opened.measure(payload, member, up_to=None, to_sink=True, raw=True).digests
    assert list(raw.values()) == [hashlib.sha256(bundle.members[2].data).digest()]


def test_every_encoding_of_a_denied_certificate_is_denied() -> None:
    deny = Deny(signers=frozenset({"0" * 64}), certificates=(signer().parsed,))
    assert deny.all_signers == {"0" * 64, *fingerprints(signer().parsed)}
