"""A module with programs that run with their owner's rights, whoever starts them."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.auditing.wording import about_files
from modseal.format.manifest import FileType
from modseal.trust.powers import LENT_RIGHTS, Power


def check(subject: Subject) -> Iterator[Hit]:
    """Files with one of the bits, but those that a check has refused already."""
    checks = subject.examination.checks
    if any(one.code == "power-not-granted" and one.evidence.get("power") == Power.SETUID for one in checks):
        return
    refused = {one.evidence.get("path") for one in checks if one.code == "unsafe-mode"}
    paths = [
        entry.path
        for entry in subject.special
        if entry.type is FileType.FILE and (entry.mode or 0) & LENT_RIGHTS and entry.path not in refused
    ]
    yield from about_files("files with a set-user-id or set-group-id bit", paths)


RULE = Rule(
    id="setuid-file",
    severity=Severity.MEDIUM,
    title="Files with a set-user-id or set-group-id bit",
    what="A payload has files with a set-user-id or set-group-id bit. In community VIBs and unsigned modules the check "
    "`unsafe-mode` refuses them, and in those of community signers `power-not-granted`, unless the policy grants "
    "`setuid`; elsewhere a signer stands for them.",
    why="Such a program runs with its owner's rights, mostly root's, whoever starts it. One mistake in it hands these "
    "rights out. Few modules need one.",
    remedy="Ask the vendor what it is for; your own: drop the bit, and let a service do what needs the rights.",
    example="`usr/lib/acme/helper` with mode 4755.",
    check=check,
)
