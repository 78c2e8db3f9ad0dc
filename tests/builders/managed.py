"""A desk that asks hosts over the network, and hosts that lie: on loopback in a thread, over TLS 1.3.

`Desk` has what a desk has: a CA, its own certificate and a remote.toml. Hosts that are honest are `builders.served`;
`lying` answers whatever a test wants.
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

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from builders.pki import Identity, ca, issue, root
from builders.served import Served, client
from builders.web import reply, serving

Say = Callable[[BaseHTTPRequestHandler], None]


def server_certificate(issuer: Identity, address: str = "127.0.0.1") -> Identity:
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
    return issue("host", issuer=issuer, purposes=[ExtendedKeyUsageOID.SERVER_AUTH], extensions=[(names, False)])


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
    def hosts(self, **answers: Say | Served) -> Iterator[None]:
        """Writes an inventory of hosts by name: those that are served, and such as lie, which are served here."""
        with ExitStack() as stack:
            lines = ['schema = "modseal/remote@1"', 'ca = "ca.pem"', 'certificate = "desk.pem"', 'key = "desk.key"']
            for name, one in answers.items():
                if isinstance(one, Served):
                    place = f"127.0.0.1:{one.port}"
                else:
                    place = stack.enter_context(serving(handler(one), self.context()))
                lines += [f"[host.{name}]", f'address = "{place}"']
            (self.folder / "remote.toml").write_text("\n".join(lines) + "\n")
            yield


def desk(folder: Path) -> Desk:
    mine = client(root(7), "admin")
    (folder / "ca.pem").write_bytes(root(7).pem)
    (folder / "desk.pem").write_bytes(mine.pem)
    (folder / "desk.key").write_bytes(mine.key_pem)
    stranger = client(ca("Another CA"), "admin")
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
