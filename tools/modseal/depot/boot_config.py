"""`boot.cfg` of an ESXi boot bank: which files the boot loader loads.

Lines are `KEY=VALUE`, and `#` begins a comment (VMware, "About the boot.cfg File"). The keys that name files are those
of VMware's published boot loader (esx-boot, mboot/config.c): `kernel`, `modules` and `acpitables`, lists that `---`
divides, and `crypto`. What follows a name after white space are its options. `prefix` goes before each name that does
not begin with a slash.
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
_CONTROL = re.compile(r"[^\t\n\r -~\u00a0-\U0010ffff]|[\u2028\u2029]")


class BootConfig(NamedTuple):
    """The names of what is loaded, each with its folder where it is not the boot bank's own.

    `code` is the kernel and its modules, `besides` what the boot loader itself makes use of.
    """

    code: tuple[str, ...]
    besides: tuple[str, ...]


def decode(source: Source) -> BootConfig:
    """What a boot.cfg says. Raises `FormatError` (limit-exceeded, bad-metadata)."""
    if source.size > limits.MANIFEST_SIZE:
        raise FormatError("limit-exceeded", f"it has {source.size} bytes, over {limits.MANIFEST_SIZE}")
    try:
        text = source.read(0, source.size).decode()
    except UnicodeDecodeError:
        raise FormatError("bad-metadata", "it is not UTF-8") from None
    if _CONTROL.search(text):
        raise FormatError("bad-metadata", "it has a control character, at which readers could end a line or the file")
    split = (line.partition("=") for line in re.split("[\r\n]", text))
    said = [(key.strip().lower(), value) for key, equals, value in split if equals]
    if not any(key == "kernel" and value.strip() for key, value in said):
        raise FormatError("bad-metadata", "it names no kernel")
    return BootConfig(_named(said, "kernel", "modules"), _named(said, "crypto", "acpitables"))


def _named(said: list[tuple[str, str]], *keys: str) -> tuple[str, ...]:
    """The files that these keys name, each once."""
    prefixes = [value.strip().strip("/") for key, value in said if key == "prefix"]
    names = (name.split()[0] for key, value in said if key in keys for name in value.split("---") if name.strip())
    return tuple(dict.fromkeys(_placed(name, prefixes) for name in names))


def _placed(name: str, prefixes: list[str]) -> str:
    """A file's name, after a prefix that leads elsewhere."""
    if name.startswith("/"):
        return name[1:]
    return "/".join([*filter(None, prefixes), name])
