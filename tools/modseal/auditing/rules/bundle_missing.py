"""A bundle that a depot lists and does not have."""

from __future__ import annotations

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Rule
from modseal.codes import CODES

RULE = Rule(
    id="bundle-missing",
    severity=Severity.MEDIUM,
    title="The depot lists a bundle that it does not have",
    what="The metadata names a file that is not in the depot.",
    why="An update from this depot stops half-way, and somebody may have taken out a fix.",
    remedy=CODES["bundle-missing"].next_step,
    example="`vmware.xml` names `vib20/net/net-1.0.vib`, and there is no such file.",
)
