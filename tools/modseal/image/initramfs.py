"""The initramfs: an interpreter, the modules of `boot` that open the root, and the kernel's modules; nothing more.

It is an archive as cpio(5) calls "new ASCII", compressed by zstd. The interpreter is the one of the packages of the
root, and it is in the initramfs alone: the root has no program that runs files.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import PurePosixPath

import zstandard

from modseal.errors import SpecError
from modseal.format.manifest import FileType
from modseal.image import writable_code
from modseal.image.debian import PackageFile, merged

_LEVEL = 19
_BOOT = ("__init__.py", "first.py", "mapper.py", "syscalls.py")
_INIT = b"""#!/usr/bin/python3 -IBS
import sys
sys.path.append("/usr/lib/modseal")
from modseal.boot.first import main
main()
"""
LOADER = "usr/lib64/ld-linux-x86-64.so.2"
"""Where programs look for it that are started."""
_LIBRARIES = ("libc.so.6", "libm.so.6", "libz.so.1", "libexpat.so.1", "libffi.so.8")
_STDLIB = ("__future__", "_collections_abc", "abc", "codecs", "ctypes/__init__", "ctypes/_endian", "encodings/__init__",
    "encodings/aliases", "encodings/ascii", "encodings/latin_1", "encodings/utf_8", "genericpath", "io", "os",
    "posixpath", "stat", "struct", "types")  # fmt: skip
"""What `boot.first` imports, and nothing else."""
_DEPENDS = re.compile(rb"(?:^|\0)depends=([^\0]*)\0")

MODULES = ("virtio_blk", "dm-verity", "erofs", "loop", "overlay", "efivarfs", "virtio_net", "i6300esb", "softdog")
"""What a virtual machine needs, with what these depend on."""


def build(files: Mapping[str, PackageFile], kernel: Mapping[str, PackageFile], modules: Sequence[str]) -> bytes:
    """The initramfs, of files of the root's packages and of the kernel's.

    Raises `SpecError` for what is missing, `RefusedError` for what may not be there.
    """
    found: dict[str, PackageFile] = {}

    def add(path: str, data: bytes, mode: int = 0o644) -> None:
        writable_code.require_none(path, data)
        found[path] = PackageFile(path, FileType.FILE, mode, data)

    add("init", _INIT, 0o755)
    add("usr/bin/python3", _content(files, interpreter(files)), 0o755)
    add(LOADER, _content(files, LOADER), 0o755)
    for name in _LIBRARIES:
        place = next((path for path in files if PurePosixPath(path).name == name), name)
        add(place, _content(files, place), 0o755)
    folder = f"usr/lib/{PurePosixPath(interpreter(files)).name}"
    for name in _STDLIB:
        add(f"{folder}/{name}.py", _content(files, f"{folder}/{name}.py"))
    native = next((path for path in files if path.startswith(f"{folder}/lib-dynload/_ctypes.")), "_ctypes")
    add(native, _content(files, native))
    add("usr/lib/modseal/modseal/__init__.py", b"")
    for name in _BOOT:
        data = resources.files("modseal.boot").joinpath(name).read_bytes()
        add(f"usr/lib/modseal/modseal/boot/{name}", data)
    order = kernel_modules(kernel, modules)
    for name, data in order.items():
        add(f"modules/{name}.ko", data)
    add("modules/order", " ".join(order).encode())
    for link, target in (("lib", "usr/lib"), ("lib64", "usr/lib64"), ("bin", "usr/bin"), ("sbin", "usr/bin")):
        found[link] = PackageFile(link, FileType.SYMLINK, 0o777, target=target)
    return zstandard.ZstdCompressor(level=_LEVEL, threads=0).compress(archive(found.values()))


def interpreter(files: Mapping[str, PackageFile]) -> str:
    """Where the packages have their interpreter. Raises `SpecError`."""
    pattern = re.compile(r"usr/bin/python3\.[0-9]+")
    found = next((path for path, one in files.items() if pattern.fullmatch(path) and one.type is FileType.FILE), None)
    if found is None:
        raise SpecError("no package brings usr/bin/python3.N; name python3.11-minimal, for example").because(
            "package-missing"
        )
    return found


def _content(files: Mapping[str, PackageFile], path: str) -> bytes:
    for _ in range(8):
        one = files.get(path)
        if one is None:
            break
        if one.type is not FileType.SYMLINK:
            return one.data
        path = merged(str(PurePosixPath("/", path).parent / one.target).removeprefix("/"))
    raise SpecError(f"no package brings {path}, which the initramfs needs").because("package-missing")


def kernel_modules(files: Mapping[str, PackageFile], wanted: Iterable[str]) -> dict[str, bytes]:
    """Kernel modules by name with what they depend on, each after what it needs; what is built in is left out.

    Raises `SpecError`.
    """
    places = {
        re.sub(r"\.ko(\.xz)?$", "", PurePosixPath(path).name).replace("-", "_"): path for path in files if ".ko" in path
    }
    built_in = next((one.data for path, one in files.items() if path.endswith("/modules.builtin")), b"").decode()
    inside = {PurePosixPath(line).stem.replace("-", "_") for line in built_in.splitlines()}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        plain = name.replace("-", "_")
        if plain in found or plain in inside:
            return
        if plain not in places:
            raise SpecError(f"kernel.modules: the kernel's package has no module {name}").because("image-spec")
        data = files[places[plain]].data
        data = lzma.decompress(data) if places[plain].endswith(".xz") else data
        depends = _DEPENDS.search(data)
        for one in depends[1].decode().split(",") if depends and depends[1] else ():
            add(one)
        found[plain] = data

    for name in wanted:
        add(name)
    return found


def archive(files: Iterable[PackageFile]) -> bytes:
    """A cpio archive in the form "newc": everything belongs to root, and nothing has a time."""
    rows: dict[str, PackageFile] = {}
    for one in files:
        for parent in list(PurePosixPath(one.path).parents)[-2::-1]:
            rows.setdefault(str(parent), PackageFile(str(parent), FileType.DIRECTORY, 0o755))
        rows[one.path] = one
    out = bytearray()
    kinds = {FileType.DIRECTORY: 0o040000, FileType.FILE: 0o100000, FileType.SYMLINK: 0o120000}
    for number, path in enumerate(sorted(rows), 1):
        one = rows[path]
        data = one.target.encode() if one.type is FileType.SYMLINK else one.data
        _entry(out, path, number, kinds[one.type] | one.mode, data)
    _entry(out, "TRAILER!!!", 0, 0, b"")
    return bytes(out)


def _entry(out: bytearray, path: str, number: int, mode: int, data: bytes) -> None:
    name = path.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    out += b"070701" + b"".join(b"%08X" % one for one in fields) + name
    out += bytes(-len(out) % 4)
    out += data
    out += bytes(-len(out) % 4)
