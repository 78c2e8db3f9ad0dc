"""A host that is served: `modseal serve` in processes of its own, its CA of clients, and requests to it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from builders import pki
from builders.hosts import Host, host
from builders.pki import Identity
from builders.transcript import SOURCE
from modseal.format.level import Level
from modseal.serve.routes import PUSH

CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
ROLES = ("reader", "operator", "admin")
BOUNDARY = "part-of-a-push"


def client(issuer: Identity, role: str | None, **changes: Any) -> Identity:
    """A certificate of a client that names a role."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, f"Test {role}")]
    if role:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"modseal:{role}"))
    return pki.issue("", issuer=issuer, **{"subject": x509.Name(parts), "purposes": CLIENT, **changes})


@dataclass
class Reply:
    """What the service has answered."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.data)
        return found

    @property
    def own(self) -> dict[str, Any]:
        """The document of modseal's own in a resource."""
        found: dict[str, Any] = self.document["Oem"]["Modseal"]
        return found

    @property
    def codes(self) -> list[str]:
        """Of a refusal, the codes that it gives; of a page as well."""
        if self.headers.get("Content-Type", "").startswith("text/html"):
            return re.findall(r"<code>([a-z-]+)</code></p><p><b>Next: ", self.data.decode())
        return [one["Oem"]["Modseal"]["code"] for one in self.document["error"].get("@Message.ExtendedInfo", ())]


@dataclass
class Served:
    """A host below `folder`, and the process that serves it."""

    folder: Path
    host: Host
    ca: Identity
    clients: dict[str, Identity] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[str] | None = None
    said: list[str] = field(default_factory=list)
    """The lines before the one that names the address."""

    def key_files(self, identity: Identity) -> tuple[Path, Path]:
        """Certificate and key in files."""
        base = self.folder / f"client-{identity.certificate.serial_number}"
        certificate, key = base.with_suffix(".pem"), base.with_suffix(".key")
        if not key.exists():
            certificate.write_bytes(identity.certificate.public_bytes(Encoding.PEM))
            key.write_bytes(identity.key_pem)
            key.chmod(0o600)
        return certificate, key

    def tls(self, identity: Identity | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if identity:
            context.load_cert_chain(*self.key_files(identity))
        return context

    def start(self, before: str = "") -> Self:
        """`before` is Python that the process runs first."""
        command = [sys.executable, "-c", f"{before}from modseal.cli.main import main; main()", "serve"]
        command += ["--root", str(self.host.root), "--config", str(self.folder / "serve.toml")]
        env = {**os.environ, "PYTHONPATH": str(SOURCE)}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
        assert self.process.stderr
        self.said = []
        for line in self.process.stderr:
            if found := re.search(r"serving https://127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
                return self
            self.said.append(line)
        self.process.stderr.close()
        self.process.wait(60)
        raise AssertionError("".join(self.said))

    def renew(self, level: Level | None = None) -> Host:
        """A new host in the old one's place, while it is served."""
        for path in self.host.root.rglob("*"):
            if "modseal-serve" not in path.parts and not path.is_dir():
                path.unlink()
        for path in (*self.host.root.iterdir(), *self.host.root.glob("var/lib/*")):
            if path.name not in ("var", "modseal-serve"):
                shutil.rmtree(path)
        return host(self.folder, level=level)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """The exit status, and what was said after the first line."""
        assert self.process
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def ask(
        self,
        method: str,
        path: str,
        role: str | Identity | None = "reader",
        body: bytes | Iterator[bytes] | Mapping[str, Any] | None = None,
        **headers: str,
    ) -> Reply:
        """One request; `body` as JSON where it is a mapping."""
        identity = self.clients[role] if isinstance(role, str) else role
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls(identity), timeout=120)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, Mapping):
            body, sent = json.dumps(body).encode(), {"Content-Type": "application/json", **sent}
        with contextlib.closing(connection):
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())

    def begun(self, path: str, role: str) -> int:
        """The status of a reply that has no end."""
        context = self.tls(self.clients[role])
        with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", self.port, context=context)) as connection:
            connection.request("GET", path)
            with connection.getresponse() as response:
                return response.status

    @property
    def front(self) -> int:
        """The process that speaks to clients."""
        assert self.process
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if path.read_text().rpartition(")")[2].split()[1] == str(self.process.pid):
                    return int(path.parent.name)
        raise AssertionError("there is none")

    def push(self, bundle: Path | bytes, role: str | Identity = "operator", **own: Any) -> Reply:
        """Push a bundle."""
        return self.push_all([bundle], role, **own)

    def push_all(self, bundles: Sequence[Path | bytes], role: str | Identity = "operator", **own: Any) -> Reply:
        """Push bundles, to be installed together."""
        parameters = json.dumps({"Targets": [], "Oem": {"Modseal": own}})
        body = (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="UpdateParameters"\r\n\r\n{parameters}\r\n'.encode()
        )
        for bundle in bundles:
            data, name = (bundle, "pushed.seal") if isinstance(bundle, bytes) else (bundle.read_bytes(), bundle.name)
            head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="UpdateFile"; filename="{name}"\r\n\r\n'
            body += head.encode() + data + b"\r\n"
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return self.ask("POST", PUSH, role, body + f"--{BOUNDARY}--\r\n".encode(), Content_Type=kind)

    def ended(self, reply: Reply) -> dict[str, Any]:
        """The task that a request has begun, once it has ended."""
        assert reply.status == 202, reply.data
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = self.ask("GET", reply.document["@odata.id"])
            if found.document["TaskState"] not in ("Pending", "Running"):
                return found.document
            time.sleep(0.05)
        raise AssertionError("the task does not end")


def make(folder: Path, more: str = "", ca: Identity | None = None) -> Served:
    """A host with its `serve.toml`, which is not served yet, and a client for each role."""
    one = Served(folder, host(folder), ca or pki.ca("Test CA of clients"))
    local = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    server = pki.issue("Test host", issuer=one.ca, purposes=SERVER, extensions=[(local, False)])
    (folder / "ca.pem").write_bytes(one.ca.certificate.public_bytes(Encoding.PEM))
    (folder / "server.pem").write_bytes(server.certificate.public_bytes(Encoding.PEM))
    (folder / "server.key").write_bytes(server.key_pem)
    (folder / "serve.toml").write_text(
        'schema = "modseal/serve@1"\nport = 0\ncertificate = "server.pem"\nkey = "server.key"\n'
        f'spool = "{folder}"\n{more}\n[[client]]\nca = "ca.pem"\ngrants = "admin"\n'
    )
    folder.chmod(0o1777)  # the process that speaks to clients is nobody, and spools here
    one.clients = {role: client(one.ca, role) for role in ROLES}
    return one


def webhook(folder: Path) -> str:
    """The lines of a `serve.toml` that name an address, at which nobody listens; its key is written to the folder."""
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "webhook.key").write_bytes(key)
    return '[[webhook]]\nurl = "https://127.0.0.1:9/"\nca = "ca.pem"\nkey = "webhook.key"\n'


@contextlib.contextmanager
def served(folder: Path, more: str = "", ca: Identity | None = None) -> Iterator[Served]:
    """A host that is served while the block runs."""
    one = make(folder, more, ca).start()
    try:
        yield one
    finally:
        if one.process and one.process.poll() is None:
            one.stop()
