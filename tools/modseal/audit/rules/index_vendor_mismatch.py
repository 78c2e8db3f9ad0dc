"""A depot's index under another vendor's name."""

from __future__ import annotations

from modseal.audit.finding import Severity
from modseal.audit.rule import Rule

RULE = Rule(
    id="index-vendor-mismatch",
    severity=Severity.HIGH,
    title="The index is of another vendor than its bundles",
    what="The vendor that `index.xml` names is none of those that the bundles behind it are of.",
    why="The index of one vendor in the place of another's makes its bundles look like theirs.",
    remedy="Get the depot again from the vendor whose bundles it has.",
    example="`index.xml` names VMware, and every bundle that its metadata lists is of Acme.",
)
