"""The commands of `modseal keys` for a CA: make one, issue, revoke, write its CRL."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modseal.ca.index import CODE_SIGNING, REASONS, TIME_STAMPING
from modseal.cli.key_options import PASSPHRASE, UNENCRYPTED, new_passphrase, type_option, warn
from modseal.cli.options import FILE, FOLDERS, OUTPUT, Choice, now, require_no_input
from modseal.cli.sign import passphrase
from modseal.errors import UsageError
from modseal.format.level import Level
from modseal.report.text import safe

if TYPE_CHECKING:
    from modseal.ca.authority import Authority

ROOT_DAYS, ISSUING_DAYS, SIGNER_DAYS, CRL_DAYS = 7300, 3650, 825, 30
_MOST_DAYS = 36500
_LEVELS = [str(level) for level in sorted(Level, reverse=True)]
_CA = click.option(
    "--ca",
    "folder",
    required=True,
    type=FILE,
    metavar="DIR",
    shell_complete=FOLDERS,
    help="The folder of the CA.",
)
_FOR_TIMESTAMPS = click.option("--timestamping", is_flag=True, help="For a timestamp authority, not for code signing.")


def _days(default: int | None, text: str) -> Callable[[Any], Any]:
    shown = default is not None
    return click.option("--days", type=click.IntRange(1, _MOST_DAYS), default=default, show_default=shown, help=text)


@click.command()
@click.argument("folder", type=FILE, metavar="DIR")
@click.option("--name", required=True, metavar="NAME", help="The CA's common name, such as 'Acme partner CA'.")
@click.option("--organization", metavar="NAME", help="Whose CA it is.")
@click.option("--level", type=Choice(_LEVELS), help="The acceptance level that a policy should grant by it.")
@click.option(
    "--parent",
    type=FILE,
    metavar="DIR",
    shell_complete=FOLDERS,
    help="The CA that issues this one; without it, this is a root.",
)
@click.option(
    "--parent-passphrase-file", type=FILE, metavar="FILE", help="A file with the passphrase of the parent's key."
)
@_FOR_TIMESTAMPS
@_days(None, f"How long it is valid.  [default: {ROOT_DAYS} for a root, {ISSUING_DAYS} with --parent]")
@type_option("ecdsa-p384")
@PASSPHRASE
@UNENCRYPTED
def ca(
    folder: Path,
    name: str,
    organization: str | None,
    level: str | None,
    parent: Path | None,
    parent_passphrase_file: Path | None,
    days: int | None,
    kind: str,
    passphrase_file: Path | None,
    *,
    timestamping: bool,
    unencrypted: bool,
) -> None:
    """Make a CA in the new folder DIR: its certificate, its encrypted key, and what it remembers.

    A root issues CAs, and signers where one CA is enough. A CA with --parent issues signers alone.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    from modseal.ca import folder as authority_folder
    from modseal.ca.authority import make_issuing, make_root
    from modseal.ca.request import authority_name
    from modseal.files.staging import require_free
    from modseal.signing.key_file import encode_key, new_key

    if not parent and (timestamping or parent_passphrase_file):
        raise UsageError("--timestamping and --parent-passphrase-file are for a CA with --parent")
    subject, grants, time = authority_name(name, organization), Level.parse(level) if level else None, now()
    require_free(folder)
    parent_key = _open_key(parent, parent_passphrase_file) if parent else None
    secret = new_passphrase(folder / authority_folder.KEY, passphrase_file, unencrypted=unencrypted)
    key = new_key(kind)
    encoded = encode_key(key, secret)
    if parent:
        with authority_folder.opened(parent) as above:
            made, index = make_issuing(
                above.authority, parent_key, subject, key, days or ISSUING_DAYS, time, _purpose(timestamping), grants
            )
            pem = made.certificate.public_bytes(Encoding.PEM)
            authority_folder.create(folder, made, encoded, pem, (above, index))
            _warn_of_end(above.authority, time)
    else:
        made = make_root(subject, key, days or ROOT_DAYS, time, grants)
        authority_folder.create(folder, made, encoded, made.certificate.public_bytes(Encoding.PEM))
    click.echo(f"{safe(folder)}: the CA {safe(made.name)}, valid until {made.certificate.not_valid_after_utc:%Y-%m-%d}")
    if level:
        click.echo(_anchor(name, folder / authority_folder.CERTIFICATE, level))


@click.command()
@_CA
@click.option(
    "--csr",
    "request",
    required=True,
    type=FILE,
    metavar="CSR",
    help="The certificate request, made by the holder of the key.",
)
@_FOR_TIMESTAMPS
@_days(SIGNER_DAYS, "How long it is valid; no longer than the CA.")
@PASSPHRASE
@click.option("-o", "--output", required=True, type=OUTPUT, metavar="CERT", help="The certificate to write.")
def issue(
    folder: Path, request: Path, days: int, passphrase_file: Path | None, output: Path, *, timestamping: bool
) -> None:
    """Issue a signer's certificate for the key and the name of a request.

    Make sure first that the request came from its sender unchanged: compare `modseal keys show CSR` at both ends.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    from modseal.ca import folder as authority_folder
    from modseal.ca.authority import issue_certificate
    from modseal.ca.request import read_request

    time, found = now(), read_request(request)
    require_no_input(click.get_current_context())
    authority_folder.require_public(output, folder)
    key = _open_key(folder, passphrase_file)
    with authority_folder.opened(folder) as own:
        made, index = issue_certificate(own.authority, key, found, days, time, _purpose(timestamping))
        own.publish(index, output, made.public_bytes(Encoding.PEM))
    if list(found.extensions):
        warn(("the request asks for extensions, which are not taken over: the CA sets its own",))
    _warn_of_end(own.authority, time)
    click.echo(
        f"{safe(output)}: {safe(made.subject.rfc4514_string())}, for {_purpose(timestamping)}, "
        f"valid until {made.not_valid_after_utc:%Y-%m-%d}"
    )


@click.command()
@_CA
@click.argument("certificate", type=FILE, metavar="CERT", required=False)
@click.option("--serial", metavar="HEX", help="The serial number, where the certificate is lost.")
@click.option("--reason", type=Choice(REASONS), default=REASONS[0], show_default=True, help="Why.")
def revoke(folder: Path, certificate: Path | None, serial: str | None, reason: str) -> None:
    """Note that CERT is revoked. It takes effect with the next CRL: `modseal keys crl`."""
    from modseal.ca import authority
    from modseal.ca import folder as authority_folder

    which = _which(certificate, serial)
    with authority_folder.opened(folder) as own:
        index = authority.revoke(own.authority, which, reason, now())
        own.publish(index)
    number = which if isinstance(which, int) else which.serial_number
    entry = index.find(number)
    subject = entry.subject if entry else ""
    click.echo(
        f"{safe(folder)}: {safe(subject)} ({number:x}) is revoked; write a new CRL and carry it to every verifier"
    )


@click.command()
@_CA
@_days(CRL_DAYS, "How long verifiers may use it.")
@PASSPHRASE
@click.option("-o", "--output", required=True, type=OUTPUT, metavar="CRL", help="The CRL to write.")
def crl(folder: Path, days: int, passphrase_file: Path | None, output: Path) -> None:
    """Write the CA's CRL, with the next number. Without a current one, a strict policy decides nothing."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from modseal.ca import folder as authority_folder
    from modseal.ca.authority import make_crl

    time = now()
    require_no_input(click.get_current_context())
    authority_folder.require_public(output, folder)
    key = _open_key(folder, passphrase_file)
    with authority_folder.opened(folder) as own:
        made, index = make_crl(own.authority, key, days, time)
        own.publish(index, output, made.public_bytes(Encoding.PEM))
    _warn_of_end(own.authority, time)
    click.echo(
        f"{safe(output)}: CRL {index.crl_number} of {safe(own.authority.name)}, {len(made)} revoked, "
        f"valid until {made.next_update_utc:%Y-%m-%d}"
    )


def _open_key(folder: Path, passphrase_file: Path | None) -> Any:
    from modseal.ca import folder as authority_folder

    name = str(folder / authority_folder.KEY)
    key, warnings = authority_folder.read_key(folder, lambda: passphrase(name, passphrase_file))
    warn(warnings)
    return key


def _purpose(timestamping: bool) -> str:
    return TIME_STAMPING if timestamping else CODE_SIGNING


def _which(certificate: Path | None, serial: str | None) -> Any:
    """The certificate of a file, or a serial number."""
    from modseal.signing.material import read_certificate

    if (certificate is None) == (serial is None):
        raise UsageError("give either the certificate's file or --serial")
    if certificate:
        return read_certificate(certificate)
    plain = (serial or "").replace(":", "").lower()
    if not 1 <= len(plain) <= 40 or not set(plain) <= set("0123456789abcdef"):
        raise UsageError(f"{serial!r} is not a serial number in hex digits")
    return int(plain, 16)


def _warn_of_end(authority: Authority, time: datetime) -> None:
    from modseal.ca.description import certificate_warnings

    warn(certificate_warnings(authority.certificate, time))


def _anchor(name: str, certificate: Path, level: str) -> str:
    """The lines for a policy. A path in it is relative to the policy; JSON's quotes are those of TOML."""
    quoted, path = (json.dumps(text, ensure_ascii=False) for text in (name, str(certificate)))
    return f'\nfor a policy:\n\n[[anchor]]\nname = {quoted}\ncertificate = {path}\ngrants = "{level}"'
