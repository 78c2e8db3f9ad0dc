"""A real PKCS#11 token for tests: SoftHSM2 in a folder of its own, with keys that were made inside it.

`make` fills the folder; SoftHSM finds it by SOFTHSM2_CONF, once for each process.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from builders.pki import Identity, leaf

PIN = "7391-secret"
SO_PIN = "8402-officer"
LABEL = "release token"
MODULE = next(
    (
        path
        for path in (
            "/usr/lib/softhsm/libsofthsm2.so",
            "/usr/lib64/pkcs11/libsofthsm2.so",
            "/usr/local/lib/softhsm/libsofthsm2.so",
            "/opt/homebrew/lib/softhsm/libsofthsm2.so",
        )
        if os.path.exists(path)
    ),
    None,
)
KINDS = {"rsa": b"\x01", "p256": b"\x02", "p384": b"\x03", "p521": b"\x04", "ed25519": b"\x05"}
"""A key of each kind in the token, with its id; its label is the kind."""
_CURVES = {"p256": "secp256r1", "p384": "secp384r1", "p521": "secp521r1"}
_ED25519 = b"\x13\x0cedwards25519"
_LOCKED = 0x40000
"""CKF_USER_PIN_LOCKED."""
_TOKEN_FLAGS = 0x8000534B.to_bytes(8) + (2).to_bytes(8)
"""How SoftHSM's file says that a token's flags follow: CKA_OS_TOKENFLAGS, a number."""


@dataclass(frozen=True)
class SoftHsm:
    """A token with keys, and the certificates that speak for them."""

    configuration: Path
    identities: Mapping[str, Identity] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        return {"SOFTHSM2_CONF": str(self.configuration)}

    def initialize(self, label: str = LABEL) -> None:
        """Make a token."""
        command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN]
        subprocess.run(command, env={**os.environ, **self.env}, check=True, capture_output=True)

    def lock(self) -> None:
        """Let every token say that its PIN is locked; SoftHSM itself never locks one."""
        for path in self.configuration.parent.glob("tokens/*/token.object"):
            data = bytearray(path.read_bytes())
            at = data.index(_TOKEN_FLAGS) + len(_TOKEN_FLAGS)
            data[at : at + 8] = (int.from_bytes(data[at : at + 8]) | _LOCKED).to_bytes(8)
            path.write_bytes(data)


@dataclass(frozen=True)
class InToken:
    """A key of which only the public half can be had; enough to issue a certificate for."""

    public: Any

    def public_key(self) -> Any:
        return self.public


def empty(folder: Path) -> SoftHsm:
    """SoftHSM without a token."""
    (folder / "tokens").mkdir(parents=True)
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    return SoftHsm(configuration)


def make(folder: Path) -> SoftHsm:
    """Two tokens; the one with LABEL has a key of each kind with its certificate, and keys that are trouble.

    The caller has set SOFTHSM2_CONF to `folder`/softhsm2.conf for this process.
    """
    import pkcs11

    hsm = empty(folder)
    hsm.initialize()
    hsm.initialize("other token")
    token = pkcs11.lib(MODULE).get_token(token_label=LABEL)
    with token.open(rw=True, user_pin=PIN) as session:
        identities = {kind: _with_certificate(session, kind, KINDS[kind]) for kind in KINDS}
        identities["always"] = _with_certificate(session, "p256", b"\x10", "always", {"ALWAYS_AUTHENTICATE": True})
        identities["renewed"] = _with_certificate(session, "p256", b"\x11", "renewed")
        _store(session, leaf("Renewed again", key=identities["renewed"].key), b"\x11")
        _store(session, leaf("Wrong key"), b"\x12")
        for label, number, changes in (
            ("uncertified", b"\x13", {}),
            ("twin", b"\x14", {}),
            ("twin", b"\x15", {}),
            ("deaf", b"\x16", {"SIGN": False}),
            ("mismatched", b"\x12", {}),
        ):
            identities[label] = leaf(label, key=_generate(session, "p256", number, label, changes))
    return SoftHsm(hsm.configuration, identities)


def _with_certificate(
    session: Any, kind: str, number: bytes, label: str = "", changes: Mapping[str, bool] = {}
) -> Identity:
    identity = leaf(f"Token {label or kind} signer", key=_generate(session, kind, number, label or kind, changes))
    _store(session, identity, number)
    return identity


def _generate(session: Any, kind: str, number: bytes, label: str, changes: Mapping[str, bool]) -> InToken:
    """A key pair, made in the token; the private key cannot leave it."""
    from pkcs11 import Attribute, KeyType
    from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

    options: dict[str, Any] = {"id": number, "label": label, "store": True}
    options["private_template"] = {Attribute[name]: value for name, value in changes.items()}
    if kind == "rsa":
        public, _ = session.generate_keypair(KeyType.RSA, 2048, **options)
        exponent = int.from_bytes(public[Attribute.PUBLIC_EXPONENT])
        return InToken(rsa.RSAPublicNumbers(exponent, int.from_bytes(public[Attribute.MODULUS])).public_key())
    edwards = kind == "ed25519"
    curve = _ED25519 if edwards else encode_named_curve_parameters(_CURVES[kind])
    key_type = KeyType.EC_EDWARDS if edwards else KeyType.EC
    domain = session.create_domain_parameters(key_type, {Attribute.EC_PARAMS: curve}, local=True)
    public, _ = domain.generate_keypair(**options)
    if edwards:
        return InToken(ed25519.Ed25519PublicKey.from_public_bytes(bytes(public[Attribute.EC_POINT])[-32:]))
    return InToken(load_der_public_key(encode_ec_public_key(public)))


def _store(session: Any, identity: Identity, number: bytes) -> None:
    from pkcs11 import Attribute, CertificateType, ObjectClass

    session.create_object(
        {
            Attribute.CLASS: ObjectClass.CERTIFICATE,
            Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
            Attribute.TOKEN: True,
            Attribute.ID: number,
            Attribute.SUBJECT: identity.certificate.subject.public_bytes(),
            Attribute.VALUE: identity.certificate.public_bytes(Encoding.DER),
        }
    )
