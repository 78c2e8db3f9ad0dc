"""A depot's index under another vendor's name."""

from __future__ import annotations

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Rule
from modseal.codes import CODES

RULE = Rule(
    id="index-vendor-mismatch",
    severity=Severity.HIGH,
    title="The index is of another vendor than its bundles",
    what="The vendor that `index.xml` names is none of those that the bundles behind it are of.",
    why="The index of one vendor in the place of another's makes its bundles look like theirs.",
    remedy=CODES["index-vendor-mismatch"].next_step,
    example="`index.xml` names VMware, and every bundle that its metadata lists is of Acme.",
)
