"""Makes the example PKI of `keys-example/`: one CA and one signer a level, and three that must fail.

Every signer that must fail has exactly one thing wrong, so that a demonstration shows that one
reason. The signing keys are meant to be published: nothing made here may ever be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from modseal.ca import issue
from modseal.ca.issue import Validity
from modseal.files.staging import StagingFolder

_ORGANIZATION = "modseal example"
_LONG = Validity(datetime(2024, 1, 1, tzinfo=UTC), datetime(2123, 12, 31, 23, 59, 59, tzinfo=UTC))
"""Long enough that no demonstration or test fails because a certificate has expired."""
_ENDED = Validity(datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 12, 31, 23, 59, 59, tzinfo=UTC))
_FILE, _KEY_FILE = 0o644, 0o600
_RSA_BITS = 3072


def _ecdsa_key() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


def _rsa_key() -> Any:
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)


@dataclass(frozen=True, slots=True)
class _ExampleCa:
    """One directory: what its anchor grants, and what is the matter with its signer."""

    folder: str
    grants: str
    note: str
    new_key: Callable[[], Any] = _ecdsa_key
    signer_validity: Validity = _LONG
    root_validity: Validity = _LONG
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING
    is_revoked: bool = False

    @property
    def label(self) -> str:
        """The common name's start, without " root" or " signer"."""
        return f"Example {self.folder}"


_ENTRIES = (
    _ExampleCa("certified", "certified", "signs for the highest level, with RSA of 3072 bits", _rsa_key),
    _ExampleCa("accepted", "accepted", "signs for `accepted` and below"),
    _ExampleCa("partner", "partner", "signs for `partner` and below"),
    _ExampleCa("community", "community", "signs for `community` only"),
    _ExampleCa("revoked", "partner", "must be rejected: `crl.pem` revokes the signer", is_revoked=True),
    _ExampleCa("expired", "partner", "must be rejected: the signer expired at the end of 2021",
           signer_validity=_ENDED, root_validity=Validity(_ENDED.start, _LONG.end)),
    _ExampleCa("wrong-eku", "partner", "must be rejected: the signer is for TLS servers, not for code",
           purpose=ExtendedKeyUsageOID.SERVER_AUTH),
)  # fmt: skip

_README = """\
# Example keys: never in production

The private keys in this directory are public. If you trust one of these roots, anybody can sign for you.
They are for demonstrations and tests only. Make your own with `modseal keys example DIR`; this set
was made on {date}.

Each directory has `root.pem` (a CA whose private key was thrown away), `signer.pem` (a certificate
that it issued) and `signer.key` (the signer's private key, not encrypted).

| directory | grants | what it shows |
|---|---|---|
{rows}

`policy.toml` trusts all of these roots, so a rejection shows the one thing that is wrong. Everything
else is valid from 2024 to 2123.
"""

_POLICY = """\
# Example policy: never in production, because the keys of its anchors' signers are public.
schema = "modseal/policy@1"
minimum-level = "community"
allow-unsigned-community = false

{anchors}
[revocation]
crls = [{crls}]
required = false
"""

_ANCHOR = """\
[[anchor]]
name = "{label} root"
certificate = "{folder}/root.pem"
grants = "{grants}"
"""


def make_example_pki(directory: Path, *, now: datetime) -> None:
    """Write the example PKI to `directory`, which must not exist or be empty; all or nothing.

    `now` is only the date in the README: all validities are fixed. Raises `UsageError` where the
    directory has something in it, `InputError` where it cannot be written.
    """
    with StagingFolder(directory, shared=True) as staging:  # a shared folder is no risk: these keys are public anyway
        for entry in _ENTRIES:
            for file_name, data, mode in _make(entry):
                staging.tree.write(f"{entry.folder}/{file_name}", data, mode)
        anchors = "\n".join(
            _ANCHOR.format(label=entry.label, folder=entry.folder, grants=entry.grants) for entry in _ENTRIES
        )
        crls = ", ".join(f'"{entry.folder}/crl.pem"' for entry in _ENTRIES if entry.is_revoked)
        staging.tree.write("policy.toml", _POLICY.format(anchors=anchors, crls=crls).encode(), _FILE)
        rows = "\n".join(f"| `{entry.folder}/` | {entry.grants} | {entry.note} |" for entry in _ENTRIES)
        staging.tree.write("README.md", _README.format(date=f"{now:%Y-%m-%d}", rows=rows).encode(), _FILE)
        staging.commit()


def _make(entry: _ExampleCa) -> Iterator[tuple[str, bytes, int]]:
    """Name, content and mode of an entry's files; the root's key ends here."""
    root_key, signer_key = entry.new_key(), entry.new_key()
    root = issue.issue_root(issue.name(f"{entry.label} root", _ORGANIZATION), root_key, entry.root_validity)
    subject = issue.name(f"{entry.label} signer", _ORGANIZATION)
    signer = issue.issue_signer(subject, signer_key.public_key(), root, root_key, entry.signer_validity, entry.purpose)
    yield "root.pem", root.public_bytes(Encoding.PEM), _FILE
    yield "signer.pem", signer.public_bytes(Encoding.PEM), _FILE
    yield "signer.key", signer_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), _KEY_FILE
    if entry.is_revoked:
        revoked = issue.Revoked(signer.serial_number, _LONG.start, "keyCompromise")
        crl = issue.issue_crl(root, root_key, [revoked], _LONG)
        yield "crl.pem", crl.public_bytes(Encoding.PEM), _FILE
