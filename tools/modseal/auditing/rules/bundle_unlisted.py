"""A bundle in a depot that nobody lists."""

from __future__ import annotations

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Rule
from modseal.codes import CODES

RULE = Rule(
    id="bundle-unlisted",
    severity=Severity.MEDIUM,
    title="The depot has a bundle that its metadata does not list",
    what="A bundle lies in the depot, and no document of its metadata names it.",
    why="What nobody lists, nobody meant to ship: a leftover, or something that was put there to be installed "
    "by its path.",
    remedy=CODES["bundle-unlisted"].next_step,
    example="`vib20/extra/extra.vib`, which `vmware.xml` does not name.",
)
