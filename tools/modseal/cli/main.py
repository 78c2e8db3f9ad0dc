"""`modseal`: the group of commands, and the one place where an error becomes a line and an exit code.

Each command is imported when it is called, so that a cold `verify` loads only what it needs.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

gc.disable()  # the thousands of objects of an import are never garbage
import click  # noqa: E402

from modseal import __version__  # noqa: E402
from modseal.errors import InputError, ModsealError, PolicyError, SpecError  # noqa: E402

gc.freeze()
gc.enable()

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "init": ("modseal.cli.init", "Write a module.toml for a folder."),
    "pack": ("modseal.cli.pack", "Pack a module into a bundle."),
    "sign": ("modseal.cli.sign", "Add a signature block to a bundle."),
    "timestamp": ("modseal.cli.timestamp", "Add timestamps to the signatures of a bundle."),
    "verify": ("modseal.cli.verify", "Prove bundles under a policy."),
    "inspect": ("modseal.cli.inspect", "Show what a bundle says about itself, unproved."),
    "diff": ("modseal.cli.diff", "Compare two bundles."),
    "extract": ("modseal.cli.extract", "Verify a bundle and unpack it."),
    "sbom": ("modseal.cli.sbom", "Verify a bundle and print its SBOM or provenance."),
    "keys": ("modseal.cli.keys", "Make keys, certificates and CRLs: a small PKI."),
    "audit": ("modseal.cli.audit", "Examine many bundles offline and report what is found."),
    "depot": ("modseal.cli.depot", "Build, read and check sets of bundles."),
    "profile": ("modseal.cli.profile", "Find sets of modules that go together."),
    "host": ("modseal.cli.host", "Install modules on a host and prove what is installed."),
    "remote": ("modseal.cli.remote", "Manage hosts over the network, several at once."),
    "break-glass": ("modseal.cli.break_glass", "Make the file that ends a host's strict mode."),
    "serve": ("modseal.cli.serve", "Let clients with certificates manage a host."),
    "image": ("modseal.cli.image", "Build a host image that runs only signed modules."),
    "attest": ("modseal.cli.attest", "Ask a host what it runs, and check what its TPM has proved."),
    "policy": ("modseal.cli.policy", "Check and show policies."),
    "completion": ("modseal.cli.completion", "Print a script that lets a shell complete command lines."),
    "help": ("modseal.cli.help", "Show a page of the documentation."),
}
"""Name -> (module with a command of that name, one line of help)."""

PAGES = {
    "init": ("module", "policy"),
    "pack": ("module", "sign-in-a-pipeline"),
    "sign": ("sign-in-a-pipeline", "sign-with-a-token", "several-signers", "sign-on-an-air-gapped-machine"),
    "timestamp": ("timestamp-signatures",),
    "verify": ("verification", "policy", "codes"),
    "inspect": ("format", "vib"),
    "diff": ("verification", "format", "vib"),
    "extract": ("gate-before-install", "policy"),
    "sbom": ("attach-sbom-and-provenance",),
    "keys": ("make-a-small-pki",),
    "audit": ("audits", "audit-a-depot", "audit-reports"),
    "depot": ("depots", "audit-a-depot"),
    "profile": ("profiles", "depots"),
    "host": ("host", "policy", "levels", "lock-a-host-down"),
    "remote": ("manage-hosts-from-a-desk", "host"),
    "break-glass": ("lock-a-host-down", "host"),
    "serve": ("remote", "host", "reference-host"),
    "image": ("reference-host", "host", "policy"),
    "attest": ("reference-host",),
    "policy": ("policy", "trust-bundle", "use-offline"),
    "completion": ("shell-completion-and-man-pages",),
}
"""Name of a command -> the pages of `modseal help` that say more about it."""


class LazyGroup(click.Group):
    """A group that imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the main job."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        if cmd_name not in COMMANDS:
            return None
        module = _import(COMMANDS[cmd_name][0])
        command = getattr(module, "help_command" if cmd_name == "help" else cmd_name.replace("-", "_"))
        if not isinstance(command, click.Command):
            return None
        for each in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
            each.epilog = each.epilog or _more(cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See `click.Group`, which knows only the commands that are imported when it says what else was meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The commands that start so, without importing them, or the group's own options."""
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return found or click.Command.shell_complete(self, ctx, incomplete)


def _more(name: str) -> str | None:
    """The last lines of a command's help; the mark keeps click from breaking them where a page's name has a hyphen."""
    return "\n".join(["\b", "More:", *(f"  modseal help {page}" for page in PAGES[name])]) if name in PAGES else None


_VERBOSE = "With --version: the libraries too, OpenSSL, the extras, and where policies and caches are."


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta["modseal.verbose"] = value


def _show_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    verbose = context.meta["modseal.verbose"]
    if not value and verbose and not context.resilient_parsing:
        raise click.UsageError("--verbose stands behind a command, or with --version", context)
    if value and not context.resilient_parsing:
        click.echo(_everything() if verbose else f"modseal {__version__}")
        context.exit()


def _everything() -> str:
    from modseal.report import versions

    return versions.render()


@click.group(
    cls=LazyGroup,
    epilog="More: modseal help readme. All pages: modseal help.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-v", "--verbose", is_flag=True, is_eager=True, expose_value=False, callback=_remember, help=_VERBOSE)
@click.option("--version", is_flag=True, expose_value=False, callback=_show_version, help="Show the version and exit.")
def cli() -> None:
    """Pack, sign and verify signed modules.

    The signer, not the file, decides how far a module is trusted. Results go to standard output,
    everything else to standard error. Exit status: 0 accepted or done, 1 rejected, 2 usage,
    3 undecided.
    """


def main() -> NoReturn:
    """The entry point: run a command and exit with its status.

    The process ends at once. Everything that a command opens, starts or stages ends with it, and taking
    the interpreter apart would be a tenth of a cold `verify`.
    """
    _prepare_streams()
    _stop_cleanly()
    try:
        status = run(sys.argv[1:])
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(status)


def _prepare_streams() -> None:
    """A closed stream takes anything, and no text is one that a stream cannot encode: the exit status must hold."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115 - as long as the process lives
        stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, stream)


def _stop_cleanly() -> None:
    """Being ended by a signal removes what is staged, as a failure does."""
    import signal

    ending = (signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, _frame: object) -> NoReturn:
        for each in (*ending, signal.SIGINT):  # what cleans up now must not be stopped, whatever comes next
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)  # as a shell says it

    for number in ending:
        if signal.getsignal(number) == signal.SIG_DFL:  # not under nohup
            signal.signal(number, stop)


def _import(name: str) -> ModuleType:
    """A command's module, imported without the collector as the library above."""
    if name in sys.modules:
        return sys.modules[name]
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def run(arguments: list[str]) -> int:
    """Run a command; every failure is one `modseal: ` line on standard error, never a traceback."""
    try:
        # Not `cli.main`: it answers a closed pipe with exit 1, which here means rejected, and an environment variable
        # makes it print a completion script and exit with 0 in the place of what a gate asked for.
        with cli.make_context("modseal", list(arguments)) as context:
            status = cli.invoke(context)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        hint = f" (see: {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        _complain(error.format_message().replace("\n\t", " ") + hint)  # choices come one a line
        return 2
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted")
        return 130  # as a shell says it: 128 and the number of SIGINT
    except ModsealError as error:
        return report_failure(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 3
    except OSError as error:  # files have been seen to where they are read and written; what is left are the streams
        return report_failure(InputError.of(error.filename or "standard output", error))
    except MemoryError:
        _complain("there is not enough memory; end other programs, or use a machine that has more")
        return 3
    except Exception as error:
        if os.environ.get("MODSEAL_TRACEBACK"):
            raise
        _complain(
            f"internal error, please report it: {type(error).__name__}: {error} (MODSEAL_TRACEBACK=1 shows where)"
        )
        return 3


def report_failure(error: ModsealError, bundle: object = None) -> int:
    """Tell a person what failed, at which of several bundles, and what to do next. Gives the exit status."""
    failure = error.failure
    lines = error.problems if isinstance(error, SpecError | PolicyError) else (failure.detail,)
    for line in lines:
        _complain(line if bundle is None or str(bundle) in line else f"{bundle}: {line}")
    if failure.code != "usage" or "cause" in failure.evidence:
        _complain(f"next: {failure.next_step}")
    return error.exit_code


def _complain(text: str) -> None:
    from modseal.files.shown import without_secrets
    from modseal.report.text import safe

    print(f"modseal: {safe(without_secrets(text))}", file=sys.stderr)
