"""Process 1 of a host image, which may be managed from outside: what that needs is loaded where the root says so."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

from modseal.boot import machine
from modseal.boot.documents import PLACE, SERVE_FILE, SERVE_FOLDER, SERVE_SPOOL, SERVE_USER, SERVED
from modseal.boot.managed import ManagedHost


def main() -> None:
    """Never returns."""
    machine.main(_manage, _listen)


def _config() -> Path:
    return Path("/", PLACE, SERVE_FOLDER, SERVE_FILE)


def _listen() -> socket.socket:
    """Where clients are to come in. Raises `ModsealError`."""
    from modseal.serve.spec import read
    from modseal.serve.start import listen

    return listen(read(_config()))


def _manage(host: ManagedHost) -> None:
    """Serve a host to clients, until this process is asked to end. Raises `ModsealError`, `OSError`."""
    from modseal.report.host_html import PAGES
    from modseal.serve.broker import Broker
    from modseal.serve.image_operations import operations
    from modseal.serve.spec import Clients, read
    from modseal.serve.start import serve_by

    config = _config()
    spec = read(config)
    root = host.data / SERVED
    prepare(root, host, _now())
    broker = Broker(root, Clients(config), spec.upload, _now, operations(host))
    serve_by(broker, spec, PAGES, SERVE_USER, _say, host.listening)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the host's log


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def prepare(root: Path, host: ManagedHost, at: datetime) -> None:
    """Make what the service keeps, where it is not there yet: the log and the lockdown, and a folder for uploads.

    Raises `InputError`, `OSError`.
    """
    from modseal.host.create import create

    spool = root / SERVE_SPOOL
    spool.mkdir(parents=True, exist_ok=True)
    spool.chmod(0o1777)  # uploads have no name in it
    if (root / "var").exists():
        return
    new = root / "new"
    shutil.rmtree(new, ignore_errors=True)  # what a power cut left of it
    new.mkdir(mode=0o700)
    document, policy = host.running.content
    create(new, policy, document.level, at)
    os.sync()
    (new / "var").rename(root / "var")
    new.rmdir()
