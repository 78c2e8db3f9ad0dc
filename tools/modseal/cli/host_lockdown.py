"""`modseal host lockdown` and `modseal host break-glass`: who may change a host, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modseal.cli.host_options import dry_run_option, format_option, root_option, say_dry_run, show
from modseal.cli.options import FILE_OR_STREAM, FILES, REFERENCE, Choice, now

if TYPE_CHECKING:
    from modseal.host.lockdown import Mode

_KEY_HELP = "key-sha256:..., or a file with a certificate for it; repeatable."


@click.group()
def lockdown() -> None:
    """Who may change the host: everybody who can, or in strict mode its controllers alone."""


@lockdown.command("get")
@root_option
@format_option
def get_lockdown(root: Path, output: str) -> None:
    """Show the mode of the host, its number, and the keys that it names."""
    from modseal.host.store import open_store
    from modseal.host.values import lockdown_values
    from modseal.report import host_text

    with open_store(root) as store:
        host, found = store.state.host, store.state.lockdown
    show(lockdown_values(host, found), lambda: host_text.lockdown(host, found), output)


@lockdown.command("set")
@click.argument("mode", type=Choice(["strict", "normal"]))
@click.option(
    "--controller",
    "controllers",
    multiple=True,
    type=REFERENCE,
    metavar="KEY",
    shell_complete=FILES,
    help=f"The key of somebody who may change the host in strict mode: {_KEY_HELP}",
)
@click.option(
    "--break-glass",
    "keys",
    multiple=True,
    type=REFERENCE,
    metavar="KEY",
    shell_complete=FILES,
    help=f"A key that can end strict mode without a controller, with others: {_KEY_HELP}",
)
@click.option("--threshold", type=click.IntRange(1), metavar="K", help="How many of these keys it takes.")
@root_option
@dry_run_option
@format_option
def set_lockdown(
    mode: Mode,
    controllers: tuple[str, ...],
    keys: tuple[str, ...],
    threshold: int | None,
    root: Path,
    output: str,
    *,
    dry_run: bool,
) -> None:
    """Set the mode of the host, and the keys that it names; those of a kind that is not given stay.

    In strict mode nobody but the controllers changes anything, root on the console included. It needs a controller, and
    keys for `modseal host break-glass` that no controller has.
    """
    from modseal.host import lockdown as settings
    from modseal.host.values import lockdown_values
    from modseal.report import host_text

    given = settings.LockdownKeys(
        tuple(map(settings.read_key, controllers)) or None, tuple(map(settings.read_key, keys)) or None, threshold
    )
    done = settings.set_lockdown(root, mode, given, now(), dry_run=dry_run)
    is_new = dry_run and done.after != done.before
    show(
        lockdown_values(done.host, done.after, dry_run=is_new),
        lambda: host_text.lockdown_set(done, dry_run=dry_run),
        output,
    )
    say_dry_run(dry_run)


@click.command("break-glass")
@click.argument("glass", type=FILE_OR_STREAM, metavar="FILE", shell_complete=FILES)
@root_option
@dry_run_option
@format_option
def break_glass(glass: Path, root: Path, output: str, *, dry_run: bool) -> None:
    """End strict mode by FILE, which enough of the keys have signed that the host names. `-` reads standard input.

    FILE is for this host and this lockdown (`modseal break-glass create`). Whatever comes of it is logged.
    """
    from modseal.files.small import read_small
    from modseal.host.break_glass import break_glass as end_strict_mode
    from modseal.host.values import broken_glass_values
    from modseal.limits import BREAK_GLASS_SIZE
    from modseal.report import host_text

    data = read_small(glass, BREAK_GLASS_SIZE, pipes=True).data
    done = end_strict_mode(root, data, now(), dry_run=dry_run)
    show(broken_glass_values(done), lambda: host_text.broken_glass(done), output)
    say_dry_run(dry_run)
