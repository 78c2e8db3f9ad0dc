"""The signature algorithms: one table of names, identifiers and how each is verified.

Known, allowed and supported are different things. The table has what modseal verifies; `BROKEN` has
what it recognises and never accepts; anything else is unsupported. A policy narrows the table.
"""

from __future__ import annotations

from typing import Any, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from modseal import limits
from modseal.errors import FormatError, is_foreign
from modseal.format import der
from modseal.format.cms import Algorithm, read_algorithm
from modseal.values import dataclass

Family = Literal["rsa-pkcs1", "rsa-pss", "ecdsa", "ed25519", "ml-dsa"]

RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
RSA_PSS = "1.2.840.113549.1.1.10"
_MGF1 = "1.2.840.113549.1.1.8"
NULL_PARAMETERS = b"\x05\x00"

_HASHES: dict[str, tuple[str, hashes.HashAlgorithm]] = {
    "sha256": ("2.16.840.1.101.3.4.2.1", hashes.SHA256()),
    "sha384": ("2.16.840.1.101.3.4.2.2", hashes.SHA384()),
    "sha512": ("2.16.840.1.101.3.4.2.3", hashes.SHA512()),
}
_HASH_BY_OID = {oid: name for name, (oid, _) in _HASHES.items()}
_RSA_WITH = {"1.2.840.113549.1.1.11": "sha256", "1.2.840.113549.1.1.12": "sha384", "1.2.840.113549.1.1.13": "sha512"}
_ECDSA_WITH = {"1.2.840.10045.4.3.2": "sha256", "1.2.840.10045.4.3.3": "sha384", "1.2.840.10045.4.3.4": "sha512"}
_ECDSA_OID = {name: oid for oid, name in _ECDSA_WITH.items()}
_CURVES = {"secp256r1": "p256", "secp384r1": "p384", "secp521r1": "p521"}
ED25519 = "1.3.101.112"
ML_DSA = {f"2.16.840.1.101.3.4.3.{17 + i}": f"ml-dsa-{n}" for i, n in enumerate((44, 65, 87))}

BROKEN = {
    "1.2.840.113549.2.5": "MD5",
    "1.3.14.3.2.26": "SHA-1",
    "1.2.840.113549.1.1.4": "MD5 with RSA",
    "1.2.840.113549.1.1.5": "SHA-1 with RSA",
    "1.2.840.10045.4.1": "ECDSA with SHA-1",
    "1.2.840.10040.4.3": "DSA with SHA-1",
}
"""Algorithms that are recognised and never accepted, by any policy (CMS-08)."""


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """One row: `signature_parameters` is raw DER, None where they must be absent."""

    name: str
    family: Family
    signature_oid: str
    signature_parameters: bytes | None
    digest_oid: str
    digest_name: str
    curve: str | None = None


def _pss_parameters(digest_oid: str, salt: int) -> bytes:
    """RSASSA-PSS-params (RFC 4055 section 3.1) with MGF1 over the same hash."""
    digest = der.encode(der.SEQUENCE, der.encode_oid(digest_oid), NULL_PARAMETERS)
    mask = der.encode(der.SEQUENCE, der.encode_oid(_MGF1), digest)
    return der.encode(
        der.SEQUENCE,
        der.encode(der.context(0), digest),
        der.encode(der.context(1), mask),
        der.encode(der.context(2), der.encode_integer(salt)),
    )


def _table() -> dict[str, SignatureAlgorithm]:
    rows: list[SignatureAlgorithm] = []
    for name, (oid, kind) in _HASHES.items():
        rows.append(SignatureAlgorithm(f"rsa-pkcs1-{name}", "rsa-pkcs1", RSA_ENCRYPTION, NULL_PARAMETERS, oid, name))
        pss = _pss_parameters(oid, kind.digest_size)
        rows.append(SignatureAlgorithm(f"rsa-pss-{name}", "rsa-pss", RSA_PSS, pss, oid, name))
        rows += [
            SignatureAlgorithm(f"ecdsa-{short}-{name}", "ecdsa", _ECDSA_OID[name], None, oid, name, curve)
            for curve, short in _CURVES.items()
        ]
    sha512 = _HASHES["sha512"][0]
    rows.append(SignatureAlgorithm("ed25519", "ed25519", ED25519, None, sha512, "sha512"))
    rows += [SignatureAlgorithm(name, "ml-dsa", oid, None, sha512, "sha512") for oid, name in ML_DSA.items()]
    return {row.name: row for row in rows}


ALGORITHMS = _table()
"""All algorithms that modseal verifies, by the name that a policy and a report use."""


def digest_name(algorithm: Algorithm) -> str:
    """Hashlib's name of a digest algorithm; its parameters must be absent or NULL (RFC 5754 section 2).

    Raises `FormatError`: algorithm-not-allowed for MD5 and SHA-1, unsupported-algorithm for others.
    """
    name = _HASH_BY_OID.get(algorithm.oid)
    if name is None:
        raise _unusable(algorithm.oid, "digest")
    if algorithm.parameters not in (None, NULL_PARAMETERS):
        raise FormatError("algorithm-mismatch", "the digest algorithm has parameters")
    return name


def identify(signature: Algorithm, digest: str | None, key: object) -> tuple[SignatureAlgorithm, int | None]:
    """The row for a signature algorithm with a key, and the PSS salt's length.

    `digest` is the digest named elsewhere (in a SignerInfo), which must agree; None for a certificate,
    whose signature algorithm says it alone. Raises `FormatError`: unsupported-algorithm,
    algorithm-not-allowed, algorithm-mismatch (SIG-11, CMS-14).
    """
    oid, parameters = signature.oid, signature.parameters
    salt: int | None = None
    allowed_parameters: tuple[bytes | None, ...] = (None,)
    if oid in _RSA_WITH or (oid == RSA_ENCRYPTION and digest):
        name = f"rsa-pkcs1-{_agreed(_RSA_WITH.get(oid), digest)}"
        allowed_parameters = (None, NULL_PARAMETERS)
    elif oid == RSA_PSS:
        pss_digest, salt = _read_pss(parameters)
        name = f"rsa-pss-{_agreed(pss_digest, digest)}"
        allowed_parameters = (parameters,)
    elif oid in _ECDSA_WITH:
        curve = curve_of(key) or "secp256r1"
        name = f"ecdsa-{_CURVES.get(curve, curve)}-{_agreed(_ECDSA_WITH[oid], digest)}"
    elif oid == ED25519 or oid in ML_DSA:
        name = ML_DSA.get(oid, "ed25519")
        _agreed("sha512", digest)  # RFC 8419 section 3.1, RFC 9882 section 3.3
    else:
        raise _unusable(oid, "signature")
    if name not in ALGORITHMS:
        raise FormatError("unsupported-algorithm", f"{name} is not supported", algorithm=name)
    if parameters not in allowed_parameters:
        raise FormatError("algorithm-mismatch", f"the parameters of {name} are not in their one form", algorithm=name)
    row = ALGORITHMS[name]
    if not _fits(row, key):
        raise FormatError("algorithm-mismatch", f"the key is not one for {name}", algorithm=name)
    return row, salt


class _Ecdsa(ec.ECDSA):
    """ECDSA to verify with. The library's own loads its ciphers, to learn whether it could sign without randomness."""

    algorithm: Any = None

    def __init__(self, kind: hashes.HashAlgorithm) -> None:
        self.algorithm = kind


_ECDSA = {name: _Ecdsa(kind) for name, (_, kind) in _HASHES.items()}


def verify(row: SignatureAlgorithm, key: Any, signature: bytes, data: bytes, salt: int | None = None) -> None:
    """Verify a signature over `data`; returns nothing.

    Raises `FormatError`: bad-signature, or unsupported-algorithm where the library lacks it.
    """
    kind = _HASHES[row.digest_name][1]
    try:
        if row.family == "rsa-pkcs1":
            key.verify(signature, data, padding.PKCS1v15(), kind)
        elif row.family == "rsa-pss":
            key.verify(signature, data, padding.PSS(padding.MGF1(kind), salt or kind.digest_size), kind)
        elif row.family == "ecdsa":
            key.verify(signature, data, _ECDSA[row.digest_name])
        else:
            key.verify(signature, data)
    except InvalidSignature:
        raise FormatError("bad-signature", f"the {row.name} signature does not verify", algorithm=row.name) from None
    except (UnsupportedAlgorithm, ValueError) as error:
        detail = f"{row.name} cannot be verified by this machine's library"
        raise FormatError("unsupported-algorithm", detail, algorithm=row.name) from error
    except BaseException as error:  # the library does not document what it raises for hostile keys
        if not is_foreign(error):
            raise
        detail = f"the {row.name} signature cannot be verified: {type(error).__name__}"
        raise FormatError("bad-signature", detail, algorithm=row.name) from error


def require_bounded(key: object) -> None:
    """Judge an RSA key before anything is verified with it: its sizes are what an operation costs.

    Raises `FormatError` (weak-key): a modulus over the limit, an exponent that is even, 1, or over its limit.
    """
    if not isinstance(key, rsa.RSAPublicKey):
        return
    exponent = key.public_numbers().e
    if key.key_size > limits.RSA_BITS:
        detail = f"an RSA key has {key.key_size} bits, {limits.RSA_BITS} are allowed"
        raise FormatError("weak-key", detail, bits=key.key_size)
    if exponent < 3 or not exponent & 1 or exponent.bit_length() > limits.RSA_EXPONENT_BITS:
        most = limits.RSA_EXPONENT_BITS
        raise FormatError("weak-key", f"an RSA key's exponent is not an odd number from 3 to 2^{most} - 1")


def curve_of(key: Any) -> str:
    """The name of an elliptic-curve key's curve; empty for other keys, which have none."""
    curve = getattr(key, "curve", None)
    return str(curve.name) if curve else ""


def key_bits(key: object) -> int:
    """The size of a key in bits; 0 for kinds that have only one size."""
    return int(getattr(key, "key_size", 0))


def _agreed(own: str | None, digest: str | None) -> str:
    if own and digest and own != digest:
        raise FormatError("algorithm-mismatch", f"the signature is over {own}, the digest algorithm is {digest}")
    return own or digest or ""


def _fits(row: SignatureAlgorithm, key: object) -> bool:
    if row.family in ("rsa-pkcs1", "rsa-pss"):
        return isinstance(key, rsa.RSAPublicKey)
    if row.family == "ecdsa":
        return curve_of(key) == row.curve
    if row.family == "ed25519":
        return isinstance(key, ed25519.Ed25519PublicKey)
    return type(key).__name__.lower().startswith(row.name.replace("-", ""))


def _unusable(oid: str, what: str) -> FormatError:
    if oid in BROKEN:
        return FormatError("algorithm-not-allowed", f"{BROKEN[oid]} is never accepted", algorithm=BROKEN[oid])
    return FormatError("unsupported-algorithm", f"the {what} algorithm {oid} is not supported", algorithm=oid)


def _read_pss(parameters: bytes | None) -> tuple[str, int]:
    """The hash and salt length of RSASSA-PSS-params, which must be explicit and use MGF1 with one hash."""
    if parameters is None:
        raise FormatError("algorithm-mismatch", "RSA-PSS without parameters")
    try:
        whole = der.Reader(parameters)
        body = whole.enter()
        hashing, masking, salting = (body.enter(der.context(number)) for number in range(3))
        trailer = body.optional(der.context(3))
        digest = digest_name(read_algorithm(hashing))
        mask = masking.enter()
        same_mask = mask.oid() == _MGF1 and digest_name(read_algorithm(mask)) == digest
        salt = salting.integer()
        for reader in (whole, body, hashing, masking, mask, salting):
            reader.end()
    except FormatError as error:
        if error.failure.code == "malformed-signature":
            raise FormatError("algorithm-mismatch", f"RSA-PSS parameters: {error.failure.detail}") from None
        raise
    if not same_mask:
        raise FormatError("algorithm-mismatch", "RSA-PSS with a mask that is not MGF1 over the same hash")
    if salt < _HASHES[digest][1].digest_size or (trailer and trailer.content != b"\x02\x01\x01"):
        raise FormatError("algorithm-mismatch", "RSA-PSS with a salt shorter than its hash, or another trailer")
    return digest, salt
