"""What RFC 5280 allows and modseal refuses: the published list (docs/refusals.md is written from it).

Each refusal is a feature that no code signing chain needs, and that a verifier can get wrong in the
dangerous direction. None of them can be switched off. Tests hold the list against NIST's PKITS: nothing
that a conforming verifier accepts is refused for any other reason.
"""

from __future__ import annotations

from typing import NamedTuple

from modseal.codes import CodeName


class Refusal(NamedTuple):
    """One feature: what is refused, the codes that say so, why, and the PKITS tests that must pass elsewhere."""

    id: str
    feature: str
    codes: tuple[CodeName, ...]
    reason: str
    pkits: tuple[str, ...] = ()


REFUSALS = (
    Refusal(
        "dsa",
        "DSA keys and signatures, and parameters inherited from an issuer's key",
        ("algorithm-not-allowed", "unsupported-algorithm", "malformed-certificate"),
        "FIPS 186-5 withdrew DSA for signing, PKITS uses it with SHA-1, and a key that needs another certificate to "
        "be complete has no meaning of its own.",
        ("4.1.4", "4.1.5"),
    ),
    Refusal(
        "weak-algorithms",
        "MD5, SHA-1, RSA below 2,048 bits, curves other than P-256, P-384 and P-521",
        ("algorithm-not-allowed", "weak-key", "unsupported-algorithm"),
        "Forged in practice, or too close to it.",
    ),
    Refusal(
        "odd-keys",
        "Elliptic curves that are not named by an identifier, points that are not uncompressed, RSA keys without the "
        "NULL of their parameters or for RSA-PSS alone, Ed25519 keys of small order or in a second encoding",
        ("malformed-certificate", "unsupported-algorithm"),
        "A key has one form, so that it can be compared. Parameters of one's own choosing forge keys (CVE-2020-0601), "
        "and under a point of small order anyone can sign.",
    ),
    Refusal(
        "odd-times",
        "Times that are none of the calendar, in certificates, CRLs and signing times; signing times through 2049 as "
        "GeneralizedTime",
        ("malformed-certificate", "crl-invalid", "malformed-signature"),
        "RFC 5652 section 11.3 wants UTCTime there. In certificates and CRLs both forms are read, as RFC 5280 section "
        "4.1.2.5 demands of readers.",
    ),
    Refusal(
        "encoded-defaults",
        "Default values that are encoded: version 1, critical FALSE, cA FALSE, SHA-256 in ESSCertIDv2; empty lists of "
        "extensions; extensions in a certificate that is not of version 3",
        ("malformed-certificate", "crl-invalid", "malformed-signature"),
        "DER forbids them (X.690 section 11.5): a second encoding of the same statement.",
    ),
    Refusal(
        "delta-crls",
        "Delta CRLs, even beside a complete one",
        ("crl-invalid", "revoked"),
        "A base list without its delta misses the newest revocations, and a delta can take an entry back. An offline "
        "site carries the complete list instead.",
        ("4.15.2", "4.15.5", "4.15.7", "4.15.8"),
    ),
    Refusal(
        "indirect-crls",
        "CRLs that another party signs for the certificates' issuer (indirect CRLs, cRLIssuer)",
        ("crl-invalid", "crl-wrong-issuer", "revocation-unknown"),
        "Entries then inherit their issuer from earlier entries, so one entry misread changes the meaning of all "
        "after it; and the CA's word is taken from a third party.",
        ("4.14.22", "4.14.24", "4.14.25", "4.14.28", "4.14.29", "4.14.30", "4.14.33"),
    ),
    Refusal(
        "partial-reasons",
        "CRLs for some reasons alone (onlySomeReasons)",
        ("crl-invalid",),
        "A list for one reason looks like a clean bill for all of them. No code signing CA publishes such lists.",
        ("4.14.18", "4.14.19"),
    ),
    Refusal(
        "self-vouching-crl-keys",
        "A CRL whose signer's own standing is known from that CRL alone",
        ("crl-bad-signature",),
        "A thief of the CA's new key could sign the very list that should revoke it.",
        ("4.6.17", "4.12.9"),
    ),
    Refusal(
        "unknown-critical-extensions",
        "Critical extensions outside the judged ones: in certificates, CRLs and CRL entries. Also critical key "
        "identifiers and distribution points, which RFC 5280 wants not critical",
        ("unsupported-extension", "crl-invalid"),
        "RFC 5280 demands it: a verifier that does not understand a critical extension must reject the certificate.",
    ),
    Refusal(
        "other-name-forms",
        "Name constraints that meet a name of another form than directory, e-mail, DNS or URI; with a minimum or a "
        "maximum; or that meet a name which is not in its one plain form (a wildcard, an address for a host, text that "
        "is neither PrintableString, UTF8String nor IA5String)",
        ("unsupported-extension", "malformed-certificate"),
        "What cannot be compared cannot be shown to be inside.",
    ),
    Refusal(
        "misplaced-name-constraints",
        "Name constraints in a certificate that is no CA's, or that constrain nothing",
        ("invalid-chain", "malformed-certificate"),
        "RFC 5280 forbids CAs to issue either; no verifier does what was meant.",
    ),
    Refusal(
        "ca-purposes",
        "A CA that carries an extended key usage without codeSigning, and a signer with anyExtendedKeyUsage alone",
        ("wrong-purpose",),
        "RFC 5280 leaves it open; browsers and Authenticode let a CA's extended key usage limit what is below it. A "
        "CA for mail or TLS must not be able to sign code.",
    ),
    Refusal(
        "anchor-as-certificate",
        "An anchor that has expired, is not a CA, or has an extension that refuses it",
        ("expired", "invalid-chain", "unsupported-extension", "wrong-purpose"),
        "RFC 5280 takes an anchor as name and key alone. Its certificate says more, and we hold it to that.",
    ),
    Refusal(
        "untimely-crls",
        "CRLs without a next update, past it, or issued after the time of verification",
        ("crl-stale", "crl-not-yet-valid"),
        "A list without an end is never known to be current, and one from the future means that a clock is wrong.",
    ),
    Refusal(
        "long-paths",
        "Paths of more than 8 certificates; searches over more than 64 signatures or 512 steps; more than 128 "
        "policies in one certificate",
        ("no-path", "limit-exceeded", "malformed-certificate"),
        "One hostile file must not cost more than a moment.",
    ),
)
