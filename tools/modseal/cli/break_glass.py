"""`modseal break-glass`: makes the file that ends a host's strict mode, away from the host."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from modseal.cli.depot_options import key_options, open_signers
from modseal.cli.options import (
    FILE,
    FILE_OR_STREAM,
    FILES,
    OUTPUT,
    Time,
    now,
    require_no_input,
    tell_replaced,
)


@click.group("break-glass")
def break_glass() -> None:
    """Make the file that ends a host's strict mode, when all its controllers are lost.

    `modseal host break-glass` uses it, on the host.
    """


@break_glass.command()
@click.option("--host", required=True, metavar="NUMBER", help="The host, as `modseal host lockdown get` shows it.")
@click.option("--lock", required=True, metavar="NUMBER", help="Its lock, as shown there: the lockdown that shall end.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for those who sign and for the host's log.")
@click.option("--not-before", type=Time(), metavar="TIME", help="From when on it may be used (UTC); now by default.")
@click.option(
    "--expires", type=Time(), metavar="TIME", help="Until when (UTC), 7 days after that at most; by default one day."
)
@key_options
@click.option("-o", "--output", required=True, type=OUTPUT, metavar="OUT", help="The file to write.")
def create(
    host: str,
    lock: str,
    reason: str,
    not_before: datetime | None,
    expires: datetime | None,
    output: Path,
    **given: Any,
) -> None:
    """Make the file for one lockdown of one host, signed by one or several of the keys that the host names.

    Others add their signatures with `modseal break-glass endorse`. It is of no use to another host, or a second time.
    """
    from modseal.cli.sign import signing_time
    from modseal.packing import break_glass as files

    require_no_input(click.get_current_context())
    tell_replaced(output)
    time = signing_time()
    start = not_before or time
    made = files.make(host, lock, reason, (start, expires or start + timedelta(days=1)), time)
    _write(output, files.sign(made, open_signers(given), now(), time))


@break_glass.command()
@click.argument("glass", type=FILE, metavar="FILE", shell_complete=FILES)
@key_options
@click.option("-o", "--output", type=OUTPUT, metavar="OUT", help="The file with the signature; by default FILE itself.")
def endorse(glass: Path, output: Path | None, **given: Any) -> None:
    """Add a signature to FILE. Read it first with `modseal break-glass show`: you let everybody change that host."""
    from modseal.cli.sign import signing_time
    from modseal.files.small import read_small
    from modseal.format import break_glass as glass_format
    from modseal.limits import BREAK_GLASS_SIZE
    from modseal.packing import break_glass as files

    require_no_input(click.get_current_context())
    tell_replaced(output)
    found = glass_format.decode(read_small(glass, BREAK_GLASS_SIZE).data)
    _write(output or glass, files.sign(found, open_signers(given), now(), signing_time()))


@break_glass.command()
@click.argument("glass", type=FILE_OR_STREAM, metavar="FILE", shell_complete=FILES)
def show(glass: Path) -> int:
    """Show what FILE says, and which keys have signed it.

    Exit status: 0; 1 where it is damaged.
    """
    from modseal.files.small import read_small
    from modseal.format import break_glass as glass_format
    from modseal.limits import BREAK_GLASS_SIZE
    from modseal.report import break_glass_text
    from modseal.trust.signature import verify_member

    found = glass_format.decode(read_small(glass, BREAK_GLASS_SIZE, pipes=True).data)
    signatures = verify_member(found.signature, found.signed)
    click.echo(break_glass_text.show(glass, found, signatures))
    return 1 if signatures.failures else 0


def _write(output: Path, glass: Any) -> None:
    from modseal.packing import break_glass as files
    from modseal.report import break_glass_text
    from modseal.trust.signature import verify_member

    files.write(glass, output)
    click.echo(break_glass_text.written(output, glass, verify_member(glass.signature, glass.signed)))
