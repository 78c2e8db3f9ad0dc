"""From files on disk to the entries of a payload: the same tree gives the same entries on any machine.

What a file system adds of its own does not get in: owner, times, order, and, unless modes are to be kept, all of the
mode but whether the owner may execute. What this changes is remembered, so that it can be said. Names are read as
bytes, so that the locale does not matter. Everything that the verifier would refuse is refused here, by its own rules,
and all of it at once.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import BinaryIO

from modseal import limits
from modseal.bundle.stage_modes import DIRECTORY_MODE, usual
from modseal.causes import CauseName, of_errno
from modseal.errors import FormatError, SpecProblem
from modseal.format import rules, tar, visor
from modseal.format.manifest import Entry, FileType
from modseal.format.payload import VIB_TYPES, VISOR_TYPES
from modseal.format.payload_writer import Input
from modseal.format.visor import VisorFields

_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_LITTER = re.compile(
    r"\.git|\.gitignore|\.gitattributes|\.gitmodules|\.gitkeep|\.keep|\.svn|CVS|\.bzr|\.hg|\.hgignore"
    r"|\.DS_Store|\._.*|__MACOSX|\.AppleDouble|\.Spotlight-V100|\.fseventsd|\.Trash.*|\.directory|lost\+found|\.nfs[0-9a-f]+"
    r"|Thumbs\.db|ehthumbs\.db|desktop\.ini|\.idea|\.vscode|__pycache__|.*\.pyc|\.(pytest|mypy|ruff)_cache|\.tox|\.coverage"
    r"|.*~|\.?#.*|.*\.sw[a-p]|.*\.bak|.*\.orig|.*\.rej"
)
"""What version control, desktops and editors leave in a folder, by its last component."""
_SECRET_NAME = re.compile(
    r"(.*/)?(\.env(\..*)?|.*\.env|\.netrc|\.npmrc|\.pypirc|\.git-credentials|\.pgpass|\.htpasswd|\.vault-token"
    r"|kubeconfig|id_(rsa|dsa|ecdsa|ed25519)|credentials\.json|secrets\.ya?ml|.*\.tfstate|.*\.(key|pfx|p12|jks|keystore|kdbx|ppk))"
    r"|(.*/)?(\.aws/credentials|\.docker/config\.json|\.kube/config)",
    re.IGNORECASE,
)
"""Paths of files that most often hold a password, a token or a private key, by their last components."""
_SECRET = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|^PuTTY-User-Key-File-")
_SECRET_DER = re.compile(rb"0(?:[\x00-\x7f]|\x81.|\x82..)\x02\x01(?:\x00[0\x02]|\x01[0\x04]|\x030)", re.DOTALL)
"""The start of a private key in DER (RFC 5958, RFC 8017 appendix A.1.2, RFC 5915), and of PKCS #12 (RFC 7292)."""
_SECRET_START = 4096
"""Bytes of a file that are looked through for a private key: one stands at the start of its file, or near it."""
_CAUSES: Mapping[str, CauseName] = {"unsafe-link": "link-outside", "unsafe-path": "unfit-name"}
"""What is behind an entry that the rules of reading refuse: the verifier's code -> the cause."""
_GROUP_WRITE = 0o020
"""What many systems give every new file (umask 002), so that taking it away is no news."""


@dataclass(slots=True)
class PayloadTree:
    """The entries of one payload as they are collected, by path, and one line for each that cannot be packed.

    `litter` has paths that are packed, but that people seldom mean to ship, `secrets` those that look like keys or
    passwords. `modes` are those on disk, of what gets a mode that nobody asked for. With `keep_modes`, modes are those
    on disk; else `keep` are the special bits of files that stay.
    """

    name: str
    type: str
    keep: int = 0
    keep_modes: bool = False
    inputs: dict[str, Input] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    litter: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    modes: dict[str, int] = field(default_factory=dict)

    def add_folder(self, root: Path, prefix: str = "", exclude: Sequence[str] = ()) -> tuple[int, ...]:
        """Everything below `root`, with `prefix` in front; gives the places of the patterns that leave nothing out.

        A symbolic link at `root` itself is followed, those below are packed as links. Raises `OSError`
        where `root` cannot be read, and records every problem below it.
        """
        unused = set(range(len(exclude)))
        real = os.fsencode(os.path.realpath(root, strict=True))
        folders = [(real, "")]
        while folders:
            folder, above = folders.pop()
            try:
                with os.scandir(folder) as listing:
                    found = sorted(listing, key=lambda item: item.name)
            except OSError as error:
                if not above:
                    raise
                self.problems.append(f"{root}: {above[:-1]!r}: {error.strerror}")
                continue
            for item in found:
                relative = above + item.name.decode("utf-8", "surrogateescape")
                if matching := {place for place, pattern in enumerate(exclude) if matches(relative, pattern)}:
                    unused -= matching
                    continue
                if len(self.inputs) > limits.FILES:
                    line = f"{root}: has more than {limits.FILES} entries"
                    self.problems.append(SpecProblem(line, "too-many-entries"))
                    return tuple(sorted(unused))
                if self._add(f"{prefix}/{relative}" if prefix else relative, item, root):
                    folders.append((item.path, f"{relative}/"))
        return tuple(sorted(unused))

    def add_file(self, path: str, source: Path) -> str | None:
        """One file, followed if it is a link; or what is wrong with it. Raises `OSError`."""
        real = os.fsencode(os.path.realpath(source, strict=True))
        status = os.stat(real)
        if not stat.S_ISREG(status.st_mode):
            return f"{str(source)!r} is {_what(status.st_mode)}, and must be a file"
        if path in self.inputs:
            return f"{path!r} is in the tree already; exclude it there"
        return self._take(self._file(path, real, status))

    def add_parents(self) -> None:
        """The folders above all entries, where they are not there yet."""
        for path in list(self.inputs):
            for parent in rules.parents(path):
                if parent in self.inputs:
                    break  # those above it are seen to on its own turn
                self.inputs[parent] = Input(parent, FileType.DIRECTORY, DIRECTORY_MODE)

    def set_mode(self, path: str, mode: int) -> bool:
        """Give an entry its mode; False for a link, which has none."""
        item = self.inputs[path]
        self.inputs[path] = replace(item, mode=mode)
        self.modes.pop(path, None)
        return item.type is not FileType.SYMLINK

    def changes(self) -> Iterator[tuple[int, int, list[str]]]:
        """The modes that are packed otherwise than they are on disk: before, after, and the paths."""
        found: dict[tuple[int, int], list[str]] = {}
        for path, before in self.modes.items():
            after = self.inputs[path].mode if path in self.inputs else before
            if before & ~_GROUP_WRITE != after and before != after:
                found.setdefault((before, after), []).append(path)
        return ((before, after, paths) for (before, after), paths in sorted(found.items()))

    def _add(self, path: str, item: os.DirEntry[bytes], root: Path) -> bool:
        """Add an entry or note a problem; True for a folder that is to be listed."""
        try:
            made = self._input(path, item)
            problem = self._take(made) if isinstance(made, Input) else made
        except OSError as error:
            problem, made = SpecProblem(f"{path!r}: {error.strerror}", of_errno(error.errno)), ""
        if problem:
            self.problems.append(SpecProblem(f"{root}: {problem}", getattr(problem, "cause", None)))
            return False
        if _LITTER.fullmatch(path.rpartition("/")[2]):
            self.litter.append(path)
        return isinstance(made, Input) and made.type is FileType.DIRECTORY

    def _input(self, path: str, item: os.DirEntry[bytes]) -> Input | str:
        """An entry, or why it can be none. Raises `OSError`."""
        status = item.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(item.path).decode("utf-8", "surrogateescape")
            return Input(path, FileType.SYMLINK, tar.LINK_MODE, target, disk=item.path)
        if stat.S_ISDIR(status.st_mode):
            return Input(path, FileType.DIRECTORY, self._mode(path, status, usual(FileType.DIRECTORY, 0)))
        if stat.S_ISREG(status.st_mode):
            return self._file(path, item.path, status)
        line = f"{path!r} is {_what(status.st_mode)}; a module has files, directories and symbolic links"
        return SpecProblem(line, "not-packable")

    def _file(self, path: str, real: bytes, status: os.stat_result) -> Input:
        if is_secret(path, real):  # an unreadable file is better found before anything is written
            self.secrets.append(path)
        mode = self._mode(path, status, usual(FileType.FILE, status.st_mode, self.keep))
        return Input(path, FileType.FILE, mode, None, partial(_open, real), status.st_size, real)

    def _mode(self, path: str, status: os.stat_result, usual: int) -> int:
        """The mode of an entry: the usual one, unless those on disk are to be kept."""
        before = stat.S_IMODE(status.st_mode)
        if self.keep_modes:
            return before
        self.modes[path] = before
        return usual

    def _take(self, item: Input) -> str | None:
        problem = self._problem(Entry(item.path, item.type, item.mode, item.size, target=item.target))
        if not problem:
            self.inputs[item.path] = item
        return problem

    def _problem(self, entry: Entry) -> str | None:
        """What the rules of reading, or the fields of a header, refuse."""
        failure = next(iter(rules.check_entry(entry)), None)
        if failure:
            return SpecProblem(failure.detail, _CAUSES.get(failure.code))
        if self.type in VIB_TYPES and entry.type is FileType.SYMLINK:
            line = f"{entry.path!r} is a symbolic link, and a .vib cannot have any: pack a file, or a .seal"
            return SpecProblem(line, "link-in-vib")
        if (entry.size or 0) > limits.FILE_SIZE:
            line = f"{entry.path!r} has {entry.size} bytes, and may have {limits.FILE_SIZE}"
            return SpecProblem(line, "file-too-large")
        try:
            if self.type in VISOR_TYPES:
                visor.encode_header(entry, VisorFields(tar.typeflag(entry).decode()), 0)
            elif self.type in VIB_TYPES:
                tar.encode_header(entry, 0)
            else:
                tar.encode_headers(entry, 0)
        except FormatError as error:  # a name that no header can hold
            return SpecProblem(error.failure.detail, "unfit-name")
        return None


def matches(path: str, pattern: str) -> bool:
    """Whether a path below the root is left out. A pattern without a slash is for a name at any depth."""
    return fnmatchcase(path if "/" in pattern.rstrip("/") else path.rpartition("/")[2], pattern.strip("/"))


def _open(path: bytes) -> BinaryIO:
    """A file that is still one: no link is followed and no device opened in its place."""
    descriptor = os.open(path, _OPEN_FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is not a regular file any more")
    return os.fdopen(descriptor, "rb")


def _what(mode: int) -> str:
    names = {
        stat.S_IFSOCK: "a socket",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFBLK: "a device",
        stat.S_IFCHR: "a device",
        stat.S_IFDIR: "a directory",
    }
    return names.get(stat.S_IFMT(mode), "of an unknown type")


def is_secret(path: str, real: bytes) -> bool:
    """Whether a file seems to hold a secret: by its path in a module, by that on disk, or by its start.

    A secret is a password, a token or a private key. Raises `OSError`.
    """
    with _open(real) as file:
        start = file.read(_SECRET_START)
    names = (path, os.fsdecode(real))
    return any(map(_SECRET_NAME.fullmatch, names)) or bool(_SECRET.search(start) or _SECRET_DER.match(start))


def is_litter(name: str) -> bool:
    """Whether version control, a desktop or an editor leaves files or folders of this name."""
    return _LITTER.fullmatch(name) is not None
