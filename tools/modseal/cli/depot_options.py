"""What the commands of `modseal depot` share: options, progress, signers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modseal.cli.options import (
    FILE,
    FILE_OR_STREAM,
    FILES,
    PLACE,
    REFERENCE,
    Time,
    now,
    offer,
    tsa_options,
    with_options,
)
from modseal.errors import UsageError
from modseal.report.text import safe

if TYPE_CHECKING:
    from modseal.depot.check import Progress
    from modseal.packing.signed_depot import Issue
    from modseal.signing.signer import Signer

DEPOT_HELP = "A depot: a folder, an offline bundle (.zip), an OCI image layout, or the address of one; repeatable."
DEPOT_ARGUMENT = click.argument("depot_path", type=PLACE, metavar="DEPOT", shell_complete=offer("file", ".zip"))
EXPIRES = click.option("--expires", type=Time(), metavar="TIME", help="Until when it may be used (UTC).")
STATE = click.option(
    "--state",
    "state_file",
    type=FILE,
    metavar="FILE",
    help="Keeps the newest index that was seen, and refuses older ones; made where it is missing. One for each depot.",
)
OCI = click.option("--oci", is_flag=True, help="Write the signed depot as an OCI image layout.")


def key_options(command: Any) -> Any:
    """`--key`, `--cert`, `--chain`, `--passphrase-file`: who signs; the first two as often as there are signers."""
    options = (
        click.option(
            "--key",
            multiple=True,
            type=REFERENCE,
            metavar="KEY",
            shell_complete=FILES,
            help="A key that signs: a PEM or PKCS#12 file, or a URI of a token or key service; repeatable.",
        ),
        click.option(
            "--cert",
            multiple=True,
            type=FILE_OR_STREAM,
            metavar="PEM",
            help="Its certificate; as many as there are keys.",
        ),
        click.option(
            "--chain",
            multiple=True,
            type=FILE_OR_STREAM,
            metavar="PEM",
            help="Certificates between signer and anchor, to embed.",
        ),
        click.option(
            "--passphrase-file",
            type=FILE_OR_STREAM,
            metavar="FILE",
            help="A file with the passphrase; else it is asked for.",
        ),
    )
    return with_options(command, options)


def index_options(command: Any) -> Any:
    """What an index says of itself, and who signs it."""
    options: tuple[Callable[[Any], Any], ...] = (
        EXPIRES,
        click.option(
            "--number", type=click.IntRange(1, 2**31 - 1), metavar="N", help="Its version; by default the next one."
        ),
        key_options,
        click.option(
            "--root-cert",
            multiple=True,
            type=FILE_OR_STREAM,
            metavar="PEM",
            help="Who may sign the next version; by default those who may sign this one.",
        ),
        click.option("--threshold", type=click.IntRange(1), metavar="K", help="How many of them it takes."),
        tsa_options(required=False),
    )
    return with_options(command, options)


def open_signers(given: Mapping[str, Any]) -> list[Signer]:
    """The signers that `key_options` name. Raises `UsageError`, `KeyMaterialError`."""
    from modseal.cli.sign import passphrase
    from modseal.signing import keys

    names, certificates = given["key"], given["cert"]
    if not names:
        raise UsageError("name the key that signs with --key, and its certificate with --cert")
    if len(certificates) > len(names):
        raise UsageError("there are more --cert than --key")
    signers = []
    for number, name in enumerate(names):
        certificate = certificates[number] if number < len(certificates) else None
        ask = _passphrase(passphrase, name, given["passphrase_file"])
        signer = keys.open(name, certificate, given["chain"] if number == 0 else (), ask)
        for warning in signer.warnings:
            click.echo(f"modseal: warning: {safe(warning)}", err=True)
        signers.append(signer)
    return signers


def _passphrase(ask: Callable[[str, Path | None], bytes], key: str, file: Path | None) -> Callable[[], bytes]:
    return lambda: ask(key, file)


def issue_of(given: Mapping[str, Any], name: str | None) -> Issue:
    """What the options of `index_options` say."""
    from modseal.cli.options import authorities
    from modseal.cli.sign import signing_time
    from modseal.packing.signed_depot import Issue
    from modseal.signing.material import read_certificates

    signers = open_signers(given)
    time = signing_time()
    _warn_of_early_end(signers, given["expires"])
    return Issue(
        signers=signers,
        at=now(),
        time=time,
        name=name,
        version=given["number"],
        expires=given["expires"],
        root=[one for path in given["root_cert"] for one in read_certificates(path)],
        threshold=given["threshold"],
        stamp=authorities(given["tsa"], given["tsa_anchor"]),
    )


def _warn_of_early_end(signers: list[Signer], expires: datetime | None) -> None:
    for signer in signers:
        end = signer.certificate.not_valid_after_utc
        if expires and end < expires:
            subject = safe(signer.certificate.subject.rfc4514_string())
            text = f"the certificate of {subject} ends on {end:%Y-%m-%d}, before the index does"
            click.echo(f"modseal: warning: {text}", err=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """What tells a person at a terminal how far long work is; others are told nothing."""
    from modseal.depot.check import quiet

    if not sys.stderr.isatty():
        yield quiet
        return

    def tell(done: int, count: int, what: str) -> None:
        click.echo(f"\r\033[Kmodseal: {done + 1} of {count}: {safe(what)[-60:]}", nl=False, err=True)

    try:
        yield tell
    finally:
        click.echo("\r\033[K", nl=False, err=True)
