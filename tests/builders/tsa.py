"""Timestamp authorities for tests: tokens of our own making, at any time and wrong in any way, and a real one.

`token` needs no program; `OpensslTsa` serves `openssl ts -reply` over HTTP on the loopback interface.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from builders import cms as cms_builder
from builders.cms import Attribute, Block, Signer, algorithm, octets, replaced, sequence
from builders.pki import NOW, Identity, ca, issue, new_key
from modseal.format import cms, der
from modseal.format.cms import SIGNING_CERTIFICATE
from modseal.format.timestamp import ID_TST_INFO

TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
SHA256 = algorithm(cms_builder.DIGESTS["sha256"])
OPENSSL = shutil.which("openssl")


@functools.cache
def tsa_root(number: int = 0) -> Identity:
    """The root of timestamp authorities, which is not a root of module signers."""
    return ca(f"Test TSA root {number}", key=new_key("p256", 900 + number))


def authority(
    common_name: str = "Test TSA",
    *,
    purposes: Sequence[x509.ObjectIdentifier] = (TIME_STAMPING,),
    critical: bool = True,
    **changes: Any,
) -> Identity:
    """A timestamp authority below `tsa_root()`, or below another `issuer`."""
    usage = (x509.ExtendedKeyUsage(list(purposes)), critical)
    return issue(common_name, **{"issuer": tsa_root(), "purposes": None, "extensions": [usage], **changes}).with_chain()


@functools.cache
def tsa(kind: str = "p256") -> Identity:
    """A good timestamp authority, made once a session."""
    return authority(f"Test {kind} TSA", key=new_key(kind, 950))


def tst_info(
    signature: bytes,
    time: datetime | bytes = NOW,
    *,
    accuracy: bytes = b"",
    extensions: bytes = b"",
    imprint_algorithm: bytes = SHA256,
    version: int = 1,
) -> bytes:
    """A TSTInfo over a signature's bytes; `accuracy` and `extensions` are their DER."""
    text = time if isinstance(time, bytes) else f"{time:%Y%m%d%H%M%SZ}".encode()
    return sequence(
        der.encode_integer(version),
        der.encode_oid("1.2.3.4"),
        sequence(imprint_algorithm, octets(hashlib.sha256(signature).digest())),
        der.encode_integer(7),
        der.encode(der.GENERALIZED_TIME, text),
        accuracy,
        der.encode_integer(99),
        extensions,
    )


def token(
    signature: bytes,
    time: datetime | bytes = NOW,
    by: Identity | None = None,
    *,
    certificates: Sequence[bytes] | None = None,
    attributes: Callable[[list[Attribute]], list[Attribute]] = lambda good: good,
    content_type: str = ID_TST_INFO,
    signer: dict[str, Any] | None = None,
    **info: Any,
) -> bytes:
    """The DER of a good token; `info` are arguments of `tst_info`, `signer` fields of the builder's `Signer`."""
    identity = by or tsa()
    named = sequence(sequence(sequence(octets(hashlib.sha256(identity.der).digest()))))

    def tokens_own(good: list[Attribute]) -> list[Attribute]:
        good = replaced(good, cms.CONTENT_TYPE, der.encode_oid(ID_TST_INFO))
        return attributes([*good, (cms.SIGNING_CERTIFICATE_V2, [named])])

    content = tst_info(signature, time, **info)
    one = Signer(identity, attributes=tokens_own, **(signer or {}))
    chain = [each.der for each in (identity, *identity.chain)] if certificates is None else certificates
    made = Block([one], chain, version=3, content_type=content_type, content=content, sort_certificates=False)
    return made.encode(content)


def sha1_binding(identity: Identity) -> Attribute:
    """The signingCertificate attribute of RFC 3161, before RFC 5816."""
    digest = hashlib.sha1(identity.der, usedforsecurity=False).digest()
    return SIGNING_CERTIFICATE, [sequence(sequence(sequence(octets(digest))))]


def stamped(content: bytes, identity: Identity, *tokens: Callable[[bytes], bytes]) -> bytes:
    """The DER of a good block over `content`, with these tokens over its signature."""
    unsigned: list[Attribute] = []

    def sign(data: bytes) -> bytes:
        signature = cms_builder.sign_raw(identity.key, data, cms_builder.usual(identity.key)[0])
        values = [one(signature) for one in tokens]
        unsigned[:] = [(cms.TIMESTAMP_TOKEN, values)] if values else []
        return signature

    return Block([Signer(identity, sign=sign, unsigned=_Late(unsigned))]).encode(content)


class _Late(list[Attribute]):
    """Attributes that are only known once the signature is there: true and filled when they are encoded."""

    def __init__(self, source: list[Attribute]) -> None:
        super().__init__()
        self._source = source

    def __bool__(self) -> bool:
        return bool(self._source)

    def __iter__(self) -> Iterator[Attribute]:
        return iter(self._source)


_CONFIG = """\
[tsa]
default_tsa = main
[main]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass
class OpensslTsa:
    """`openssl ts` with an authority's key; `answer` may spoil what it says. `requests` counts."""

    folder: Path
    identity: Identity
    answer: Callable[[bytes], bytes] = field(default=lambda good: good)
    status: int = 200
    requests: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "serial").write_text("01\n")
        (self.folder / "tsa.cnf").write_text(_CONFIG.format(folder=self.folder))
        (self.folder / "tsa.pem").write_bytes(self.identity.pem)
        (self.folder / "tsa.key").write_bytes(self.identity.key_pem)

    def reply(self, request: bytes) -> bytes:
        (self.folder / "request.tsq").write_bytes(request)
        command = [
            OPENSSL or "openssl",
            "ts",
            "-reply",
            "-config",
            "tsa.cnf",
            "-queryfile",
            "request.tsq",
            "-signer",
            "tsa.pem",
            "-inkey",
            "tsa.key",
            "-out",
            "answer.tsr",
        ]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        return (self.folder / "answer.tsr").read_bytes()


@contextmanager
def serving(tsa_server: OpensslTsa) -> Iterator[OpensslTsa]:
    """Serve an authority on a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            tsa_server.requests += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            data = tsa_server.answer(tsa_server.reply(body))
            self.send_response(tsa_server.status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        tsa_server.url = f"http://127.0.0.1:{server.server_port}/tsr"
        try:
            yield tsa_server
        finally:
            server.shutdown()
            thread.join()
