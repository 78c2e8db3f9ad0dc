"""`boot.cfg` of an ESXi boot bank: which files the boot loader loads (VMware, "About the boot.cfg File").

Lines are `KEY=VALUE`, and `#` begins a comment. `kernel` and `modules` name files, the latter divided by `---`; what
follows a name after a space are its options. `prefix` goes before each name that does not begin with a slash.
"""

from __future__ import annotations

from collections.abc import Iterator

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


def decode(source: Source) -> tuple[str, ...]:
    """The names of all files that are loaded, with their folder where it is not the boot bank's own.

    Raises `FormatError` (limit-exceeded).
    """
    if source.size > limits.MANIFEST_SIZE:
        raise FormatError("limit-exceeded", f"it has {source.size} bytes, over {limits.MANIFEST_SIZE}")
    lines = source.read(0, source.size).decode("utf-8", "surrogateescape").splitlines()
    said = [(key.strip().lower(), value) for key, equals, value in (line.partition("=") for line in lines) if equals]
    prefixes = [value.strip().strip("/") for key, value in said if key == "prefix"]
    return tuple(dict.fromkeys(_placed(name, prefixes) for name in _named(said)))


def _named(said: list[tuple[str, str]]) -> Iterator[str]:
    """The files, as they are written."""
    for key, value in said:
        if key in ("kernel", "modules"):
            yield from (name.split()[0] for name in value.split("---") if name.strip())


def _placed(name: str, prefixes: list[str]) -> str:
    """A file's name, after a prefix that leads elsewhere."""
    if name.startswith("/"):
        return name[1:]
    return "/".join([*filter(None, prefixes), name])
