"""The software bill of materials of a module: CycloneDX 1.6 JSON, made from what is packed.

The module is the root component, an application: CycloneDX has no type for an installable package, and this is
what its own tools fall back on. Each regular file is a component of type file with its SHA-256; `[[component]]` says
what was built in, `[[depends]]` which other modules are needed. The same module gives the same bytes: the serial number
is made from the content, and the time is SOURCE_DATE_EPOCH, or absent.

The model, the purls and the licenses are `cyclonedx-python-lib`'s, which is imported only here (extra `modseal[sbom]`).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from modseal import __version__
from modseal.errors import UsageError, require_spec
from modseal.format.manifest import Constraint, FileType, Manifest
from modseal.packing.plan import GeneratedPlan, Plan, with_generated
from modseal.packing.spec import ComponentSpec

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component

NAME = "sbom.cdx.json"
MEDIA_TYPE = "application/vnd.cyclonedx+json"
CONSTRAINT = "modseal:constraint"
"""The property of a needed module that says which versions will do."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:modseal:sbom:1")
_MISSING = "an SBOM needs cyclonedx-python-lib: pip install modseal[sbom]"


def with_sbom(plan: Plan, epoch: int | None) -> Plan:
    """The plan with an SBOM as one attachment more.

    Raises `UsageError` where the library is missing, `SpecError` for a component that it does not take or a name that
    is taken: all before anything is packed.
    """
    if find_spec("cyclonedx") is None:
        raise UsageError(_MISSING)
    require_spec(f"component {item.name!r}: {problem}" for item in plan.components for problem in _problems(item))
    return with_generated(
        plan, GeneratedPlan(NAME, MEDIA_TYPE, lambda manifest, _: encode(manifest, plan.components, epoch))
    )


def encode(manifest: Manifest, components: Sequence[ComponentSpec] = (), epoch: int | None = None) -> bytes:
    """The SBOM of a manifest that has its files. `components` must have passed `with_sbom`."""
    plain = _document(manifest, components, epoch)
    # A library object for each of 50,000 files would take minutes, and files need none of the library's features.
    plain["components"] = [*plain.get("components", ()), *_files(manifest)]
    digest = hashlib.sha256(_dump(plain)).hexdigest()
    return _dump({**plain, "serialNumber": uuid.uuid5(_NAMESPACE, digest).urn})


def _dump(plain: object) -> bytes:
    return (json.dumps(plain, indent=2, sort_keys=True) + "\n").encode("ascii")


def _files(manifest: Manifest) -> list[dict[str, Any]]:
    """Regular files only: folders and links have no content, so they are not components."""
    return [
        {
            "type": "file",
            "bom-ref": f"file:{entry.path}",
            "name": entry.path,
            "hashes": [{"alg": "SHA-256", "content": entry.sha256.hex()}],
        }
        for entry in manifest.files
        if entry.type is FileType.FILE and entry.sha256 is not None
    ]


def _document(manifest: Manifest, components: Iterable[ComponentSpec], epoch: int | None) -> dict[str, Any]:
    """All but the files and the serial number, as the library writes it."""
    from cyclonedx.output.json import JsonV1Dot6

    plain: dict[str, Any] = json.loads(JsonV1Dot6(_bom(manifest, components, epoch)).output_as_string())
    del plain["serialNumber"]
    if epoch is None:
        del plain["metadata"]["timestamp"]
    return plain


def _bom(manifest: Manifest, components: Iterable[ComponentSpec], epoch: int | None) -> Bom:
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.contact import OrganizationalEntity
    from cyclonedx.model.tool import ToolRepository

    root = Component(
        type=ComponentType.APPLICATION,
        name=manifest.name,
        version=manifest.version,
        bom_ref=f"module:{manifest.id}",
        supplier=OrganizationalEntity(name=manifest.vendor),
        description=manifest.summary or None,
    )
    tool = Component(type=ComponentType.APPLICATION, name="modseal", version=__version__)
    needed = [*map(_declared, components), *_modules(manifest.relationships.depends)]
    metadata = BomMetaData(
        component=root,
        tools=ToolRepository(components=[tool]),
        timestamp=datetime.fromtimestamp(epoch or 0, UTC),
    )
    bom = Bom(metadata=metadata, components=needed)
    if needed:
        bom.register_dependency(root, needed)
    return bom


def _declared(item: ComponentSpec) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    return Component(
        type=ComponentType.LIBRARY,
        name=item.name,
        version=item.version or None,
        bom_ref=item.reference,
        purl=PackageURL.from_string(item.purl) if item.purl else None,
        licenses=[LicenseFactory().make_from_string(item.license)] if item.license else (),
    )


def _modules(depends: Iterable[Constraint]) -> list[Component]:
    """One component for each module that is needed; several constraints on it are properties of the one."""
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component, ComponentType

    said: dict[str, list[Constraint]] = {}
    for constraint in depends:
        said.setdefault(constraint.name, []).append(constraint)
    return [
        Component(
            type=ComponentType.APPLICATION,
            name=name,
            version=next((one.version for one in constraints if one.relation == "="), None),
            bom_ref=f"depends:{name}",
            properties=[
                Property(name=CONSTRAINT, value=f"{one.relation} {one.version}") for one in constraints if one.relation
            ],
        )
        for name, constraints in said.items()
    ]


def _problems(item: ComponentSpec) -> Iterable[str]:
    """What the library refuses: it knows the rules of purls."""
    from packageurl import PackageURL

    if not item.purl:
        return ()
    try:
        PackageURL.from_string(item.purl)
    except ValueError as error:
        return (f"the purl cannot be used: {error}",)
    return ()
