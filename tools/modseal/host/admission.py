"""Which files may run: those whose content is in the active generation. Decides on values alone, and reads nothing.

*Indirect* files are those that run other files: shells, Python, `ld.so`. Started by themselves they would run anything
that they are told, so they run only where the kernel starts them for a file that may run: as the interpreter that its
`#!` line names, or the loader that its ELF header names. An interpreter is known by its name (`Power.INTERPRETERS`),
by what installed files name, and by its content, if that is the content of one that is known.
"""

from __future__ import annotations

import posixpath
import re
import struct
from collections.abc import Iterable, Mapping

from modseal.errors import Failure
from modseal.format import elf, rules
from modseal.format.manifest import Entry, FileType
from modseal.trust.powers import LENT_RIGHTS, Power, uses
from modseal.values import dataclass

HEAD_SIZE = 4096
"""Bytes of a file's start that `interpreter` needs; the kernel itself reads 256 of a script."""
_SHEBANG_SIZE = 256
"""Bytes of a script's start that the kernel reads (`BINPRM_BUF_SIZE` of Linux)."""
_ELF_FIELDS = {1: ("I", 28, 42, 4, 16), 2: ("Q", 32, 54, 8, 32)}
"""By class (32 and 64 bit): how an offset is written; where the header has its table's, and size and number of the
table's rows; where a row has the offset and the size of its part."""
_PT_INTERP = 3
_NAME_END = re.compile(rb"\0|[ \t]+")
_SPLIT = re.compile(r"^(-[vi0]*S|--split-string=?)")
"""The option of env with which it takes several words from a script's first line."""
_ENV_TAKES_A_WORD = ("-u", "--unset", "-C", "--chdir", "-a", "--argv0")
_LINKS = 40
"""Linux follows no more of them (path_resolution(7))."""


@dataclass(frozen=True, slots=True)
class RunnableContent:
    """A content that may run: the modules that have it, the bits with which it lends rights, whether it is indirect."""

    modules: frozenset[str]
    rights: int
    indirect: bool


class Admission:
    """The files of a generation's proved modules, by their content."""

    def __init__(
        self,
        modules: Mapping[str, Iterable[Entry]],
        interpreters: frozenset[str] = frozenset(),
        contents: frozenset[bytes] = frozenset(),
    ) -> None:
        """`modules` are the entries of each module that today's policy accepts, by name.

        `interpreters` are paths on the host that installed files name as their interpreter or loader, and names without
        a folder, as env(1) takes them; `contents` the digests of interpreters that came from elsewhere.
        """
        modules = {name: tuple(entries) for name, entries in modules.items()}
        by_path = {entry.path: entry for entries in modules.values() for entry in entries}
        named = {_resolved(path, by_path) for path in interpreters if "/" in path}
        names = {name for name in interpreters if "/" not in name}
        self._by_content: dict[bytes, RunnableContent] = {}
        sizes: set[int] = set()
        for name, entries in modules.items():
            files = [entry for entry in entries if entry.type is FileType.FILE]
            indirect = named | {entry.path for entry in files if posixpath.basename(entry.path) in names}
            indirect |= {use.where for use in uses(files) if use.power is Power.INTERPRETERS}
            for entry in files:
                if entry.sha256 is None or entry.size is None:
                    continue
                before = self._by_content.get(entry.sha256, RunnableContent(frozenset(), 0, indirect=False))
                self._by_content[entry.sha256] = RunnableContent(
                    before.modules | {name},
                    before.rights | ((entry.mode or 0) & LENT_RIGHTS),
                    before.indirect or entry.path in indirect or entry.sha256 in contents,
                )
                sizes.add(entry.size)
        self.sizes = frozenset(sizes)
        """The sizes that a file can have: no other one has to be read."""

    def is_indirect(self, sha256: bytes | None) -> bool:
        """Whether a content runs other files."""
        return sha256 in self._by_content and self._by_content[sha256].indirect

    def judge(self, sha256: bytes | None, mode: int, *, execute: bool, started: bool) -> Failure | None:
        """Why a file may not run (with `execute`) or be loaded, or None.

        `sha256` is None for a file whose size no module has. `started`: the kernel starts it for a file that may run.
        """
        admitted = self._by_content.get(sha256) if sha256 else None
        if admitted is None:
            evidence = {"sha256": sha256.hex()} if sha256 else {}
            return Failure("content-not-installed", "no module of the active generation has this content", evidence)
        module = ", ".join(sorted(admitted.modules))
        if execute and mode & LENT_RIGHTS & ~admitted.rights:
            detail = f"the file lends rights (mode {mode & 0o7777:04o}), and no module has it like this"
            return Failure("rights-not-installed", detail, {"module": module, "mode": f"{mode & 0o7777:04o}"})
        if execute and admitted.indirect and not started:
            detail = "it runs other files, and no installed file was started that names it"
            return Failure("interpreter-direct", detail, {"module": module})
        return None


def _resolved(path: str, entries: Mapping[str, Entry]) -> str:
    """The path of the file that a path leads to, by the links that modules bring. Others are left as they are."""
    path = posixpath.normpath(path).strip("/")
    for _ in range(_LINKS):
        above = [path[:at] for at, sign in enumerate(path + "/") if sign == "/"]
        link = next((one for one in above if one in entries and entries[one].type is FileType.SYMLINK), None)
        if link is None:
            return path
        path = (rules.link_leads_to(link, entries[link].target or "") + path[len(link) :]).lstrip("/")
    return path


def interpreter(head: bytes) -> str | None:
    """The path of what the kernel starts for a file with this start: a script's interpreter, a program's loader.

    None where it has none. Only what is within `head` is found, and so `HEAD_SIZE` has to hold it: linkers put the
    loader's name right behind the program headers. Sources: Linux fs/binfmt_script.c; System V ABI, Program Header.
    """
    if head.startswith(b"#!"):
        return _line(head)[0].decode(errors="surrogateescape") or None
    if not head.startswith(elf.MAGIC) or len(head) < 64 or head[4] not in _ELF_FIELDS:
        return None
    offset, at_table, at_rows, at_offset, at_size = _ELF_FIELDS[head[4]]
    order = ">" if head[5] == 2 else "<"
    (table,) = struct.unpack_from(order + offset, head, at_table)
    row_size, rows = struct.unpack_from(order + "HH", head, at_rows)
    for row in range(table, min(table + row_size * rows, len(head) - at_size - 8), max(row_size, 1)):
        if struct.unpack_from(order + "I", head, row)[0] == _PT_INTERP:
            (start,) = struct.unpack_from(order + offset, head, row + at_offset)
            (size,) = struct.unpack_from(order + offset, head, row + at_size)
            name = head[start : start + size]
            name = name.split(b"\0", 1)[0] if len(name) == size else b""
            return name.decode(errors="surrogateescape") or None
    return None


def named_by_env(head: bytes) -> str | None:
    """The program that env(1) starts for a script, where its first line names env: `#!/usr/bin/env -S NAME ...`."""
    name, rest = _line(head) if head.startswith(b"#!") else (b"", b"")
    if posixpath.basename(name) != b"env":
        return None
    words = rest.replace(b"\0", b" ").decode(errors="surrogateescape").split()
    words = [_SPLIT.sub("", word) for word in words]
    for before, word in zip(["", *words], words, strict=False):
        if word and not word.startswith("-") and "=" not in word and before not in _ENV_TAKES_A_WORD:
            return word
    return None


def arguments(head: bytes) -> int:
    """How many arguments the kernel gives a script's interpreter before the script's name: none or one."""
    return 1 if _line(head)[1].split(b"\0", 1)[0] else 0


def _line(head: bytes) -> tuple[bytes, bytes]:
    """The interpreter of a script's first line, and what follows. To Linux a NUL behind the name ends both."""
    line = head[2:_SHEBANG_SIZE].split(b"\n", 1)[0].strip(b" \t")
    end = _NAME_END.search(line)
    if end is None:
        return line, b""
    return line[: end.start()], b"" if end[0] == b"\0" else line[end.end() :]
