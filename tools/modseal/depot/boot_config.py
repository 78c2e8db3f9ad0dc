"""`boot.cfg` of an ESXi boot bank: which files the boot loader loads.

Lines are `KEY=VALUE`, and `#` begins a comment (VMware, "About the boot.cfg File"). The keys that name files are those
of VMware's published boot loader (esx-boot, mboot/config.c): `kernel` and `crypto`, one name each, and `modules` and
`acpitables`, lists that ` --- ` divides, where options can follow a name. `prefix` goes before each name that does not
begin with a slash.

The boot loader takes more than that (abbreviated keys, the last of several, names with blanks: bootlib/parse.c). Here
only what genuine files have is read, each key whole and once, and every other line is refused by its number.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from modseal import limits
from modseal.errors import FormatError
from modseal.format.source import Source

NAME = "boot.cfg"
OF_THE_HOST = frozenset(
    {
        *("state.tgz", "useropts.gz", "features.gz", "jumpstrt.gz", "onetime.tgz"),
        *("imgdb.tgz", "imgpayld.tgz", "basemisc.tgz", "resvibs.tgz", "esxiodpt.tgz"),
    }
)
"""What hosts and installers of ESXi 6.5 to 9.1 load that they made themselves, as published boot.cfg files have it."""
KEYS = frozenset(
    {
        *("bootstate", "title", "timeout", "prefix", "kernel", "kernelopt", "modules", "build", "updated"),
        *("quickboot", "crypto", "acpitables", "nobootif", "noquirks", "norts", "runtimewd"),
    }
)
"""The keys that genuine files have."""
_LINE = re.compile(rb"(?:|#[\t -~]*|([a-z]+)=([ -~]*))")
_NAME = re.compile(r"[A-Za-z0-9._/:+-]+")
_DIVIDER = "---"


class BootConfig(NamedTuple):
    """The names of what is loaded, each with its folder where it is not the boot bank's own.

    `kernel` and `modules` are code; `besides` is what the boot loader itself makes use of.
    """

    kernel: str
    modules: tuple[str, ...]
    besides: tuple[str, ...]


def decode(source: Source) -> BootConfig:
    """What a boot.cfg says. Raises `FormatError` (limit-exceeded, bad-metadata)."""
    if source.size > limits.MANIFEST_SIZE:
        raise FormatError("limit-exceeded", f"it has {source.size} bytes, over {limits.MANIFEST_SIZE}")
    said: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(source.read(0, source.size).split(b"\n"), 1):
        match = _LINE.fullmatch(line.removesuffix(b"\r"))
        if not match:
            raise _odd(number, "is neither a comment nor KEY=VALUE in plain ASCII")
        if match[1] is None:
            continue
        key = match[1].decode()
        if key not in KEYS:
            raise _odd(
                number, f"has the key `{key}`, which is not known, and the boot loader could take it for another"
            )
        if key in said:
            raise _odd(number, f"has `{key}` once more")
        said[key] = number, match[2].decode().strip(" ")
    number, prefix = said.get("prefix", (0, ""))
    if prefix and not _NAME.fullmatch(prefix):
        raise _odd(number, "has a prefix that is not the plain name of a folder")
    kernel = _names(said, "kernel", lists=False)
    if not kernel:
        raise FormatError("bad-metadata", "it names no kernel")
    besides = (*_names(said, "crypto", lists=False), *_names(said, "acpitables"))
    return BootConfig(
        _placed(kernel[0], prefix),
        tuple(dict.fromkeys(_placed(name, prefix) for name in _names(said, "modules"))),
        tuple(dict.fromkeys(_placed(name, prefix) for name in besides)),
    )


def _names(said: dict[str, tuple[int, str]], key: str, *, lists: bool = True) -> list[str]:
    """The files that a key names. Raises `FormatError` (bad-metadata)."""
    number, value = said.get(key, (0, ""))
    if not value:
        return []
    names = []
    for part in re.split(f" +{_DIVIDER} +", value) if lists else [value]:
        name, _, options = part.strip(" ").partition(" ")
        if not _NAME.fullmatch(name) or _DIVIDER in part or (options and not lists):
            raise _odd(number, f"has a name under `{key}` that readers could divide in different ways")
        names.append(name)
    return names


def _placed(name: str, prefix: str) -> str:
    """A file's name, after a prefix that leads elsewhere."""
    if name.startswith("/"):
        return name[1:]
    return "/".join([*filter(None, [prefix.strip("/")]), name])


def _odd(number: int, what: str) -> FormatError:
    return FormatError("bad-metadata", f"line {number} {what}")
