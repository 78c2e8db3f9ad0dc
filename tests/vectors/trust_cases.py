"""Vectors of steps 1 to 6 and 9: signatures, times, chains, revocation, levels, restrictions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from cryptography import x509

from builders import cms, tsa
from builders.bundles import Bundle
from builders.pki import Identity
from modseal.format import der, rules
from modseal.format.cms import MESSAGE_DIGEST
from modseal.format.level import Level
from vectors.keys import AT, BELOW, ROOT, RSA, SECOND, SIGNER, TSA, leaf, signing
from vectors.material import (
    SEAL,
    VIB,
    Vector,
    good,
    seal,
    vib,
)


def signatures() -> Iterator[Vector]:
    data = SEAL.manifest_bytes
    yield seal("unsigned", SEAL.unsigned(), "unsigned", "An empty signature member.")
    yield seal("signature-no-pem", SEAL.with_signature(b"x\n"), "malformed-signature", "No PEM.")
    yield seal(
        "signature-text",
        SEAL.with_signature(b"# text\n" + SEAL.signature),
        "malformed-signature",
        "Text before the block.",
    )
    yield seal(
        "signature-crlf",
        SEAL.with_signature(SEAL.signature.replace(b"\n", b"\r\n")),
        "malformed-signature",
        "Lines that end with CR LF.",
    )
    ber = b"\x30\x80" + cms.block(data, SIGNER)[4:] + b"\0\0"
    yield seal("signature-ber", SEAL.with_block(ber), "malformed-signature", "An indefinite length.")
    yield seal(
        "signature-content",
        SEAL.signed(SIGNER, content=data),
        "malformed-signature",
        "The content is inside of the block.",
    )
    yield seal(
        "signature-no-attributes",
        SEAL.signed(SIGNER, signed_attributes=False),
        "malformed-signature",
        "No signed attributes.",
    )
    yield seal(
        "signature-no-digest",
        SEAL.signed(SIGNER, attributes=lambda good: cms.replaced(good, MESSAGE_DIGEST)),
        "malformed-signature",
        "No message digest.",
    )
    yield seal(
        "signature-no-signers",
        SEAL.signed(SIGNER, signers=[], certificates=[SIGNER.der]),
        "no-signers",
        "A block without signers.",
    )
    other = SEAL.with_member("manifest.json", data=good(summary="Another").manifest_bytes)
    yield seal("signature-of-another", other, "content-digest-mismatch", "A signature of another manifest.")
    yield seal(
        "signature-damaged",
        SEAL.signed(SIGNER, signature=lambda good: bytes([good[0] ^ 1]) + good[1:]),
        "bad-signature",
        "A bit of the signature is changed.",
    )
    yield seal(
        "signature-no-certificate",
        SEAL.signed(SIGNER, certificates=[SECOND.der]),
        "signer-certificate-missing",
        "The signer's certificate is not there.",
    )
    yield seal("signature-sha1", SEAL.signed(RSA, digest="sha1"), "algorithm-not-allowed", "SHA-1.")
    yield seal(
        "signature-mismatch",
        SEAL.signed(SIGNER, signature_algorithm=cms.algorithm(cms.ECDSA_SHA256)),
        "algorithm-mismatch",
        "An ECDSA algorithm for an Ed25519 key.",
    )
    yield seal(
        "signature-unknown-algorithm",
        SEAL.signed(SIGNER, signature_algorithm=cms.algorithm(cms.UNKNOWN)),
        "unsupported-algorithm",
        "An unknown algorithm alone.",
        undecided=True,
    )
    bad = SEAL.signed(SIGNER)
    damaged = cms.pem(cms.block(data, SECOND, signature=lambda good: bytes(len(good))))
    yield seal(
        "signature-damaged-beside-good",
        bad.with_signature(bad.signature + damaged),
        "bad-signature",
        "A damaged block beside a good one.",
    )
    expected = SEAL.with_manifest(expected_signers=(rules.key_name(SECOND.parsed.key_der),))
    yield seal(
        "expected-signer-missing", expected, "expected-signer-missing", "The manifest expects another signer too."
    )
    yield seal("expected-signer", expected.signed(SIGNER, SECOND), None, "The expected signer has signed.")
    yield vib("vib-unsigned", VIB.unsigned(), "unsigned", "An empty signature member.")
    yield vib(
        "vib-unknown-element",
        VIB.with_manifest_bytes(VIB.manifest_bytes.replace(b"<overlay>", b"<solution>esx</solution><overlay>")),
        "unsupported-descriptor",
        "A descriptor with an element that nobody has described.",
        undecided=True,
    )
    yield vib("vib-not-xml", VIB.with_manifest_bytes(b"{}"), "bad-manifest", "A descriptor that is not XML.")


def times() -> Iterator[Vector]:
    old = leaf("Vector expired signer", ROOT, end=AT - timedelta(days=10))
    before = AT - timedelta(days=20)

    def stamp(signature: bytes, time: datetime) -> bytes:
        return tsa.token(signature, time, TSA, signer={"sign": signing(TSA)})

    def stamped(identity: Identity, *tokens: Callable[[bytes], bytes]) -> Bundle:
        return SEAL.with_block(tsa.stamped(SEAL.manifest_bytes, identity, *tokens))

    yield seal(
        "timestamp",
        stamped(old, lambda s: stamp(s, before)),
        None,
        "The certificate has expired, and a timestamp is from before.",
        "timestamps",
    )
    yield seal("timestamp-missing", SEAL, "untrusted-time", "The policy wants a timestamp.", "timestamp-required")
    yield seal(
        "timestamp-of-another",
        stamped(SIGNER, lambda s: stamp(s + b"x", before)),
        "bad-timestamp",
        "A timestamp of another signature.",
        "timestamps",
    )
    yield seal(
        "timestamp-from-the-future",
        stamped(SIGNER, lambda s: stamp(s, AT + timedelta(days=1))),
        "untrusted-time",
        "A timestamp from after the time of verification.",
        "timestamps",
    )
    yield seal(
        "timestamp-ignored", stamped(SIGNER, lambda s: stamp(s, before)), None, "The policy names no timestamp anchor."
    )


def chains() -> Iterator[Vector]:
    yield seal("no-path", SEAL, "no-path", "Nobody knows the signer.", "other-root")
    yield seal(
        "no-anchors",
        SEAL,
        "no-anchors",
        "The policy has no anchor, because it is for unsigned modules alone.",
        "unsigned",
    )
    yield seal(
        "expired",
        SEAL.signed(leaf("Vector expired signer", ROOT, end=AT - timedelta(days=10))),
        "expired",
        "The certificate has expired.",
    )
    yield seal(
        "not-yet-valid",
        SEAL.signed(leaf("Vector early signer", ROOT, start=AT + timedelta(days=1))),
        "not-yet-valid",
        "The certificate is not valid yet.",
    )
    no_ca = leaf("Vector issuing leaf", ROOT)
    yield seal(
        "invalid-chain",
        SEAL.signed(leaf("Vector signer below a leaf", no_ca).with_chain(no_ca)),
        "invalid-chain",
        "The issuer is not a CA.",
    )
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    yield seal(
        "unsupported-extension",
        SEAL.signed(leaf("Vector odd signer", ROOT, extensions=[(odd, True)])),
        "unsupported-extension",
        "An unknown critical extension.",
    )
    yield seal(
        "wrong-purpose",
        SEAL.signed(leaf("Vector server", ROOT, purposes=[x509.ExtendedKeyUsageOID.SERVER_AUTH])),
        "wrong-purpose",
        "A certificate for servers.",
    )
    yield seal("weak-key", SEAL.signed(RSA), "weak-key", "An RSA key below the policy's minimum.", "long-rsa")
    yield seal(
        "algorithm-not-allowed",
        SEAL,
        "algorithm-not-allowed",
        "Ed25519, which the policy does not allow.",
        "no-ed25519",
    )
    yield seal(
        "malformed-certificate",
        SEAL.signed(SIGNER, certificates=[der.encode(der.SEQUENCE, b"\x05\x00")]),
        "malformed-certificate",
        "A certificate that is none.",
    )


def revocations() -> Iterator[Vector]:
    yield seal("revoked", SEAL, "revoked", "The CRL lists the signer.", "crl-revoked")
    for policy, code, about in (
        ("crl-none", "revocation-unknown", "A CRL is required and there is none."),
        ("crl-stale", "crl-stale", "The CRL is past its next update."),
        ("crl-early", "crl-not-yet-valid", "The CRL is from after the time of verification."),
        ("crl-other", "crl-wrong-issuer", "The CRL is of another issuer."),
        ("crl-delta", "crl-invalid", "A delta CRL."),
    ):
        yield seal(policy, SEAL, code, about, policy, undecided=True)
    about = "The CRL is in the name of the issuer, which the block brings, and by another key."
    yield seal("crl-forged", SEAL.signed(BELOW), "crl-bad-signature", about, "crl-forged", undecided=True)


def levels() -> Iterator[Vector]:
    certified = SEAL.with_manifest(claimed_level=Level.CERTIFIED)
    yield seal(
        "level-not-granted",
        certified,
        "level-not-granted",
        "The anchor grants partner, the manifest claims certified.",
        "partner",
    )
    yield seal("level-below-minimum", SEAL, "level-below-minimum", "The policy wants accepted.", "accepted-only")
    yield seal(
        "vendor-out-of-scope", SEAL, "vendor-out-of-scope", "The anchor may not speak for this vendor.", "vendors"
    )
    yield seal("name-out-of-scope", SEAL, "name-out-of-scope", "The anchor may not speak for this name.", "names")
    yield seal(
        "too-few-signers",
        SEAL.signed(SIGNER, SIGNER),
        "too-few-signers",
        "One signer twice, and two are asked for.",
        "two-signers",
    )
    yield seal(
        "required-signer-missing", SEAL, "required-signer-missing", "Another signer is asked for.", "required-signer"
    )


def restrictions() -> Iterator[Vector]:
    yield seal("denied", SEAL, "denied", "The policy denies the name.", "deny-name")
    yield seal("version-below-floor", SEAL, "version-below-floor", "1.2.3-4 is older than 1.2.3-10.", "floor")
    yield seal("recalled", SEAL, "recalled", "A recall that counts withdraws the module.", "recall-good")
    for name, policy, about in (
        ("recall-expired", "recall-old", "The recall has expired."),
        ("recall-rollback", "recall-lowest", "The policy takes no older version than 2 of the recall."),
        ("recall-not-trusted", "recall-strange", "No anchor vouches for the signer of the recall."),
    ):
        yield seal(name, SEAL, name, about, policy, undecided=True)
    yield seal("attachment-missing", SEAL, "attachment-missing", "The policy asks for an attachment.", "attachment")
