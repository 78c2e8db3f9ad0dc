"""The first generation of a host: its modules, proved under the policy, and held against what no host takes.

What a host would refuse when it boots is refused here already, and what it could not refuse is refused here alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from modseal.boot import services
from modseal.boot.documents import (
    GENERATION_FILE,
    GENERATIONS,
    SERVICES,
    ImageGeneration,
    ImageRecord,
    encode_generation,
)
from modseal.errors import InputError, RefusedError, SpecError, UndecidedError
from modseal.files.folder import make_folder
from modseal.files.tree import new_tree
from modseal.format import elf, verity
from modseal.format.manifest import Entry, FileType
from modseal.host import change, create, export
from modseal.host.installed import Installed
from modseal.host.store import Store, open_store
from modseal.image import inputs, writable_code
from modseal.image.spec import ImageSpec
from modseal.packing import host_export, kernel_signature
from modseal.signing.signer import Signer
from modseal.trust.examination import Verdict
from modseal.trust.policy import Policy


def proved(place: Path, spec: ImageSpec, policy: Policy, at: datetime) -> list[Path]:
    """Make a host with the modules, each proved under the policy. Gives their bundles."""
    bundles = _bundles(spec.modules)
    make_folder(place, 0o755)
    create.create(place, policy, spec.level, at)
    if bundles:
        done = change.install(place, bundles, at)
        if done.verdict is not Verdict.ACCEPTED:
            for result in done.results:
                result.require()
            failure = done.failures[0]
            kind = RefusedError if done.verdict is Verdict.REJECTED else UndecidedError
            raise kind(failure.code, failure.detail, **failure.evidence)
    return bundles


def write(
    place: Path,
    spec: ImageSpec,
    signer: Signer,
    bundles: Sequence[Path],
    of_root: tuple[bytes, Sequence[Entry]],
    at: datetime,
) -> tuple[Path, tuple[Installed, ...], list[tuple[str, str, str, str]]]:
    """The folder of the data partition with the first generation; its modules; what they measure."""
    base, owned = of_root[0], {one.path for one in of_root[1] if one.type is not FileType.DIRECTORY}
    content = place / "data"
    folder = f"{GENERATIONS}/{spec.generation}"
    sources_of = {hashlib.sha256(inputs.content(path)).hexdigest(): path for path in bundles}
    records = []
    with open_store(place / "host") as store, new_tree(content) as tree:
        modules = export.proved_modules(store, at)
        for module in modules:
            _require_services(store, module)
            _require_no_writable_code(store, module)
            if found := sorted(owned.intersection(entry.path for entry in module.entries)):
                detail = f"/{found[0]} of {module.name} is a file of the root, and no module covers one"
                raise RefusedError("path-owned", detail, path=found[0])
        images = list(host_export.write_images(store, modules, tree, f"{folder}/"))
        for one in images:
            bundle = sources_of[one.module.record.bundle]
            name = f"{one.module.name}-{one.module.version}{bundle.suffix}"
            tree.write(f"{folder}/{name}", inputs.content(bundle), 0o644)
            records.append(ImageRecord(name, PurePosixPath(one.path).name, one.root.hex(), one.size // verity.BLOCK))
        text = export.ipe_policy(spec.generation, [base, *(one.root for one in images)]).encode()
        signed = kernel_signature.signed(text, signer, attached=True)
        tree.write(f"{folder}/{base.hex()}.p7b", signed, 0o644)
        document = encode_generation(ImageGeneration(spec.generation, tuple(records)))
        tree.write(f"{folder}/{GENERATION_FILE}", document, 0o644)
    measured = [(one.module.name, one.module.version, one.module.record.manifest, one.root.hex()) for one in images]
    return content, modules, measured


def _require_services(store: Store, module: Installed) -> None:
    """A host whose service is refused at boot must not be built. Raises `SpecError`."""
    for entry in module.entries:
        folder, _, name = entry.path.rpartition("/")
        if folder != SERVICES or not name.endswith(".toml"):
            continue
        try:
            if entry.type is not FileType.FILE:
                raise SpecError(f"{name}: is no file").because("service-file")
            services.service_of(name, b"".join(export.content(store, entry)), module.name)
        except SpecError as error:
            detail = f"a service of {module.name}: {error.failure.detail}"
            raise SpecError(detail).because("service-file") from None


def _require_no_writable_code(store: Store, module: Installed) -> None:
    """Raises `RefusedError`."""
    for entry in module.entries:
        if entry.type is FileType.FILE:
            pieces = export.content(store, entry)
            head = next(pieces, b"")
            if head.startswith(elf.MAGIC):  # nothing else is read whole
                writable_code.require_none(entry.path, b"".join((head, *pieces)), module.name)


def _bundles(named: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in named:
        inside = sorted((*path.rglob("*.seal"), *path.rglob("*.vib"))) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"{path} has no bundle in it", path=str(path)).because("no-bundle-there")
        found += inside
    return found
