"""`modseal host`: what shows and proves the installed modules, and what happened."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modseal.cli.host_options import format_option, root_option, show
from modseal.cli.options import (
    FILE_OR_STREAM,
    OUTPUT,
    at_option,
    now,
    recall_option,
)
from modseal.errors import UsageError

if TYPE_CHECKING:
    from modseal.host.verify import Verification


@click.command("list")
@root_option
@click.option("--pending", is_flag=True, help="Show the generation that waits for `host activate`.")
@format_option
def list_command(root: Path, output: str, *, pending: bool) -> int:
    """Show the installed modules: the level that each claims beside the one that is proved.

    What cannot be read of a damaged host is named, and the rest is shown.
    Exit status: 0 if everything can be read; else as that of verify.
    """
    from modseal.cli.verify import EXIT
    from modseal.host.look import show_modules
    from modseal.host.values import list_values
    from modseal.report import host_text

    found = show_modules(root, now(), pending=pending)
    show(list_values(found), lambda: host_text.modules(found), output)
    return EXIT[found.verdict]


@click.command()
@click.argument("name")
@root_option
@format_option
def get(name: str, root: Path, output: str) -> int:
    """Show the installed module NAME, proved again: signers, levels, relations, files (in JSON).

    Exit status: 0 where today's policy accepts it, else as that of verify.
    """
    from modseal.cli.verify import EXIT
    from modseal.host.look import show_module
    from modseal.host.values import get_values
    from modseal.report import host_text

    found = show_module(root, name, now())
    show(get_values(found), lambda: host_text.module(found), output)
    return EXIT[found.verdict]


@click.command()
@root_option
@format_option
def history(root: Path, output: str) -> int:
    """Show the generations: `*` is active, `>` waits, `!` is lost. Their modules are shown as recorded, unproved.

    Exit status: 3 where one is lost or cannot be read.
    """
    from modseal.cli.verify import EXIT
    from modseal.host.look import show_history
    from modseal.host.values import history_values
    from modseal.report import host_text

    found = show_history(root)
    show(history_values(found), lambda: host_text.history(found), output)
    return EXIT[found.verdict]


@click.command()
@root_option
@recall_option
@at_option
@format_option
@click.option("--at-boot", is_flag=True, help="Print the verdict in one line, for a unit that runs at boot.")
@click.option(
    "--event-log", type=OUTPUT, metavar="FILE", help="Write what was measured, for `host replay`; with --at-boot."
)
@click.option("--tpm", is_flag=True, help="Extend PCR 13 of this machine's TPM by what was measured; with --at-boot.")
def verify(
    root: Path,
    recalls: tuple[Path, ...],
    at: datetime | None,
    output: str,
    event_log: Path | None,
    *,
    at_boot: bool,
    tpm: bool,
) -> int:
    """Prove every installed module again under today's policy, and hold every file against what is signed.

    Exit status: 0 if and only if nothing was found; 1 if something is wrong; 3 if something cannot be judged.
    """
    from modseal.cli.verify import EXIT
    from modseal.host.values import verification_values
    from modseal.host.verify import verify as verify_host
    from modseal.report import host_text

    if (event_log or tpm) and not at_boot:
        raise UsageError("--event-log and --tpm have a meaning only with --at-boot")
    time = at or now()
    found = verify_host(root, time, now(), recalls)
    if event_log or tpm:
        _measure(found, event_log, tpm=tpm)
    if at_boot and output == "text":
        click.echo(host_text.verdict_line(found))
    else:
        show(verification_values(found, time), lambda: host_text.verification(str(root), found), output)
    return EXIT[found.verdict]


def _measure(found: Verification, path: Path | None, *, tpm: bool) -> None:
    from modseal.files.output import output_file
    from modseal.host.measure import measurements

    measured = list(measurements(found))
    if tpm:
        from modseal.host.tpm import extend

        extend(measured)
    if path:
        with output_file(path, is_report=True) as file:
            file.writelines(one.line() for one in measured)


@click.command()
@click.argument("path", type=FILE_OR_STREAM, metavar="EVENT-LOG")
@click.option("--start", metavar="HEX", help="The value of the register before; zeros by default, as after a reset.")
@format_option
def replay(path: Path, start: str | None, output: str) -> None:
    """Replay an event log of `host verify --at-boot` to the value that the register of a TPM must have.

    Compare it with a quote by that TPM (tpm2_checkquote): if they are equal, the log is true.
    """
    from modseal.files.small import read_small
    from modseal.host import measure
    from modseal.host.values import replay_values
    from modseal.limits import HOST_LOG_SIZE

    try:
        value = bytes.fromhex(start) if start else measure.START
    except ValueError:
        value = b""
    if len(value) != len(measure.START):
        raise UsageError("--start needs 64 hexadecimal digits")
    found = measure.replay(read_small(path, HOST_LOG_SIZE, pipes=True).data, str(path))
    value = measure.extend(value, found)
    lines = [*(_measurement(one.event) for one in found), f"sha256:{measure.PCR} = {value.hex()}"]
    show(replay_values(found, value), lambda: "\n".join(lines), output)


def _measurement(event: dict[str, object]) -> str:
    """One measurement, on a line."""
    from modseal.report.text import safe

    return "  ".join(f"{safe(name)}={safe(value)}" for name, value in sorted(event.items()))


@click.command()
@click.argument("path", metavar="PATH")
@root_option
@format_option
def owner(path: str, root: Path, output: str) -> int:
    """Show which modules bring PATH, or the content of this SHA-256, in which generations: as recorded, unproved.

    Exit status: 1 where none does.
    """
    from modseal.host import index
    from modseal.host.store import open_store
    from modseal.host.values import owner_values
    from modseal.report import host_text

    with open_store(root) as store:
        found = index.owners(store, path, now())
    show(owner_values(found), lambda: host_text.owners(path, found), output)
    return 0 if found else 1


@click.command()
@root_option
@format_option
def rebuild(root: Path, output: str) -> None:
    """Make the index anew that `host owner` asks. It decides nothing, and is made from the store alone."""
    from modseal.host import index
    from modseal.host.store import open_store
    from modseal.host.values import index_values
    from modseal.report.text import plural

    with open_store(root) as store:
        entries = index.rebuild(store, now())
    show(index_values(entries), lambda: plural(entries, "entry"), output)


@click.command("log")
@root_option
@click.option(
    "--verify", "whole", is_flag=True, help="Hold each line against the one before, and the last against now."
)
@format_option
def log_command(root: Path, output: str, *, whole: bool) -> int:
    """Show who changed what, and when. With --verify, say in one line that nothing of it was changed or removed.

    The SHA-256 that --verify prints stands for the whole log; compare it with one that was noted elsewhere.
    Of a log that was changed every line is shown that can be read: `?` may be anybody's, `!` cannot be read.
    Exit status: 0 if nothing of it was changed or removed; else as that of verify.
    """
    from modseal.cli.verify import EXIT
    from modseal.host.look import show_log
    from modseal.host.values import log_values
    from modseal.report import host_text

    found = show_log(root, whole=whole)
    if whole and not found.findings:
        show(log_values(found), lambda: host_text.unbroken(found), output)
    else:
        show(log_values(found), lambda: host_text.log(found), output)
    return EXIT[found.verdict]
