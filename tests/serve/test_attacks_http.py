"""Requests that two programs could read in two ways, names that are more than names, and clients that never come to an
end: over TLS, by holders of good certificates."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from builders import lockdowns
from builders.lockdowns import glass
from builders.pki import NOW
from builders.served import BOUNDARY, Served, client, make, served
from builders.transcript import run
from modseal import limits
from modseal.errors import ModsealError
from modseal.host.break_glass import break_glass
from modseal.serve import routes
from serve.test_connections import files_and_memory

POST = f"POST {routes.ACTIONS}.Verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CONTEXTS: dict[int, ssl.SSLContext] = {}
"""Of operators, by port: to make one takes longer than a request."""

GET = f"GET {routes.MANAGER} HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("attacked"), "upload = 1\nrequests = 100000\n") as found:
        yield found
        _, said = found.stop()
    assert said == "", "nothing that a client sends is in the log of the service"


def _connected(one: Served, stack: contextlib.ExitStack, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", one.port), timeout=60)
    if context is None:
        context = CONTEXTS.setdefault(one.port, CONTEXTS.get(one.port) or one.tls(one.clients["operator"]))
    tls = context.wrap_socket(plain, server_hostname="127.0.0.1")
    return stack.enter_context(tls)


def _statuses(one: Served, data: bytes) -> list[int]:
    """All that is answered until the connection is closed, which the service does."""
    with contextlib.ExitStack() as stack:
        connection = _connected(one, stack)
        connection.sendall(data)
        found = b""
        while part := connection.recv(1 << 16):
            found += part
    return [int(one) for one in re.findall(rb"^HTTP/1\.[01] (\d+) ", found, re.MULTILINE)]


@pytest.mark.parametrize(
    "request_",
    [
        POST + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
        POST + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        POST + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        POST + "Content-Length: 2, 2\r\n\r\n{}",
        *(
            POST + f"Content-Length: {length}\r\n\r\n{{}}"
            for length in ("+2", "-2", "0x2", "2_0", "\xb2", "", "9" * 30)
        ),
        POST + "Content-Length : 2\r\n\r\n{}",
        POST + "Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n\r\n{}",
        POST + "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
        POST + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        POST + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        GET + "X-A: b\r\n c: d\r\n\r\n",
        (GET + "\r\n").replace("\r\n", "\n"),
        GET + "X-A: b\nContent-Length: 5\r\n\r\n",
        GET + "X-A: b\rContent-Length: 5\r\n\r\n",
        GET + "X-A: b\0c\r\n\r\n",
        GET + "X-A\r\n\r\n",
        GET + ": b\r\n\r\n",
        GET.replace("Host", " Host") + "\r\n",
        GET + "Host: y\r\n\r\n",
        *(
            POST + f"Transfer-Encoding: chunked\r\n\r\n{size}\r\n{{}}\r\n0\r\n\r\n"
            for size in ("0x2", "-2", "2 ", "f" * 17)
        ),
        POST + "Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n",
        POST + "Transfer-Encoding: chunked\r\n\r\n2;a\nb\r\n{}\r\n0\r\n\r\n",
        POST + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
        GET + f"Content-Length: {len(GET) + 2}\r\nConnection: close\r\nX-A: \x7f\r\n\r\n{GET}\r\n",
        f"GET /{'a' * 9000} HTTP/1.1\r\nHost: x\r\n\r\n",
        GET + f"X-A: {'a' * 9000}\r\n\r\n",
        GET + "".join(f"X-{number}: a\r\n" for number in range(2000)) + "\r\n",
        GET.replace("GET", "G\x01T") + "\r\n",
        GET.replace("HTTP/1.1", "HTTP/1.2") + "\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_one_bad_request_and_the_end(one: Served, request_: str) -> None:
    """RFC 9112 sections 2.2, 3.2, 5.1, 5.2, 6.1, 6.3 and 7.1: what comes behind it is never read as a request."""
    assert _statuses(one, request_.encode("latin-1") + GET.encode() + b"\r\n") == [400]


def test_the_body_of_a_request_is_no_second_one(one: Served) -> None:
    """A second request behind a refused one, in what it calls its body."""
    inner = f"{GET}\r\n"
    path = f"{routes.ROOT}/nothing"
    refused = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(inner)}\r\n\r\n{inner}"
    assert _statuses(one, refused.encode()) == [404]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip"])
def test_a_compressed_body_is_not_unpacked(one: Served, coding: str) -> None:
    reply = one.ask("POST", f"{routes.ACTIONS}.Rollback", "operator", b"{}", Content_Encoding=coding)
    assert reply.status == 415


HOSTILE = "Eve\n{}\r\x1b[2J\u202e\u2066\u200b\x9b1m\x07"


def test_names_of_clients_and_files_move_no_cursor_and_make_no_line(one: Served, tmp_path: Path) -> None:
    """In the answers, in the log, and in what the host's own commands print of it."""
    role = [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "modseal:operator")]
    eve = client(one.ca, None, subject=x509.Name([*role, x509.NameAttribute(NameOID.COMMON_NAME, HOSTILE)]))
    before = len(one.ask("GET", routes.ENTRIES).document["Members"])
    bundle = one.host.bundle("eve", "1.0")
    name = re.sub("[\0-\x1f]", "", HOSTILE)  # a part's head has no controls
    pushed = bundle.rename(tmp_path / f"{name}.seal")
    assert one.ended(one.push(pushed, eve))["TaskState"] == "Completed"
    for path in (routes.ENTRIES, routes.TASKS, one.ask("GET", routes.TASKS).document["Members"][0]["@odata.id"]):
        assert one.ask("GET", path).data.decode().replace("\n", "").isprintable(), path
    assert len(one.ask("GET", routes.ENTRIES).document["Members"]) == before + 1
    for words in (("log",), ("log", "--verify"), ("list",)):
        said = run("host", *words, "--root", one.host.root, cwd=tmp_path)
        assert said.code == 0
        assert said.out.replace("\n", "").isprintable()
        assert len(said.out.splitlines()) <= before + 2
    lines = (one.host.root / "var/lib/modseal/log.jsonl").read_bytes()
    assert not re.search(rb"[\0-\x09\x0b-\x1f]", lines)
    assert lines.count(b"\n") == before + 1


@pytest.mark.parametrize("name", ["../agent", "/etc/passwd", "..", ".", "", "a/b", "a\0b", "\u202e", "x" * 300, "-rf"])
def test_a_confused_deputy_takes_a_name_for_nothing_but_a_name(one: Served, name: str) -> None:
    """Whatever is asked for is looked up among what is installed; nothing leads to a file."""
    task = one.ended(one.ask("POST", f"{routes.ACTIONS}.Remove", "operator", {"Names": [name], "DryRun": True}))
    assert task["TaskState"] == "Exception"
    assert task["Messages"][0]["Oem"]["Modseal"]["code"] in ("not-installed", "usage"), task["Messages"]


def test_a_pushed_name_leads_nowhere(one: Served) -> None:
    """Not to the host's own files: `Targets` and the parts' names are those of a client."""
    before = {path: path.stat().st_mtime_ns for path in one.host.root.rglob("*") if path.is_file()}
    for name in ("../../../../etc/passwd", "/etc/cron.d/x", "..", "state.json"):
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        body = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="UpdateFile"; filename="{name}"\r\n\r\nx\r\n'
        task = one.ended(
            one.ask("POST", routes.PUSH, "operator", f"{body}--{BOUNDARY}--\r\n".encode(), Content_Type=kind)
        )
        assert task["TaskState"] == "Exception"
    after = {path for path in one.host.root.rglob("*") if path.is_file() and "modseal-serve" not in path.parts}
    assert {path for path in after if before.get(path) != path.stat().st_mtime_ns} == set()


def test_what_has_broken_the_glass_once_ends_no_strict_mode_from_outside(tmp_path: Path) -> None:
    """There is no route for such a file; under every name that a client can give it, it is nothing."""
    one = make(tmp_path)
    lockdowns.lock(one.host)
    used = glass(one.host)
    break_glass(one.host.root, used, NOW)
    lockdowns.lock(one.host)
    one.start()
    try:
        task = one.ended(one.push(used, "admin"))
        assert task["TaskState"] == "Exception"
        for path, body in (
            (f"{routes.ACTIONS}.SetLockdown", used),
            (f"{routes.ACTIONS}.SetLockdown", b'{"Mode": "normal"}'),
            (f"{routes.ACTIONS}.BreakGlass", used),
            (f"{routes.ACTIONS}.Activate", used),
        ):
            reply = one.ask("POST", path, "admin", body, Content_Type="application/json")
            assert reply.status in (400, 403, 404), path
        assert one.ask("GET", routes.LOCKDOWN).own["mode"] == "strict"
        with pytest.raises(ModsealError):
            break_glass(one.host.root, used, NOW)
    finally:
        one.stop()


def test_clients_that_are_slow_or_broken_keep_nobody_out_and_the_memory_flat(one: Served) -> None:
    """200 of them, with good certificates: heads and bodies that drip, answers that nobody takes, garbage."""
    begun = f"POST {routes.PUSH} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    sent = (
        GET[:-10].encode(),
        f"{begun}Content-Length: 900\r\n\r\n--{BOUNDARY}\r\nContent-Dis".encode(),
        f"{POST}Content-Length: 60000\r\n\r\n{{".encode(),
        f"{POST}Transfer-Encoding: chunked\r\n\r\n5\r\n{{".encode(),
        os.urandom(300),
        (GET + "\r\n").encode() * 20,
        f"GET {routes.EVENTS} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    )
    contexts = [one.tls(client(one.ca, "operator")) for _ in range(10)]
    assert one.ask("GET", routes.MANAGER).status == 200
    own_files, own_memory = files_and_memory(one.front)
    with contextlib.ExitStack() as stack:
        held = []
        for number in range(200):
            data = sent[number % len(sent)]
            is_push = routes.PUSH.encode() in data
            held.append(_connected(one, stack, contexts[number % (limits.SERVE_SHARE - 1 if is_push else 10)]))
            with contextlib.suppress(OSError):
                held[-1].sendall(data)
        for each in held:
            with contextlib.suppress(OSError):
                each.sendall(b"x")
        assert one.ask("GET", routes.MANAGER).status == 200
        assert one.push(b"no bundle", "admin").status == 202
        files, memory = files_and_memory(one.front)
    assert files <= own_files + 200 + 20
    assert memory - own_memory < 200 * limits.MIB // 2


def test_an_origin_that_is_no_address_is_elsewhere(one: Served) -> None:
    for origin in ("https://[", "https://x", "null", f"http://127.0.0.1:{one.port}"):
        reply = one.ask("POST", f"{routes.ACTIONS}.Verify", "operator", {"DryRun": True}, Origin=origin)
        assert reply.status == 403, origin


def test_an_object_with_a_key_twice_is_none(one: Served) -> None:
    body = b'{"Names": ["a"], "Names": ["b"]}'
    assert one.ask("POST", f"{routes.ACTIONS}.Remove", "operator", body, Content_Type="application/json").status == 400


def test_a_second_service_of_a_host_leaves_the_tasks_of_the_first_alone(one: Served) -> None:
    uploads = one.host.root / "var/lib/modseal-serve/uploads"
    (uploads / "under-way").write_bytes(b"")
    second = replace(one, process=None)
    with pytest.raises(AssertionError, match="another service of this host is running"):
        second.start()
    assert (uploads / "under-way").exists()
    (uploads / "under-way").unlink()
