"""Signs with a private key in a PKCS#11 token, which never leaves it: a smart card, an HSM, SoftHSM."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from modseal.errors import KeyMaterialError
from modseal.format import der
from modseal.pki.algorithms import NULL_PARAMETERS, SignatureAlgorithm
from modseal.signing import fitness, pkcs11_token, pkcs11_uri, signer
from modseal.signing.material import Passphrase
from modseal.signing.pkcs11_token import FOREIGN, SHOWN, OpenToken, converted
from modseal.signing.pkcs11_uri import KeyUri


@dataclass(frozen=True, slots=True)
class TokenSigner:
    """A signer whose private key stays in a token; `_pin` is None unless the key wants it for each signature."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    warnings: tuple[str, ...]
    _token: OpenToken = field(repr=False)
    _key: Any = field(repr=False)
    _pin: str | None = field(repr=False)

    def sign(self, algorithm: SignatureAlgorithm, data: bytes) -> bytes:
        """See `signer.Signer.sign`."""
        fitness.choose_algorithm(self.certificate, algorithm.name)
        with converted(self._token.name):
            mechanism, parameter, message = _usable(self._token, algorithm, data)
            signature = self._key.sign(message, mechanism=mechanism, mechanism_param=parameter, pin=self._pin)
        return _as_der(signature) if algorithm.family == "ecdsa" else bytes(signature)


def open(  # noqa: A001 - read as `pkcs11.open`, as `keys.open` is
    uri: str, cert: Path | None = None, chain: Sequence[Path] = (), passphrase: Passphrase | None = None
) -> TokenSigner:
    """The signer of a `pkcs11:` URI (RFC 7512). It logs out when it is no longer referred to.

    The certificate is that of `cert`, or the token's certificate with the key's id. The PIN is that of
    the URI's pin-source or pin-value; else `passphrase` asks for it.
    Raises `UsageError` (the URI, the library is missing), `KeyMaterialError` (module, token, PIN, key),
    `RefusedError` (unfit-certificate), `InputError`.
    """
    reference = pkcs11_uri.parse(uri)
    token, warnings = pkcs11_token.log_in(reference, passphrase)
    with converted(token.name):
        key = _private_key(token, reference)
        own = _certificates(token, key, bare=cert is None)
        public = _public_values(token, key)
        pin = token.pin if _asks_again(token, key) else None
    certificate, ordered = signer.certify(lambda one: _belongs(one, public), cert or token.name, cert, own, chain)
    return TokenSigner(certificate, ordered, warnings, token, key, pin)


def _private_key(token: OpenToken, reference: KeyUri) -> Any:
    """The one private key that the URI names, and that may sign."""
    named = {"LABEL": reference.label, "ID": reference.id}
    signing = {"CLASS": token.library.ObjectClass.PRIVATE_KEY, "SIGN": True}
    found = token.objects(**signing, **{name: value for name, value in named.items() if value is not None})
    if len(found) == 1:
        return found[0]
    shown = (found or token.objects(**signing))[:SHOWN]
    names = ", ".join(sorted(f"object={one.label} id={_escaped(one.id)}" for one in shown)) or "none"
    if found:
        raise KeyMaterialError(
            f"{len(found)} private keys of {token.name} match the URI; name one by its id: {names}"
        ).because("token-key-several")
    raise KeyMaterialError(f"{token.name} has no private key for the URI that may sign; it has: {names}").because(
        "token-key-missing"
    )


def _escaped(value: bytes) -> str:
    return "".join(f"%{byte:02x}" for byte in value)


def _certificates(token: OpenToken, key: Any, *, bare: bool) -> tuple[x509.Certificate, ...]:
    """The token's certificates, those with the key's id first. `bare`: no other certificate was named."""
    of, library = token.library.Attribute, token.library
    objects = token.objects(CLASS=library.ObjectClass.CERTIFICATE, CERTIFICATE_TYPE=library.CertificateType.X_509)
    usable = [(one[of.ID], parsed) for one in objects if (parsed := _parsed(one[of.VALUE]))]
    same = tuple(dict.fromkeys(parsed for number, parsed in usable if number == key.id))
    if bare and not same:
        raise KeyMaterialError(
            f"{token.name} has no certificate with the key's id: name the certificate with --cert"
        ).because("certificate-missing")
    if bare and len(same) > 1:
        raise KeyMaterialError(
            f"{token.name} has {len(same)} certificates with the key's id: name one with --cert"
        ).because("certificate-missing")
    return (*same, *(parsed for _, parsed in usable if parsed not in same))


def _parsed(data: bytes) -> x509.Certificate | None:
    try:
        return x509.load_der_x509_certificate(data)
    except Exception:  # noqa: BLE001 - tokens hold anything, and the library does not document its exceptions
        return None


def _public_values(token: OpenToken, key: Any) -> tuple[bytes, ...]:
    """The numbers of the public key that the token tells: RSA moduli, or points. It may tell none."""
    of = token.library.Attribute
    others = token.objects(CLASS=token.library.ObjectClass.PUBLIC_KEY, ID=key.id) if key.id else ()
    values: list[bytes] = []
    for one in (key, *others):
        for attribute in (of.MODULUS, of.EC_POINT):
            with contextlib.suppress(*FOREIGN):
                values.append(bytes(one[attribute]).lstrip(b"\0"))
    return tuple(value for value in values if value)


def _belongs(certificate: x509.Certificate, public: tuple[bytes, ...]) -> bool:
    """Whether a certificate is for the key. Where the token does not tell, the finished block is what shows it."""
    return not public or any(value in public for value in _forms(certificate))


def _forms(certificate: x509.Certificate) -> tuple[bytes, ...]:
    """How a token may write the public key of a certificate."""
    try:
        key: Any = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            return (key.public_numbers().n.to_bytes((key.key_size + 7) // 8),)
        raw = not isinstance(key, ec.EllipticCurvePublicKey)
        form = (Encoding.Raw, PublicFormat.Raw) if raw else (Encoding.X962, PublicFormat.UncompressedPoint)
        point = key.public_bytes(*form)
    except Exception:  # noqa: BLE001 - a kind of key that has no such form
        return ()
    return point, der.encode(der.OCTET_STRING, point)


def _asks_again(token: OpenToken, key: Any) -> bool:
    with contextlib.suppress(*FOREIGN):
        return bool(key[token.library.Attribute.ALWAYS_AUTHENTICATE])
    return False


def _usable(token: OpenToken, algorithm: SignatureAlgorithm, data: bytes) -> tuple[Any, Any, bytes]:
    """The first way to make such a signature that the token has: mechanism, its parameter, what it is given."""
    signs, slot = token.library.MechanismFlag.SIGN, token.session.token.slot
    offered = slot.get_mechanisms()
    for mechanism, parameter, message in _ways(algorithm, data):
        if mechanism in offered and slot.get_mechanism_info(mechanism).flags & signs:
            return mechanism, parameter, message
    raise KeyMaterialError(f"{token.name} cannot sign with {algorithm.name}").because("token-algorithm")


def _ways(algorithm: SignatureAlgorithm, data: bytes) -> Iterator[tuple[Any, Any, bytes]]:
    """The mechanisms of PKCS#11 that make such a signature, the most usual first."""
    from pkcs11 import MGF, Mechanism

    name = algorithm.digest_name.upper()
    digest = hashlib.new(algorithm.digest_name, data).digest()
    if algorithm.family == "rsa-pkcs1":
        yield Mechanism[f"{name}_RSA_PKCS"], None, data
        yield Mechanism.RSA_PKCS, None, _digest_info(algorithm, digest)
    elif algorithm.family == "rsa-pss":
        parameter = (Mechanism[name], MGF[name], len(digest))
        yield Mechanism[f"{name}_RSA_PKCS_PSS"], parameter, data
        yield Mechanism.RSA_PKCS_PSS, parameter, digest
    elif algorithm.family == "ecdsa":
        yield Mechanism.ECDSA, None, digest
        yield Mechanism[f"ECDSA_{name}"], None, data
    elif algorithm.family == "ed25519":
        yield Mechanism.EDDSA, None, data


def _digest_info(algorithm: SignatureAlgorithm, digest: bytes) -> bytes:
    """DigestInfo (RFC 8017 section 9.2), which CKM_RSA_PKCS pads and signs."""
    identifier = der.encode(der.SEQUENCE, der.encode_oid(algorithm.digest_oid), NULL_PARAMETERS)
    return der.encode(der.SEQUENCE, identifier, der.encode(der.OCTET_STRING, digest))


def _as_der(signature: bytes) -> bytes:
    """Ecdsa-Sig-Value (RFC 3279 section 2.2.3) of the two numbers that a token gives in a row."""
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
