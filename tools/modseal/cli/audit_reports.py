"""`modseal audit diff` and `modseal audit verify-report`: what can be done with JSON reports of earlier audits."""

from __future__ import annotations

from pathlib import Path

import click

from modseal.auditing.diff import compare
from modseal.auditing.finding import Severity
from modseal.auditing.report_file import load
from modseal.auditing.reproduce import attested, reproduce
from modseal.cli.audit_options import deadline_option, fail_on_option, jobs_option
from modseal.cli.audit_output import write
from modseal.cli.options import FILE, FILE_OR_STREAM, FOLDERS, Choice, policy_option
from modseal.errors import UsageError
from modseal.policy import sources as policy_sources
from modseal.report import audit_diff, audit_recheck

_FORMAT = click.option(
    "--format", "form", type=Choice(["text", "json"]), default="text", help="The form of the result."
)


@click.command()
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@_FORMAT
@fail_on_option("The least severity of a new finding that makes it worse.")
def diff(old: Path, new: Path, form: str, fail_on: str) -> int:
    """Compare two JSON reports of `modseal audit`: what is new, gone, moved or judged otherwise.

    Bundles are recognised by their names, and where a name is gone by their SHA-256. Findings are recognised
    wherever their bundle lies.

    Exit status: 0 if nothing got worse; 1 if there is a new finding of at least the severity of --fail-on, a worse
    verdict, a lower level, or a new bundle that is not accepted; 3 if a report cannot be read or its audit was
    interrupted.
    """
    difference = compare(load(old), load(new), Severity(fail_on))
    write(audit_diff.render_json(difference) if form == "json" else audit_diff.render_text(difference))
    if difference.worse:
        return 1
    return 0 if difference.complete else 3


@click.command("verify-report")
@click.argument("report", type=FILE)
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    shell_complete=FOLDERS,
    help="The folder that the audit was made in, by default this one; a path that leads out of DIR is refused.",
)
@policy_option(required=False)
@click.option("--baseline", type=FILE, metavar="REPORT", help="The baseline that the audit was made with.")
@click.option(
    "--attestation", type=FILE_OR_STREAM, metavar="FILE", help="Check this file of --attest too; needs --cert."
)
@click.option(
    "--cert", type=FILE_OR_STREAM, metavar="PEM", help="The certificate whose key must have signed the attestation."
)
@jobs_option
@deadline_option
@_FORMAT
def verify_report(
    report: Path,
    root: Path | None,
    policy: str | None,
    baseline: Path | None,
    attestation: Path | None,
    cert: Path | None,
    jobs: int | None,
    deadline: int,
    form: str,
) -> int:
    """Check a JSON report of `modseal audit` against the files as they are now.

    A report is a claim and proves nothing by itself. Every bundle below its paths is found and read again, and
    examined again at the time of the report, under the policy that it names or that of --policy. What the report says
    and is not found again is shown, and so are bundles that it does not have.

    Exit status: 0 if all is found again; 1 if not, or if the attestation is not one of this report by this
    certificate; 3 if something could not be checked: a file that cannot be read, a policy that is not here.
    """
    if (attestation is None) != (cert is None):
        raise UsageError("--attestation and --cert go together")
    claim = load(report)
    said = attested(attestation, cert, claim) if attestation and cert else None
    given = policy_sources.load(policy) if policy else None
    found = reproduce(claim, root=root, policy=given, baseline=baseline, jobs=jobs, deadline=deadline)
    write(audit_recheck.render_json(found, said) if form == "json" else audit_recheck.render_text(found, said))
    if found.deviations:
        return 1
    return 0 if found.reproduced else 3
