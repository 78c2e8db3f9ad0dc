"""Bundles with the same manifest whose files differ: somebody added, removed or exchanged what no manifest covers."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Row, Rule


class SameManifest:
    """Remembers the first bundle of each manifest."""

    def __init__(self) -> None:
        self._first: dict[bytes, tuple[bytes, str]] = {}
        self._hits: list[Hit] = []

    def see(self, row: Row) -> None:
        """See `SetRule.see`."""
        if row.manifest_sha256 is None or row.sha256 is None:
            return
        digest = bytes.fromhex(row.sha256)
        other, bundle = self._first.setdefault(bytes.fromhex(row.manifest_sha256), (digest, row.bundle))
        if other != digest:
            detail = f"it has the manifest of {bundle}, and other bytes: signatures, headers, or a damaged payload"
            evidence = {"manifest": row.manifest_sha256, "other": other.hex()}
            self._hits.append(Hit(detail, evidence, bundle=row.bundle, sha256=row.sha256, related=(bundle,)))

    def hits(self) -> Iterator[Hit]:
        """See `SetRule.hits`."""
        yield from self._hits


RULE = Rule(
    id="same-manifest-other-bytes",
    severity=Severity.LOW,
    title="Same manifest, other bytes",
    what="Two bundles have the same manifest, byte for byte, and are not the same file. The manifest binds the "
    "payloads, so where both are accepted only signatures or headers of the archive differ.",
    why="A vendor who signs anew or adds a timestamp leaves such pairs, and then one of them is out of date. But a "
    "signature that was removed on the way looks the same. Low, because each was examined by itself.",
    remedy="Compare both with `modseal inspect`, keep the one with all signatures, and remove the other.",
    example="`agent.seal` before and after `modseal timestamp`, in one depot.",
    start=SameManifest,
)
