"""The commands of `modseal keys` for a CA: make one, issue, revoke, write its CRL."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from modseal.ca.index import CODE_SIGNING, CRL_DAYS, ISSUING_DAYS, REASONS, ROOT_DAYS, SIGNER_DAYS, TIME_STAMPING
from modseal.cli.key_options import PASSPHRASE, UNENCRYPTED, new_passphrase, type_option, warn
from modseal.cli.options import FILE, FILE_OR_STREAM, FOLDERS, OUTPUT, Choice, now, require_no_input, tell_replaced
from modseal.cli.sign import passphrase
from modseal.errors import UsageError
from modseal.format.level import Level
from modseal.report.text import safe

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
    "--parent-passphrase-file",
    type=FILE_OR_STREAM,
    metavar="FILE",
    help="A file with the passphrase of the parent's key.",
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
    """Make a CA in the new folder DIR: its certificate, its encrypted key, and the list of what it issues.

    A root issues CAs, and signers where one CA is enough. A CA with --parent issues signers alone.
    """
    from modseal.ca import acts
    from modseal.ca.folder import CERTIFICATE, KEY

    if not parent and (timestamping or parent_passphrase_file):
        raise UsageError("--timestamping and --parent-passphrase-file are for a CA with --parent")
    above = acts.Parent(parent, _secret(parent, parent_passphrase_file), _purpose(timestamping)) if parent else None
    grants = Level.parse(level) if level else None
    made = acts.make(
        folder,
        name,
        organization,
        grants,
        days,
        kind,
        lambda: new_passphrase(folder / KEY, passphrase_file, unencrypted=unencrypted),
        now(),
        above,
    )
    warn(made.warnings)
    click.echo(f"{safe(folder)}: the CA {safe(made.subject)}, valid until {made.until:%Y-%m-%d}")
    if level:
        click.echo(_anchor(name, folder / CERTIFICATE, level))


@click.command()
@_CA
@click.option(
    "--csr",
    "request",
    required=True,
    type=FILE_OR_STREAM,
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
    from modseal.ca import acts

    require_no_input(click.get_current_context())
    tell_replaced(output)
    made = acts.issue(folder, request, output, days, _purpose(timestamping), _secret(folder, passphrase_file), now())
    warn(made.warnings)
    click.echo(f"{safe(output)}: {safe(made.subject)}, for {made.purpose}, valid until {made.until:%Y-%m-%d}")


@click.command()
@_CA
@click.argument("certificate", type=FILE_OR_STREAM, metavar="CERT", required=False)
@click.option("--serial", metavar="HEX", help="The serial number, where the certificate is lost.")
@click.option("--reason", type=Choice(REASONS), default=REASONS[0], show_default=True, help="Why it is revoked.")
def revoke(folder: Path, certificate: Path | None, serial: str | None, reason: str) -> None:
    """Note that CERT is revoked. It takes effect with the next CRL: `modseal keys crl`."""
    from modseal.ca import acts

    entry = acts.revoke(folder, certificate, serial, reason, now())
    what = f"{safe(entry.subject)} ({entry.serial:x}) is revoked"
    click.echo(f"{safe(folder)}: {what}; write a new CRL and carry it to every verifier")


@click.command()
@_CA
@_days(CRL_DAYS, "For how many days verifiers may use it.")
@PASSPHRASE
@click.option("-o", "--output", required=True, type=OUTPUT, metavar="CRL", help="The CRL to write.")
def crl(folder: Path, days: int, passphrase_file: Path | None, output: Path) -> None:
    """Write the CA's CRL, with the next number. Without a current one, a strict policy decides nothing."""
    from modseal.ca import acts

    require_no_input(click.get_current_context())
    tell_replaced(output)
    made = acts.write_crl(folder, output, days, _secret(folder, passphrase_file), now())
    warn(made.warnings)
    click.echo(
        f"{safe(output)}: CRL {made.number} of {safe(made.issuer)}, {made.revoked} revoked, "
        f"valid until {made.until:%Y-%m-%d}"
    )


def _secret(folder: Path, passphrase_file: Path | None) -> Callable[[], bytes]:
    from modseal.ca.folder import KEY

    return lambda: passphrase(str(folder / KEY), passphrase_file)


def _purpose(timestamping: bool) -> str:
    return TIME_STAMPING if timestamping else CODE_SIGNING


def _anchor(name: str, certificate: Path, level: str) -> str:
    """The lines for a policy. A path in it is relative to the policy; JSON's quotes are those of TOML."""
    quoted, path = (json.dumps(text, ensure_ascii=False) for text in (name, str(certificate)))
    return f'\nfor a policy:\n\n[[anchor]]\nname = {quoted}\ncertificate = {path}\ngrants = "{level}"'
