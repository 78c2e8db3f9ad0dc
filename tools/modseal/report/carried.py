"""A trust bundle that nobody has installed, as text or JSON: all of it is unproved, and both say so first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from modseal.files.names import dumped, portable
from modseal.format.times import time_text
from modseal.policy.carried import Carried
from modseal.report import policy_text
from modseal.report.text import plural, safe, safe_name
from modseal.trust.policy import Policy

SCHEMA = "modseal/trust-bundle-inspection@1"
NOTICE = "UNPROVED: everything below is what the trust bundle says; `modseal policy update` proves"


def line(carried: Carried) -> str:
    """The trust bundle as one line."""
    bundle = carried.bundle
    return (
        f"{safe_name(carried.path)}: UNPROVED: trust bundle version {bundle.version}, "
        f"expires {time_text(bundle.expires)}, "
        f"{carried.size} bytes, sha256 {carried.sha256}, {plural(len(carried.signers), 'signature')}"
    )


def weakest(found: Policy | Carried) -> str:
    """The weakest thing that a policy would accept, as one line; of a trust bundle unproved, with its problems."""
    if isinstance(found, Policy):
        return policy_text.weakest(found)
    weak = f"UNPROVED: {policy_text.weakest(found.policy)}" if found.policy else line(found)
    problems = (
        f"{safe_name(found.path)}: problem: {problem.code}: {safe(problem.detail)}" for problem in found.problems
    )
    return "\n".join((weak, *problems))


def show(found: Policy | Carried) -> str:
    """A policy in full, and where it is that of a trust bundle, before it what that says."""
    return policy_text.render(found) if isinstance(found, Policy) else render(found)


def render(carried: Carried) -> str:
    """All of the trust bundle as lines, its policy last."""
    policy = policy_text.render(carried.policy).splitlines() if carried.policy else []
    return "\n".join([*_lines(carried), *(f"  {line}" for line in policy)])


def _lines(carried: Carried) -> Iterator[str]:
    bundle = carried.bundle
    yield f"{safe_name(carried.path)}: {NOTICE}"
    yield f"  format         trust bundle, {carried.size} bytes"
    yield f"  sha256         {carried.sha256}"
    yield f"  of trust.json  {bundle.sha256}"
    yield f"  version        {bundle.version}"
    yield f"  issued         {time_text(bundle.issued)}"
    yield f"  expires        {time_text(bundle.expires)}"
    yield f"  root           {bundle.root.threshold} of {len(bundle.root.signers)} must sign"
    signed = {certificate.fingerprint for certificate in carried.signers}
    for fingerprint in bundle.root.signers:
        yield f"  root signer    sha256:{fingerprint}{', has signed' if fingerprint in signed else ''}"
    for certificate in carried.signers:
        of_root = "" if certificate.fingerprint in bundle.root.signers else ", no root signer of this version"
        yield f"  signature      {safe(certificate.subject)}{of_root}"
        yield f"                 sha256:{certificate.fingerprint}"
    for path, data in sorted(bundle.files.items()):
        yield f"  file           {safe(path)} {len(data)} bytes"
        yield f"                 sha256:{hashlib.sha256(data).hexdigest()}"
    for sentence in carried.missing:
        yield f"  not complete   {safe(sentence)}"
    for problem in carried.problems:
        yield f"  problem        {problem.code}: {safe(problem.detail)}"


def values(carried: Carried) -> dict[str, Any]:
    """The trust bundle as plain values, of which JSON is made."""
    bundle = carried.bundle
    return {
        "schema": SCHEMA,
        "unproved": True,
        "bundle": portable(carried.path),
        "sha256": carried.sha256,
        "declaration_sha256": bundle.sha256,
        "size": carried.size,
        "version": bundle.version,
        "issued": time_text(bundle.issued),
        "expires": time_text(bundle.expires),
        "root": {"threshold": bundle.root.threshold, "signers": list(bundle.root.signers)},
        "signatures": [
            {"fingerprint": certificate.fingerprint, "subject": certificate.subject} for certificate in carried.signers
        ],
        "files": [
            {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for path, data in sorted(bundle.files.items())
        ],
        "missing": list(carried.missing),
        "problems": [{"code": problem.code, "detail": problem.detail} for problem in carried.problems],
    }


def render_json(carried: Carried) -> str:
    """The trust bundle as one JSON document."""
    return dumped(values(carried), indent=2)
