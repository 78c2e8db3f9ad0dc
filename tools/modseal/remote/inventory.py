"""The hosts that are managed: where each is, which CA it is known by, and by which certificate it knows us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modseal.errors import SpecError, UsageError
from modseal.files import host_address
from modseal.files.host_address import HostAddress
from modseal.files.spec_file import read_spec
from modseal.format.shape import Problem, suggestion
from modseal.remote.inventory_shape import SHAPE

PORT = 8443
FILES = {"ca": "--ca", "certificate": "--cert", "key": "--key"}
"""The files that a connection needs, and the options that name them."""
_EXAMPLE = "host.example:8443 or [2001:db8::7]:8443"


@dataclass(frozen=True, slots=True)
class RemoteHost:
    """One host to ask. `shown` is what it was called on the command line."""

    shown: str
    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path


def targets(
    names: Sequence[str], inventory: Path | None, given: Mapping[str, Path | None], *, every: bool = False
) -> list[RemoteHost]:
    """The hosts of these names, each once: names of the inventory, or else addresses. `every` is all of the inventory.

    `given` are files of `FILES` that go before those of the inventory. Raises `UsageError`, `SpecError`, `InputError`.
    """
    known = _read(inventory) if inventory else {}
    if every == bool(names):
        raise UsageError("name hosts, or say --all for those of the inventory")
    found = [_target(name, known, given) for name in (known if every else names)]
    if not found:
        raise UsageError("--all needs an inventory with a host in it")
    places = [(one.host, one.port) for one in found]
    for number, one in enumerate(found):
        if (one.host, one.port) in places[:number]:
            raise UsageError(f"{one.shown} is the same host as {found[places.index((one.host, one.port))].shown}")
    return found


def _target(name: str, known: Mapping[str, Mapping[str, Any]], given: Mapping[str, Path | None]) -> RemoteHost:
    if not known.get(name) and known and "." not in name and ":" not in name:
        raise UsageError(f"no host of the inventory is called {name!r}{suggestion(name, known)}")
    entry = known.get(name, {})
    address = _address(entry.get("address", name))
    files = {file: given.get(file) or entry.get(file) for file in FILES}
    missing = [file for file, path in files.items() if path is None]
    if missing:
        raise UsageError(f"{name}: give {FILES[missing[0]]}, or write it into the inventory")
    return RemoteHost(name, address.host, address.port, **files)  # type: ignore[arg-type]


def _address(text: str) -> HostAddress:
    """Raises `UsageError`."""
    return host_address.read(text, "https", PORT, _EXAMPLE)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Each host of an inventory with all that holds for it."""
    source = str(path)
    document = read_spec(path, SHAPE, "remote-spec")
    values: Any = document.values
    hosts: dict[str, dict[str, Any]] = {}
    for name, entry in values["host"].items():
        hosts[name] = {"address": entry["address"]}
        for file in FILES:
            if file in entry or file in values:
                hosts[name][file] = path.parent / entry.get(file, values.get(file))
        try:
            _address(entry["address"])
        except UsageError as error:
            problem = document.describe(Problem(("host", name, "address"), error.failure.detail), source)
            raise SpecError(problem).because("remote-spec") from None
    return hosts
