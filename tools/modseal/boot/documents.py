"""The two documents that an image builder writes and a host reads: what the host is, and what a generation has.

The first is part of the root image. The second lies on the data partition, where whoever has the disk can change it:
it says where to look, and nothing in it is believed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from modseal import limits
from modseal.format import canonical_json, rules
from modseal.format.level import Level
from modseal.format.shape import Array, Boolean, Integer, Nullable, Table, Text, TextMap

HOST = "modseal/image-host@1"
GENERATION = "modseal/image-generation@1"
SERVICE = "modseal/service@1"

PLACE = "usr/lib/modseal/host"
"""The folder of the root image with the host's document (`host.json`), and its policy (`policy.toml` and `files/N`)."""
HOST_FILE, POLICY_FILE, POLICY_FILES = "host.json", "policy.toml", "files"
OWNER_FILE = "owner.der"
"""In the same folder: the certificate of the key that signs what the firmware starts, and what is asked of the host."""
SERVE_FOLDER, SERVE_FILE = "serve", "serve.toml"
"""In the same folder, where a host is managed from outside: a spec of `modseal serve`, and the files that it names."""
SERVED = "serve"
"""The folder of the data partition with what the service keeps, and with its private key, which no root has."""
SERVE_KEY, SERVE_SPOOL = "key.pem", "spool"
GENERATIONS, GENERATION_FILE = "generations", "generation.json"
"""Of the data partition: `generations/N/generation.json`."""
SERVICES = "usr/lib/modseal/services"
"""The folder of a module with a file for each service."""

MACHINE, UPDATE, MANAGEMENT, SERVE = "machine", "update", "management", "serve"
"""The names under which a host speaks itself: process 1, and each of its forks."""
OWN_NAMES = frozenset({MACHINE, UPDATE, MANAGEMENT, SERVE, "modseal"})
"""No service has one of these: what it says would be taken for the host's own word."""
SERVICE_USER = 65534
"""Whom a service runs as that names nobody."""
MANAGEMENT_USER, SERVE_USER = 65500, 65501
"""Whom the processes run as that speak to the network: nobody else, so that no service can end them."""
OWN_USERS = range(65500, 65534)
"""No service runs as one of these."""

Sha256Text = Text(re.compile("[0-9a-f]{64}"), form="64 lower-case hex digits", least=64, most=64)
_ADDRESS = Text(re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}"), form="an IPv4 address", most=15)
FileName = Text(re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~:-]*"), form="a plain file name", most=limits.NAME_LENGTH)
NUMBER = Integer(1, 2**31 - 1)
PORT = Integer(1, 65535)

NETWORK = Table(
    {
        "address": _ADDRESS,
        "prefix": Integer(1, 32, about="Bits of the network's part of the address."),
    },
    {"gateway": _ADDRESS},
    about="The address of the first network interface. There is none by default.",
)
_HOST = Table(
    {
        "schema": Text(choices=(HOST,)),
        "name": Text(rules.MODULE_NAME, form=rules.MODULE_NAME_FORM, most=limits.NAME_LENGTH),
        "version": NUMBER,
        "level": Text(choices=tuple(map(str, Level))),
        "network": Nullable(NETWORK),
        "management": Nullable(PORT),
        "policy_files": Array(Text(most=limits.PATH_LENGTH), most=limits.ITEMS),
        "floor": NUMBER,
        "revoked": Array(Sha256Text, most=limits.ITEMS),
        "released": Integer(0, 2**33),
    }
)
_GENERATION = Table(
    {
        "schema": Text(choices=(GENERATION,)),
        "number": NUMBER,
        "modules": Array(
            Table(
                {
                    "bundle": FileName,
                    "image": FileName,
                    "root": Sha256Text,
                    "blocks": Integer(1, 2**31 - 1),
                }
            ),
            most=limits.HOST_MODULES,
        ),
    }
)
SERVICE_SHAPE = Table(
    {
        "schema": Text(choices=(SERVICE,), about="The form of this file."),
        "command": Array(
            Text(least=0, most=limits.PATH_LENGTH),
            least=1,
            most=limits.ITEMS,
            about="The program by its absolute path, and its arguments. No shell is between.",
        ),
    },
    {
        "user": Integer(
            1,
            2**31 - 1,
            about="The number of the user and group that it runs as; 65534 by default, none of 65500 to 65533, not 0.",
        ),
        "capabilities": Array(
            Text(re.compile("[a-z_]+"), form="a name of capabilities(7) in lower case, without cap_", most=32),
            unique=True,
            about="What it may keep of root's rights; nothing by default.",
        ),
        "environment": TextMap(
            Text(re.compile("[A-Z_][A-Z0-9_]*"), form="a name of capital letters", most=64),
            Text(least=0),
            about="Its environment; PATH=/usr/bin besides.",
        ),
        "folders": Array(
            Text(re.compile("/run/[A-Za-z0-9_][A-Za-z0-9._-]*"), form="a folder of /run"),
            about="Folders that are made for it before it starts, and belong to its user.",
        ),
        "restart": Boolean(about="Start it again when it ends; true by default."),
    },
    about="A service of a host image: usr/lib/modseal/services/NAME.toml of a module.",
)


@dataclass(frozen=True, slots=True)
class Network:
    """An IPv4 address, the bits of its network, and where the way out is."""

    address: str
    prefix: int
    gateway: str | None


@dataclass(frozen=True, slots=True)
class HostDocument:
    """What a host is: its name, the version of its root image, the level that it takes, and how it is reached.

    It goes back to no version below `floor`, and to no program whose digest (in hex) is `revoked`. `released` is when
    the owner released the root image, in seconds since 1970: its clock is not before that.
    """

    name: str
    version: int
    level: Level
    network: Network | None
    management: int | None
    policy_files: tuple[str, ...]
    floor: int = 1
    revoked: tuple[str, ...] = ()
    released: int = 0


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A module of a generation, unproved: its bundle and its image by name, the image's root hash and its blocks."""

    bundle: str
    image: str
    root: str
    blocks: int


@dataclass(frozen=True, slots=True)
class ImageGeneration:
    """A generation, unproved."""

    number: int
    modules: tuple[ImageRecord, ...]


def network_problem(values: Mapping[str, Any]) -> str | None:
    """Why a table of the shape `NETWORK` is no network, if it is none."""
    try:
        interface = ipaddress.IPv4Interface(f"{values['address']}/{values['prefix']}")
        net, address = interface.network, interface.ip
        ends = (net.network_address, net.broadcast_address) if net.num_addresses > 2 else ()
        if address in ends or address.is_multicast or address.is_loopback or address.is_unspecified:
            return f"{address} is not an address that one machine of {net} can have"
        if values.get("gateway") == values["address"]:
            return f"the gateway {address} is the host itself"
        if "gateway" in values and ipaddress.IPv4Address(values["gateway"]) not in net:
            return f"the gateway {values['gateway']} is not in the network {net}"
    except ValueError as error:
        return str(error)
    return None


def encode_host(host: HostDocument) -> bytes:
    """The bytes of `host.json`."""
    network = host.network and {key: value for key, value in asdict(host.network).items() if value is not None}
    plain = {**asdict(host), "schema": HOST, "level": str(host.level), "network": network}
    return (
        canonical_json.dump({**plain, "policy_files": list(host.policy_files), "revoked": list(host.revoked)}) + b"\n"
    )


def decode_host(data: bytes, name: str) -> HostDocument:
    """Raises `FormatError`."""
    plain = _decode(data, name, _HOST)
    network = plain["network"]
    return HostDocument(
        plain["name"],
        plain["version"],
        Level.parse(plain["level"]),
        Network(network["address"], network["prefix"], network.get("gateway")) if network else None,
        plain["management"],
        tuple(plain["policy_files"]),
        plain["floor"],
        tuple(plain["revoked"]),
        plain["released"],
    )


def encode_generation(generation: ImageGeneration) -> bytes:
    """The bytes of `generation.json`."""
    modules = [asdict(one) for one in generation.modules]
    return canonical_json.dump({"schema": GENERATION, "number": generation.number, "modules": modules}) + b"\n"


def decode_generation(data: bytes, name: str) -> ImageGeneration:
    """Raises `FormatError`."""
    plain = _decode(data, name, _GENERATION)
    return ImageGeneration(plain["number"], tuple(ImageRecord(**one) for one in plain["modules"]))


def _decode(data: bytes, name: str, shape: Table) -> Any:
    if len(data) > limits.HOST_DOCUMENT_SIZE:
        raise canonical_json.bad(name, f"has over {limits.HOST_DOCUMENT_SIZE} bytes")
    plain = canonical_json.load(data, name)
    problem = next(iter(shape.problems(plain)), None)
    if problem:
        raise canonical_json.bad(name, str(problem))
    return plain
