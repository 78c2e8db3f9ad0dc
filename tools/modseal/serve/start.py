"""Starts both processes: the one that has the rights stays, and its child speaks to clients without any.

No program is started: both are forks, so that a host can serve on which no interpreter may be started any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import pwd
import resource
import signal
import socket
import ssl
import sys
import warnings
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from modseal import limits
from modseal.boot import syscalls
from modseal.boot.services import close_all_but, limit_to
from modseal.errors import InputError, KeyMaterialError, UsageError
from modseal.files import folder
from modseal.files.small import read_small
from modseal.host.store import open_store
from modseal.serve import frames
from modseal.serve.ask import AskedHost
from modseal.serve.broker import Broker
from modseal.serve.connections import Door, Idle
from modseal.serve.shown import Pages
from modseal.serve.signatures import WebhookKeys, load
from modseal.serve.spec import Clients, ServeSpec, read

if TYPE_CHECKING:
    from modseal.serve.web import HostService


_TICK = 1
"""Seconds between two looks for connections that do nothing."""

_TLS_BUFFER = 64 * limits.KIB
"""Bytes of a connection that are decrypted at a time. Each connection has them as long as it lasts: asyncio's own 256
KiB would be half a GiB for 2,000."""

_BACKLOG = 256
"""Connections that wait to be taken."""

_OWN_FILES = 64
"""Open files that a process of the service has besides those of its clients: libraries, its log, the host's store."""

_LINE = 8 * limits.KIB
"""Bytes of a request's first line, and of one header, as usual in web servers."""


def serve(root: Path, config: Path, pages: Pages, now: Callable[[], datetime], say: Callable[[str], None]) -> None:
    """Serve until SIGTERM, or SIGINT; then what is under way is finished. `say` is told the address.

    Raises `UsageError`, `SpecError`, `InputError`, `KeyMaterialError`.
    """
    spec = read(config)
    with open_store(root):
        pass  # a host without a store is told now
    serve_by(Broker(root, Clients(config), spec.upload, now, tells=bool(spec.webhooks)), spec, pages, _user(spec), say)


def serve_by(
    broker: Broker,
    spec: ServeSpec,
    pages: Pages,
    user: int | None,
    say: Callable[[str], None],
    listening: socket.socket | None = None,
) -> None:
    """The same for what a broker carries out. `user` is whom the child becomes, None where it stays who it is.

    `listening` is where clients come in, if that is there already.

    Raises `UsageError`, `InputError`, `KeyMaterialError`.
    """
    if find_spec("aiohttp") is None:
        raise UsageError("serving needs an extra library: pip install modseal[serve]")
    tls, webhooks = _tls(spec), [load(one) for one in spec.webhooks]
    _reserve_files(spec)
    listening = listening or listen(spec)
    # Two services of one host would each take the other's tasks for those of one that was killed.
    with folder.locked(broker.place, "another service of this host is running"):
        for line in broker.recover():
            say(line)
        mine, theirs = socket.socketpair()
        process = os.fork()
        if not process:
            _child(spec, pages, tls, listening, mine, theirs, user, webhooks)
        say(f"serving https://{_shown(listening)}")
        theirs.close()
        listening.close()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: _end(process))
        try:
            broker.serve(mine, process, os.geteuid() if user is None else user)
        finally:
            _end(process)
            _, status = os.waitpid(process, 0)
        if os.waitstatus_to_exitcode(status):
            raise InputError("the process that speaks to clients has died").because("serve-died")


def _end(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGTERM)


def _tls(spec: ServeSpec) -> ssl.SSLContext:
    """TLS 1.3 alone, and no connection without a certificate below one of the CAs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0  # whoever comes again is asked for the certificate again
    for path in (spec.certificate, spec.key, *spec.ca_files):
        read_small(path, limits.POLICY_FILE_SIZE)  # says what the system says, where OpenSSL would not name the file
    try:
        context.load_cert_chain(spec.certificate, spec.key, lambda: b"")
        for file in spec.ca_files:
            context.load_verify_locations(file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        detail = f"{spec.certificate}, {spec.key} or a CA of clients: {error}"
        raise KeyMaterialError(detail).because("serve-key") from None
    return context


def _user(spec: ServeSpec) -> int | None:
    """Whom the child becomes; None where this is not root, who alone can become somebody else."""
    if os.geteuid():
        return None
    try:
        number = pwd.getpwnam(spec.user).pw_uid
    except KeyError:
        raise UsageError(f"there is no user {spec.user!r} here") from None
    if not number:
        raise UsageError("the process that speaks to clients must not be root")
    return number


def _reserve_files(spec: ServeSpec) -> None:
    """Let both processes have as many open files as all their bounds together need: then none is ever missing.

    Raises `UsageError`.
    """
    clients = spec.connections + limits.SERVE_STRANGERS + frames.ASKING * 2 + limits.SERVE_PUSHES * limits.SERVE_BUNDLES
    broker = frames.ASKING * (limits.SERVE_BUNDLES + 2)
    needed = max(clients, broker) + _OWN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        detail = f"`connections = {spec.connections}` needs {needed} open files, and a process may have {hard} here"
        raise UsageError(f"{detail} (`ulimit -H -n`)")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def listen(spec: ServeSpec) -> socket.socket:
    """Where clients come in. Raises `InputError`."""
    family = socket.AF_INET6 if ":" in spec.address else socket.AF_INET
    try:
        return socket.create_server((spec.address, spec.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InputError.of(f"{spec.address} port {spec.port}", error) from error


def _shown(listening: socket.socket) -> str:
    address, port = listening.getsockname()[:2]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _child(
    spec: ServeSpec,
    pages: Pages,
    tls: ssl.SSLContext,
    listening: socket.socket,
    broker_end: socket.socket,
    control: socket.socket,
    user: int | None,
    webhooks: Sequence[WebhookKeys],
) -> None:
    """Never returns."""
    code = 1
    try:
        broker_end.close()
        from modseal.serve.web import (
            HostService,  # while everything can still be read: an interpreter may be root's own
        )

        warnings.simplefilter("ignore")  # of aiohttp's, which have the words of whoever has sent something bad
        spool = _spool(spec)
        close_all_but(listening.fileno(), control.fileno(), spool)
        if user is None:
            syscalls.no_new_privileges()
        else:
            limit_to(user, frozenset())
        asyncio.run(
            _serve(HostService(AskedHost(control), spec, spool, pages, webhooks), spec, tls, listening, control)
        )
        code = 0
    except BaseException as error:  # noqa: BLE001 - the parent must not run twice
        sys.stderr.write(f"modseal: the process that speaks to clients: {type(error).__name__}: {error}\n")
    finally:
        sys.stderr.flush()
        os._exit(code)


def _spool(spec: ServeSpec) -> int:
    try:
        return os.open(spec.spool, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InputError.of(spec.spool, error) from error


async def _serve(
    service: HostService, spec: ServeSpec, tls: ssl.SSLContext, listening: socket.socket, control: socket.socket
) -> None:
    from aiohttp import web

    SSLProtocol.max_size = _TLS_BUFFER
    silent = logging.getLogger(__name__)
    silent.setLevel(logging.CRITICAL)  # a bad request is answered, and fills no log
    runner = web.AppRunner(
        service.app(),
        logger=silent,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=frames.IDLE_SECONDS,
        max_line_size=_LINE,
        max_field_size=_LINE,
        shutdown_timeout=frames.IDLE_SECONDS,
    )
    await runner.setup()
    loop = asyncio.get_running_loop()
    server = runner.server
    if server is None:
        raise AssertionError("a runner that was set up has a server")

    gc.freeze()  # what is there now stays: to look for what has ended takes a moment only
    door, idle = Door(listening, tls, server, spec.connections), Idle()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_reader(control, ended.set)  # the broker says nothing here: it has closed its end
    followers = service.followers()
    while not ended.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _TICK)
        door.tidy()
        idle.look(server.connections, service.active, loop.time())
    door.close()
    for follower in followers:
        follower.cancel()
    await runner.cleanup()
