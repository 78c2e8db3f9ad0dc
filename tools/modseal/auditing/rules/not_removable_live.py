"""A community `.vib` that a host must be booted for to get rid of."""

from __future__ import annotations

from collections.abc import Iterator

from modseal.auditing.finding import Severity
from modseal.auditing.rule import Hit, Rule, Subject
from modseal.format.level import Level


def check(subject: Subject) -> Iterator[Hit]:
    """A community module that declares that it cannot be removed from a running host."""
    manifest = subject.manifest
    community = manifest is not None and manifest.claimed_level is Level.COMMUNITY
    if manifest and community and manifest.vib and not manifest.vib.live_remove_allowed:
        yield Hit("the manifest says live-remove-allowed = false", {"name": manifest.name})


RULE = Rule(
    id="not-removable-live",
    severity=Severity.INFO,
    title="Removing it needs a reboot",
    what="A community `.vib` declares `live-remove-allowed` as false.",
    why="If it turns out to be bad, each host that has it must be evacuated and booted to be rid of it. Info, because "
    "drivers cannot be removed in any other way; for scripts and firewall rules it is a needless trap.",
    remedy="Set `live-remove-allowed` to true in your own modules without drivers; else plan for the reboot.",
    example="A community `.vib` that brings one firewall rule, and `<live-remove-allowed>false</live-remove-allowed>`.",
    check=check,
)
