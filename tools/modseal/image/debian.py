"""Reads Debian packages (deb(5)): the files of one, held against the digest that was named.

Nothing of a package is run. What it would do when it is installed does not happen.
"""

from __future__ import annotations

import hashlib
import lzma
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import zstandard

from modseal import limits
from modseal.codes import CodeName
from modseal.errors import FormatError, InputError, ModsealError, RefusedError
from modseal.files.open import open_reader
from modseal.format.manifest import FileType

_MAGIC = b"!<arch>\n"
_HEADER = 60
_MERGED = ("bin", "sbin", "lib", "lib64")


def merged(path: str) -> str:
    """A path where it is with a merged /usr (https://systemd.io/THE_CASE_FOR_THE_USR_MERGE)."""
    return f"usr/{path}" if path.split("/", maxsplit=1)[0] in _MERGED else path


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One name of a package: its path with a merged /usr, without a slash in front, and what is there."""

    path: str
    type: FileType
    mode: int
    data: bytes = b""
    target: str = ""


@dataclass(frozen=True, slots=True)
class DebianPackage:
    """What a package says of itself."""

    name: str
    version: str
    architecture: str
    sha256: str
    path: Path

    @property
    def purl(self) -> str:
        """Its package URL."""
        from urllib.parse import quote

        return f"pkg:deb/debian/{quote(self.name, safe='')}@{quote(self.version, safe='')}?arch={self.architecture}"


def open_package(path: Path, sha256: str) -> DebianPackage:
    """A package, if its bytes have this digest. Raises `InputError`, `RefusedError`, `FormatError`."""
    with open_reader(path) as file:
        require_digest(path, hashlib.file_digest(file, "sha256").hexdigest(), sha256)
    control = next((one.data for one in _files(path, "control.tar") if one.path == "control"), b"")
    lines = control.decode("utf-8", "replace").splitlines()
    fields = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith(" "))
    try:
        return DebianPackage(fields["Package"], fields["Version"], fields["Architecture"], sha256, path)
    except KeyError as error:
        raise _unfit("missing-member", f"{path} does not say its {error.args[0]}") from None


def require_digest(path: Path, found: str, named: str) -> None:
    """A file must have the SHA-256 that the spec names. Raises `RefusedError`."""
    if found != named:
        detail = f"{path} has the SHA-256 {found}, and {named} is named"
        raise RefusedError("content-digest-mismatch", detail, path=str(path)).because("other-file")


def files(package: DebianPackage) -> Iterator[PackageFile]:
    """What a package brings. Raises `FormatError`, `InputError`."""
    yield from _files(package.path, "data.tar")


def _files(path: Path, member: str) -> Iterator[PackageFile]:
    try:
        with path.open("rb") as file:
            suffix = _seek(file, member, path)
            with tarfile.open(fileobj=_unpacked(file, suffix), mode="r|", encoding="utf-8", errors="strict") as archive:
                seen: dict[str, PackageFile] = {}
                for entry in archive:
                    found = _file(archive, entry, seen, path)
                    if found:
                        seen[found.path] = found
                        yield found
    except OSError as error:
        raise InputError.of(path, error) from error
    except (tarfile.TarError, lzma.LZMAError, zstandard.ZstdError, EOFError, ValueError) as error:
        raise _unfit("malformed-archive", f"{path}: {member}: {error}") from None


def _unpacked(file: IO[bytes], suffix: str) -> Any:
    if suffix == ".xz":
        return lzma.LZMAFile(file)
    return zstandard.ZstdDecompressor().stream_reader(file) if suffix == ".zst" else file


def _seek(file: IO[bytes], member: str, path: Path) -> str:
    """Go to the content of a member, and say how it is compressed."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise _unfit("malformed-archive", f"{path} is no Debian package")
    while header := file.read(_HEADER):
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        size = header[48:58].strip()
        if len(header) != _HEADER or not size.isdigit():
            break
        if name.startswith(member):
            return name.removeprefix(member)
        file.seek(int(size) + int(size) % 2, 1)
    raise _unfit("missing-member", f"{path} has no {member}")


def _file(
    archive: tarfile.TarFile, entry: tarfile.TarInfo, seen: Mapping[str, PackageFile], path: Path
) -> PackageFile | None:
    name = entry.name.removeprefix("./").strip("/")
    if not name or name == ".":
        return None
    if {"", ".", ".."} & set(name.split("/")) or len(name) > limits.PATH_LENGTH:
        raise _unfit("unsafe-path", f"{path}: {name!r}")
    name, mode = merged(name), stat.S_IMODE(entry.mode)
    before = seen.get(name)
    if before and not (entry.isdir() and before.type is FileType.DIRECTORY):
        raise _unfit("unsafe-path", f"{path}: {name!r} is there twice")
    if entry.isdir():
        return PackageFile(name, FileType.DIRECTORY, mode)
    if entry.issym():
        return PackageFile(name, FileType.SYMLINK, 0o777, target=entry.linkname)
    if entry.islnk():
        other = seen.get(merged(entry.linkname.removeprefix("./")))
        if other is None or other.type is FileType.DIRECTORY:
            raise _unfit("unsafe-link", f"{path}: {name!r} is to be the same file as {entry.linkname!r}, which is none")
        return replace(other, path=name)
    content = archive.extractfile(entry)
    if not entry.isreg() or content is None:
        raise _unfit("unsafe-type", f"{path}: {name!r} is neither a file, a folder nor a link")
    return PackageFile(name, FileType.FILE, mode, content.read())


def _unfit(code: CodeName, detail: str) -> ModsealError:
    return FormatError(code, detail).because("package-unfit")
