"""What the commands of `modseal host` share: options, and how a result is shown."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modseal.cli.options import (
    FILE,
    FILES,
    FOLDERS,
    PLACE,
    Choice,
)
from modseal.errors import ModsealError, UsageError

if TYPE_CHECKING:
    from modseal.host.change import Change


LEVELS = Choice(
    [
        *("certified", "accepted", "partner", "community"),
        *("VMwareCertified", "VMwareAccepted", "PartnerSupported", "CommunitySupported"),
    ]
)

signed_option = click.option("--signed", is_flag=True, help="Refuse depots that have no signed index; with --depot.")
root_option = click.option(
    "--root",
    type=FILE,
    default=Path("/"),
    metavar="DIR",
    shell_complete=FOLDERS,
    help="The root that modules are installed under; / by default.",
)
_Command = Callable[..., Any]
_format = click.option(
    "--format", "output", type=Choice(["text", "json"]), default="text", help="The form of the result."
)


def format_option(command: _Command) -> _Command:
    """`--format` for a command. In JSON, why there is no result is printed as JSON, too."""

    @functools.wraps(command)
    def told(**given: Any) -> Any:
        with problem_shown(as_json=given["output"] == "json"):
            return command(**given)

    return _format(told)


@contextmanager
def problem_shown(*, as_json: bool) -> Iterator[None]:
    """Print why the block has failed, if as JSON; then the failure goes on as ever."""
    try:
        yield
    except ModsealError as error:
        if as_json and not isinstance(error, UsageError):
            from modseal.host.values import problem_values

            click.echo(json.dumps(problem_values(error.failure), indent=2))
        raise


depots_option = click.option(
    "--depot",
    "depots",
    multiple=True,
    type=PLACE,
    metavar="DEPOT",
    shell_complete=FILES,
    help="Where to take modules from, by name: a folder, a zip file, an OCI image layout, or an address; repeatable.",
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")


def show(values: dict[str, Any], text: Callable[[], str], output: str) -> None:
    """Print a result in the form that was asked for."""
    click.echo(json.dumps(values, indent=2) if output == "json" else text())


def report(change: Change, output: str, *, dry_run: bool = False) -> int:
    """Print what a change did, or would do, and return its exit status."""
    from modseal.cli.verify import EXIT
    from modseal.host.values import change_values
    from modseal.report import host_text

    show(change_values(change), lambda: host_text.change(change), output)
    say_dry_run(dry_run)
    return EXIT[change.verdict]


def say_dry_run(dry_run: bool) -> None:
    """Say on standard error that nothing was changed, where that is so."""
    if dry_run:
        click.echo("modseal: this was a dry run; nothing was changed", err=True)
