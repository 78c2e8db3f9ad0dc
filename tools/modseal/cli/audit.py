"""`modseal audit`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modseal.audit.choice import choose
from modseal.audit.discover import LeftOut, discover
from modseal.audit.finding import Severity
from modseal.audit.run import Audit, Summary, run
from modseal.bundle.staging import atomic_file
from modseal.cli.options import FILE, at_option, now, policy_option
from modseal.trust.policy_file import load

if TYPE_CHECKING:
    from modseal.audit.engine import Engine
    from modseal.trust.policy import Policy

FORMATS = ("text", "json", "sarif", "html", "csv", "junit", "gitlab")
_INTERRUPTED = 130
"""As a shell says it: 128 and the number of SIGINT."""


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@policy_option(required=False)
@at_option
@click.option("--format", "output_format", type=click.Choice(FORMATS), default="text", help="The form of the report.")
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write the report to FILE instead of standard output.")
@click.option("--select", multiple=True, metavar="RULE", help="Run this rule (or pattern) alone; may be repeated.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Leave this rule (or pattern) out; may be repeated.")
@click.option(
    "--fail-on",
    type=click.Choice([str(severity) for severity in Severity]),
    default="medium",
    show_default=True,
    help="Exit with 1 for a finding of at least this severity. A rejected bundle is one of high severity.",
)
@click.option("--baseline", type=FILE, metavar="REPORT", help="Count only what this older JSON report does not have.")
@click.option("-j", "--jobs", type=click.IntRange(1, 256), metavar="N", help="Processes; as many as there are cores.")
@click.option("-v", "--verbose", is_flag=True, help="Name every bundle in the text report.")
def audit(
    paths: tuple[str, ...],
    policy: str | None,
    at: datetime | None,
    output_format: str,
    output: Path | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str,
    baseline: Path | None,
    jobs: int | None,
    *,
    verbose: bool,
) -> int:
    """Examine every bundle below PATHs under a policy, offline, and report what is found.

    PATH is a bundle, a folder, or an offline bundle (zip or unpacked). Without --policy the built-in policy
    strict is used, which trusts nobody.

    Exit status: 0 if nothing is found that counts; 1 for a finding of at least the severity of --fail-on;
    3 if something could not be decided.
    """
    at = at or now()
    rules = load(policy or "strict")
    result = Audit(rules, at, paths, choose(rules, at, select=select, ignore=ignore, known=_known(baseline)))
    engine = _engine(rules, at, jobs or len(os.sched_getaffinity(0)))
    try:
        with _progress(paths) as tell:
            run(discover(paths), engine, result, tell)
    except KeyboardInterrupt:
        click.echo("modseal: interrupted; the report has what was examined until then", err=True)
    _write(_pieces(result, output_format, verbose=verbose), output)
    return _status(result, Severity(fail_on))


def _status(result: Audit, fail_on: Severity) -> int:
    if not result.complete:
        return _INTERRUPTED
    if result.worst and result.worst >= fail_on:
        return 1
    return 3 if result.doubt else 0


def _engine(policy: Policy, at: datetime, jobs: int) -> Engine:
    from modseal.audit import engine

    return engine.Serial(policy, at) if jobs == 1 else engine.Processes(policy, at, jobs)


def _known(baseline: Path | None) -> frozenset[str]:
    if baseline is None:
        return frozenset()
    from modseal.audit.report_file import load as load_report

    return frozenset(finding.fingerprint for finding in load_report(baseline).findings())


@contextmanager
def _progress(paths: tuple[str, ...]) -> Iterator[Callable[[Summary], None]]:
    """A bar with rate and time left on a terminal; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _summary: None
        return
    length = sum(1 for one in discover(paths) if not isinstance(one, LeftOut))
    started = time.monotonic()
    with click.progressbar(
        length=length, file=sys.stderr, label="modseal: examining", show_pos=True, item_show_func=lambda text: text
    ) as bar:

        def tell(summary: Summary) -> None:
            seconds = max(time.monotonic() - started, 0.001)
            bar.update(1, f"{summary.bundles / seconds:.0f}/s, {summary.bytes / seconds / 1e6:.0f} MB/s")

        yield tell


def _pieces(result: Audit, output_format: str, *, verbose: bool) -> Iterable[bytes]:
    """The report in pieces."""
    module: Any = import_module(f"modseal.report.audit_{output_format}")
    pieces: Iterable[bytes] = module.render(result, *((verbose,) if output_format == "text" else ()))
    return pieces


def _write(pieces: Iterable[bytes], output: Path | None) -> None:
    if output is None:
        stream = getattr(sys.stdout, "buffer", None)
        for piece in pieces:
            if stream:
                stream.write(piece)  # as it is: another encoding would be another document
            else:
                click.echo(piece.decode("utf-8"), nl=False)
        return
    with atomic_file(output) as file:
        for piece in pieces:
            file.write(piece)
