"""All commands of the command line, for tests of what holds for each."""

from __future__ import annotations

from collections.abc import Iterator

import click

from modseal.cli.main import COMMANDS, cli


def every_command() -> Iterator[tuple[str, click.Command]]:
    """The words of each command, groups included, and the command."""
    context = click.Context(cli, info_name="modseal")
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command
        yield name, command
        if isinstance(command, click.Group):
            for below in command.list_commands(context):
                found = command.get_command(context, below)
                assert found
                yield f"{name} {below}", found
