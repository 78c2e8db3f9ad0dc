"""How different programs see one archive, each turned into the same form so that they can be compared.

A view is None where modseal refuses. A program that refuses what modseal accepts is a divergence, like any
other difference: a host could then do something else than what was verified.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import stat
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from modseal import limits
from modseal.bundle.open import OpenBundle
from modseal.errors import Failure
from modseal.format import rules
from modseal.format.manifest import Digest, Entry, FileType, Payload, View
from modseal.format.payload import SEAL_TYPES, measure
from modseal.format.source import BytesSource

COUNT = int(os.environ.get("MODSEAL_DIFFERENTIAL", "0"))
"""How many archives of each kind `make differential` asks for; 0 for the few of an ordinary test run."""

TOOLS = ("ar", "tar", "gzip", "zstd", "bsdtar")
ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC"}

_KINDS = {FileType.FILE: "file", FileType.DIRECTORY: "dir", FileType.SYMLINK: "link"}
_MODES = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "link": stat.S_IFLNK}
_GNU_LINE = re.compile(rb"(.{10}) [0-9]+/[0-9]+ +([0-9]+) [0-9]+-[0-9]{2}-[0-9]{2} [0-9:]+ (.*)", re.DOTALL)
_AR_LINE = re.compile(rb".{9} +-?[0-9]+/-?[0-9]+ +([0-9]+) .* ([^ ]+)")
_MTREE = ("--format=mtree", "--options=!all,type,mode,size,link,sha256")


def needs(*names: str) -> pytest.MarkDecorator:
    """Skips a test on a machine without one of these programs."""
    missing = [name for name in names if not shutil.which(name)]
    return pytest.mark.skipif(bool(missing), reason=f"not on this machine: {', '.join(missing)}")


@dataclass(frozen=True, order=True)
class Item:
    """One entry of a tar, as a program sees it."""

    path: str
    kind: str
    mode: int
    size: int
    target: str
    sha256: str


Tree = tuple[Item, ...]


class Keeping:
    """A sink that keeps what would be written."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self._path = ""

    def begin(self, entry: Entry) -> None:
        self._path = entry.path
        if entry.type is FileType.FILE:
            self.data[entry.path] = b""

    def write(self, data: bytes) -> None:
        self.data[self._path] += data

    def end(self, entry: Entry) -> None:
        pass


def declare(type_: str, packed: bytes, mtime: int = 0) -> Payload:
    """The most permissive declaration of a payload: whatever is refused is refused for its bytes alone."""
    if type_ not in SEAL_TYPES:
        return Payload(
            "p", type_, len(packed), None, digests=(Digest("sha256", View.RAW, hashlib.sha256(packed).digest()),)
        )
    chunks = (packed[at : at + limits.CHUNK_SIZE] for at in range(0, len(packed), limits.CHUNK_SIZE))
    return Payload("p", type_, len(packed), None, tuple(hashlib.sha256(chunk).digest() for chunk in chunks), mtime)


def modseal_tree(type_: str, packed: bytes, mtime: int = 0) -> tuple[Tree, bytes] | None:
    """The entries that modseal sees and the bytes that it would write; None where it refuses."""
    sink = Keeping()
    measured = measure(declare(type_, packed, mtime), BytesSource(packed), sink=sink)
    if measured.failures or not measured.listed or any(rules.check_tree(measured.entries)):
        return None
    items = tuple(
        Item(
            entry.path,
            _KINDS[entry.type or FileType.FILE],
            entry.mode or 0,
            entry.size or 0,
            entry.target or "",
            hashlib.sha256(sink.data[entry.path]).hexdigest() if entry.type is FileType.FILE else "",
        )
        for entry in measured.entries
    )
    return items, b"".join(sink.data.values())


def unpacked(type_: str, packed: bytes) -> bytes:
    """The tar of a payload, by Python's gzip and by libzstd's streaming reader."""
    if type_ == "tar+zstd":
        with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as reader:
            return reader.read()
    return gzip.decompress(packed)


def python_tree(type_: str, packed: bytes) -> Tree:
    """What Python's tarfile sees."""
    items = []
    with tarfile.open(fileobj=io.BytesIO(unpacked(type_, packed)), mode="r:") as archive:
        for member in archive:
            kind = "file" if member.isreg() else "dir" if member.isdir() else "link" if member.issym() else "other"
            file = archive.extractfile(member) if kind == "file" else None
            sha256 = hashlib.sha256(file.read()).hexdigest() if file else ""
            items.append(Item(plain(member.name), kind, member.mode, member.size, member.linkname, sha256))
    return without_root(items)


def gnu_tar_lines(type_: str, path: Path) -> list[tuple[str, int, str]]:
    """Mode, size and name (with a link's target) of each line of `tar -tvf`."""
    listed = tool("tar", _gnu_option(type_), "--numeric-owner", "--quoting-style=literal", "-tvf", str(path))
    lines = []
    for line in listed.removesuffix(b"\n").split(b"\n") if listed else []:
        match = _GNU_LINE.fullmatch(line)
        assert match, line
        name = match[3].decode()
        if name not in ("./", "."):
            is_directory = match[1].startswith(b"d")
            name = name.removeprefix("./")
            lines.append((match[1].decode(), int(match[2]), name.removesuffix("/") if is_directory else name))
    return lines


def gnu_tar_bytes(type_: str, path: Path) -> bytes:
    """All that `tar -xO` writes."""
    return tool("tar", _gnu_option(type_), "-xOf", str(path))


def expected_lines(tree: Tree) -> list[tuple[str, int, str]]:
    """What GNU tar has to print for this tree."""
    return [
        (
            stat.filemode(_MODES[item.kind] | item.mode),
            item.size,
            f"{item.path} -> {item.target}" if item.kind == "link" else item.path,
        )
        for item in tree
    ]


def libarchive_tree(path: Path) -> Tree:
    """What bsdtar sees, which finds out format and compression by itself; sorted by path."""
    items = []
    text = tool("bsdtar", "-cf", "-", *_MTREE, f"@{path}").replace(b"\\\n", b" ")
    for line in text.splitlines()[1:]:
        name, *words = line.split()
        values = dict(word.split(b"=", 1) for word in words)
        items.append(
            Item(
                plain(_unescape(name)),
                values[b"type"].decode(),
                int(values[b"mode"], 8),
                int(values.get(b"size", b"0")),
                _unescape(values.get(b"link", b"")),
                values.get(b"sha256digest", b"").decode(),
            )
        )
    return tuple(sorted(without_root(items)))


Members = tuple[tuple[str, bytes], ...]


def modseal_members(data: bytes) -> Members | None:
    """The members of a bundle that modseal sees; None where it refuses the container."""
    source = BytesSource(data)
    found = OpenBundle(source, "bundle").container
    if isinstance(found, Failure):
        return None
    return tuple((member.name, source.read(member.offset, member.size)) for member in found)


def gnu_ar(path: Path, folder: Path) -> dict[str, object]:
    """What GNU ar lists, prints and extracts."""
    folder.mkdir()
    listed = tool("ar", "t", str(path)).decode().split("\n")[:-1]
    sizes = [_AR_LINE.fullmatch(line) for line in tool("ar", "tv", str(path)).splitlines()]
    printed = tool("ar", "p", str(path))
    tool("ar", "x", str(path), cwd=folder)
    for each in folder.iterdir():
        each.chmod(0o600)  # GNU ar gives the member's mode, which may be 0
    extracted = {each.name: each.read_bytes() for each in folder.iterdir()}
    shutil.rmtree(folder)
    return {
        "names": listed,
        "sizes": [(match[2].decode(), int(match[1])) if match else None for match in sizes],
        "printed": printed,
        "extracted": extracted,
    }


def expected_gnu_ar(members: Members) -> dict[str, object]:
    """What GNU ar has to see for these members."""
    return {
        "names": [name for name, _ in members],
        "sizes": [(name, len(data)) for name, data in members],
        "printed": b"".join(data for _, data in members),
        "extracted": dict(members),
    }


def libarchive_members(path: Path) -> tuple[list[str], bytes]:
    """The names that bsdtar lists, and all that it prints."""
    return tool("bsdtar", "-tf", str(path)).decode().split("\n")[:-1], tool("bsdtar", "-xOf", str(path))


def tool(*command: str, cwd: Path | None = None) -> bytes:
    """The output of a program, which must neither fail nor complain."""
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    assert (done.returncode, done.stderr) == (0, b""), (command, done.stderr)
    return done.stdout


def plain(name: str) -> str:
    """A name without the `./` that some writers put first, and the slash that ends a directory."""
    return name.removeprefix("./").removesuffix("/")


def without_root(items: list[Item]) -> Tree:
    """The items but the root folder, which modseal leaves out; bsdtar writes it as `/.` here."""
    return tuple(item for item in items if item.path not in ("", ".", "/."))


def _gnu_option(type_: str) -> str:
    return "--zstd" if type_ == "tar+zstd" else "--gzip"


def _unescape(text: bytes) -> str:
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), text).decode()
