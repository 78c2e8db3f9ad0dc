"""A community `.vib` with files where hosts may not take files from a community VIB."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.auditing.wording import about_files
from modseal.policy.shape import PATH_LISTS
from modseal.trust.granted import placement_failures

LIST = "esxi-8"


def check(subject: Subject) -> Iterator[Hit]:
    """Files outside the known list. Where the policy has a list of its own, its check says it already."""
    manifest = subject.manifest
    if manifest is None or manifest.kind != "vib" or subject.policy.community_paths:
        return
    failures = placement_failures(manifest, manifest.files, PATH_LISTS[LIST])
    paths = [str(failure.evidence["path"]) for failure in failures]
    yield from about_files("files that a community VIB may not bring on every host", paths, list=LIST)


RULE = Rule(
    id="path-outside-allowed",
    severity=Severity.INFO,
    title="Files outside the paths of community VIBs",
    what=f"A community `.vib` declares files outside the paths of the list `{LIST}` (docs/policy.md), and the policy "
    "has no `[paths]` of its own. Where it has, the check `path-not-allowed` says so, and not this rule.",
    why="Hosts may refuse such a VIB: `violates extensibility rule checks`, without a word about which file. Forcing "
    "it in switches off more than this one check. Info, because the list is what is publicly known: other hosts may "
    "accept more or less.",
    remedy="Move the files below `opt/`, or another path of the list; never install with `--force`.",
    example="A community `.vib` that brings `etc/cron.d/backup`.",
    check=check,
)
