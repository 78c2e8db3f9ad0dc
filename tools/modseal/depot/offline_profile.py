"""An image profile in VMware's form, for an offline bundle: which VIBs, and under which names their payloads boot.

How hosts call payloads in a boot bank is known from one public profile, of ESXi 6.7 (docs/vib.md, section 9): eight
characters of the payload's name, and a letter of its type with a number.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Sequence

from modseal.depot.esxi_profile import Profile
from modseal.format.image_profile import ImageProfile
from modseal.format.manifest import Manifest

_OTHER = re.compile(r"[^a-z0-9]")
_LETTERS = {"vgz": "v", "vzstd": "v", "tgz": "t", "boot": "b", "upgrade": "u"}
_STEM = 8


def vmware_profile(profile: ImageProfile, manifests: Iterable[Manifest], time: str) -> Profile:
    """The profile as VMware's tools have it. `time` is that of its making, with a zone.

    Its ID is made of the profile's digest, so that the same profile always has the same.
    """
    by_id = {one.id: one for one in manifests}
    chosen = [by_id[one.id] for one in profile.modules]
    level = str(profile.level)
    texts = {
        "creator": profile.vendor,
        "profileID": str(uuid.UUID(profile.sha256[:32])),
        "creationtime": time,
        "modifiedtime": time,
        "serialno": str(profile.version),
        "description": profile.description.strip(),
        "readonly": "false",
    }
    return Profile(profile.name, profile.level, level, boot_files(chosen), texts)


def boot_files(manifests: Sequence[Manifest]) -> dict[str, dict[str, str]]:
    """The boot file of each payload by VIB id and payload name: each file has a name of its own."""
    taken = set[str]()
    found: dict[str, dict[str, str]] = {}
    for manifest in manifests:
        files = found[manifest.id] = {}
        for payload in manifest.payloads:
            name = files[payload.name] = _free(payload.name, _LETTERS.get(payload.type, "e"), taken)
            taken.add(name)
    return found


def _free(payload: str, letter: str, taken: set[str]) -> str:
    """The first name that is free; past a hundred of one stem, hundreds take the stem's last characters."""
    stem = _OTHER.sub("_", payload.lower())
    number = 0
    while True:
        more = str(number // 100) if number >= 100 else ""
        name = f"{stem[: _STEM - len(more)]}{more}.{letter}{number % 100:02}"
        if name not in taken:
            return name
        number += 1
