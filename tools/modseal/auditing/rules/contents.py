"""Rules about what the payloads bring onto a host."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.auditing.wording import about_files
from modseal.format import rules
from modseal.format.level import Level
from modseal.format.manifest import FileType
from modseal.policy.shape import PATH_LISTS
from modseal.trust.granted import placement_failures
from modseal.trust.powers import LENT_RIGHTS, Power, uses

COMMANDS = ("bin/", "sbin/", "usr/bin/", "usr/sbin/")


def _startup_script(subject: Subject) -> Iterator[Hit]:
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


STARTUP_SCRIPT = Rule(
    id="startup-script",
    severity=Severity.MEDIUM,
    title="A community module that starts by itself",
    what="A community module declares files in `etc/init.d/`, `etc/rc.local.d/`, `var/spool/cron/` or another place "
    "that a host starts programs from (those of the power `autostart` in `modseal help policy`, `[anchor.may]`); or "
    "in `bin/`, `sbin/`, `usr/bin/` or `usr/sbin/`, where it finds commands.",
    why="They run as root, at each boot, and nobody but their author stands for them. Implants on ESXi came as VIBs "
    "with exactly such files (MITRE ATT&CK T1505.006). Honest ones exist too: a watchdog, a scheduler.",
    remedy="Read the files (`modseal extract --unverified`); if they are what you expect, allow the rule for this "
    "digest in the policy.",
    example="A community `.vib` with `etc/rc.local.d/999.backup.sh`.",
    check=_startup_script,
)


def _setuid_file(subject: Subject) -> Iterator[Hit]:
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


SETUID_FILE = Rule(
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
    check=_setuid_file,
)


def _sticky_file(subject: Subject) -> Iterator[Hit]:
    """Regular files of a `.vib` with a sticky bit."""
    manifest = subject.manifest
    if manifest is None or manifest.kind != "vib":
        return
    paths = [
        entry.path for entry in subject.special if entry.type is FileType.FILE and (entry.mode or 0) & rules.STICKY
    ]
    yield from about_files("files that a host keeps as they were changed", paths)


STICKY_FILE = Rule(
    id="sticky-file",
    severity=Severity.LOW,
    title="Files that a host keeps as somebody changed them",
    what="A payload of a `.vib` has regular files with a sticky bit.",
    why="On ESXi the bit says that a file may be edited, and that the changed file comes back after each boot. No "
    "signature and no digest covers it from then on. That is right for a configuration, and a place to stay for "
    "whoever got in where it is a script. Low, because configurations are the usual case.",
    remedy="Look at what the files are; a script has no use for the bit, and a vendor can leave it out.",
    example="`etc/rc.local.d/999.backup.sh` with mode 1777.",
    check=_sticky_file,
)


PATHS = "esxi-8"


def _path_outside_allowed(subject: Subject) -> Iterator[Hit]:
    """Files outside the known list. Where the policy has a list of its own, its check says it already."""
    manifest = subject.manifest
    if manifest is None or manifest.kind != "vib" or subject.policy.community_paths:
        return
    failures = placement_failures(manifest, manifest.files, PATH_LISTS[PATHS])
    paths = [str(failure.evidence["path"]) for failure in failures]
    yield from about_files("files that a community VIB may not bring on every host", paths, list=PATHS)


PATH_OUTSIDE_ALLOWED = Rule(
    id="path-outside-allowed",
    severity=Severity.INFO,
    title="Files outside the paths of community VIBs",
    what=f"A community `.vib` declares files outside the paths of the list `{PATHS}` (`modseal help vib`, section 6), "
    "and the policy has no `[paths]` of its own. Where it has, the check `path-not-allowed` says so, not this rule.",
    why="Hosts may refuse such a VIB: `violates extensibility rule checks`, without a word about which file. Forcing "
    "it in switches off more than this one check. Info, because the list is what is publicly known: other hosts may "
    "accept more or less.",
    remedy="Move the files below `opt/`, or another path of the list; never install with `--force`.",
    example="A community `.vib` that brings `etc/cron.d/backup`.",
    check=_path_outside_allowed,
)
