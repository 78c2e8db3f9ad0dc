"""`modseal remote HOST...`: the words of `modseal host`, for hosts elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modseal import limits
from modseal.cli.host_options import LEVELS, dry_run_option, say_dry_run
from modseal.cli.options import BUNDLES, FILE, FILES, REFERENCE, Choice

if TYPE_CHECKING:
    from modseal.remote.inventory import RemoteHost
    from modseal.remote.questions import Question


class HostsFirst(click.Group):
    """A group whose commands stand behind any number of names of hosts."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Group`: what stands between the options and the first word of a command are hosts."""
        _, words, _ = self.make_parser(ctx).parse_args(args=list(args))
        count = next((number for number, word in enumerate(words) if word in self.commands), len(words))
        ctx.meta["modseal.hosts"] = words[:count]
        rest = words[count:]
        if words and not rest and not ctx.resilient_parsing:
            ctx.fail(f"say after the hosts what to do: {', '.join(self.commands)}")
        return super().parse_args(ctx, [*args[: len(args) - len(words)], *rest])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """See `click.Group`."""
        return ["[OPTIONS]", "HOST...", "COMMAND", "[ARGS]..."]


@click.group(cls=HostsFirst)
@click.option(
    "--inventory",
    type=FILE,
    metavar="FILE",
    shell_complete=FILES,
    help="A remote.toml with hosts; by default that of your configuration folder, if it is there.",
)
@click.option("--all", "every", is_flag=True, help="Ask every host of the inventory.")
@click.option("--ca", type=FILE, metavar="PEM", shell_complete=FILES, help="The CAs that hosts are known by.")
@click.option("--cert", type=FILE, metavar="PEM", shell_complete=FILES, help="The certificate that hosts know you by.")
@click.option("--key", type=FILE, metavar="PEM", shell_complete=FILES, help="Its private key, without a passphrase.")
@click.option(
    "--wait",
    type=click.IntRange(1),
    default=limits.REMOTE_TASK_TIME,
    metavar="SECONDS",
    help=f"How long a host may be at work; {limits.REMOTE_TASK_TIME} by default.",
)
@click.option("--format", "output", type=Choice(["text", "json"]), default="text", help="The form of the result.")
@click.pass_context
def remote(ctx: click.Context, /, **given: Any) -> None:
    """Manage HOSTs over the network, several at once: each decides for itself, and the worst exit status counts.

    HOST is a name of the inventory, or an address such as host.example:8443. What is printed is what each host says
    of itself. Exit status: 0 if all have accepted; 1 if one has rejected; 3 if one gave no answer that can be used.
    """
    ctx.obj = given


@remote.command()
@click.argument("bundles", nargs=-1, required=True, type=FILE, metavar="BUNDLE...", shell_complete=BUNDLES)
@dry_run_option
@click.pass_context
def install(ctx: click.Context, bundles: tuple[Path, ...], *, dry_run: bool) -> int:
    """Send BUNDLEs, which each host verifies and installs: all of them, or none."""
    from modseal.remote import questions

    return _ask(ctx, questions.push("install", bundles, dry_run=dry_run), dry_run=dry_run)


@remote.command()
@click.argument("bundles", nargs=-1, required=True, type=FILE, metavar="BUNDLE...", shell_complete=BUNDLES)
@dry_run_option
@click.pass_context
def update(ctx: click.Context, bundles: tuple[Path, ...], *, dry_run: bool) -> int:
    """Send BUNDLEs; each host installs those that are newer than what it has of the same name."""
    from modseal.remote import questions

    return _ask(ctx, questions.push("update", bundles, dry_run=dry_run), dry_run=dry_run)


@remote.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@dry_run_option
@click.pass_context
def remove(ctx: click.Context, names: tuple[str, ...], *, dry_run: bool) -> int:
    """Remove modules by NAME: all of them, or none."""
    from modseal.remote import questions

    return _ask(ctx, questions.remove(names, dry_run=dry_run), dry_run=dry_run)


@remote.command("list")
@click.option("--pending", is_flag=True, help="Show the generation that waits for `activate`.")
@click.pass_context
def list_command(ctx: click.Context, *, pending: bool) -> int:
    """Show the installed modules: the level that each claims beside the one that the host proves."""
    from modseal.remote import questions

    return _ask(ctx, questions.modules(pending=pending))


@remote.command()
@click.argument("name")
@click.pass_context
def get(ctx: click.Context, name: str) -> int:
    """Show the installed module NAME, proved again by the host."""
    from modseal.remote import questions

    return _ask(ctx, questions.module(name))


@remote.command()
@click.pass_context
def verify(ctx: click.Context) -> int:
    """Let each host prove every installed module again, and hold every file against what is signed."""
    from modseal.remote import questions

    return _ask(ctx, questions.verify())


@remote.command()
@click.pass_context
def history(ctx: click.Context) -> int:
    """Show the generations: `*` is active, `>` waits, `!` is lost."""
    from modseal.remote import questions

    return _ask(ctx, questions.history())


@remote.command()
@dry_run_option
@click.pass_context
def activate(ctx: click.Context, *, dry_run: bool) -> int:
    """Make the generation active that waits."""
    from modseal.remote import questions

    return _ask(ctx, questions.activate(dry_run=dry_run), dry_run=dry_run)


@remote.command()
@click.option("--to", type=click.IntRange(0), metavar="N", help="The generation to go to; the one before by default.")
@dry_run_option
@click.pass_context
def rollback(ctx: click.Context, to: int | None, *, dry_run: bool) -> int:
    """Go back to an earlier generation, once the host has proved all of it again."""
    from modseal.remote import questions

    return _ask(ctx, questions.rollback(to, dry_run=dry_run), dry_run=dry_run)


@remote.command("log")
@click.option("--verify", "whole", is_flag=True, help="Let the host prove that nothing was changed or removed.")
@click.pass_context
def log_command(ctx: click.Context, *, whole: bool) -> int:
    """Show who changed what, and when."""
    from modseal.remote import questions

    return _ask(ctx, questions.log(verify=whole))


@remote.group()
def acceptance() -> None:
    """The level that a module must at least be proved for."""


@acceptance.command("get")
@click.pass_context
def get_acceptance(ctx: click.Context) -> int:
    """Show the acceptance level."""
    from modseal.remote import questions

    return _ask(ctx, questions.acceptance())


@acceptance.command("set")
@click.argument("level", type=LEVELS)
@click.pass_context
def set_acceptance(ctx: click.Context, level: str) -> int:
    """Set the acceptance level. A host does not raise it while a module below it is installed."""
    from modseal.format.level import Level
    from modseal.remote import questions

    return _ask(ctx, questions.set_acceptance(str(Level.parse(level))))


@remote.group()
def lockdown() -> None:
    """Who may change the hosts: everybody who can, or in strict mode their controllers alone."""


@lockdown.command("get")
@click.pass_context
def get_lockdown(ctx: click.Context) -> int:
    """Show the mode, its number, and the keys that are named."""
    from modseal.remote import questions

    return _ask(ctx, questions.lockdown())


@lockdown.command("set")
@click.argument("mode", type=Choice(["strict", "normal"]))
@click.option("--controller", "controllers", multiple=True, type=REFERENCE, metavar="KEY", help="As for `host`.")
@click.option("--break-glass", "keys", multiple=True, type=REFERENCE, metavar="KEY", help="As for `host`.")
@click.option("--threshold", type=click.IntRange(1), metavar="K", help="How many of these keys it takes.")
@dry_run_option
@click.pass_context
def set_lockdown(
    ctx: click.Context,
    mode: str,
    controllers: tuple[str, ...],
    keys: tuple[str, ...],
    threshold: int | None,
    *,
    dry_run: bool,
) -> int:
    """Set the mode, and the keys that are named; those of a kind that is not given stay."""
    from modseal.host.lockdown import read_key
    from modseal.remote import questions

    asked = questions.set_lockdown(
        mode, tuple(map(read_key, controllers)), tuple(map(read_key, keys)), threshold, dry_run=dry_run
    )
    return _ask(ctx, asked, dry_run=dry_run)


def _ask(ctx: click.Context, question: Question, *, dry_run: bool = False) -> int:
    """Ask all hosts, print what they say, and return the exit status."""
    from modseal.cli.verify import EXIT
    from modseal.remote.fleet import ask_all
    from modseal.remote.inventory import targets
    from modseal.remote.outcome_values import outcome_values, worst
    from modseal.report import remote_text
    from modseal.trust.examination import Verdict

    given: dict[str, Any] = ctx.obj
    files = {"ca": given["ca"], "certificate": given["cert"], "key": given["key"]}
    inventory = given["inventory"] or _usual_inventory()
    found = targets(ctx.meta["modseal.hosts"], inventory, files, every=given["every"])
    outcomes = ask_all(found, question, given["wait"], _say)
    if given["output"] == "json":
        click.echo(json.dumps(outcome_values(question.word, outcomes), indent=2))
    else:
        click.echo(remote_text.render(outcomes))
    say_dry_run(dry_run)
    return EXIT[Verdict(worst(outcomes))]


def _usual_inventory() -> Path | None:
    from platformdirs import user_config_path

    path = user_config_path("modseal") / "remote.toml"
    return path if path.is_file() else None


def _say(target: RemoteHost, what: str) -> None:
    """How far a host is, where somebody looks on."""
    from modseal.report.text import safe

    if sys.stderr.isatty():
        click.echo(f"modseal: {safe(target.shown)}: {what}", err=True)
