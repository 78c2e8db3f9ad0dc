"""`modseal audit`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from modseal.auditing.cache import default_folder
from modseal.auditing.esxi import require_container
from modseal.auditing.finding import Severity
from modseal.auditing.request import Request, count, perform
from modseal.auditing.run import Outcome, Summary
from modseal.cli.audit_attest import asked, attest_options
from modseal.cli.audit_group import AuditGroup
from modseal.cli.audit_options import deadline_option, fail_on_option, jobs_option
from modseal.cli.audit_output import FORMATS, FormatAndFile, pieces, require_writable, write
from modseal.cli.options import (
    FILE,
    FILES,
    FOLDERS,
    OUTPUT,
    PLACE,
    Choice,
    FolderType,
    at_option,
    now,
    policy_option,
    recall_option,
    require_no_input,
    require_path,
    tell_replaced,
)
from modseal.errors import UsageError
from modseal.files.address import is_address
from modseal.policy.sources import load, with_recall_files
from modseal.report import colour

_EXIT = {Outcome.PASSED: 0, Outcome.FAILED: 1, Outcome.UNDECIDED: 3, Outcome.INTERRUPTED: 130}
"""For an interrupted one as a shell says it: 128 and the number of SIGINT."""


def _list_rules(context: click.Context, _parameter: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from modseal.report import rules_text

        click.echo(rules_text.render())
        context.exit()


@click.command(cls=AuditGroup)
@click.argument("paths", nargs=-1, type=PLACE, metavar="PATH...", shell_complete=FILES)
@click.option(
    "--esxi-db",
    "hosts",
    type=FolderType(file_okay=False, exists=True),
    shell_complete=FOLDERS,
    multiple=True,
    metavar="DIR",
    help="Examine what is installed on an ESXi host: its root, boot bank or var/db/esximg; repeatable.",
)
@policy_option(required=False)
@recall_option
@at_option
@click.option("--format", "output_format", type=Choice(FORMATS), default="text", help="The form of the report.")
@click.option(
    "-o", "--output", type=OUTPUT, metavar="FILE", help="Write the report to FILE instead of standard output."
)
@click.option("--also", type=FormatAndFile(), multiple=True, help="Write the report in another form, too; repeatable.")
@click.option("--select", multiple=True, metavar="RULE", help="Run this rule (or pattern) alone; may be repeated.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Leave this rule (or pattern) out; may be repeated.")
@fail_on_option("Exit with 1 for a finding of at least this severity. A rejected bundle is one of high severity.")
@click.option("--baseline", type=FILE, metavar="REPORT", help="Count only what this older JSON report does not have.")
@jobs_option
@deadline_option
@click.option(
    "--dask", metavar="ADDRESS", help="Examine on the workers of a Dask cluster: its tcp:// or tls:// address."
)
@click.option("--no-cache", is_flag=True, help="Examine every bundle again, and keep nothing.")
@click.option("--resume", is_flag=True, help="Go on with the audit of these paths that was interrupted.")
@click.option("--strict-coverage", is_flag=True, help="Exit with 3 for what was left out and could hold a bundle.")
@click.option("-v", "--verbose", is_flag=True, help="Name every bundle in the text report.")
@attest_options
@click.option(
    "--rules", is_flag=True, is_eager=True, expose_value=False, callback=_list_rules, help="List the rules and exit."
)
def audit(
    paths: tuple[str, ...],
    hosts: tuple[str, ...],
    policy: str | None,
    recalls: tuple[Path, ...],
    at: datetime | None,
    output_format: str,
    output: Path | None,
    also: tuple[tuple[str, Path], ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str,
    baseline: Path | None,
    jobs: int | None,
    deadline: int,
    dask: str | None,
    *,
    no_cache: bool,
    resume: bool,
    strict_coverage: bool,
    verbose: bool,
    **signing: Any,
) -> int:
    """Examine every bundle below PATHs under a policy, offline, and report what is found.

    PATH is a bundle, a folder, an offline bundle (zip or unpacked), a copy of an ESXi host's files, or an ISO image.
    Without --policy the built-in policy strict is used, which trusts no signer.

    A PATH that has the name of a command below is reached as ./NAME.

    Exit status: 0 if nothing is found that counts; 1 for a finding of at least the severity of --fail-on;
    3 if something could not be decided, or no bundle was found.
    """
    if not paths and not hosts:
        raise UsageError("Missing argument 'PATH...', or --esxi-db and the folder of an ESXi host")
    for name in paths:
        require_path(name)
    paths = (*paths, *map(require_container, hosts))
    written = [*([output] if output else []), *(path for _, path in also)]
    require_no_input(click.get_current_context(), written)
    require_writable(written)
    attesting = asked(signing, written, paths)
    tell_replaced(*written, signing["attest"])
    if dask is not None and jobs is not None:
        raise UsageError("--dask and --jobs exclude each other: the cluster's workers are its jobs")
    given = click.get_current_context().get_parameter_source("deadline")
    if dask is not None and given is ParameterSource.COMMANDLINE:
        raise UsageError("--dask and --deadline exclude each other: only processes of this machine can be ended")
    if resume and at is not None:
        raise UsageError("--resume goes on as of the time of the interrupted audit; --at is for another audit")
    if resume and no_cache:
        raise UsageError("--resume goes on from what was kept, and --no-cache keeps nothing")
    request = Request(
        paths=paths,
        policy=with_recall_files(load(policy or "strict"), recalls),
        at=at or now(),
        by_default=policy is None,
        select=select,
        ignore=ignore,
        baseline=baseline,
        strict_coverage=strict_coverage,
        jobs=jobs,
        deadline=deadline,
        dask=dask,
        cached=attesting is None,  # a signature says what was examined, not what is remembered
        cache=None if no_cache else default_folder(),
        resume=resume,
        outputs=tuple(written),
    )
    with _progress(paths) as tell:
        result = perform(request, _warn, tell)
    if not result.complete:
        goes_on = "" if dask or no_cache else ", and --resume goes on"
        _warn(f"interrupted; the report has what was examined until then{goes_on}")
    elif not result.summary.bundles:
        _warn("no bundle was found, so nothing is proved; check the paths")
    for form, path in also:
        write(pieces(result, form), path)
    # What goes to a file, or is attested, is the same everywhere.
    in_colour = output is None and attesting is None and colour.wanted(sys.stdout)
    made = pieces(result, output_format, verbose=verbose, in_colour=in_colour)
    write(attesting.seen(made) if attesting else made, output)
    outcome = result.outcome(Severity(fail_on))
    if attesting:
        attesting.sign(result, output_format, output, passed=outcome is Outcome.PASSED, fail_on=Severity(fail_on))
    return _EXIT[outcome]


def _warn(text: str) -> None:
    click.echo(f"modseal: {text}", err=True)


@contextmanager
def _progress(paths: tuple[str, ...]) -> Iterator[Callable[[Summary], None]]:
    """A bar with rate and time left on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty() or any(map(is_address, paths)):  # counting would list a server's folders twice
        yield lambda _summary: None
        return
    length = count(paths)
    started = time.monotonic()
    with click.progressbar(
        length=length,
        file=sys.stderr,
        label="modseal: examining",
        show_pos=True,
        item_show_func=lambda text: text,
        update_min_steps=max(1, length // 200),
    ) as bar:

        def tell(summary: Summary) -> None:
            seconds = max(time.monotonic() - started, 0.001)
            bar.update(1, f"{summary.bundles / seconds:.0f}/s, {summary.bytes / seconds / 1e6:.0f} MB/s")

        yield tell
