"""Refuses programs and libraries for which the kernel would make memory that is writable and code.

A stack that is code, and what a part that is code has in memory beyond its file, are made when a program is started,
and neither IPE nor MDWE is asked: they judge what a process maps. So they are to be refused before the owner signs the
file that asks for them, whether it is a program or a library: a library can be started, too.
"""

from __future__ import annotations

from collections.abc import Iterable

from modseal.errors import FormatError, RefusedError
from modseal.format import elf
from modseal.format.elf import Segment
from modseal.format.payload import is_relocatable


def require_none(path: str, data: bytes, module: str = "") -> None:
    """No file of an image may ask for such memory, or leave open whether it does. Raises `RefusedError`.

    Relocatable objects, which nobody starts, and files that are no ELF files ask for nothing.
    """
    if not data.startswith(elf.MAGIC) or is_relocatable(data):
        return
    try:
        why = _asked(elf.segments(data))
    except FormatError as error:
        why = error.failure.detail
    if why:
        evidence = {"path": path, "module": module} if module else {"path": path}
        raise RefusedError("writable-code", f"/{path}{f' of {module}' if module else ''}: {why}", **evidence)


def _asked(segments: Iterable[Segment]) -> str:
    says_stack = False
    for one in segments:
        if one.type == elf.STACK:
            says_stack = True
            if one.flags & elf.CODE:
                return "it asks for a stack that is code (PT_GNU_STACK with PF_X)"
        elif one.type == elf.LOAD and one.flags & elf.CODE:
            if one.flags & elf.WRITABLE:
                return "a part of it is writable and code (PT_LOAD with PF_W and PF_X)"
            if one.in_memory > one.in_file:
                return "a part that is code is larger in memory than in the file, and the rest is writable (PT_LOAD)"
    return "" if says_stack else "it does not say that its stack is no code (PT_GNU_STACK)"
