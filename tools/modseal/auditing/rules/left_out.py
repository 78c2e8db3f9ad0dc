"""Something that was left out, and could hold a bundle."""

from __future__ import annotations

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Rule

RULE = Rule(
    id="left-out",
    severity=Severity.LOW,
    title="Something that was left out could hold a bundle",
    what="Below a folder, or in a zip archive, lies something that is no bundle and was not looked into, and that "
    "could hold one, by its first or last 64 KiB: an archive or a compressed file of another kind, a zip archive or a "
    "bundle with bytes in front, a link to a folder, a device. With `--strict-coverage` it leaves the audit undecided "
    "(exit status 3), whatever is ignored or known.",
    why="Who unpacks it has a bundle that nobody audited: `agent.vib.gz`, a zip archive behind a script, an `ar` "
    "archive whose first member is another.",
    remedy="Unpack it and audit what is in it, or take it out of the folder.",
    example="`agent.vib.gz` beside `agent.vib`.",
)
