"""Addresses of hosts that are asked over the network, as people write them: read in one way, by every command.

[SCHEME://]HOST[:PORT][/]       HOST is a name, an IPv4 address, or an IPv6 address in brackets
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address

from modseal.errors import UsageError
from modseal.files.shown import shown
from modseal.values import dataclass, regex

_SPLIT = regex(r"(?:\[(?P<six>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[^:]*))?")
_NAME = regex(r"(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}")
_SIX = regex("[0-9A-Fa-f:.]*")
_FOUR = regex(r"(?:.*\.)?(?:[0-9]+|0[Xx][0-9A-Fa-f]*)")
"""What systems take for an IPv4 address in any form: to them 192.0.2.010 is 192.0.2.8, and 192.2 is 192.0.0.2."""
_PORT = regex("[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class HostAddress:
    """Where a host is asked. An IPv6 address has no brackets here."""

    host: str
    port: int


def read(text: str, scheme: str, port: int, example: str) -> HostAddress:
    """The address in a text. `scheme` is the one that may stand in front, `port` the one where none is given.

    Raises `UsageError`, which shows no password.
    """

    def bad(why: str) -> UsageError:
        return UsageError(f"{shown(text)!r} is not the address of a host: {why}; give one such as {example}")

    before, separator, behind = text.partition("://")
    if separator and before.lower() != scheme:
        raise bad(f"it is asked over {scheme}")
    place = (behind if separator else text).removesuffix("/")
    if "@" in place:
        raise bad("no user or password belongs in it")
    if any(mark in place for mark in "/?#"):
        raise bad("nothing comes behind the port")
    found = _SPLIT.fullmatch(place)
    if not found:
        raise bad("an IPv6 address stands in brackets")
    name, six, number = found["name"], found["six"], found["port"]
    if six is not None:
        if not (_SIX.fullmatch(six) and _is(IPv6Address, six)):
            zone = " without a zone" if "%" in six else ""
            raise bad(f"what stands in brackets is no IPv6 address{zone}")
    elif not _NAME.fullmatch(name):
        raise bad("a host has a name of letters, digits, '-' and '_', or an IP address" if name else "it names none")
    elif _FOUR.fullmatch(name) and not _is(IPv4Address, name):
        raise bad("an IPv4 address has four numbers up to 255, without zeros in front")
    if number is not None and not (_PORT.fullmatch(number) and 0 < int(number) < 65536):
        raise bad("a port is a number from 1 to 65535")
    return HostAddress(six or name, int(number or port))


def _is(kind: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except AddressValueError:
        return False
    return True
