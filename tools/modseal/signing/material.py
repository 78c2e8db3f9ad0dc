"""Reads key and certificate files: PEM, PKCS#12, DER certificates, each told by its content.

Every exception of the library is converted here, and none of ours holds a secret: messages name the
file and say what to do, never what was in it.
"""

from __future__ import annotations

import contextlib
import stat
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from modseal import limits
from modseal.errors import InputError, KeyMaterialError, foreign, is_foreign
from modseal.files.small import Say, read_small
from modseal.format import ar, pem

Passphrase = Callable[[], bytes]
"""Asks for a passphrase; called at most once, and only for a key that is encrypted."""

_OPENSSH = "OPENSSH PRIVATE KEY"
_BESIDE_A_KEY = (pem.CERTIFICATE, "EC PARAMETERS")
"""`openssl ecparam -genkey` writes the parameters, which the key has itself."""
_SEQUENCE = b"\x30"
_PFX_VERSION = b"\x02\x01\x03"
"""The INTEGER 3 that a PKCS#12 file starts with, after the header of its SEQUENCE (RFC 7292 section 4)."""
_LONGEST_HEADER = 6
_SHARED = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Material:
    """What one key file holds: the private key, the certificates beside it, and what to warn of."""

    key: Any = field(repr=False)
    certificates: tuple[x509.Certificate, ...]
    warnings: tuple[str, ...]


def read_key(path: Path, passphrase: Passphrase | None) -> Material:
    """The private key of a PEM or PKCS#12 file, and any certificates in the same file.

    Raises `KeyMaterialError`: not a key file, or the passphrase does not open it; `InputError`.
    """
    data, mode = _read(path)
    own_warnings = _mode_warnings(path, mode)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library warns of old ciphers; the key itself is judged later
        if is_pkcs12(data):
            key, certificates = _pkcs12(path, data, passphrase)
        else:
            key, certificates = _pem(path, data, passphrase)
    return Material(key, certificates, own_warnings)


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM file in order, or the one of a DER file; anything else in it is an error.

    Raises `KeyMaterialError` where there is none or one cannot be parsed; `InputError`.
    """
    data, _ = _read(path)
    try:
        return _certificates(path, pem.contents(data, pem.CERTIFICATE))
    except ValueError as error:
        raise KeyMaterialError(f"{path} is not a readable file of certificates: {error}").because(
            "not-a-certificate"
        ) from None


def read_certificate(path: Path) -> x509.Certificate:
    """The one certificate of a file. Raises `KeyMaterialError`, `InputError`."""
    certificates = read_certificates(path)
    if len(certificates) > 1:
        raise KeyMaterialError(
            f"{path} has {len(certificates)} certificates; name a file with the one that is meant"
        ).because("several-found")
    return certificates[0]


def read_secret(path: Path, unread: Say | None = None) -> tuple[bytes, tuple[str, ...]]:
    """The passphrase or PIN that is a file's one line, and what to warn of.

    Raises `KeyMaterialError`, and what `unread` makes of the reason why the file cannot be read (else `InputError`).
    """
    data, mode = _read(path, "passphrase", unread)
    return data.removesuffix(b"\n").removesuffix(b"\r"), _mode_warnings(path, mode)


def read_file(path: Path) -> tuple[bytes, tuple[str, ...]]:
    """What a key or certificate file has in it, and what to warn of if that is secret.

    Raises `KeyMaterialError` (too much to be one), `InputError`.
    """
    data, mode = _read(path)
    return data, _mode_warnings(path, mode)


def _read(path: Path, what: str = "key or certificate", unread: Say | None = None) -> tuple[bytes, int]:
    """A file's bytes and its mode. Pipes are fine: a shell may pass a key without a file."""
    data, status = read_small(
        path,
        limits.KEY_FILE_SIZE,
        unread or (lambda why: InputError(f"{path} cannot be read: {why}", path=str(path))),
        lambda why: KeyMaterialError(f"{path} is {why}: that is not a {what}").because("not-a-key"),
        pipes=True,
    )
    if data.startswith(ar.MAGIC):
        raise KeyMaterialError(f"{path} is an archive, such as a bundle, and not a {what}").because("bundle-not-key")
    return data, status.st_mode


def _mode_warnings(path: Path, mode: int) -> tuple[str, ...]:
    if not stat.S_ISREG(mode) or not mode & _SHARED:
        return ()
    return (f"other users can read or change {path} (mode {stat.S_IMODE(mode):04o}); chmod 600 keeps them out",)


def is_pkcs12(data: bytes) -> bool:
    """Whether a file starts as PKCS #12 does."""
    return data.startswith(_SEQUENCE) and _PFX_VERSION in data[2 : _LONGEST_HEADER + len(_PFX_VERSION)]


def _pkcs12(path: Path, data: bytes, passphrase: Passphrase | None) -> tuple[Any, tuple[x509.Certificate, ...]]:
    try:
        loaded = pkcs12.load_pkcs12(data, None)
    except BaseException as error:  # encrypted, or damaged: the library does not say which
        if not is_foreign(error):
            raise
        secret = _ask(path, passphrase)
        with foreign(lambda _: _not_opened(path)):
            loaded = pkcs12.load_pkcs12(data, secret)
    if loaded.key is None:
        raise KeyMaterialError(f"{path} is a PKCS#12 file without a private key").because("key-missing")
    own = (loaded.cert,) if loaded.cert else ()
    return loaded.key, tuple(each.certificate for each in (*own, *loaded.additional_certs))


def _pem(path: Path, data: bytes, passphrase: Passphrase | None) -> tuple[Any, tuple[x509.Certificate, ...]]:
    if pem.is_der(data):
        raise _no_single_key(path, 0, [])
    try:
        blocks = pem.read(data, (*pem.KEYS, *_BESIDE_A_KEY))
    except ValueError as error:
        raise KeyMaterialError(f"{path}: {error}").because("not-a-key") from None
    keys = [block for block in blocks if block.label in pem.KEYS]
    if len(keys) != 1:
        raise _no_single_key(path, len(keys), [block.label for block in blocks])
    if keys[0].label == _OPENSSH:
        raise KeyMaterialError(
            f"{path} is an OpenSSH key; `ssh-keygen -p -m pkcs8 -f COPY` makes a usable copy"
        ).because("openssh-key")
    certificates = [block.content for block in blocks if block.label == pem.CERTIFICATE]
    return pem_key(path, keys[0].text, passphrase), _certificates(path, certificates)


def pem_key(path: Path, block: bytes, passphrase: Passphrase | None) -> Any:
    """The private key of one PEM block; `path` is for messages. Raises `KeyMaterialError`."""
    damaged = KeyMaterialError(f"the private key in {path} is damaged or of an unknown kind").because("part-damaged")
    with foreign(lambda _: damaged), contextlib.suppress(TypeError):  # the library's way to say that it is encrypted
        return load_pem_private_key(block, None)
    secret = _ask(path, passphrase)
    with foreign(lambda _: _not_opened(path)):
        return load_pem_private_key(block, secret)


def _certificates(path: Path, contents: Sequence[bytes]) -> tuple[x509.Certificate, ...]:
    unreadable = KeyMaterialError(f"a certificate in {path} cannot be parsed").because("part-damaged")
    with foreign(lambda _: unreadable), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd serial numbers and the like are judged by the verifier's rules
        return tuple(map(x509.load_der_x509_certificate, contents))


def _ask(path: Path, passphrase: Passphrase | None) -> bytes:
    if passphrase is None:
        raise KeyMaterialError(f"{path} is encrypted (or damaged) and no passphrase was given").because(
            "passphrase-missing"
        )
    return passphrase()


def _not_opened(path: Path) -> KeyMaterialError:
    return KeyMaterialError(f"the passphrase does not open {path}, or the file is damaged").because("passphrase-wrong")


def _no_single_key(path: Path, count: int, labels: list[str]) -> KeyMaterialError:
    if count:
        return KeyMaterialError(
            f"{path} has {count} private keys; keep the one that signs in a file of its own"
        ).because("several-found")
    found = f"it has {', '.join(dict.fromkeys(labels))}" if labels else "it is neither PEM nor PKCS#12"
    return KeyMaterialError(f"{path} has no private key: {found}").because("key-missing" if labels else "not-a-key")
