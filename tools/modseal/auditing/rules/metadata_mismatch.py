"""A depot whose metadata says something else than its bundles."""

from __future__ import annotations

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Rule
from modseal.codes import CODES

RULE = Rule(
    id="metadata-mismatch",
    severity=Severity.HIGH,
    title="The depot's metadata disagrees with a bundle, or with itself",
    what="The depot's index, `vmware.xml`, a bulletin or a document of `vibs/` says something else of a bundle "
    "than the bundle itself: its size, digest, id, version, vendor, level, relationships, reboot flag, "
    "tags, files or payloads; or two of these documents disagree.",
    why="Nothing in a depot but its bundles is signed. Whoever repacks one can write any level, version or "
    "dependency into the metadata, and tools plan an update by the metadata.",
    remedy=CODES["metadata-mismatch"].next_step,
    example="`vmware.xml` lists a bundle as `certified`, and its `descriptor.xml` says `community`.",
)
