"""`modseal audit` as a command with paths that has subcommands too: its first argument alone can name one.

What is not the name of a subcommand is a path, so a folder of such a name is reached as `./diff`.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import click

from modseal.format.shape import suggestion

SUBCOMMANDS = {
    "diff": ("modseal.cli.audit_reports", "diff", "Compare two JSON reports."),
    "verify-report": ("modseal.cli.audit_reports", "verify_report", "Check an old JSON report against the files."),
}
"""Name -> (module, name there, one line of help)."""


class AuditGroup(click.Group):
    """A group whose own parameters are those of the command that runs where no subcommand is named."""

    allow_extra_args = False
    allow_interspersed_args = True

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes, invoke_without_command=True)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See `click.Group`."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See `click.Group`; imports it."""
        if cmd_name not in SUBCOMMANDS:
            return None
        module, name, _ = SUBCOMMANDS[cmd_name]
        command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the subcommand that the first argument names, else the group's own."""
        own = click.Context(self, info_name=info_name, parent=parent)
        command = self.get_command(own, args[0]) if args else None
        if command is None:
            if args and not os.path.lexists(args[0]) and suggestion(args[0], SUBCOMMANDS):
                raise click.NoSuchCommand(args[0], possibilities=SUBCOMMANDS, ctx=own)
            return super().make_context(info_name, args, parent, **extra)
        return command.make_context(args[0], args[1:], parent=own, **extra)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """A subcommand is called without the group's paths, and its usage has none."""
        params = super().get_params(ctx)
        return params if ctx.command is self else []

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The usage of the command without a subcommand."""
        return click.Command.collect_usage_pieces(self, ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The subcommands, without importing them."""
        with formatter.section("Commands, in place of PATHs"):
            formatter.write_dl([(name, text) for name, (_, _, text) in SUBCOMMANDS.items()])
