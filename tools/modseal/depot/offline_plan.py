"""What an offline bundle says of its bundles, by the release of ESXi that is to read it: manifests to metadata.

docs/depots.md has, field by field, where each value comes from, and whether genuine offline bundles prove it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from modseal.depot import documents_writer as write
from modseal.depot import esxi_profile
from modseal.depot.documents import Bulletin, DescribedVib, ListedVib, Place, Vendor
from modseal.depot.esxi_profile import Profile
from modseal.depot.metadata import INDEX, LISTING, PROFILES, VENDOR_INDEX
from modseal.depot.offline_profile import vmware_profile
from modseal.depot.values import listed_vib, released_with_zone
from modseal.errors import RefusedError, UsageError
from modseal.format import rules
from modseal.format.image_profile import ImageProfile
from modseal.format.manifest import Manifest, Platform
from modseal.values import dataclass

METADATA = "metadata.zip"
FORMS = ("component", "6", "5")
"""Of ESXi 7.0 and later, of 6.x, and of 5.x: what `depot build --form` takes."""

_PLATFORMS = {"component": ("7.*", "8.*", "9.*"), "6": ("6.*",), "5": ("5.*",)}
_CATEGORY = {"component": "enhancement", "6": "enhancement", "5": "general"}
_COMPONENT_NAME = re.compile(r"[^A-Za-z0-9._+-]")
_PLATFORM = re.compile(r"[0-9]{1,3}(\.([0-9]{1,3}|\*)){1,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Vib:
    """A `.vib` that goes into an offline bundle: its manifest, its size, and its SHA-256 in hex."""

    manifest: Manifest
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What the maker of an offline bundle may say; what is empty comes from the bundles.

    `platforms` are versions of ESXi such as `8.0` or `7.*`; `component` is name and version of the one component that
    all bundles form, instead of one for each.
    """

    form: str = "component"
    platforms: tuple[str, ...] = ()
    vendor: str = ""
    code: str = ""
    component: tuple[str, str] | None = None
    kb_url: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True)
class OfflinePlan:
    """The documents of an offline bundle by path, those of its metadata archive, and the path of each bundle.

    `profiles` are the image profiles that are among the latter, in the order of their names.
    """

    documents: Mapping[str, bytes]
    metadata: Mapping[str, bytes]
    places: tuple[str, ...]
    profiles: tuple[Profile, ...] = ()


def plan(
    vibs: Sequence[Vib], choices: Choices, epoch: int | None, profiles: Sequence[ImageProfile] = ()
) -> OfflinePlan:
    """The metadata for some bundles, and for image profiles of them.

    Its time is `epoch` (seconds after 1970), else the newest release of the bundles. Raises `RefusedError`
    (bundle-conflict) for two bundles with one id, `UsageError` for choices that do not fit.
    """
    _require_vibs(vibs)
    _require_choices(vibs, choices)
    platforms = _platforms(vibs, choices)
    placed = [_placed(vib) for vib in sorted(vibs, key=lambda one: one.manifest.id)]
    groups = [placed] if choices.component else [[one] for one in placed]
    vendor = choices.vendor or placed[0].manifest.vendor
    listing = [_listed(group, vendor, platforms, choices) for group in groups]
    vendor_index = write.write_vendor_index(platforms, METADATA)
    timestamp = _timestamp(vibs, epoch)
    metadata = {VENDOR_INDEX: vendor_index, LISTING: write.write_listing(timestamp, listing)}
    for bulletin, _ in listing:
        metadata[f"bulletins/{bulletin.id}.xml"] = write.write_bulletin(bulletin)
    for one in placed:
        metadata[f"vibs/{one.manifest.name}-{_number(one.manifest.id)}.xml"] = write.write_described(one)
    manifests = [vib.manifest for vib in vibs]
    written = [
        vmware_profile(one, manifests, f"{timestamp}+00:00") for one in sorted(profiles, key=lambda one: one.name)
    ]
    metadata |= {f"{PROFILES}/{one.name}.xml": esxi_profile.encode(one) for one in written}
    index = write.write_index([Vendor(vendor, choices.code or _code(vibs, vendor), "", VENDOR_INDEX)])
    documents = {INDEX: index, VENDOR_INDEX: vendor_index}
    return OfflinePlan(documents, metadata, tuple(_path(vib.manifest) for vib in vibs), tuple(written))


def _require_vibs(vibs: Sequence[Vib]) -> None:
    for failure in rules.check_contents((vib.manifest.id, vib.sha256) for vib in vibs):
        raise RefusedError(failure.code, failure.detail, **failure.evidence)
    if len({vib.manifest.id for vib in vibs}) < len(vibs):
        raise UsageError("a bundle is given twice")
    for vib in vibs:
        if vib.manifest.kind != "vib":
            raise UsageError(f"{vib.manifest.id} is a .seal, which no offline bundle holds; give --name and --key")


def _require_choices(vibs: Sequence[Vib], choices: Choices) -> None:
    for version in choices.platforms:
        if not _PLATFORM.fullmatch(version):
            raise UsageError(f"{version!r} is not a version of ESXi such as 8.0, 8.0.2 or 7.*")
    if choices.component and choices.form != "component":
        raise UsageError("--component has no meaning for ESXi 5 and 6, which have no components")
    vendors = sorted({vib.manifest.vendor for vib in vibs})
    if len(vendors) > 1 and not choices.vendor:
        raise UsageError(
            f"the bundles are of {len(vendors)} vendors ({', '.join(vendors[:5])}); say whose depot it is with --vendor"
        )
    for label, text in (
        ("vendor", choices.vendor),
        ("code", choices.code),
        ("kbUrl", choices.kb_url),
        ("contact", choices.contact),
    ):
        for failure in rules.check_line(label, text) if text else ():
            raise UsageError(failure.detail)
    for text, pattern, form in (
        (choices.component[0], rules.MODULE_NAME, rules.MODULE_NAME_FORM),
        (choices.component[1], rules.VERSION, rules.VERSION_FORM),
    ) if choices.component else ():  # fmt: skip
        if not pattern.fullmatch(text):
            raise UsageError(f"{text!r} is not {form}")


def _platforms(vibs: Sequence[Vib], choices: Choices) -> tuple[Platform, ...]:
    """Those that were chosen; else those that every bundle names; else those of the form."""
    named = [vib.manifest.vib.platforms if vib.manifest.vib else () for vib in vibs]
    common = [one for one in named[0] if one.version and all(one in each for each in named)]
    if common and not choices.platforms:
        return tuple(dict.fromkeys(common))
    return tuple(Platform(version) for version in choices.platforms or _PLATFORMS[choices.form])


def _code(vibs: Sequence[Vib], vendor: str) -> str:
    """A code that the bundles' vendor is: readers compare it with name and code of the index."""
    return next((vib.manifest.vendor for vib in vibs if vib.manifest.vendor != vendor), vendor)


def _placed(vib: Vib) -> DescribedVib:
    manifest = replace(vib.manifest, released=released_with_zone(vib.manifest))
    return DescribedVib(manifest, Place(_path(vib.manifest), vib.size, (("sha-256", vib.sha256),)))


def _path(manifest: Manifest) -> str:
    return f"vib20/{manifest.name}/{manifest.id}.vib"


def _number(id_: str) -> int:
    """The number in the name of a document of `vibs/`, which means nothing; here it is the id's."""
    return int.from_bytes(hashlib.sha256(id_.encode("utf-8")).digest()[:8], "big", signed=True)


def _listed(
    group: Sequence[DescribedVib], vendor: str, platforms: tuple[Platform, ...], choices: Choices
) -> tuple[Bulletin, tuple[ListedVib, ...]]:
    """One bulletin, which since 7.0 is exactly one component, with its bundles."""
    first = group[0].manifest
    name, version = choices.component or (_COMPONENT_NAME.sub("-", f"{first.vendor}-{first.name}"), first.version)
    component = choices.form == "component"
    texts = (
        ("id", id_ := f"{name}_{version}" if component else f"{first.name}-{first.version}"),
        ("vendor", vendor),
        ("summary", first.summary),
        ("severity", "general"),
        ("category", _CATEGORY[choices.form]),
        ("urgency", "important"),
        ("releaseType", "extension"),
        ("description", first.description),
        ("kbUrl", choices.kb_url),
        ("contact", choices.contact),
        ("releaseDate", max((one.manifest.released for one in group), key=datetime.fromisoformat)),
    )
    bulletin = Bulletin(
        id=id_,
        vendor=vendor,
        texts=texts,
        component=(name, first.summary or name, version, version) if component else None,
        platforms=platforms,
        vibs=tuple(one.manifest.id for one in group),
    )
    return bulletin, tuple(listed_vib(one.manifest, one.place, platforms) for one in group)


def _timestamp(vibs: Sequence[Vib], epoch: int | None) -> str:
    newest = max(datetime.fromisoformat(released_with_zone(vib.manifest)) for vib in vibs)
    time = newest if epoch is None else datetime.fromtimestamp(epoch, UTC)
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
