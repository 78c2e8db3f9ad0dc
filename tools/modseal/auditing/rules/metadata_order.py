"""A depot whose metadata lists what a bundle has in another order."""

from __future__ import annotations

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Rule
from modseal.codes import CODES

RULE = Rule(
    id="metadata-order",
    severity=Severity.INFO,
    title="The depot's metadata lists the same in another order",
    what="A document of the depot lists the files, tags, urls or relationships of a bundle as its descriptor does, but "
    "in another order.",
    why="It changes nothing. Tools that make depots sort such lists, and scripts that make bundles do not; it is said "
    "so that nobody has to wonder why two documents differ.",
    remedy=CODES["metadata-order"].next_step,
    example="`vibs/*.xml` has the files sorted by name, and the descriptor has them in the order of the tar.",
)
