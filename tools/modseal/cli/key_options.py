"""What the commands of `modseal keys` share: options, asking for a new passphrase, warnings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from modseal.cli.options import FILE_OR_STREAM, Choice
from modseal.cli.sign import passphrase
from modseal.errors import KeyMaterialError, UsageError
from modseal.report.text import safe
from modseal.signing.key_file import KEY_TYPES

PASSPHRASE = click.option(
    "--passphrase-file",
    type=FILE_OR_STREAM,
    metavar="FILE",
    help="A file with the key's passphrase; else it is asked for.",
)
UNENCRYPTED = click.option("--unencrypted", is_flag=True, help="Write the key unencrypted.")


def type_option(default: str) -> Callable[[Any], Any]:
    """`--type`: the type of a new key."""
    return click.option(
        "--type", "kind", type=Choice(list(KEY_TYPES)), default=default, show_default=True, help="The type of the key."
    )


def new_passphrase(key: Path, file: Path | None, *, unencrypted: bool) -> bytes | None:
    """The passphrase for a new key: of a file, or asked for twice; None where the caller wants none."""
    if unencrypted and file:
        raise UsageError("--unencrypted and --passphrase-file exclude each other")
    if unencrypted:
        return None
    if file:
        return passphrase(str(key), file)
    missing = KeyMaterialError(
        f"{key} needs a passphrase: use --passphrase-file, or --unencrypted to have none"
    ).because("passphrase-missing")
    if not sys.stdin.isatty():
        raise missing
    try:
        asked = click.prompt(f"New passphrase for {safe(key)}", hide_input=True, confirmation_prompt=True, err=True)
    except click.Abort:
        raise missing from None
    return str(asked).encode()


def warn(sentences: tuple[str, ...]) -> None:
    """Each sentence as one line on standard error."""
    for sentence in sentences:
        click.echo(f"modseal: warning: {safe(sentence)}", err=True)
