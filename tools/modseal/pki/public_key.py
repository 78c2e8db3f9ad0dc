"""The one form of a public key in a certificate: SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).

Judged on the DER, before a library sees it. Libraries take more: curves that are spelled out, points in four
encodings, keys with which anyone can sign. One key in two encodings would look like two keys in a
comparison, and a curve of one's own choosing makes a forger's key fit a known point (CVE-2020-0601).

Kinds of keys that are not in here have no algorithm that modseal verifies; the library or `algorithms` says so.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from modseal.errors import FormatError
from modseal.format import der
from modseal.format.cms import read_algorithm
from modseal.pki.algorithms import ED25519, ML_DSA, NULL_PARAMETERS, RSA_ENCRYPTION, RSA_PSS

EC_PUBLIC_KEY = "1.2.840.10045.2.1"

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_NAMED = {
    der.encode_oid(oid): curve
    for oid, curve in (
        ("1.2.840.10045.3.1.7", ec.SECP256R1()),
        ("1.3.132.0.34", ec.SECP384R1()),
        ("1.3.132.0.35", ec.SECP521R1()),
    )
}
"""The curves of `pki.algorithms`, by the parameters of their keys (RFC 5480 section 2.1.1.1)."""

_UNCOMPRESSED = 0x04
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
"""The field and the constant of edwards25519 (RFC 8032 section 5.1)."""


def kind_of_key(key: Any) -> str:
    """A public key's kind as people call it: `RSA-4096`, `ECDSA P-256`, `Ed25519`, `ML-DSA-65`."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {_CURVES.get(key.curve.name, key.curve.name)}"
    return type(key).__name__.removesuffix("PublicKey").replace("MLDSA", "ML-DSA-")


def load(data: bytes) -> Any:
    """The library's key for a SubjectPublicKeyInfo that has its one form (`require_form`).

    Raises what the library raises, such as `ValueError` for a point that is not on its curve.
    """
    info = der.only(data)
    algorithm, point = read_algorithm(info), info.take(der.BIT_STRING).content[1:]
    if algorithm.oid == EC_PUBLIC_KEY and algorithm.parameters in _NAMED:
        return ec.EllipticCurvePublicKey.from_encoded_point(_NAMED[algorithm.parameters], point)
    if algorithm.oid == RSA_ENCRYPTION:
        return _rsa(point)
    # Imported here: it loads what writes keys of every kind, which takes longer than all else of a certificate.
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    return load_der_public_key(data)


def _rsa(data: bytes) -> rsa.RSAPublicKey:
    """The key of an RSAPublicKey (RFC 8017 appendix A.1.1): modulus and exponent, in DER's one encoding of both.

    A negative number is read as if it were none, and so does not come back as the bytes that it was.
    """
    body = der.only(data)
    modulus, exponent = (int.from_bytes(body.take(der.INTEGER).content) for _ in range(2))
    if data != der.encode(der.SEQUENCE, *map(der.encode_integer, (modulus, exponent))):
        raise der.malformed("the numbers of an RSA key are negative, or not in their one encoding")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def require_form(info: der.Reader) -> None:
    """Refuse a key that is not in its one form, or one with which anyone can sign.

    Raises `FormatError`: malformed-signature (to be converted), or unsupported-algorithm for a key that is for
    RSA-PSS alone (RFC 4055 section 1.2), whose own parameters modseal does not judge.
    """
    algorithm = read_algorithm(info)
    bits = info.take(der.BIT_STRING).content
    info.end()
    oid, parameters, key = algorithm.oid, algorithm.parameters, bits[1:]
    if bits[:1] != b"\0":
        raise der.malformed("its public key is not a whole number of bytes")
    if oid == RSA_PSS:
        raise FormatError("unsupported-algorithm", "a certificate has a key for RSA-PSS alone", algorithm=oid)
    if oid == RSA_ENCRYPTION and parameters != NULL_PARAMETERS:
        raise der.malformed("its RSA key has parameters other than NULL")  # RFC 3279 section 2.3.1
    if oid == EC_PUBLIC_KEY:
        # Only namedCurve: neither implicitCurve nor specifiedCurve (RFC 5480 section 2.1.1).
        if parameters is None or parameters[0] != der.OID:
            raise der.malformed("its elliptic curve is not named by an identifier")
        if key[:1] != bytes((_UNCOMPRESSED,)):
            raise der.malformed("its elliptic curve point is not uncompressed")  # RFC 5480 section 2.2
    if oid == ED25519 or oid in ML_DSA:
        if parameters is not None:
            raise der.malformed("its key has parameters, where there are none")  # RFC 8410 section 3, RFC 9881
        if oid == ED25519 and not is_sound_ed25519(key):
            raise der.malformed("its Ed25519 key is a point of small order, or not in its one encoding")


def is_sound_ed25519(key: bytes) -> bool:
    """Whether 32 bytes are a canonical y (RFC 8032 section 5.1.3) of no point P with 8P = identity.

    Under those eight points a signature holds for one message in eight, or for all: no private key is needed.
    On -x^2 + y^2 = 1 + d*x^2*y^2 they are told by y alone: 1 and -1 (the orders 1 and 2), 0 (order 4), and the
    roots of d*y^4 + 2*y^2 - 1, where doubling gives y = 0 (order 8). Whether x exists is for the library.
    """
    y = int.from_bytes(key, "little") & (2**255 - 1)
    return len(key) == 32 and y < _P and y * (y * y - 1) * (_D * y**4 + 2 * y * y - 1) % _P != 0
