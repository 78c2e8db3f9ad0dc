"""Which ESXi a target runs: the version of its module `esx-base`, or what somebody says. On values alone."""

from __future__ import annotations

import re

from modseal.depot import relations
from modseal.errors import UsageError

BASE = "esx-base"
"""The module whose version is that of ESXi."""

PRODUCT = "embeddedEsx"
"""What a descriptor calls ESXi for x86 servers; for others, such as the ESXi on network cards, it has other names."""

_TEXT = re.compile(r"([0-9]+)\.([0-9]+)(?:\.([0-9]+(?:\.[0-9]+)*)|[ .]?[uU]([0-9]+)[a-z]?)?(?:-[0-9.]+)?")


def release(version: str) -> str:
    """The version of ESXi of an `esx-base`: `8.0.2` of `8.0.2-0.0.22380479`."""
    return version.partition("-")[0]


def parse_platform(text: str, installed: str | None = None) -> str:
    """The version of ESXi that somebody names: `8.0.2`, or `8.0U2` and `8.0 U2b`, which are 8.0.2.

    `installed` is that of the target, where it is known. Raises `UsageError` for another form, or another ESXi.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no version of ESXi, such as 8.0.2 or 8.0U2")
    major, minor, rest, update = match.groups()
    version = ".".join(part for part in (major, minor, rest or update) if part)
    if installed and not is_of(installed, version):
        raise UsageError(f"--platform says ESXi {version}, and the target has {BASE} {installed}")
    return version


def is_of(version: str, platform: str) -> bool:
    """Whether an `esx-base` of a version is the ESXi of a platform, or an update of it."""
    return relations.is_for((platform,), release(version))
