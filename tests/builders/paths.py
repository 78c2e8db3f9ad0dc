"""Paths by what a policy of a test says: its CA certificates are the anchors, its rules the rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from modseal.errors import Failure
from modseal.pki import path
from modseal.pki.certificate import Certificate
from modseal.pki.path import NoPath, Path
from modseal.trust.policy import Policy


def find_path(
    signer: Certificate, embedded: Sequence[Certificate], policy: Policy, at: datetime, *profile: Any, **more: Any
) -> Path | NoPath:
    """The first of `pki.path.find_paths` for a policy."""
    anchors = tuple(anchor.certificate for anchor in policy.anchors if anchor.certificate)
    found = path.find_paths(
        signer, embedded, anchors, policy.path_rules, at, *profile, **{"denied": policy.deny, **more}
    )
    return found if isinstance(found, NoPath) else found[0]


def revocation_failures(found: Path, policy: Policy, *times: datetime | None) -> list[Failure]:
    """`pki.path.revocation_failures` by the rules of a policy."""
    return path.revocation_failures(found, policy.path_rules, *times)
