"""A `host.toml` as values: read, checked value by value, with the line of everything that is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from modseal.boot.documents import Network, network_problem
from modseal.errors import SpecError
from modseal.files.spec_file import read_spec
from modseal.format.level import Level
from modseal.format.shape import Problem
from modseal.image.initramfs import MODULES
from modseal.image.spec_shape import CONSOLE, DATA_SIZE, SHAPE
from modseal.serve.spec_shape import BOUNDS


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
    network = values.get("network")
    problem = network_problem(network) if network else None
    place: tuple[str, ...] = ("network",)
    if "serve" in values and not network:
        place, problem = ("serve",), "needs a [network]"
    if problem:
        raise SpecError(document.describe(Problem(place, problem), source)).because("image-spec")
    released = values["released"]
    if isinstance(released, str):
        released = datetime.fromisoformat(released)
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


def _served(here: Path, values: dict[str, Any]) -> ServedSpec:
    clients = (
        ServedClients(here / one["ca"], one["grants"], tuple(here / file for file in one.get("crls", ())))
        for one in values["client"]
    )
    bounds = {name: values[name] for name in ("port", *BOUNDS) if name in values}
    return ServedSpec(here / values["certificate"], here / values["key"], tuple(clients), bounds)


def _pinned(here: Path, values: dict[str, str]) -> Pinned:
    return Pinned(here / values["file"], values["sha256"])
