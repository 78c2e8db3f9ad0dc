"""From files on disk to the entries of a payload: the same tree gives the same entries on any machine.

What a file system adds of its own does not get in: owner, times, order, and all of the mode but whether the
owner may execute. Names are read as bytes, so that the locale does not matter. Everything that the
verifier would refuse is refused here, by its own rules, and all of it at once.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import BinaryIO

from modseal import limits
from modseal.errors import FormatError, SpecProblem
from modseal.format import rules, tar, visor
from modseal.format.manifest import Entry, FileType
from modseal.format.payload import VIB_TYPES, VISOR_TYPES
from modseal.format.payload_writer import Input
from modseal.format.visor import VisorFields

EXECUTABLE_MODE = 0o755
FILE_MODE = 0o644
DIRECTORY_MODE = 0o755

_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_LITTER = re.compile(
    r"\.git|\.svn|\.hg|\.DS_Store|\._.*|__MACOSX|Thumbs\.db|desktop\.ini|__pycache__"
    r"|.*~|\.?#.*|.*\.sw[a-p]|.*\.orig|.*\.rej"
)
"""What version control, desktops and editors leave in a folder, by its last component."""


@dataclass(slots=True)
class PayloadTree:
    """The entries of one payload as they are collected, by path, and one line for each that cannot be packed.

    `litter` has paths that are packed, but that people seldom mean to ship.
    """

    name: str
    type: str
    inputs: dict[str, Input] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    litter: list[str] = field(default_factory=list)

    def add_folder(self, root: Path, prefix: str = "", exclude: Sequence[str] = (), keep: int = 0) -> None:
        """Everything below `root`, with `prefix` in front; `keep` are special mode bits of files that count.

        A symbolic link at `root` itself is followed, those below are packed as links. Raises `OSError`
        where `root` cannot be read, and records every problem below it.
        """
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
                if _is_excluded(relative, exclude):
                    continue
                if len(self.inputs) > limits.FILES:
                    line = f"{root}: has more than {limits.FILES} entries"
                    self.problems.append(SpecProblem(line, "too-many-entries"))
                    return
                if self._add(f"{prefix}/{relative}" if prefix else relative, item, root, keep):
                    folders.append((item.path, f"{relative}/"))

    def add_file(self, path: str, source: Path) -> str | None:
        """One file, followed if it is a link; or what is wrong with it. Raises `OSError`."""
        real = os.fsencode(os.path.realpath(source, strict=True))
        status = os.stat(real)
        if not stat.S_ISREG(status.st_mode):
            return f"{str(source)!r} is {_what(status.st_mode)}, and must be a file"
        if path in self.inputs:
            return f"{path!r} is in the tree already; exclude it there"
        return self._take(_file(path, real, status, 0))

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
        return item.type is not FileType.SYMLINK

    def _add(self, path: str, item: os.DirEntry[bytes], root: Path, keep: int) -> bool:
        """Add an entry or note a problem; True for a folder that is to be listed."""
        try:
            made = _input(path, item, keep)
            problem = self._take(made) if isinstance(made, Input) else made
        except OSError as error:
            problem, made = f"{path!r}: {error.strerror}", ""
        if problem:
            self.problems.append(SpecProblem(f"{root}: {problem}", getattr(problem, "cause", None)))
            return False
        if _LITTER.fullmatch(path.rpartition("/")[2]):
            self.litter.append(path)
        return isinstance(made, Input) and made.type is FileType.DIRECTORY

    def _take(self, item: Input) -> str | None:
        problem = self._problem(Entry(item.path, item.type, item.mode, item.size, target=item.target))
        if not problem:
            self.inputs[item.path] = item
        return problem

    def _problem(self, entry: Entry) -> str | None:
        """What the rules of reading, or the fields of a header, refuse."""
        failure = next(rules.check_entry(entry), None)
        if failure:
            return SpecProblem(failure.detail, "link-outside" if failure.code == "unsafe-link" else None)
        if self.type in VIB_TYPES and entry.type is FileType.SYMLINK:
            line = f"{entry.path!r} is a symbolic link, and a .vib cannot have any: pack a file, or a .seal"
            return SpecProblem(line, "link-in-vib")
        if (entry.size or 0) > limits.FILE_SIZE:
            return f"{entry.path!r} has {entry.size} bytes, and may have {limits.FILE_SIZE}"
        try:
            if self.type in VISOR_TYPES:
                visor.encode_header(entry, VisorFields(tar.typeflag(entry).decode()), 0)
            elif self.type in VIB_TYPES:
                tar.encode_header(entry, 0)
            else:
                tar.encode_headers(entry, 0)
        except FormatError as error:
            return error.failure.detail
        return None


def _is_excluded(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path below the root is left out. A pattern without a slash is for a name at any depth."""
    name = path.rpartition("/")[2]
    return any(fnmatchcase(path if "/" in pattern.rstrip("/") else name, pattern.strip("/")) for pattern in patterns)


def _input(path: str, item: os.DirEntry[bytes], keep: int) -> Input | str:
    """An entry, or why it can be none. Raises `OSError`."""
    status = item.stat(follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(item.path).decode("utf-8", "surrogateescape")
        return Input(path, FileType.SYMLINK, tar.LINK_MODE, target)
    if stat.S_ISDIR(status.st_mode):
        return Input(path, FileType.DIRECTORY, DIRECTORY_MODE)
    if stat.S_ISREG(status.st_mode):
        return _file(path, item.path, status, keep)
    line = f"{path!r} is {_what(status.st_mode)}; a module has files, directories and symbolic links"
    return SpecProblem(line, "not-packable")


def _file(path: str, real: bytes, status: os.stat_result, keep: int) -> Input:
    _open(real).close()  # an unreadable file is better found before anything is written
    mode = EXECUTABLE_MODE if status.st_mode & stat.S_IXUSR else FILE_MODE
    return Input(path, FileType.FILE, mode | (status.st_mode & keep), None, partial(_open, real), status.st_size)


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


def is_litter(name: str) -> bool:
    """Whether version control, a desktop or an editor leaves files or folders of this name."""
    return _LITTER.fullmatch(name) is not None
