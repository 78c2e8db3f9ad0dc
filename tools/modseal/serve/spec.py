"""A `serve.toml` as values: read, checked value by value, with the line of everything that is wrong."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from modseal import limits
from modseal.errors import FormatError, InputError, SpecProblem, require_spec
from modseal.files.small import read_small
from modseal.files.spec_file import read_spec
from modseal.format.shape import Problem, Steps
from modseal.pki.certificate import Certificate
from modseal.pki.crl import Crl
from modseal.policy.material import read_certificates, read_crls
from modseal.serve.roles import ClientCa, Role
from modseal.serve.spec_shape import ADDRESS, CONNECTIONS, PORT, REQUESTS, SHAPE, SPOOL, UPLOAD, USER
from modseal.values import dataclass

T = TypeVar("T", Certificate, Crl)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where the lines of the log are sent: the address, and the files of its CA and of the key that signs."""

    url: str
    ca: Path
    key: Path


@dataclass(frozen=True, slots=True)
class ServeSpec:
    """A whole spec. Paths are as seen from here; `upload` is in bytes, `requests` are those of a minute.

    `read_from` are the files that `clients` were read from.
    """

    address: str
    port: int
    certificate: Path
    key: Path
    ca_files: tuple[Path, ...]
    read_from: tuple[Path, ...]
    clients: tuple[ClientCa, ...]
    user: str
    spool: Path
    upload: int
    connections: int
    requests: int
    webhooks: tuple[Webhook, ...] = ()


def read(path: Path) -> ServeSpec:
    """The spec in a file, with the CAs and CRLs that it names. Raises `SpecError` with every problem, `InputError`."""
    source = str(path)
    document = read_spec(path, SHAPE, "serve-spec")
    values: Any = document.values
    here = path.parent
    found: list[Problem] = []
    clients = []
    for number, one in enumerate(values["client"]):
        certificates = _read(read_certificates, here / one["ca"], ("client", number, "ca"), found)
        crls: list[Crl] = []
        for place, name in enumerate(one.get("crls", ())):
            file = here / name
            crls += _read(partial(read_crls, name=str(file)), file, ("client", number, "crls", place), found)
        clients.append(ClientCa(certificates, Role.named(one["grants"]), tuple(crls)))
    address = values.get("address", ADDRESS)
    try:
        ipaddress.ip_address(address)
    except ValueError as error:
        found.append(Problem(("address",), str(error)))
    for number, one in enumerate(values.get("webhook", ())):
        if problem := _url_problem(one["url"]):
            found.append(Problem(("webhook", number, "url"), problem))
    require_spec(SpecProblem(document.describe(one, source), "serve-spec") for one in found)
    return ServeSpec(
        address=address,
        port=values.get("port", PORT),
        certificate=here / values["certificate"],
        key=here / values["key"],
        ca_files=tuple(here / one["ca"] for one in values["client"]),
        read_from=tuple(here / file for one in values["client"] for file in (one["ca"], *one.get("crls", ()))),
        clients=tuple(clients),
        user=values.get("user", USER),
        spool=here / values.get("spool", SPOOL),
        upload=values.get("upload", UPLOAD) * limits.MIB,
        connections=values.get("connections", CONNECTIONS),
        requests=values.get("requests", REQUESTS),
        webhooks=tuple(Webhook(one["url"], here / one["ca"], here / one["key"]) for one in values.get("webhook", ())),
    )


def _url_problem(url: str) -> str | None:
    """Why nothing could ever be sent to an address."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        if parts.port == 0 or not host:
            return "it names no host, or the port 0"
        if ":" in host or host.replace(".", "").isdigit():
            ipaddress.ip_address(host)
    except ValueError as error:  # UnicodeError is one
        return str(error)
    return None


class Clients:
    """Who may ask, by the files of a spec as they are now: a new CRL counts with the next request.

    Where they cannot be read any more, nobody may.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._spec = read(path)
        self._seen = self._look()

    def current(self) -> tuple[ClientCa, ...]:
        """Raises what `read` raises."""
        seen = self._look()
        if seen != self._seen:
            self._spec = read(self._path)
            self._seen = seen
        return self._spec.clients

    def _look(self) -> list[tuple[int, ...]]:
        try:
            found = [os.stat(one) for one in (self._path, *self._spec.read_from)]
        except OSError as error:
            raise InputError.of(self._path, error) from error
        return [(one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for one in found]


def _read(parse: Callable[[bytes], tuple[T, ...]], path: Path, place: Steps, found: list[Problem]) -> tuple[T, ...]:
    """What a file has; what is wrong with it is added to `found`. Raises `InputError`."""
    try:
        return parse(read_small(path, limits.POLICY_FILE_SIZE).data)
    except (ValueError, FormatError) as error:
        found.append(Problem(place, f"{path}: {error}"))
        return ()
