"""What an image is made of: read, held against its digests, and judged before anything is built of it."""

from __future__ import annotations

import hashlib
import uuid as uuids
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modseal.boot import portable_executable
from modseal.errors import FormatError, RefusedError, SpecError
from modseal.files.open import open_reader
from modseal.format.manifest import FileType
from modseal.image import debian, firmware, initramfs, root, served
from modseal.image.debian import DebianPackage, PackageFile
from modseal.image.spec import ImageSpec, Pinned
from modseal.signing import material
from modseal.signing.signer import Signer

_ARCHITECTURES = ("amd64", "all")
_STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub"
_NEEDED = f"{root.PYTHON}/modseal/boot/machine.py"
_SERVING = f"{root.PYTHON}/aiohttp/__init__.py"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Packages and wheels, and what is made of them without the modules.

    `files` are those of the root by path, but for what it says of the host; `every` are those of all packages.
    """

    packages: tuple[DebianPackage, ...]
    files: dict[str, PackageFile]
    every: dict[str, PackageFile]
    kernel: PackageFile
    initramfs: bytes
    stub: bytes
    variables: bytes


def read(spec: ImageSpec, signer: Signer) -> Inputs:
    """Raises `SpecError`, `RefusedError`, `FormatError`, `KeyMaterialError`, `InputError`."""
    variables = _variables(spec, signer)
    serve = served.files(spec.served) if spec.served else {}
    for pinned in spec.wheels:
        _require_digest(pinned)
    files: dict[str, PackageFile] = {}
    every: dict[str, PackageFile] = {}
    packages = []
    for one in spec.packages:
        package, found = _package(one.file)
        packages.append(package)
        every |= found
        _bring(files, root.taken(found, one), one.file.path)
    python = PurePosixPath(initramfs.interpreter(every)).name.removeprefix("python3.")
    for pinned in spec.wheels:
        if not _fits(pinned.path.stem, int(python)):
            detail = f"{pinned.path} is not for Python 3.{python} of the packages, on Linux of x86-64"
            raise SpecError(detail).because("image-spec")
        _bring(files, {one.path: one for one in _wheel(pinned.path)}, pinned.path)
    if _NEEDED not in files or (spec.served and _SERVING not in files):
        name = "aiohttp, which [serve] needs" if _NEEDED in files else "modseal"
        raise SpecError(f"wheel: none of them is that of {name}").because("image-spec")
    for path in (initramfs.LOADER, f"usr/lib/python3.{python}/encodings/__init__.py"):
        if path not in files:
            detail = f"package: /{path} gets into the root from none of them; see `include` and `exclude`"
            raise SpecError(detail).because("image-spec")
    _bring(files, {path: PackageFile(path, FileType.FILE, 0o644, data) for path, data in serve.items()}, "[serve]")
    kernel_package, kernel_files = _package(spec.kernel)
    kernel = next((one for path, one in kernel_files.items() if path.startswith("boot/vmlinuz-")), None)
    if kernel is None:
        raise RefusedError("missing-member", f"{spec.kernel.path} has no boot/vmlinuz-*").because("image-spec")
    stub_package, found = _package(spec.stub)
    if _STUB not in found:
        raise RefusedError("missing-member", f"{spec.stub.path} has no {_STUB}").because("image-spec")
    portable_executable.with_sections(found[_STUB].data, ())
    packages += [kernel_package, stub_package]
    start = initramfs.build(every, kernel_files, spec.kernel_modules)
    return Inputs(tuple(packages), files, every, kernel, start, found[_STUB].data, variables)


def _package(pinned: Pinned) -> tuple[DebianPackage, dict[str, PackageFile]]:
    package = debian.open_package(pinned.path, pinned.sha256)
    if package.architecture not in _ARCHITECTURES:
        detail = f"{pinned.path} is for {package.architecture}, and a host is for {_ARCHITECTURES[0]}"
        raise SpecError(detail).because("image-spec")
    return package, {one.path: one for one in debian.files(package)}


def _bring(files: dict[str, PackageFile], more: dict[str, PackageFile], source: Path | str) -> None:
    """Add files that nothing else brings. Raises `RefusedError`."""
    for path, one in more.items():
        if files.setdefault(path, one) != one:
            detail = f"{source} brings /{path}, and so does another of the packages and wheels; exclude one"
            raise RefusedError("unsafe-path", detail, path=path).because("image-spec")


def _wheel(path: Path) -> Iterator[PackageFile]:
    for name, data in root.wheel(path):
        yield PackageFile(name, FileType.FILE, 0o755 if name.endswith(".so") else 0o644, data)


def _fits(name: str, python: int) -> bool:
    """Whether a wheel of this name is for a Python 3 (https://packaging.python.org/specifications/binary-distribution-format)."""
    pythons, abis, platforms = (part.split(".") for part in name.split("-")[-3:])
    runs = "py3" in pythons or f"py3{python}" in pythons or f"cp3{python}" in pythons
    stable = "abi3" in abis and any(_number(one) <= python for one in pythons)
    return (runs or stable) and any(one == "any" or ("linux" in one and one.endswith("x86_64")) for one in platforms)


def _number(tag: str) -> int:
    digits = tag.removeprefix("cp3")
    return int(digits) if digits.isdecimal() and tag.startswith("cp3") else 1 << 31


def _variables(spec: ImageSpec, signer: Signer) -> bytes:
    _require_digest(spec.firmware)
    owner = uuids.uuid5(uuids.NAMESPACE_URL, f"urn:modseal:image:{spec.name}")
    lists = []
    for path in (spec.pk, spec.kek):
        certificate = material.read_certificate(path)
        firmware.require_key(certificate, str(path))
        lists.append(firmware.certificate_list([certificate], owner))
    db = firmware.certificate_list([signer.certificate], owner)
    variables = firmware.secure_boot(lists[0], lists[1], db, firmware.digest_list(spec.revoked, owner))
    try:
        return firmware.store_variables(content(spec.firmware.path), variables)
    except FormatError as error:
        detail = f"{spec.firmware.path}: {error.failure.detail}"
        raise FormatError(error.failure.code, detail).because("firmware-store") from None


def _require_digest(pinned: Pinned) -> None:
    debian.require_digest(pinned.path, hashlib.sha256(content(pinned.path)).hexdigest(), pinned.sha256)


def content(path: Path) -> bytes:
    """Raises `InputError`."""
    with open_reader(path) as file:
        return file.read()
