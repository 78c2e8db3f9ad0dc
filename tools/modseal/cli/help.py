"""`modseal help`: the installed documentation."""

from __future__ import annotations

import sys

import click
from click.shell_completion import CompletionItem

from modseal.cli.main import COMMANDS, cli
from modseal.codes import CODES
from modseal.errors import UsageError
from modseal.format.shape import suggestion
from modseal.report import pages


def _topics(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    return [
        CompletionItem(name, help=page.title) for name, page in pages.pages().items() if name.startswith(incomplete)
    ]


@click.command("help")
@click.argument("topic", nargs=-1, metavar="[TOPIC]", shell_complete=_topics)
@click.option("--schema", metavar="NAME", help="Print a JSON Schema: of module, policy, report, audit and so on.")
def help_command(topic: tuple[str, ...], schema: str | None) -> None:
    """Show a page of the documentation; without TOPIC, list them all.

    TOPIC is the name of a page, a command, the code of a refusal, or a rule of audits. On a terminal, a pager shows
    it.
    """
    if topic and schema:
        raise UsageError("give either a TOPIC or --schema")
    text = _schema(schema) if schema else _text(topic) if topic else f"{pages.listing()}\n"
    if sys.stdout.isatty():
        click.echo_via_pager(text)
    else:
        click.echo(text, nl=False)


def _schema(name: str) -> str:
    found = pages.schemas()
    if name not in found:
        hint = suggestion(name, found) or f"; give one of {', '.join(found)}"
        raise UsageError(f"there is no schema {name!r}{hint}")
    return found[name].read_text("utf-8")


def _text(topic: tuple[str, ...]) -> str:
    """The page, the code, the command or the rule of audits that some words name."""
    name, found = " ".join(topic), pages.pages()
    if name in found:
        return found[name].text()
    code = next((code for known, code in CODES.items() if known == name), None)
    if code:
        next_step = f"next: {code.next_step}\n" if code.next_step else ""
        return f"{name}: {code.meaning}\n{next_step}All codes: modseal help codes\n"
    usage = _usage(topic)
    if usage is not None:
        return f"{usage}\n"
    from modseal.auditing.rules import BY_ID
    from modseal.report import rules_text

    if name in BY_ID:
        return f"{rules_text.describe(BY_ID[name])}\n"
    hint = suggestion(name, [*found, *COMMANDS, *CODES, *BY_ID]) or "; `modseal help` lists all topics"
    raise UsageError(f"there is no topic {name!r}{hint}")


def _usage(words: tuple[str, ...]) -> str | None:
    """What `--help` says of a command, or None where there is no such command."""
    command: click.Command | None = cli
    context = click.Context(cli, info_name="modseal", **cli.context_settings)
    for word in words:
        command = command.get_command(context, word) if isinstance(command, click.Group) else None
        if command is None:
            return None
        context = click.Context(command, context, word, **command.context_settings)
    return context.get_help()
