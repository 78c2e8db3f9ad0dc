"""Image profiles for tests: `make` gives a good one of some bundles, and `shelf` the depot that has them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from builders import bundles, signed_depots
from builders import cms as cms_builder
from builders.bundles import Bundle
from builders.pki import NOW, Identity
from modseal.format import image_profile
from modseal.format.image_profile import ImageProfile, ProfileModule, module_of
from modseal.format.level import Level
from modseal.profile.candidates import Shelf
from modseal.trust.policy import Policy

AGENT = bundles.make("seal")
DRIVER = bundles.make("vib", name="acme-driver", files={"opt/driver/d": b"d"})


def module(bundle: Bundle) -> ProfileModule:
    return module_of(bundle.manifest, hashlib.sha256(bundle.manifest_bytes).hexdigest())


def make(*held: Bundle, by: Sequence[Identity] = (), **changes: Any) -> ImageProfile:
    """A profile of these bundles (of a `.seal` and a `.vib`), signed by these identities."""
    modules = tuple(sorted(map(module, held or (AGENT, DRIVER)), key=lambda one: one.name))
    values = {"name": "acme-host", "vendor": "Acme", "version": 1, "level": Level.PARTNER, "modules": modules}
    return signed(ImageProfile(**(values | changes)), *by)


def signed(profile: ImageProfile, *by: Identity) -> ImageProfile:
    """The document made and signed anew, one block for each."""
    declared = image_profile.declare(profile)
    blocks = [cms_builder.pem(cms_builder.block(declared, one)) for one in by]
    return replace(profile, signed=declared, signature=b"".join(blocks))


def shelf(policy: Policy, *held: Bundle) -> Shelf:
    """A signed depot of these bundles (of a `.seal` and a `.vib`), on a shelf."""
    chosen = held or (AGENT, DRIVER)
    found = Shelf(policy, NOW)
    found.add(signed_depots.files(signed_depots.contents(signed_depots.index(*chosen), chosen)))
    return found
