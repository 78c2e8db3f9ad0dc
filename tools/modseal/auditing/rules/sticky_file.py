"""A module with files that an ESXi host keeps when somebody changed them."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.auditing.wording import about_files
from modseal.format import rules
from modseal.format.manifest import FileType


def check(subject: Subject) -> Iterator[Hit]:
    """Regular files of a `.vib` with a sticky bit."""
    manifest = subject.manifest
    if manifest is None or manifest.kind != "vib":
        return
    paths = [
        entry.path for entry in subject.special if entry.type is FileType.FILE and (entry.mode or 0) & rules.STICKY
    ]
    yield from about_files("files that a host keeps as they were changed", paths)


RULE = Rule(
    id="sticky-file",
    severity=Severity.LOW,
    title="Files that a host keeps as somebody changed them",
    what="A payload of a `.vib` has regular files with a sticky bit.",
    why="On ESXi the bit says that a file may be edited, and that the changed file comes back after each boot. No "
    "signature and no digest covers it from then on. That is right for a configuration, and a place to stay for "
    "whoever got in where it is a script. Low, because configurations are the usual case.",
    remedy="Look at what the files are; a script has no use for the bit, and a vendor can leave it out.",
    example="`etc/rc.local.d/999.backup.sh` with mode 1777.",
    check=check,
)
