"""Step 3: which anchors of a policy a signer leads to: one that pins it, or CAs at the end of a path.

`pki.path` finds the paths to certificates. What a certificate stands for is the policy's word: several anchors may
share one, with other grants and scopes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from modseal.errors import Failure
from modseal.pki import purpose
from modseal.pki.certificate import Certificate
from modseal.pki.effort import Effort, ExhaustedError
from modseal.pki.path import NoPath, Path, find_paths
from modseal.trust.policy import Anchor, Policy
from modseal.values import dataclass


@dataclass(frozen=True, slots=True)
class AnchoredPath:
    """A path and the anchor of the policy that it leads to; a pin's path has only the signer."""

    path: Path
    anchor: Anchor
    pinned: bool = False

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """The path's: signer first, and the anchor's last unless it is a pin."""
        return self.path.certificates


def anchored_paths(
    signer: Certificate,
    embedded: Sequence[Certificate],
    policy: Policy,
    at: datetime,
    *,
    verified_at: datetime | None = None,
    effort: Effort | None = None,
) -> tuple[AnchoredPath, ...] | NoPath:
    """A valid path from a signer to each anchor of the policy that one leads to, or why there is none.

    The times are those of `pki.path.find_paths`, and so is the order of the paths. Where anchors pin the signer,
    only they count.
    """
    effort = effort or Effort()
    pins = policy.pins.get(signer.fingerprint)
    twin = policy.pins_another_encoding(signer)
    try:
        effort.spend(1)  # a pin, too, costs something: a signature member may have many signers
    except ExhaustedError as error:
        return NoPath((error.failure,))
    if pins:
        failure = purpose.validity_failure(signer, at)
        path = Path((signer,), at)
        lasting = (AnchoredPath(path, pin, pinned=True) for pin in pins if pin.accept_expired or not failure)
        return tuple(lasting) or NoPath((failure,) if failure else ())
    if twin:
        detail = f"the policy pins {signer.subject}, and this is another encoding of that certificate"
        return NoPath((Failure("no-path", detail, {"signer": signer.fingerprint, "subject": signer.subject}),))
    if not policy.anchors:
        return NoPath((Failure("no-anchors", f"{policy.source} names no anchor", {"signer": signer.fingerprint}),))
    anchors: dict[Certificate, list[Anchor]] = {}
    for anchor in policy.anchors:
        if anchor.certificate:
            anchors.setdefault(anchor.certificate, []).append(anchor)
    paths = find_paths(
        signer,
        embedded,
        tuple(anchors),
        policy.path_rules,
        at,
        verified_at=verified_at,
        effort=effort,
        denied=policy.deny,
    )
    if isinstance(paths, NoPath):
        return paths
    return tuple(AnchoredPath(path, anchor) for path in paths for anchor in anchors[path.certificates[-1]])
