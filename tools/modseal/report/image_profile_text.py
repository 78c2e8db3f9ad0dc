"""Image profiles as text for people, and as JSON: what they say, how they differ, and whether they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from modseal.errors import Failure
from modseal.format.image_profile import ImageProfile, ProfileModule
from modseal.limits import KIB, MIB
from modseal.profile.change import ProfileDraft
from modseal.profile.compare import ProfileDifference
from modseal.profile.found import FoundProfile, FoundProfiles
from modseal.profile.validate import Validation
from modseal.report.text import failure_lines, plural, safe, safe_name

SHOW_SCHEMA = "modseal/profile-show@1"
COMPARE_SCHEMA = "modseal/profile-compare@1"
CHECK_SCHEMA = "modseal/profile-check@1"


def found_text(place: str, found: FoundProfiles) -> str:
    """The profiles of a place. It says that nothing of them is proved."""
    lines = [line for one in found.profiles for line in _found(one)]
    if not found.profiles:
        lines.append(f"{safe_name(place)}: no image profile")
    return "\n".join([*lines, *failure_lines(found.failures)])


def found_json(place: str, found: FoundProfiles) -> str:
    """The same for programs."""
    document = {
        "schema": SHOW_SCHEMA,
        "place": place,
        "proved": False,
        "profiles": [_found_values(one) for one in found.profiles],
        "problems": [_failure(one) for one in found.failures],
    }
    return json.dumps(document, indent=2)


def validation_text(found: Validation) -> str:
    """What became of a profile: the verdict first, then its modules, then what is wrong."""
    return "\n".join(_validation(found))


def validation_json(found: Validation, policy: str) -> str:
    """The same for programs."""
    profile = found.profile
    document = {
        "schema": CHECK_SCHEMA,
        "verdict": str(found.verdict),
        "policy": policy,
        **_head(profile.name, profile.vendor, str(profile.version), str(profile.level), profile.description),
        "sha256": profile.sha256 if profile.signed else None,
        "signed": bool(profile.signature),
        "signers": list(found.signers),
        "modules": [
            {
                **_module(one.said),
                "verdict": str(one.verdict),
                "proven_level": str(one.proved.proven_level) if one.proved and one.proved.proven_level else None,
                "failures": [_failure(each) for each in one.failures],
            }
            for one in found.outcomes
        ],
        "failures": [_failure(one) for one in found.failures],
    }
    return json.dumps(document, indent=2)


def difference_text(names: tuple[str, str], found: ProfileDifference) -> str:
    """How two profiles differ, in the words of Image Builder."""
    return "\n".join(_difference(names, found))


def difference_json(reference: FoundProfile, comparison: FoundProfile, found: ProfileDifference) -> str:
    """The same for programs: the names are those of Image Builder, its lists have ids."""
    document = {
        "schema": COMPARE_SCHEMA,
        "reference": {"place": reference.place, "name": reference.name, "vendor": reference.vendor},
        "comparison": {"place": comparison.place, "name": comparison.name, "vendor": comparison.vendor},
        "equal": found.equal,
        "packages_equal": found.packages_equal,
        "ref_acceptance_level": str(found.ref_level) if found.ref_level else None,
        "comp_acceptance_level": str(found.comp_level) if found.comp_level else None,
        "only_in_ref": [one.id for one in found.only_in_ref],
        "only_in_comp": [one.id for one in found.only_in_comp],
        "upgrade_from_ref": [new.id for _, new in found.upgrade_from_ref],
        "downgrade_from_ref": [new.id for _, new in found.downgrade_from_ref],
        "content_differs": [
            {"id": new.id, "ref_manifest_sha256": old.manifest, "comp_manifest_sha256": new.manifest}
            for old, new in found.content_differs
        ],
        "absent": list(found.absent),
    }
    return json.dumps(document, indent=2)


def written_text(path: object, profile: ImageProfile) -> str:
    """A profile that was written."""
    count = len(profile.modules)
    return (
        f"{safe_name(path)}: image profile {safe(profile.name)}, version {profile.version}, level {profile.level}, "
        f"{plural(count, 'module')}, {'signed' if profile.signature else 'not signed'}, "
        f"sha256 {profile.sha256}"
    )


def refused_text(draft: ProfileDraft) -> str:
    """Why a profile is not written."""
    lines = [f"{draft.verdict}: nothing was written"]
    if draft.solution and not draft.solution.modules:
        lines += [f"  {safe(reason)}" for reason in draft.solution.reasons]
        lines += [
            f"  refused: {safe(one.label)}: {one.failure.code}: {safe(one.failure.detail)}"
            for one in draft.solution.refused
        ]
    return "\n".join([*lines, *failure_lines(draft.failures)])


def _found(one: FoundProfile) -> Iterator[str]:
    yield f"{safe_name(one.place)}: image profile (unproved)"
    yield f"  name           {safe(one.name)}"
    yield f"  vendor         {safe(one.vendor) or 'none'}"
    yield f"  version        {safe(one.version) or 'none'}"
    yield f"  level          {one.level or 'none that is known'}"
    if one.description:
        yield f"  description    {safe(one.description)}"
    if one.own:
        yield f"  sha256         {one.own.sha256}"
        yield f"  signatures     {'not asked for' if one.own.signature else 'none'}"
    yield f"  modules        {len(one.modules) + len(one.absent)}, {_size(sum(each.size for each in one.modules))}"
    for module in one.modules:
        yield _row(module, "")
    for id_ in one.absent:
        yield f"  {safe(id_)}  is named, and not there"


def _validation(found: Validation) -> Iterator[str]:
    profile = found.profile
    yield f"{safe(profile.name)}: {found.verdict}"
    yield f"  vendor         {safe(profile.vendor)}"
    yield f"  version        {profile.version}"
    yield f"  level          {profile.level}"
    yield f"  signed         {_signed(found)}"
    yield f"  modules        {len(found.outcomes)}, {_size(sum(one.said.size for one in found.outcomes))}"
    for one in found.outcomes:
        proved = one.proved and (one.proved.proven_level or "none (unsigned)")
        yield _row(one.said, f"  {f'proven {proved}' if proved else 'not proved'}")
    yield from failure_lines(tuple(found.all_failures()))


def _signed(found: Validation) -> str:
    if not found.profile.signature:
        return "no: nobody says that these belong together"
    return f"yes, trusted: {', '.join(map(safe, found.signers))}" if found.signers else "yes, and not trusted"


def _row(one: ProfileModule, proven: str) -> str:
    name = f"{safe(one.name)} {safe(one.version)}  {safe(one.vendor)}"
    return f"  {name}  claimed {one.level}{proven}  {_size(one.size)}"


def _difference(names: tuple[str, str], found: ProfileDifference) -> Iterator[str]:
    same = "equal" if found.equal else "the same modules" if found.packages_equal else "different"
    yield f"{safe(names[0])} and {safe(names[1])}: {same} (nothing is proved)"
    yield f"  RefAcceptanceLevel   {found.ref_level or 'none that is known'}"
    yield f"  CompAcceptanceLevel  {found.comp_level or 'none that is known'}"
    rows: tuple[tuple[str, Sequence[str]], ...] = (
        ("OnlyInRef", [safe(one.id) for one in found.only_in_ref]),
        ("OnlyInComp", [safe(one.id) for one in found.only_in_comp]),
        ("UpgradeFromRef", [_changed(old, new) for old, new in found.upgrade_from_ref]),
        ("DowngradeFromRef", [_changed(old, new) for old, new in found.downgrade_from_ref]),
        (
            "ContentDiffers",
            [f"{safe(new.id)}, manifest {new.manifest}, was {old.manifest}" for old, new in found.content_differs],
        ),
        ("NotThere", [safe(id_) for id_ in found.absent]),
    )
    for label, texts in rows:
        for text in texts:
            yield f"  {label:<19}  {text}"


def _changed(old: ProfileModule, new: ProfileModule) -> str:
    return f"{safe(new.id)}, was {safe(old.version)}"


def _found_values(one: FoundProfile) -> dict[str, Any]:
    level = str(one.level) if one.level else None
    return {
        "place": one.place,
        **_head(one.name, one.vendor, one.version, level, one.description),
        "sha256": one.own.sha256 if one.own else None,
        "signed": None if one.own is None or one.own.signature else False,
        "modules": [_module(each) for each in one.modules],
        "absent": list(one.absent),
    }


def _head(name: str, vendor: str, version: str, level: str | None, description: str) -> dict[str, Any]:
    return {"name": name, "vendor": vendor, "version": version, "level": level, "description": description or None}


def _module(one: ProfileModule) -> dict[str, Any]:
    return {
        "id": one.id,
        "vendor": one.vendor,
        "name": one.name,
        "version": one.version,
        "kind": one.kind,
        "claimed_level": str(one.level),
        "size": one.size,
        "manifest_sha256": one.manifest,
    }


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "code": failure.code,
        "detail": failure.detail,
        "evidence": dict(failure.evidence),
        "next_step": failure.next_step,
    }


def _size(size: int) -> str:
    return f"{size / MIB:.1f} MiB" if size >= MIB else f"{size / KIB:.1f} KiB"
