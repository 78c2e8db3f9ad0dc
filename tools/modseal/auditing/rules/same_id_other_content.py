"""Bundles that say they are the same module in the same version, and are not."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Row, Rule


class SameId:
    """Remembers the first bundle of each id, by the digest of its manifest."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, str]] = {}
        self._hits: list[Hit] = []

    def see(self, row: Row) -> None:
        """See `SetRule.see`."""
        if row.id is None or row.manifest_sha256 is None:
            return
        manifest, bundle = self._first.setdefault(row.id, (row.manifest_sha256, row.bundle))
        if manifest != row.manifest_sha256:
            detail = f"{row.id} is also {bundle}, with other content"
            evidence = {"id": row.id, "manifest": row.manifest_sha256, "other_manifest": manifest}
            self._hits.append(Hit(detail, evidence, bundle=row.bundle, sha256=row.sha256, related=(bundle,)))

    def hits(self) -> Iterator[Hit]:
        """See `SetRule.hits`."""
        yield from self._hits


RULE = Rule(
    id="same-id-other-content",
    severity=Severity.HIGH,
    title="Same module and version, other content",
    what="Two bundles have the same vendor, name and version, and different manifests.",
    why="A host that has the one takes the other for installed already, or stops in the middle of an update: `have "
    "unequal values of the 'payloads' attribute`. One of the two may have been made by somebody else.",
    remedy="Find out which of the two the vendor published, and remove the other; a new build needs a new version.",
    example="`acme-agent-1.2.3.vib` in two folders of a depot, built twice without a new version.",
    start=SameId,
)
