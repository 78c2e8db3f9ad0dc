"""Attacks on a served host: by holders of certificates, and by whoever has taken over the process without rights."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from builders import pki
from builders.served import BOUNDARY, Served, client, make, served
from modseal.serve import frames, routes
from modseal.serve.broker import Broker
from modseal.serve.roles import Caller, Role
from modseal.serve.spec import Clients
from modseal.serve.tasks import Tasks

NOW = datetime.fromisoformat("2026-06-01T00:00:00+00:00")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("attacked"), "upload = 1\n") as found:
        yield found


def _raw(one: Served, data: bytes) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", one.port), timeout=30) as plain,
        one.tls(one.clients["operator"]).wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(data)
        return tls.recv(1 << 16)


def test_a_stolen_reader_certificate_cannot_push_and_its_bytes_are_not_waited_for(one: Served) -> None:
    head = f"POST {routes.PUSH} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    with (
        socket.create_connection(("127.0.0.1", one.port), timeout=10) as plain,
        one.tls(one.clients["reader"]).wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        tls.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode())
        assert b" 403 " in tls.recv(1 << 16).split(b"\r\n")[0]


def test_a_stolen_reader_certificate_cannot_take_all_connections_with_streams(one: Served) -> None:
    thief = client(one.ca, "reader")
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(9):
            connection = http.client.HTTPSConnection("127.0.0.1", one.port, context=one.tls(thief), timeout=30)
            stack.enter_context(contextlib.closing(connection))
            connection.request("GET", routes.EVENTS)
            found.append(stack.enter_context(connection.getresponse()).status)
        assert found == [200] * 8 + [429]
        assert one.ask("GET", routes.MANAGER).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: 2\r\nX-A: b\r\n c: d\r\nContent-Length : 5\r\n",
    ],
)
def test_requests_of_which_the_length_is_in_doubt_are_refused(one: Served, headers: str) -> None:
    head = f"POST {routes.ACTIONS}.Verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    assert b" 400 " in _raw(one, f"{head}{headers}\r\n{{}}".encode()).split(b"\r\n")[0]


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}])
def test_a_page_from_elsewhere_changes_nothing(one: Served, headers: dict[str, str]) -> None:
    assert one.ask("POST", f"{routes.ACTIONS}.Rollback", "admin", {}, **headers).status == 403


def test_an_oversized_upload_is_refused(one: Served) -> None:
    assert one.push(bytes((1 << 20) + 1)).status == 413
    assert not [*(one.host.root / "var/lib/modseal-serve/uploads").iterdir()]


def test_names_of_clients_and_files_stay_within_their_line(one: Served) -> None:
    parts = [("1", "modseal:operator"), ("3", "Eve\n{}\x1b[2J")]
    oids = {"1": NameOID.ORGANIZATIONAL_UNIT_NAME, "3": NameOID.COMMON_NAME}
    eve = client(one.ca, None, subject=x509.Name([x509.NameAttribute(oids[oid], text) for oid, text in parts]))
    before = len(one.ask("GET", routes.ENTRIES).document["Members"])
    one.ended(one.push(one.host.bundle("eve", "1.0"), eve))
    log = one.ask("GET", routes.ENTRIES)
    assert len(log.document["Members"]) == before + 1
    assert b"\n" not in log.data
    assert b"\x1b" not in log.data


def test_a_certificate_that_is_revoked_while_it_is_connected_is_refused_at_its_next_request(tmp_path: Path) -> None:
    prepared = make(tmp_path)
    crl = tmp_path / "clients.crl"
    crl.write_bytes(pki.crl(prepared.ca).public_bytes(Encoding.PEM))
    with (tmp_path / "serve.toml").open("a") as file:
        file.write('crls = ["clients.crl"]\n')
    prepared.start()
    reader = prepared.tls(prepared.clients["reader"])
    try:
        with (
            contextlib.closing(http.client.HTTPSConnection("127.0.0.1", prepared.port, context=reader)) as stream,
            contextlib.closing(http.client.HTTPSConnection("127.0.0.1", prepared.port, context=reader)) as connection,
        ):
            stream.request("GET", routes.EVENTS, headers={"Last-Event-ID": "0"})
            events = stream.getresponse()
            found = []
            for _ in range(3):
                connection.request("GET", routes.MANAGER)
                with connection.getresponse() as response:
                    found.append(response.status)
                    response.read()
                if len(found) == 1:
                    crl.write_bytes(pki.crl(prepared.ca, prepared.clients["reader"]).public_bytes(Encoding.PEM))
                    assert set(events.read().split(b"\n\n")) == {b": nothing new", b""}, "and then its end"
                elif len(found) == 2:
                    crl.unlink()
        assert found[0] == 200
        assert all(status in (403, 409, 503) for status in found[1:])
    finally:
        prepared.stop()


def test_a_deep_body_is_no_bug(one: Served) -> None:
    assert one.ask("POST", f"{routes.ACTIONS}.Rollback", "operator", b"[" * 60000).status == 400


@pytest.mark.parametrize("path", ["%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%00", "%0d%0ax:y"])
def test_a_name_leads_to_no_file(one: Served, path: str) -> None:
    assert one.ask("GET", f"{routes.TASKS}/{path}").status in (400, 404)
    assert one.ask("GET", f"{routes.INVENTORY}/{path}").status in (400, 404)


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    prepared = make(tmp_path)
    found = Broker(prepared.host.root, Clients(tmp_path / "serve.toml"), 1, lambda: NOW)
    found.recover()
    return found


def test_a_descriptor_that_is_no_socket_does_not_end_the_process_with_the_rights(
    broker: Broker, tmp_path: Path
) -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs, (tmp_path / "serve.toml").open() as file:
        socket.send_fds(mine, [b"?"], [file.fileno()])
        mine.shutdown(socket.SHUT_WR)
        broker.serve(theirs, os.getpid(), os.geteuid())


def test_descriptors_beside_a_message_that_is_none_are_closed() -> None:
    mine, theirs = socket.socketpair()
    before = len(os.listdir("/proc/self/fd"))
    with mine, theirs:
        data = b"[" * 60000
        socket.send_fds(mine, [len(data).to_bytes(4, "big")], [0, 0, 0])
        mine.sendall(data)
        with pytest.raises(frames.MessageError):
            frames.receive(theirs, 5, descriptors=3)
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_bundle_that_cannot_be_copied_leaves_nothing_and_its_task_has_an_end(tmp_path: Path) -> None:
    with served(tmp_path, "upload = 1\n") as one:
        uploads = one.host.root / "var/lib/modseal-serve/uploads"
        uploads.rmdir()
        uploads.write_text("no folder")
        assert one.push(b"x").status == 503
        [task] = one.ask("GET", routes.TASKS).document["Members"]
        assert one.ask("GET", task["@odata.id"]).document["TaskState"] == "Exception"


@pytest.mark.parametrize("data", [b"{}", b"[]", b"1", b"[" * 60000, b'{"schema": "modseal/task@1"}'])
def test_a_damaged_task_does_not_keep_the_service_from_starting(tmp_path: Path, data: bytes) -> None:
    tasks = Tasks(tmp_path)
    task = tasks.begin("verify", {}, Caller("CN=A", "key", Role.READER), NOW, 0)
    (tmp_path / f"{task['id'][:-8]}00000000.json").write_bytes(data)
    assert [one["id"] for one in tasks.newest()] == [task["id"]]
    assert json.loads((tmp_path / f"{task['id']}.json").read_bytes()) == task


def test_however_much_was_found_the_list_of_tasks_is_short(tmp_path: Path) -> None:
    tasks = Tasks(tmp_path)
    task = tasks.begin("verify", {}, Caller("CN=A", "key", Role.READER), NOW, 0)
    tasks.end(task, "refused", NOW, {"verdict": "rejected", "findings": ["x" * 1000] * 1000})
    [listed] = tasks.heads()
    assert (listed["verdict"], listed["state"], listed["result"]) == ("rejected", "refused", None)
    assert len(json.dumps(listed)) < 1000
    assert len(tasks.newest()[0]["result"]["findings"]) == 1000
