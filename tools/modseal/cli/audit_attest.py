"""`modseal audit --attest`: its options, and what happens when. Signing code is loaded only where it is asked for.

The key is opened once everything is examined and the report is written: no process that reads bundles has it, and a
token is not shared with processes that were forked meanwhile. A certificate that is named is judged before, so that a
long audit does not end at one that is not fit.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from modseal.auditing.finding import Severity
from modseal.auditing.run import Audit
from modseal.cli.audit_output import FORMATS
from modseal.cli.options import OUTPUT, now, signer_options
from modseal.errors import UsageError
from modseal.files.output import require_output
from modseal.report.text import plural, safe, safe_name

_OPTIONS = ("key", "cert", "chain", "passphrase_file", "algorithm", "resource_uri", "verifier_id")


def attest_options(command: Any) -> Any:
    """`--attest` and what goes with it."""
    what = "Sign what is found, bound to the report, into FILE: a verification summary for the tools of in-toto."
    where = "With --attest: where the bundles are fetched, so that FILE counts for nothing else."
    who = "With --attest: who judges; by default the key."
    command = click.option("--verifier-id", metavar="URI", help=who)(command)
    command = click.option("--resource-uri", metavar="URI", help=where)(command)
    return click.option("--attest", type=OUTPUT, metavar="FILE", help=what)(signer_options(command))


class Attesting:
    """An attestation that was asked for."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self.path: Path = given["attest"]
        self._digest = hashlib.sha256()

    def seen(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The report's pieces as they pass by."""
        for piece in pieces:
            self._digest.update(piece)
            yield piece

    def sign(self, audit: Audit, form: str, output: Path | None, *, passed: bool, fail_on: Severity) -> None:
        """Write the attestation of an audit whose report was written. Raises what `audit.attest.attest` raises."""
        if not audit.complete:
            click.echo(f"modseal: {safe_name(self.path)} is not written: nothing is attested", err=True)
            return
        from modseal.auditing import attest
        from modseal.cli.sign import open_signer

        done = attest.attest(
            audit,
            attest.Report(output.name if output else None, FORMATS[form], self._digest.hexdigest()),
            open_signer(self._given),
            self.path,
            now(),
            passed=passed,
            fail_on=fail_on,
            algorithm=self._given["algorithm"],
            resource=self._given["resource_uri"] or "",
            verifier=self._given["verifier_id"] or "",
        )
        said = "PASSED" if done.passed else "FAILED"
        who = f"{safe(done.subject)} with {done.algorithm}"
        click.echo(
            f"modseal: {safe_name(done.path)}: {said} for {plural(done.bundles, 'bundle')}, signed by {who}", err=True
        )


def asked(given: Mapping[str, Any], reports: Iterable[Path], paths: Iterable[str]) -> Attesting | None:
    """The attestation that the options ask for, None where they do not. `reports` are files that are written, too.

    Raises `UsageError` where they do not go together, and what an unfit certificate raises.
    """
    if given["attest"] is None:
        useless = next((name for name in _OPTIONS if given[name]), None)
        if useless:
            raise UsageError(f"--{useless.replace('_', '-')} has no effect without --attest")
        return None
    if given["key"] is None:
        raise UsageError("--attest needs --key, the key that signs")
    if os.path.realpath(given["attest"]) in [os.path.realpath(other) for other in (*paths, *map(str, reports))]:
        raise UsageError(f"{given['attest']} is the report or a bundle; name another file for the attestation")
    require_output(given["attest"])
    if given["cert"]:
        from modseal.signing import fitness, prepared

        certificate, chain = prepared.read_identity(given["cert"], given["chain"])
        fitness.check_certificate(certificate, chain, now())
        fitness.choose_algorithm(certificate, given["algorithm"])
    return Attesting(given)
