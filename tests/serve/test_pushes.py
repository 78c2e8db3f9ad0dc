"""What is pushed takes so much of the disk, of the time and of the places for pushes, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from builders.pki import Identity
from builders.served import BOUNDARY, Served, client, make, served
from limits.cover import bounds
from modseal import limits
from modseal.errors import InputError
from modseal.serve import pushes, routes
from modseal.serve.room import InFlight, require_room

HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="UpdateFile"; filename="a.seal"\r\n\r\n'.encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("pushed"), "upload = 1\nrequests = 100000\n") as found:
        yield found


def _begun(one: Served, identity: Identity, length: int) -> socket.socket:
    """A push of so many bytes, of which only the first have come."""
    plain = socket.create_connection(("127.0.0.1", one.port), timeout=30)
    tls = one.tls(identity).wrap_socket(plain, server_hostname="127.0.0.1")
    head = f"POST {routes.PUSH} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    tls.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + HEAD + b"begun")
    return tls


def _spooled(one: Served, count: int) -> None:
    """Wait until so many files without a name are held."""
    front, until = Path(f"/proc/{one.front}/fd"), time.monotonic() + 60
    while time.monotonic() < until:
        found = 0
        for path in front.iterdir():
            with contextlib.suppress(OSError):
                found += path.readlink().is_relative_to(one.folder) and str(path.readlink()).endswith("(deleted)")
        if found == count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{found} files are held, and not {count}")


def _said(connection: socket.socket) -> bytes:
    return connection.recv(1 << 16).split(b"\r\n")[0]


def test_the_bundles_of_a_push_are_measured_together(one: Served) -> None:
    assert one.push_all([bytes(limits.MIB // 2)] * 2).status == 202
    assert one.push_all([bytes(limits.MIB // 2), bytes(limits.MIB // 2 + 1)]).status == 413


def test_a_push_that_will_be_too_large_is_not_waited_for(one: Served) -> None:
    with _begun(one, one.clients["operator"], 1 << 40) as connection:
        assert b" 413 " in _said(connection)


def test_bytes_of_all_pushes_together_are_bounded(one: Served) -> None:
    """Two uploads of the greatest size: a third is told to come again."""
    with ExitStack() as stack:
        held = [stack.enter_context(_begun(one, client(one.ca, "operator"), limits.MIB)) for _ in range(2)]
        _spooled(one, 2)
        reply = one.push(b"small")
        assert (reply.status, reply.codes, reply.headers["Retry-After"]) == (503, ["io-error"], "60")
        assert "are here already" in reply.document["error"]["@Message.ExtendedInfo"][0]["Message"]
        held[0].close()
        _spooled(one, 1)
        assert one.push(b"small").status == 202


@bounds("SERVE_PUSHES")
def test_so_many_are_received_at_a_time_and_of_one_certificate_a_share(one: Served) -> None:
    share = limits.SERVE_PUSHES // limits.SERVE_SHARE
    people = [client(one.ca, "operator") for _ in range(limits.SERVE_SHARE)]
    with ExitStack() as stack:
        held = [stack.enter_context(_begun(one, people[0], 1000)) for _ in range(share)]
        _spooled(one, share)
        waiting = stack.enter_context(_begun(one, people[0], len(HEAD) + len(b"begun") + len(TAIL)))
        waiting.sendall(TAIL)
        assert one.push(b"another's").status == 202
        _spooled(one, share)
        held += [stack.enter_context(_begun(one, who, 1000)) for who in people[1:] for _ in range(share)]
        _spooled(one, limits.SERVE_PUSHES)
        last = stack.enter_context(_begun(one, client(one.ca, "operator"), len(HEAD) + len(b"begun") + len(TAIL)))
        last.sendall(TAIL)
        assert one.ask("GET", routes.MANAGER).status == 200
        _spooled(one, limits.SERVE_PUSHES)
        held[-1].close()
        assert b" 202 " in _said(last)
        held[0].close()
        assert b" 202 " in _said(waiting)


@bounds("SERVE_UPLOADS")
def test_so_many_uploads_of_the_greatest_size_are_held() -> None:
    found = InFlight(10)
    with ExitStack() as stack:
        stack.enter_context(found.held(10 * limits.SERVE_UPLOADS - 1))
        stack.enter_context(found.held(1))
        with pytest.raises(InputError, match="20 bytes of pushes are here already, and 1 more"):
            stack.enter_context(found.held(1))
    with found.held(10 * limits.SERVE_UPLOADS):
        pass


@bounds("SERVE_FREE_SPACE")
def test_the_last_of_a_disk_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for blocks, kept in ((1 << 40, limits.SERVE_FREE_SPACE), (20_000, 1000 * 4096)):
        disk = SimpleNamespace(f_blocks=blocks, f_frsize=4096, f_bavail=kept // 4096 + 1)
        monkeypatch.setattr(os, "fstatvfs", lambda _, disk=disk: disk)
        require_room(0, 4096, "x")
        with pytest.raises(InputError, match="No space left on device"):
            require_room(0, 4097, "x")


MOUNTED = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0
for place in {places}:
    assert libc.mount(b"none", place.encode(), b"tmpfs", 0, b"size=2m,mode=1777") == 0
"""
"""Small disks that this process and its children alone see: unshare(2) and mount(2), MS_REC|MS_PRIVATE."""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_full_disk_is_said_and_nothing_is_left_on_it(tmp_path: Path) -> None:
    one = make(tmp_path, "upload = 8\n")
    spool, place = tmp_path / "spool", one.host.root / "var/lib/modseal-serve"
    for folder in (spool, place):
        folder.mkdir(mode=0o777)
    (tmp_path / "serve.toml").write_text((tmp_path / "serve.toml").read_text().replace(f'"{tmp_path}"', f'"{spool}"'))
    one.start(MOUNTED.format(places=[str(spool), str(place)]))
    assert one.process
    seen = Path(f"/proc/{one.process.pid}/root")
    agent = one.host.bundle("acme-agent", "1.0")
    for disk in (spool, place):
        own = seen / disk.relative_to("/")
        rest = own / "rest"
        with rest.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        reply = one.push(agent)
        assert (reply.status, reply.codes) == (507, ["io-error"]), reply.data
        assert "No space left on device" in reply.data.decode()
        assert "Free some space there" in reply.data.decode()
        assert sorted(path.name for path in own.rglob("*") if path.is_file()) == ["rest"]
        rest.unlink()
    large = one.push(bytes(3 << 20))
    assert (large.status, large.codes) == (507, ["io-error"])
    streamed = one.ask(
        "POST",
        routes.PUSH,
        "operator",
        iter([HEAD, bytes(3 << 20), TAIL]),
        Content_Type=f"multipart/form-data; boundary={BOUNDARY}",
    )
    assert streamed.status == 507
    _spooled(one, 0)
    assert one.ended(one.push(agent))["TaskState"] == "Completed"
    assert one.stop() == (0, "")


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushes, "_GRACE_SECONDS", 0.3)
    monkeypatch.setattr(limits, "SERVE_SLOWEST", 10_000)


def _pushed(folder: Path, pieces: int, size: int, pause: float) -> str:
    """What becomes of a push that comes in pieces."""

    async def push() -> str:
        spool = os.open(folder, os.O_RDONLY)
        taken = pushes.Pushes(spool, limits.MIB)

        async def handle(request: web.Request) -> web.Response:
            try:
                async with taken.received(request, b"", (), lambda _: {}) as found:
                    return web.Response(text=str(os.fstat(found.descriptors[0]).st_size))
            except TimeoutError:
                return web.Response(status=408)

        server = await asyncio.get_running_loop().create_server(web.Server(handle), "127.0.0.1")
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        kind = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
        length = len(HEAD) + pieces * size + len(TAIL)
        writer.write(f"POST / HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: {length}\r\n\r\n".encode() + HEAD)
        said = asyncio.ensure_future(reader.readline())
        for _ in range(pieces):
            writer.write(bytes(size))
            await asyncio.wait((said,), timeout=pause)
        writer.write(TAIL)
        found = (await said).decode()
        writer.close()
        server.close()
        os.close(spool)
        return found.split()[1]

    return asyncio.run(push())


@pytest.mark.usefixtures("fast")
def test_a_push_that_drips_is_ended_and_one_that_is_slow_is_not(tmp_path: Path) -> None:
    assert _pushed(tmp_path, 100, 1, 0.02) == "408"
    assert _pushed(tmp_path, 20, 1000, 0.04) == "200"
