"""An old report made again: its paths are found, read and examined again under the policy that it names, and compared.

Nothing that a report says is believed, and none makes us open a connection or leave the folder that was named.
"""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path

from modseal import limits
from modseal.auditing import recheck, vsa
from modseal.auditing.discover import discover
from modseal.auditing.engine import local
from modseal.auditing.report_file import ReportFile
from modseal.auditing.request import known_to
from modseal.auditing.run import run
from modseal.auditing.target import DEADLINE
from modseal.auditing.vsa import Attestation
from modseal.errors import FormatError, InputError, KeyMaterialError, PolicyError
from modseal.files.address import is_address
from modseal.files.small import read_small
from modseal.format import dsse
from modseal.pki.certificate import Certificate
from modseal.policy import sources as policy_sources
from modseal.trust.policy import Policy

_BUILT_IN = "built-in policy "


def reproduce(
    claim: ReportFile,
    *,
    root: Path | None = None,
    policy: Policy | None = None,
    baseline: Path | None = None,
    jobs: int | None = None,
    deadline: float = DEADLINE,
) -> recheck.Recheck:
    """Check a report against the files as they are now; without `policy`, under the one that it names.

    `root` is the folder that the audit was made in, by default the current one; it is the current folder of the whole
    process meanwhile, as relative names need it. Where `root` is given, no path may lead out of it. `baseline` is the
    one that the audit was made with. Raises `InputError` (a path that leads out of `root` or to a server, a report that
    changes meanwhile), `PolicyError` and `UsageError` (an allowance of no rule).
    """
    known = known_to(baseline)
    with chdir(root or "."):
        for path in claim.head["paths"]:
            if is_address(path):
                raise InputError(
                    f"{claim.name}: a path of it is on a server; only reports of files can be checked"
                ).because("report-of-server")
            if root and not _inside(path):
                raise InputError(f"{claim.name}: {path} leads out of {root}", path=path).because("path-outside")
        rules, why = (policy, None) if policy else _policy_of(claim, confined=root is not None)
        audit = recheck.prepare(claim, rules or policy_sources.load("strict"), known)
        # No cache: it would say what was found earlier.
        run(discover(audit.paths), local(audit.policy, audit.at, jobs, deadline=deadline), audit)
    return recheck.compare(claim, audit, why)


def attested(path: Path, cert: Path, claim: ReportFile) -> Attestation:
    """What the attestation in a file says, once it holds for this report and this certificate.

    Raises what `vsa.check` raises, and `KeyMaterialError` or `InputError` for a file that cannot be used.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    from modseal.signing.material import read_certificate

    data, _ = read_small(
        path, limits.ENVELOPE_SIZE, too_large=lambda why: dsse.bad(str(path), f"it is {why}"), pipes=True
    )
    try:
        certificate = Certificate.parse(read_certificate(cert).public_bytes(Encoding.DER))
    except FormatError as error:
        raise KeyMaterialError(f"{cert}: {error}").because("not-a-certificate") from None
    return vsa.check(data, str(path), certificate, claim)


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
