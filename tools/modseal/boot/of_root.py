"""What a root brings of its own: what it says of its host, and the services that are forks of process 1.

One of them takes updates, with the rights of process 1. Those that speak to the network hand deliveries over to it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from cryptography import x509

from modseal.boot import management, mapper, receiver, syscalls, update
from modseal.boot.documents import (
    HOST_FILE,
    MANAGEMENT,
    MANAGEMENT_USER,
    OWNER_FILE,
    PLACE,
    POLICY_FILE,
    POLICY_FILES,
    SERVE,
    SERVE_FILE,
    SERVE_FOLDER,
    UPDATE,
    decode_host,
)
from modseal.boot.managed import ManagedHost
from modseal.boot.prove import OpenImage, RefusedModule
from modseal.boot.requests import Running
from modseal.boot.services import Service
from modseal.boot.status import DATA, HostStatus, say
from modseal.boot.update import Delivery, HostDisk, RootContent, RunningHost
from modseal.errors import Failure
from modseal.policy.sources import from_bytes
from modseal.trust.policy import PolicyBytes

_MANAGING = frozenset(syscalls.CAPABILITIES[name] for name in ("kill", "setgid", "setpcap", "setuid"))
"""What the service that manages the host may keep of root's rights: its part that speaks to clients becomes nobody."""


def content(root: Path) -> RootContent:
    """What a root image says of the host, and its policy: part of the image that the root hash stands for."""
    place = root / PLACE
    host = decode_host((place / HOST_FILE).read_bytes(), HOST_FILE)
    files = tuple(
        (name, (place / POLICY_FILES / str(number)).read_bytes()) for number, name in enumerate(host.policy_files)
    )
    return host, from_bytes(PolicyBytes((place / POLICY_FILE).read_bytes(), files), "the policy of the root image")


def policy_digest(found: RootContent) -> str:
    """The digest of all that the policy of a root says."""
    origin = found[1].origin
    return origin.digest if origin else ""


def owner() -> x509.Certificate:
    """Whose signature counts here."""
    return x509.load_der_x509_certificate(Path("/", PLACE, OWNER_FILE).read_bytes())


def now(released: int) -> datetime:
    """What time it is: not before the root was released, which a clock without a battery does not know."""
    if time.time() < released:
        say("machine", "the clock is before the root's release, and is set to that")
        time.clock_settime(time.CLOCK_REALTIME, released)
    return datetime.now(UTC).replace(microsecond=0)


def services(
    state: HostStatus,
    found: RootContent,
    disk: HostDisk,
    opened: Sequence[OpenImage],
    manage: Callable[[ManagedHost], None],
    listen: Callable[[], socket.socket],
) -> Iterator[Service]:
    """The services of a host that may be reached, as far as its root wants some."""
    host = found[0]
    managed = Path("/", PLACE, SERVE_FOLDER, SERVE_FILE).is_file()
    if not host.management and not managed:
        return
    running = RunningHost(state.slot, state.root_slot.removeprefix("root-"), state.root, found, owner())
    own, control = receiver.channel()
    receive = partial(receiver.serve, own, partial(_follow, running, disk), partial(print, flush=True))
    yield _fork(UPDATE, 0, receive, limited=False, last=receiver.RESTART)
    if host.management:
        answer = partial(management.serve, management.listen(host.management), control)
        yield _fork(MANAGEMENT, MANAGEMENT_USER, answer)
    if managed:
        refused = tuple(RefusedModule(one["bundle"], Failure(one["code"], one["detail"])) for one in state.refused)
        shown = ManagedHost(running, state.generation or 0, tuple(opened), refused, DATA, control, listen())
        yield _fork(SERVE, 0, partial(manage, shown), _MANAGING)


def _fork(
    name: str,
    user: int,
    run: Callable[[], int | None],
    capabilities: frozenset[int] = frozenset(),
    *,
    limited: bool = True,
    last: int | None = None,
) -> Service:
    """A service of the root: it is started again as every other, and on trial it must run as every other."""
    return Service(name, "root", (), user, capabilities, {}, (), restart=True, run=run, limited=limited, last=last)


def _follow(running: RunningHost, disk: HostDisk, delivery: Delivery) -> Running:
    return update.follow(delivery, running, disk, now(running.content[0].released), _open_root)


@contextmanager
def _open_root(path: Path, root: str, blocks: int) -> Iterator[RootContent]:
    place, name = "/run/modseal/root", "new-root"
    os.makedirs(place, exist_ok=True)
    for tidy, left in ((syscalls.unmount, place), (mapper.close, name)):
        with suppress(OSError):  # nothing, unless the receiver before this one was killed in the midst
            tidy(left)
    held = None
    device = str(path)
    if path.is_file():
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            device, held = mapper.attach(file)
        finally:
            os.close(file)
    try:
        shown = mapper.open_verity(device, name, root, blocks)
        try:
            syscalls.mount(shown, place, "erofs", syscalls.READ_ONLY | syscalls.NO_SUID | syscalls.NO_DEV)
            try:
                yield content(Path(place))
            finally:
                syscalls.unmount(place)
        finally:
            mapper.close(name)
    finally:
        if held is not None:
            os.close(held)
