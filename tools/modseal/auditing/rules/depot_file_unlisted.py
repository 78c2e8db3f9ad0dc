"""A file in a depot that is neither a bundle nor metadata."""

from __future__ import annotations

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Rule

RULE = Rule(
    id="depot-file-unlisted",
    severity=Severity.MEDIUM,
    title="The depot has a file that nothing lists",
    what="A file lies in the depot that is no bundle, and that no document of its metadata names.",
    why="Files that nothing accounts for are how things travel unseen.",
    remedy="Ask the vendor of the depot what the file is for; take it out if nobody can tell.",
    example="`vib20/net/install.sh` in an offline bundle.",
)
