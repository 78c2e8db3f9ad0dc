"""Webhooks: what is written to the log goes to the addresses that the configuration names, signed, and to no other."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from builders import managed, pki, served
from builders.web import reply, serving
from limits.cover import bounds
from modseal import limits
from modseal.errors import KeyMaterialError, SpecError
from modseal.format.level import Level
from modseal.serve import frames, routes, signatures
from modseal.serve.broker import Broker
from modseal.serve.signatures import load
from modseal.serve.spec import Clients, Webhook, read
from modseal.serve.webhooks import Destination

DOCS = Path(__file__).parents[2] / "docs/remote.md"
SIGNING = Ed25519PrivateKey.from_private_bytes(bytes(32))


@dataclass
class Receiver:
    """What has arrived, and with which statuses it is answered: the last of them stays."""

    folder: Path
    statuses: list[int]
    url: str = ""
    arrived: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def hook(self) -> Webhook:
        return Webhook(self.url, self.folder / "ca.pem", self.folder / "webhook.key")

    def numbers(self) -> list[list[str]]:
        """The lines of each message."""
        return [[one["EventId"] for one in json.loads(body)["Events"]] for _, body in self.arrived]


@contextmanager
def receiver(
    folder: Path, *statuses: int, ca: pki.Identity | None = None, address: str = "127.0.0.1"
) -> Iterator[Receiver]:
    found = Receiver(folder, [*statuses] or [204])
    ca = ca or pki.ca("Test CA of receivers")
    (folder / "ca.pem").write_bytes(ca.pem)
    (folder / "webhook.key").write_bytes(SIGNING.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.arrived.append((dict(self.headers), body))
            status = found.statuses.pop(0) if len(found.statuses) > 1 else found.statuses[0]
            reply(self, status, **({"Location": f"{found.url}elsewhere"} if status == 307 else {}))
            found.came.release()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    context = managed.Desk(folder).context(managed.server_certificate(ca, address))
    context.verify_mode = context.verify_mode.CERT_NONE
    with serving(Handler, context) as place:
        found.url = f"https://{place}/"
        yield found


class Log:
    """The lines of a host from `newest` on, as the process with the rights tells them; ends when all were asked for."""

    def __init__(self, *numbers: int) -> None:
        self.answers: list[tuple[int, Sequence[int]]] = [(0, ())]
        self.answers += [(numbers[-1], numbers)] if numbers else []

    def then(self, newest: int, *numbers: int) -> Log:
        self.answers.append((newest, numbers))
        return self

    async def lines(self, after: int | None) -> dict[str, Any]:
        if not self.answers:
            raise asyncio.CancelledError
        newest, numbers = self.answers.pop(0)
        by = {"uid": "0"}
        rest = {"time": "2026-01-01T00:00:00Z", "by": by, "event": "install", "facts": {}, "previous": None}
        return {"host": "f" * 32, "newest": newest, "events": [{"number": n, **rest} for n in numbers]}


def follow(one: Destination, log: Log, *pauses: float) -> None:
    with suppress(asyncio.CancelledError):
        asyncio.run(one.follow(log, pauses))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modseal.serve.webhooks._PAUSE", 0)


def test_what_is_written_is_sent_by_the_real_service_and_the_commands_of_the_page_check_it(tmp_path: Path) -> None:
    desk = tmp_path / "desk"
    desk.mkdir()
    with receiver(desk) as there:
        hook = f'[[webhook]]\nurl = "{there.url}"\nca = "desk/ca.pem"\nkey = "desk/webhook.key"\n'
        with served.served(tmp_path, hook) as one:
            one.ended(one.push(one.host.bundle("agent", "1.0")))
            assert there.came.acquire(timeout=30)
            shown = one.ask("GET", f"{routes.SUBSCRIPTIONS}/0").document
            assert shown["Destination"] == there.url
            assert one.ask("GET", f"{routes.SUBSCRIPTIONS}/1").status == 404
            assert one.ask("POST", routes.SUBSCRIPTIONS, "admin", {"Destination": "https://evil.example"}).status == 405
    [(headers, body)] = there.arrived
    [event] = json.loads(body)["Events"]
    assert event["Message"].startswith("install: generation 1")
    assert event["Oem"]["Modseal"]["by"]["name"] == "CN=Test operator,OU=modseal:operator"
    (desk / "body").write_bytes(body)
    (desk / "webhook.pub").write_bytes(
        SIGNING.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    [block] = re.findall(r"```text\n(printf '%s\.%s\.'.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    given = {name: headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")}
    for added, wanted in ((b"", 0), (b" ", 1)):
        (desk / "body").write_bytes(body + added)
        environment = {"PATH": "/usr/bin:/bin", **given}
        assert subprocess.run(["sh", "-ec", block], cwd=desk, env=environment, check=False).returncode == wanted


def test_what_is_signed_is_the_identity_the_time_and_the_body() -> None:
    at = datetime.fromtimestamp(1_700_000_000, UTC)
    headers = signatures.signed(SIGNING, "id", at, b"body")
    version, _, signature = headers["webhook-signature"].partition(",")
    assert (version, headers["webhook-id"], headers["webhook-timestamp"]) == ("v1a", "id", "1700000000")
    SIGNING.public_key().verify(base64.b64decode(signature), b"id.1700000000.body")


def test_an_address_that_fails_for_a_while_has_everything_and_each_line_once(tmp_path: Path) -> None:
    with receiver(tmp_path, 500, 503, 204) as there:
        one = Destination(load(there.hook()))
        follow(one, Log(1, 2).then(2).then(3, 3), 0, 0)
    assert there.numbers() == [["1", "2"]] * 3 + [["3"]]
    assert (one.sent, one.dropped, one.failure) == (3, 0, None)
    assert len({headers["webhook-id"] for headers, _ in there.arrived[:3]}) == 1, "so that a receiver knows it again"


def test_what_is_never_taken_is_dropped_with_a_line_and_the_next_is_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiver(tmp_path, 500, 500, 200) as there:
        one = Destination(load(there.hook()))
        follow(one, Log(1, 2).then(3, 3), 0)
        said = capsys.readouterr().err
        assert (
            said
            == f"modseal: webhook {there.url}: lines 1 to 2 of the log are not sent: it has answered with HTTP 500\n"
        )
    assert there.numbers()[-1] == ["3"]
    assert (one.sent, one.dropped) == (1, 2)


@bounds("SERVE_LINES_BEHIND")
def test_an_address_is_so_many_lines_behind_at_most(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    most = limits.SERVE_LINES_BEHIND
    with receiver(tmp_path) as there:
        one = Destination(load(there.hook()))
        follow(one, Log().then(most, 1).then(most + 2, 2).then(most + 2, 3))
    assert "lines 2 to 2 of the log are not sent: it is too far behind" in capsys.readouterr().err
    assert there.numbers() == [["1"], ["3"]]


@pytest.mark.parametrize("kind", ["a stranger's certificate", "another name", "a redirect"])
def test_nothing_goes_to_anybody_else(tmp_path: Path, kind: str) -> None:
    address = "127.0.0.2" if kind == "another name" else "127.0.0.1"
    with receiver(tmp_path, 307 if kind == "a redirect" else 200, address=address) as there:
        if kind == "a stranger's certificate":
            (tmp_path / "ca.pem").write_bytes(pki.ca("Another CA").pem)
        one = Destination(load(there.hook()))
        follow(one, Log(1))
    assert len(there.arrived) == (kind == "a redirect")
    assert (one.sent, one.dropped) == (0, 1)


def test_a_key_of_another_kind_and_a_ca_that_is_none_are_named(tmp_path: Path) -> None:
    with receiver(tmp_path) as there:
        pass
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(KeyMaterialError, match=r"ca\.pem"):
        load(there.hook())
    (tmp_path / "webhook.key").write_bytes(pki.leaf().key_pem)
    with pytest.raises(KeyMaterialError, match=r"webhook\.key: the key is none for Ed25519"):
        load(there.hook())


HOOK = '[[webhook]]\nurl = "https://siem.example/in"\nca = "ca.pem"\nkey = "k"\n'


@pytest.mark.parametrize(
    "url",
    [
        *("http://siem.example/", "https://user:word@siem.example/", "https://x/?token=1", "ftp://x"),
        *("https://[::1/", "https://a..b/", f"https://{'a' * 64}.example/", "https://h:abc/", "https://h:99999/"),
        *("https://h:0/", "https://:1/", "https://1.2.3/"),
    ],
)
def test_an_address_is_https_without_secrets_in_it(tmp_path: Path, url: str) -> None:
    served.make(tmp_path, HOOK.replace("https://siem.example/in", url))
    with pytest.raises(SpecError, match="url"):
        read(tmp_path / "serve.toml")


@bounds("SERVE_WEBHOOKS")
def test_so_many_addresses_are_named_at_most(tmp_path: Path) -> None:
    served.make(tmp_path, HOOK * limits.SERVE_WEBHOOKS)
    assert len(read(tmp_path / "serve.toml").webhooks) == limits.SERVE_WEBHOOKS
    spec = tmp_path / "serve.toml"
    spec.write_text(spec.read_text() + HOOK)
    with pytest.raises(SpecError, match="webhook"):
        read(spec)


@bounds("SERVE_LINES_AT_ONCE")
def test_so_many_lines_are_told_at_once_and_to_nobody_where_no_address_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks for them, so that the process with the rights tells them where its configuration has an address."""
    monkeypatch.setattr(limits, "SERVE_LINES_AT_ONCE", 2)
    one = served.make(tmp_path)
    for level in (Level.CERTIFIED, Level.PARTNER, Level.ACCEPTED):
        one.host.set_level(level)
    found = told(one, {"lines_after": 0}, tells=True)
    assert ([each["number"] for each in found["events"]], found["newest"]) == ([1, 2], 3)
    assert told(one, {"lines_after": 2}, tells=True)["events"][0]["number"] == 3
    assert told(one, {"lines_after": None}, tells=True)["events"] == []
    for asked, tells in (({"lines_after": 0}, False), ({"lines_after": "0"}, True), ({"lines_after": 0, "x": 1}, True)):
        assert told(one, asked, tells=tells)["failure"]["code"] == "usage"


def told(one: served.Served, asked: dict[str, Any], *, tells: bool) -> dict[str, Any]:
    """What the process with the rights answers to a question that it is asked as the other one asks."""
    broker = Broker(one.host.root, Clients(one.folder / "serve.toml"), 1, lambda: pki.NOW, tells=tells)
    control, theirs = socket.socketpair()
    mine, given = socket.socketpair()
    with control, theirs, mine:
        socket.send_fds(control, [b"?"], [given.fileno()])
        given.close()
        frames.send(mine, asked)
        control.shutdown(socket.SHUT_WR)
        broker.serve(theirs, os.getpid(), os.geteuid())
        return frames.receive(mine, 30)[0]
