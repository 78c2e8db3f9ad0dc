"""How one image profile differs from another: the answers of Image Builder's `Compare-EsxImageProfile`, and one more.

Modules are matched by their names. Image Builder takes two VIBs of one id for the same; here they are the same only
with the same manifest, and `content_differs` has the pairs that have the version alone in common.
"""

from __future__ import annotations

from dataclasses import dataclass

from modseal.depot import relations
from modseal.format.image_profile import ProfileModule
from modseal.format.level import Level
from modseal.profile.found import FoundProfile

Pair = tuple[ProfileModule, ProfileModule]
"""A module of the reference, and that of the same name of the comparison."""


@dataclass(frozen=True, slots=True)
class ProfileDifference:
    """A reference (the first profile) and a comparison (the second one), as Image Builder calls them.

    `upgrade_from_ref` are pairs of which the comparison has the newer version, `downgrade_from_ref` the older one.
    `content_differs` are those of one version and two manifests, or of two vendors.
    """

    ref_level: Level | None
    comp_level: Level | None
    only_in_ref: tuple[ProfileModule, ...]
    only_in_comp: tuple[ProfileModule, ...]
    upgrade_from_ref: tuple[Pair, ...]
    downgrade_from_ref: tuple[Pair, ...]
    content_differs: tuple[Pair, ...]
    absent: tuple[str, ...] = ()

    @property
    def packages_equal(self) -> bool:
        """Whether both have the same modules. What is named and not there is equal to nothing."""
        return not (
            self.only_in_ref
            or self.only_in_comp
            or self.upgrade_from_ref
            or self.downgrade_from_ref
            or self.content_differs
            or self.absent
        )

    @property
    def equal(self) -> bool:
        """Whether both have the same modules and the same level."""
        return self.packages_equal and self.ref_level is not None and self.ref_level == self.comp_level


def compare(reference: FoundProfile, comparison: FoundProfile) -> ProfileDifference:
    """What differs. `absent` are the ids of both that nothing explains."""
    old = {one.name: one for one in reference.modules}
    new = {one.name: one for one in comparison.modules}
    pairs = [(old[name], new[name]) for name in sorted(old.keys() & new.keys())]
    return ProfileDifference(
        reference.level,
        comparison.level,
        tuple(old[name] for name in sorted(old.keys() - new.keys())),
        tuple(new[name] for name in sorted(new.keys() - old.keys())),
        tuple(pair for pair in pairs if relations.is_newer(pair[1].version, pair[0].version)),
        tuple(pair for pair in pairs if relations.is_newer(pair[0].version, pair[1].version)),
        tuple(
            (one, other)
            for one, other in pairs
            if relations.is_same_version(one.version, other.version) and one.manifest != other.manifest
        ),
        tuple(sorted({*reference.absent, *comparison.absent})),
    )
