"""A bundle that claims more than anybody proved."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.format.level import Level


def check(subject: Subject) -> Iterator[Hit]:
    """A claim above community that no trusted signer stands for."""
    manifest, proven = subject.manifest, subject.examination.proven_level
    if manifest and manifest.claimed_level > Level.COMMUNITY and (proven is None or proven < manifest.claimed_level):
        detail = f"the manifest claims {manifest.claimed_level}; proven is {proven or 'none'}"
        yield Hit(detail, {"claimed": str(manifest.claimed_level), "proven": str(proven) if proven else None})


RULE = Rule(
    id="claim-above-proven",
    severity=Severity.HIGH,
    title="Claims a higher level than is proven",
    what="The manifest claims a level above community, and no trusted signer grants it.",
    why="Tools that show the claimed level (`esxcli software vib list` among them) show it as if it were true. "
    "Implants have been installed that way: forced in, with the claim of a partner and an empty signature.",
    remedy="Do not use this bundle; ask the vendor it names whether they made it.",
    example="A `descriptor.xml` with `<acceptance-level>certified</acceptance-level>` beside an empty `sig.pkcs7`.",
    check=check,
)
