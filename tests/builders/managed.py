"""Hosts that can be asked over the network, on loopback in a thread: TLS 1.3, and a certificate of both sides.

`Desk` has what a desk has: a CA, its own certificate and a remote.toml. A host answers with what the functions of
`modseal.host` really decide; `lying` answers whatever a test wants.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from builders.hosts import Host
from builders.pki import NOW, Identity, ca, issue, root
from builders.web import reply, serving
from modseal.errors import ModsealError
from modseal.format.level import Level
from modseal.host import change, lockdown, look, settings, switch, values, verify

Say = Callable[[BaseHTTPRequestHandler], None]
_ROOT = "/redfish/v1"
_MANAGER = f"{_ROOT}/Managers/host"
_ACTIONS = f"{_MANAGER}/Actions/Oem/Modseal."


def server_certificate(issuer: Identity, address: str = "127.0.0.1") -> Identity:
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    return issue("host", issuer=issuer, purposes=[ExtendedKeyUsageOID.SERVER_AUTH], extensions=[(names, False)])


def client_certificate(issuer: Identity) -> Identity:
    return issue("desk", issuer=issuer, purposes=[ExtendedKeyUsageOID.CLIENT_AUTH])


@dataclass(frozen=True)
class Desk:
    """A folder with ca.pem, desk.pem and desk.key; hosts are added to its remote.toml as they are served."""

    folder: Path

    def context(self, certificate: Identity | None = None) -> ssl.SSLContext:
        """What a host of this desk uses; by default with a good certificate."""
        found = certificate or server_certificate(root(7))
        (self.folder / "server.pem").write_bytes(found.pem + found.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.folder / "server.pem")
        context.load_verify_locations(self.folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    @contextmanager
    def hosts(self, **answers: Say | Host) -> Iterator[None]:
        """Serves hosts by name, honest ones and such as lie, and writes the inventory."""
        with ExitStack() as stack:
            lines = ['schema = "modseal/remote@1"', 'ca = "ca.pem"', 'certificate = "desk.pem"', 'key = "desk.key"']
            for name, one in answers.items():
                say = answering(one) if isinstance(one, Host) else one
                place = stack.enter_context(serving(handler(say), self.context()))
                lines += [f"[host.{name}]", f'address = "{place}"']
            (self.folder / "remote.toml").write_text("\n".join(lines) + "\n")
            yield


def desk(folder: Path) -> Desk:
    mine = client_certificate(root(7))
    (folder / "ca.pem").write_bytes(root(7).pem)
    (folder / "desk.pem").write_bytes(mine.pem)
    (folder / "desk.key").write_bytes(mine.key_pem)
    stranger = client_certificate(ca("Another CA"))
    (folder / "stranger.pem").write_bytes(stranger.pem)
    (folder / "stranger.key").write_bytes(stranger.key_pem)
    return Desk(folder)


def handler(say: Say) -> Callable[..., BaseHTTPRequestHandler]:
    """What answers every request alike."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self.close_connection = True
            with suppress(OSError, ValueError):  # the client has seen enough
                say(self)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    return Handler


def lying(status: int, body: object, **headers: object) -> Say:
    """An answer to everything, as JSON unless it is bytes already."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda to: reply(to, status, data, **headers)


def oem(found: object) -> dict[str, object]:
    return {"Oem": {"Modseal": found}}


def answering(host: Host) -> Say:
    """The answers of a host: what its functions give for the question."""

    def say(to: BaseHTTPRequestHandler) -> None:
        length = int(to.headers.get("Content-Length", 0))
        data = to.rfile.read(length)
        parts = urlsplit(to.path)
        if parts.path == f"{_ROOT}/UpdateService":
            return reply(to, 200, json.dumps({"MultipartHttpPushUri": f"{_ROOT}/UpdateService/update"}).encode())
        if parts.path == f"{_ROOT}/TaskService/Tasks/1":
            task = {"TaskState": "Completed", **oem(host.root.parent.joinpath("task").read_text())}
            task["Oem"]["Modseal"] = json.loads(task["Oem"]["Modseal"])
            return reply(to, 200, json.dumps(task).encode())
        try:
            found = _result(host, to, parts.path, parse_qs(parts.query), data)
        except ModsealError as error:
            found = values.problem_values(error.failure)
        if to.command == "POST":  # a task, as it is for what takes time
            host.root.parent.joinpath("task").write_text(json.dumps(found))
            return reply(to, 202, b"{}", Location=f"{_ROOT}/TaskService/Tasks/1")
        failed = found["schema"] == values.PROBLEM
        shown = {"error": oem(found)} if failed else oem(found)
        return reply(to, 400 if failed else 200, json.dumps(shown).encode())

    return say


def _result(host: Host, to: Any, path: str, query: dict[str, list[str]], data: bytes) -> dict[str, Any]:
    if path == f"{_ROOT}/UpdateService/update":
        told, bundles = _parts(to.headers["Content-Type"], data, host.root.parent)
        update = told["Action"] == "update"
        done = change.install(host.root, bundles, NOW, update=update, dry_run=told["DryRun"])
        return values.change_values(done)
    if to.command == "POST":
        return _action(host, path.removeprefix(_ACTIONS), json.loads(data))
    with host.store() as store:
        state = store.state
        match path.removeprefix(_ROOT).strip("/").split("/"):
            case ["UpdateService", "SoftwareInventory"]:
                return values.list_values(look.show_modules(host.root, NOW, pending=bool(query)))
            case ["UpdateService", "SoftwareInventory", name]:
                return values.get_values(look.show_module(host.root, unquote(name), NOW))
            case [*_, "Generations"]:
                return values.history_values(look.show_history(host.root))
            case [*_, "Entries"]:
                return values.log_values(look.show_log(host.root, whole=bool(query)))
            case [*_, "Acceptance"]:
                return values.acceptance_values(state.level, store.policy.minimum_level)
            case [*_, "Lockdown"]:
                return values.lockdown_values(state.host, state.lockdown)
    raise AssertionError(path)


def _action(host: Host, name: str, body: dict[str, Any]) -> dict[str, Any]:
    dry_run = bool(body.get("DryRun"))
    match name:
        case "Remove":
            return values.change_values(host.remove(*body["Names"], dry_run=dry_run))
        case "Rollback":
            return values.change_values(host.rollback(body.get("To"), dry_run=dry_run))
        case "Activate":
            return values.change_values(switch.activate(host.root, NOW, dry_run=dry_run))
        case "Verify":
            return values.verification_values(verify.verify(host.root, NOW), NOW)
        case "SetAcceptance":
            wanted = Level.parse(body["Level"])
            was = settings.set_level(host.root, wanted, NOW)
            with host.store() as store:
                return values.acceptance_values(wanted, store.policy.minimum_level, was)
        case "SetLockdown":
            given = lockdown.LockdownKeys(
                tuple(body.get("Controllers", ())) or None,
                tuple(body.get("BreakGlassKeys", ())) or None,
                body.get("Threshold"),
            )
            done = lockdown.set_lockdown(host.root, body["Mode"], given, NOW, dry_run=dry_run)
            return values.lockdown_values(done.host, done.after, dry_run=dry_run)
    raise AssertionError(name)


def _parts(kind: str, data: bytes, folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """The parameters of a push, and its bundles as files."""
    mark = kind.partition("boundary=")[2].encode()
    assert data.startswith(b"--" + mark)
    first, *files, end = (b"\r\n" + data).split(b"\r\n--" + mark)[1:]
    assert end == b"--\r\n"
    bundles = []
    for number, file in enumerate(files):
        head, _, content = file.partition(b"\r\n\r\n")
        assert b'name="UpdateFile"' in head
        suffix = Path(head.partition(b'filename="')[2].partition(b'"')[0].decode()).suffix
        bundles.append(folder / f"arrived-{number}{suffix}")
        bundles[-1].write_bytes(content)
    return json.loads(first.partition(b"\r\n\r\n")[2])["Oem"]["Modseal"], bundles
