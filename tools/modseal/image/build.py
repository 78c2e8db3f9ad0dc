"""Builds a host image, from top to bottom: packages, root, modules, kernel's policy, firmware's program, disk.

Everything is held against the digests that the spec names before it is used, and every module is proved under the
policy that goes into the root. The same inputs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import uuid as uuids
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from modseal.boot import attestation, fat, portable_executable, slots
from modseal.boot.documents import GENERATIONS, SERVED, HostDocument
from modseal.boot.requests import Running, UpdateRequest
from modseal.errors import RefusedError, SpecError
from modseal.files.scratch import scratch_folder
from modseal.files.staging import StagingFolder, require_free
from modseal.files.tree import Tree
from modseal.format import verity
from modseal.format.manifest import Entry, FileType, Manifest
from modseal.host.installed import Installed
from modseal.image import data, disk, firmware, generation, inputs, root, served, update
from modseal.image.debian import PackageFile
from modseal.image.inputs import Inputs
from modseal.image.spec import ImageSpec
from modseal.packing import erofs, kernel_signature
from modseal.policy import sources
from modseal.signing.signer import Signer
from modseal.trust.policy import Policy

_BOOT_SIZE, _ROOT_SIZE = 64 << 20, 96 << 20
"""Bytes of each boot partition and each root partition: twice what an image of today needs, for the updates to come."""
_OPTIONS = (
    "panic=10 quiet loglevel=3 module.sig_enforce=1 proc_mem.force_override=never lockdown=integrity "
    "random.trust_cpu=on"
)


@dataclass(frozen=True, slots=True)
class Built:
    """What was built: sizes in bytes by part, the root hash, and the modules."""

    name: str
    version: int
    root: str
    sizes: dict[str, int]
    modules: tuple[str, ...]


def build(spec: ImageSpec, signer: Signer, out: Path, at: datetime) -> Built:
    """Build the image that a spec describes into a new folder. `at` is when modules must be accepted.

    Raises `SpecError`, `RefusedError`, `UndecidedError`, `FormatError`, `UsageError`, `InputError`, `PolicyError`.
    """
    require_free(out)
    firmware.require_key(signer.certificate, "the owner's key")
    kernel_signature.require_key(signer)
    policy = sources.load(str(spec.policy), at)
    if spec.released > at:
        raise SpecError("released: is later than now").because("image-spec")
    given = inputs.read(spec, signer)
    host = HostDocument(
        spec.name,
        spec.version,
        spec.level or policy.minimum_level,
        spec.network,
        spec.management,
        tuple(name for name, _ in policy.origin.files) if policy.origin else (),
        spec.floor,
        tuple(one.hex() for one in spec.revoked),
        int(spec.released.timestamp()),
    )
    with scratch_folder() as place, StagingFolder(out) as staging:
        bundles = generation.proved(place / "host", spec, policy, at)
        hash_, size, entries = _root(place, spec, given, host, policy, signer)
        content, modules, images = generation.write(place, spec, signer, bundles, (hash_, entries), at)
        program = _program(spec, given, signer, hash_, size)
        digest = portable_executable.digest(program)
        if digest in spec.revoked:
            raise RefusedError("denied", "revoked: names the boot program of this very image").because("image-spec")
        with (place / "boot.img").open("wb") as file:
            file.truncate(_BOOT_SIZE)
            for where, part in fat.boot_partition(program, _BOOT_SIZE):
                file.seek(where)
                file.write(part)
        (place / "boot.efi").write_bytes(program)
        if spec.served:
            served.write_key(spec.served, content / SERVED)
        state = content / slots.FILE
        state.write_bytes(slots.encode(slots.first(spec.version, digest.hex(), spec.generation)))
        state.chmod(0o644)
        seed = hashlib.sha256(f"{spec.name} {spec.version}".encode() + hash_).digest()
        epoch = int(spec.released.timestamp())
        identifier = str(uuids.UUID(bytes=hashlib.sha256(seed + b"data").digest()[:16], version=5))
        data.write(content, place / "data.img", spec.data_size, epoch, identifier)
        sizes = {
            "boot": len(program),
            "root": (place / "root.img").stat().st_size,
            "modules": sum(one.stat().st_size for one in content.rglob("*") if one.is_file()),
        }
        _copy(staging.tree, "root.img", place / "root.img", 0o644)
        mode = 0o600 if spec.served else 0o644  # the data partition then has a private key
        _copy(staging.tree, "data.img", place / "data.img", mode)
        staging.tree.write("boot.efi", program, 0o644)
        folder_of = content / GENERATIONS / str(spec.generation)
        files = update.part_files(place / "boot.efi", place / "root.img", folder_of)
        request = UpdateRequest(
            spec.name,
            Running(spec.version, spec.generation),
            digest.hex(),
            hash_.hex(),
            size // verity.BLOCK,
            tuple(one.part for one in files),
        )
        for name, delivered in (("update", files), ("modules.update", files[2:])):
            with open(staging.tree.create(name), "wb") as file:
                update.write(file, request, delivered, signer)
            staging.tree.set_mode(name, 0o644)
        staging.tree.write("firmware.fd", given.variables, 0o644)
        with open(staging.tree.create("disk.img"), "wb") as file:
            disk.write(file, _partitions(place, spec), seed)
            file.flush()
        staging.tree.set_mode("disk.img", mode)
        staging.tree.write("sbom.cdx.json", _sbom(host, spec, given, modules, entries, epoch), 0o644)
        measured = attestation.events(host, policy.origin.digest if policy.origin else "", spec.generation, images)
        facts = {
            "name": spec.name,
            "version": spec.version,
            "root": hash_.hex(),
            "program": digest.hex(),
            "generation": spec.generation,
            "sizes": sizes,
            "events": [dict(one) for one in measured],
        }
        staging.tree.write("image.json", (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode(), 0o644)
        staging.commit()
    names = tuple(f"{one.name} {one.version}, {one.level}" for one in modules)
    return Built(spec.name, spec.version, hash_.hex(), sizes, names)


def _root(
    place: Path,
    spec: ImageSpec,
    given: Inputs,
    host: HostDocument,
    policy: Policy,
    signer: Signer,
) -> tuple[bytes, int, list[Entry]]:
    """The root image: its root hash, its bytes before the hash tree, and what is in it."""
    own = root.host_files(host, policy, signer.certificate)
    files = given.files | {path: PackageFile(path, FileType.FILE, 0o644, data) for path, data in own.items()}
    tree, image = place / "root", place / "root.img"
    root.write(tree, files)
    root.compile_python(tree, given.every)
    entries = root.entries(tree)
    root.require_no_interpreter(entries)
    identifier = hashlib.sha256(f"{spec.name} {spec.version}".encode()).digest()[:16]
    erofs.make(tree, image, identifier, compressed=True)
    hash_, size = erofs.append_verity(image, identifier)
    if image.stat().st_size > _ROOT_SIZE:
        detail = f"the root image has {image.stat().st_size} bytes, and its partition {_ROOT_SIZE}"
        raise RefusedError("limit-exceeded", detail, size=image.stat().st_size, limit=_ROOT_SIZE)
    return hash_, size, entries


def _program(spec: ImageSpec, given: Inputs, signer: Signer, base: bytes, size: int) -> bytes:
    """The one program that the firmware starts: stub, kernel, command line and initramfs, signed."""
    words = f"console={spec.console} {_OPTIONS} modseal.root={base.hex()} modseal.blocks={size // verity.BLOCK}"
    release = f'ID=modseal\nNAME="{spec.name}"\nVERSION_ID={spec.version}\n'
    sections = [
        (".osrel", release.encode()),
        (".uname", given.kernel.path.removeprefix("boot/vmlinuz-").encode()),
        (".cmdline", words.encode()),
        (".initrd", given.initramfs),
        (".linux", given.kernel.data),
    ]
    return firmware.sign_executable(portable_executable.with_sections(given.stub, sections), signer)


def _partitions(place: Path, spec: ImageSpec) -> list[disk.Partition]:
    return [
        disk.Partition("boot-a", disk.EFI_SYSTEM, _BOOT_SIZE, place / "boot.img"),
        disk.Partition("boot-b", disk.EFI_SYSTEM, _BOOT_SIZE),
        disk.Partition("root-a", disk.LINUX_ROOT, _ROOT_SIZE, place / "root.img"),
        disk.Partition("root-b", disk.LINUX_ROOT, _ROOT_SIZE),
        disk.Partition("data", disk.LINUX_DATA, spec.data_size, place / "data.img"),
    ]


def _copy(tree: Tree, name: str, source: Path, mode: int) -> None:
    with open(tree.create(name), "wb") as file:
        disk.copy(file, 0, source)
        file.truncate(source.stat().st_size)
    tree.set_mode(name, mode)


def _sbom(
    host: HostDocument,
    spec: ImageSpec,
    given: Inputs,
    modules: Sequence[Installed],
    entries: Sequence[Entry],
    epoch: int,
) -> bytes:
    """What is in the image: each package, wheel and module, and each file of the root with its digest."""
    from modseal.packing import sbom
    from modseal.packing.spec import ComponentSpec

    wheels = [one.path.name.split("-") for one in spec.wheels]
    components = [
        *(ComponentSpec(one.name, one.version, one.purl) for one in given.packages),
        *(ComponentSpec(one[0], one[1], f"pkg:pypi/{one[0].replace('_', '-').lower()}@{one[1]}") for one in wheels),
        *(ComponentSpec(one.name, one.version) for one in modules),
    ]
    manifest = Manifest(
        "seal", host.name, host.name, str(host.version), host.level, "A host image.", files=tuple(entries)
    )
    return sbom.encode(manifest, components, epoch)
