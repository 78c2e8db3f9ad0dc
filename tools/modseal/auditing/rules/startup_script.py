"""A community module whose files run by themselves, or stand where a host's commands are."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.auditing.wording import about_files
from modseal.format.level import Level
from modseal.format.manifest import FileType
from modseal.trust.powers import Power, uses

COMMANDS = ("bin/", "sbin/", "usr/bin/", "usr/sbin/")


def check(subject: Subject) -> Iterator[Hit]:
    """The files of a community module in such places, in one finding."""
    manifest = subject.manifest
    if manifest is None or manifest.claimed_level is not Level.COMMUNITY:
        return
    started = {use.where for use in uses(manifest.files) if use.power is Power.AUTOSTART}
    paths = [
        entry.path
        for entry in manifest.files
        if entry.path in started or (entry.type is not FileType.DIRECTORY and entry.path.startswith(COMMANDS))
    ]
    yield from about_files("the module declares files that a host starts, or finds as commands", paths)


RULE = Rule(
    id="startup-script",
    severity=Severity.MEDIUM,
    title="A community module that starts by itself",
    what="A community module declares files in `etc/init.d/`, `etc/rc.local.d/`, `var/spool/cron/` or another place "
    "that a host starts programs from (those of the power `autostart`, docs/policy.md); or in `bin/`, `sbin/`, "
    "`usr/bin/` or `usr/sbin/`, where it finds commands.",
    why="They run as root, at each boot, and nobody but their author stands for them. Implants on ESXi came as VIBs "
    "with exactly such files (MITRE ATT&CK T1505.006). Honest ones exist too: a watchdog, a scheduler.",
    remedy="Read the files (`modseal extract --unverified`); if they are what you expect, allow the rule for this "
    "digest in the policy.",
    example="A community `.vib` with `etc/rc.local.d/999.backup.sh`.",
    check=check,
)
