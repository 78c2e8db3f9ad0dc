"""A `host.toml` as values: read, checked value by value, with the line of everything that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from modseal.boot.documents import Network, network_problem
from modseal.errors import SpecProblem, require_spec
from modseal.files.spec_file import read_spec
from modseal.format.level import Level
from modseal.format.shape import Problem
from modseal.image.initramfs import MODULES
from modseal.image.spec_shape import CONSOLE, DATA_SIZE, SHAPE
from modseal.serve.spec_shape import BOUNDS, PORT

_WHEEL = re.compile(r"[^-]+(-[^-]+){4,5}\.whl")


@dataclass(frozen=True, slots=True)
class Pinned:
    """A file by its digest."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class PackageSpec:
    """A Debian package, and which of its paths are taken: none named, the usual ones."""

    file: Pinned
    include: tuple[str, ...]
    exclude: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServedClients:
    """A CA of clients, the highest role that it grants, and its CRLs."""

    ca: Path
    grants: str
    crls: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class ServedSpec:
    """How a host is managed from outside. `bounds` are numbers of a serve.toml, by their names there."""

    certificate: Path
    key: Path
    clients: tuple[ServedClients, ...]
    bounds: dict[str, int]


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """A whole spec. Paths are as seen from here; `db_key` may be a URI."""

    name: str
    version: int
    level: Level | None
    policy: Path
    released: datetime
    pk: Path
    kek: Path
    db_key: str
    db_cert: Path
    kernel: Pinned
    kernel_modules: tuple[str, ...]
    console: str
    stub: Pinned
    firmware: Pinned
    packages: tuple[PackageSpec, ...]
    wheels: tuple[Pinned, ...]
    modules: tuple[Path, ...]
    generation: int
    network: Network | None
    management: int | None
    data_size: int
    revoked: tuple[bytes, ...]
    floor: int
    served: ServedSpec | None = None


def read(path: Path) -> ImageSpec:
    """The spec in a file. Raises `SpecError` with every problem, `InputError`."""
    source = str(path)
    document = read_spec(path, SHAPE, "image-spec")
    values: Any = document.values
    released = values["released"]
    if isinstance(released, str):
        released = datetime.fromisoformat(released)
    found = _problems(values, released)
    require_spec(SpecProblem(document.describe(one, source), "image-spec") for one in found)
    network = values.get("network")
    here, keys, kernel = path.parent, values["keys"], values["kernel"]
    key = keys["db"]["key"]
    return ImageSpec(
        name=values["name"],
        version=values["version"],
        level=Level.parse(values["level"]) if "level" in values else None,
        policy=here / values["policy"],
        released=released,
        pk=here / keys["pk"],
        kek=here / keys["kek"],
        db_key=key if ":" in key else str(here / key),
        db_cert=here / keys["db"]["cert"],
        kernel=_pinned(here, kernel),
        kernel_modules=tuple(kernel.get("modules", MODULES)),
        console=kernel.get("console", CONSOLE),
        stub=_pinned(here, values["stub"]),
        firmware=_pinned(here, values["firmware"]),
        packages=tuple(
            PackageSpec(_pinned(here, one), tuple(one.get("include", ())), tuple(one.get("exclude", ())))
            for one in values["package"]
        ),
        wheels=tuple(_pinned(here, one) for one in values["wheel"]),
        modules=tuple(here / one["file"] for one in values.get("module", ())),
        generation=values.get("generation", 1),
        network=Network(network["address"], network["prefix"], network.get("gateway")) if network else None,
        management=values["management"]["port"] if "management" in values else None,
        data_size=values.get("data-size", DATA_SIZE) << 20,
        revoked=tuple(bytes.fromhex(one) for one in values.get("revoked", ())),
        floor=values.get("floor", 1),
        served=_served(here, values["serve"]) if "serve" in values else None,
    )


def _problems(values: dict[str, Any], released: datetime) -> Iterator[Problem]:
    """What single values do not show: where they contradict each other."""
    network, serve = values.get("network"), values.get("serve")
    if released.timestamp() < 0:
        yield Problem(("released",), "is before 1970, where the times of files begin")
    if network and (problem := network_problem(network)):
        yield Problem(("network",), problem)
    for name in ("management", "serve"):
        if name in values and not network:
            yield Problem((name,), "needs a [network]")
    port = values.get("management", {}).get("port")
    if serve is not None and port == serve.get("port", PORT):
        yield Problem(("management", "port"), f"is {port}, which is the port of [serve], too; choose another one")
    if values.get("floor", 1) > values["version"]:
        yield Problem(("floor",), f"is above the version, {values['version']}; raise `version`, or lower `floor`")
    for number, one in enumerate(values["wheel"]):
        if not _WHEEL.fullmatch(PurePosixPath(one["file"]).name):
            yield Problem(("wheel", number, "file"), "is no name of a wheel: NAME-VERSION-PYTHON-ABI-PLATFORM.whl")
    for kind in ("package", "wheel", "module"):
        files = [one["file"] for one in values.get(kind, ())]
        for number, file in enumerate(files):
            if file in files[:number]:
                yield Problem((kind, number, "file"), f"{file} is named twice")


def _served(here: Path, values: dict[str, Any]) -> ServedSpec:
    clients = (
        ServedClients(here / one["ca"], one["grants"], tuple(here / file for file in one.get("crls", ())))
        for one in values["client"]
    )
    bounds = {name: values[name] for name in ("port", *BOUNDS) if name in values}
    return ServedSpec(here / values["certificate"], here / values["key"], tuple(clients), bounds)


def _pinned(here: Path, values: dict[str, str]) -> Pinned:
    return Pinned(here / values["file"], values["sha256"])
