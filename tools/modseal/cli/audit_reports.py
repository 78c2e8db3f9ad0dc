"""`modseal audit diff` and `modseal audit verify-report`: what can be done with JSON reports of earlier audits."""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path

import click

from modseal import limits
from modseal.auditing import recheck, vsa
from modseal.auditing.diff import compare
from modseal.auditing.discover import discover
from modseal.auditing.engine import local
from modseal.auditing.finding import Severity
from modseal.auditing.report_file import ReportFile, load
from modseal.auditing.run import run
from modseal.auditing.vsa import Attestation
from modseal.cli.audit_options import deadline_option, fail_on_option, jobs_option, known_to
from modseal.cli.audit_output import write
from modseal.cli.options import FILE, FOLDERS, policy_option
from modseal.errors import FormatError, InputError, KeyMaterialError, PolicyError, UsageError
from modseal.files.address import is_address
from modseal.files.small import read_small
from modseal.format import dsse
from modseal.pki.certificate import Certificate
from modseal.policy import sources as policy_sources
from modseal.report import audit_diff, audit_recheck
from modseal.trust.policy import Policy

_FORMAT = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="The form of the result."
)
_BUILT_IN = "built-in policy "


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
@click.option("--attestation", type=FILE, metavar="FILE", help="Check this file of --attest too; needs --cert.")
@click.option("--cert", type=FILE, metavar="PEM", help="The certificate whose key must have signed the attestation.")
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
    attested = _attestation(attestation, cert, claim) if attestation and cert else None
    known = known_to(baseline)
    given = policy_sources.load(policy) if policy else None
    with chdir(root or "."):
        _require_inside(claim, root)
        rules, why = (given, None) if given else _policy_of(claim, confined=root is not None)
        audit = recheck.prepare(claim, rules or policy_sources.load("strict"), known)
        # No cache: it would say what was found earlier.
        run(discover(audit.paths), local(audit.policy, audit.at, jobs, deadline=deadline), audit)
    found = recheck.compare(claim, audit, why)
    write(audit_recheck.render_json(found, attested) if form == "json" else audit_recheck.render_text(found, attested))
    if found.deviations:
        return 1
    return 0 if found.reproduced else 3


def _attestation(path: Path, cert: Path, claim: ReportFile) -> Attestation:
    """What an attestation says, once it holds for this report and this certificate."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from modseal.signing.material import read_certificate

    data, _ = read_small(
        path, limits.ENVELOPE_SIZE, too_large=lambda why: dsse.bad(str(path), f"it is {why}"), pipes=True
    )
    try:
        certificate = Certificate.parse(read_certificate(cert).public_bytes(Encoding.DER))
    except FormatError as error:
        raise KeyMaterialError(f"{cert}: {error}") from None
    return vsa.check(data, str(path), certificate, claim)


def _require_inside(claim: ReportFile, root: Path | None) -> None:
    """No path of a report makes us open a connection, or leads out of the folder that was named."""
    for path in claim.head["paths"]:
        if is_address(path):
            raise InputError(f"{claim.name}: a path of it is on a server; only reports of files can be checked")
        if root and not _inside(path):
            raise InputError(f"{claim.name}: {path} leads out of {root}", path=path)


def _inside(path: str) -> bool:
    """Whether a path leads to somewhere below the current folder."""
    try:
        here, there = os.path.realpath("."), os.path.realpath(path)
    except ValueError:  # a NUL in it
        return False
    return os.path.commonpath((here, there)) == here


def _policy_of(claim: ReportFile, *, confined: bool) -> tuple[Policy | None, str | None]:
    """The policy that a report names, or why it cannot be the one."""
    source = claim.policy["source"]
    name = source.removeprefix(_BUILT_IN)
    if name == source and confined and not _inside(source):
        return None, f"the report's policy {source} is not below --root; name it with --policy"
    if name == source and not os.path.isfile(source):
        return None, f"the report's policy {source} is not here; name it with --policy"
    try:
        found = policy_sources.load(name)
    except PolicyError as error:
        return None, f"the report's policy cannot be used: {error.failure.detail}"
    if found.origin is None or found.origin.digest != claim.policy["sha256"]:
        return None, f"{source} is not as it was when the report was made; name that policy with --policy"
    return found, None
