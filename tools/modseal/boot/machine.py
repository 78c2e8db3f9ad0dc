"""What process 1 does on the opened root, from top to bottom: choose, prove, open, tell the kernel, close, start, stay.

Whatever keeps it from that is said on the console and ends in a restart. There is no way from here to a shell.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from cryptography import x509

from modseal import limits
from modseal.boot import (
    attestation,
    boot_variables,
    enforcement,
    management,
    mapper,
    network,
    partitions,
    prove,
    receiver,
    service_view,
    services,
    slots,
    syscalls,
    tpm_commands,
    trial,
    update,
)
from modseal.boot.documents import (
    GENERATION_FILE,
    GENERATIONS,
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
    decode_generation,
    decode_host,
)
from modseal.boot.managed import ManagedHost
from modseal.boot.prove import OpenImage, RefusedModule
from modseal.boot.requests import Running
from modseal.boot.services import Service
from modseal.boot.supervisor import Supervisor
from modseal.boot.update import Delivery, HostDisk, RootContent, RunningHost
from modseal.errors import Failure, ModsealError, UndecidedError
from modseal.files.small import read_small
from modseal.host.measure import Measurement
from modseal.policy.sources import from_bytes
from modseal.trust.policy import PolicyBytes

DATA = Path("/data")
_MODULES = "/run/modules"
_OWN = os.O_NOFOLLOW | os.O_NONBLOCK
"""For files of the data partition, which nobody has proved: no link is followed, and no FIFO waited for."""
_LOG = DATA / "log.jsonl"
_PAUSE = 10
_LAST_WORDS = 5.0
"""Seconds in which who has pushed an update can read what became of it, before the restart."""
_MANAGING = frozenset(syscalls.CAPABILITIES[name] for name in ("kill", "setgid", "setpcap", "setuid"))
"""What the service that manages the host may keep of root's rights: its part that speaks to clients becomes nobody."""


@dataclass
class HostStatus:
    """What this host has found of itself, as the management interface shows it."""

    root_slot: str
    root: str
    slot: str = ""
    started: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    generation: int | None = None
    trial: bool = False
    failed: Mapping[str, Any] | None = None
    modules: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    events: list[Mapping[str, Any]] = field(default_factory=list)

    def reached(self, what: str) -> None:
        """Note how many seconds after the start of the kernel something was reached."""
        with open("/proc/uptime", encoding="ascii") as file:
            self.seconds[what] = float(file.read().split()[0])

    def write(self) -> None:
        """Give the management interface the state of now. A full memory does not stop the host."""
        path = Path(management.STATUS)
        new = path.with_suffix(".new")
        try:
            path.parent.mkdir(exist_ok=True)
            new.write_text(json.dumps(vars(self), indent=2) + "\n")
            new.rename(path)
        except OSError as error:
            say("machine", f"the state cannot be shown: {error}")


def main(manage: Callable[[ManagedHost], None], listen: Callable[[], socket.socket]) -> None:
    """Process 1. Never returns.

    `manage` serves the host to clients, in a process of its own, until that is ended. They come in where `listen` says.
    """
    state = HostStatus(sys.argv[1], sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Python has a handler for it, and so the kernel would deliver it
    try:
        _run(state, manage, listen)
        syscalls.end_machine(syscalls.RESTART)
    except (ModsealError, OSError) as error:
        say("machine", f"this machine does not start: {error}")
    except BaseException as error:  # noqa: BLE001 - whatever it is, process 1 must not end in a traceback
        say("machine", f"this machine does not start: {type(error).__name__}: {error}")
    time.sleep(_PAUSE)
    syscalls.end_machine(syscalls.RESTART)


def say(source: str, text: str) -> None:
    """One line on the console and, where it is mounted, in the log of the data partition."""
    shown = "".join(one if one.isprintable() else "?" for one in text)
    with suppress(OSError):  # a console that is gone does not stop the host
        sys.stdout.write(f"modseal: {source}: {shown}\n")
        sys.stdout.flush()
    try:
        if os.path.ismount(DATA):
            line = {"time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "source": source, "text": shown}
            descriptor = os.open(_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | _OWN | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                if file.tell() > limits.BOOT_LOG_SIZE:
                    _rotate(file)
    except OSError:
        pass  # the console has it; a full disk does not stop the host


def _rotate(file: TextIO) -> None:
    try:
        _LOG.rename(_LOG.with_suffix(".old"))
    except OSError:  # a folder is there: the log must not grow for ever
        file.truncate(0)


def _run(state: HostStatus, manage: Callable[[ManagedHost], None], listen: Callable[[], socket.socket]) -> None:
    """Returns where the machine is to restart, because a new state is to be tried, or the one on trial is no good."""
    state.reached("root")
    watchdog = trial.watchdog()
    found = partitions.found()
    _mounts(found["data"].device)
    if found_keys := boot_variables.remove_shims():
        names = ", ".join(found_keys)
        detail = f"variables of shim let the kernel trust keys that are not the owner's; they are deleted: {names}"
        raise UndecidedError("host-invalid", detail)
    content = _content(Path("/"))
    host = content[0]
    now = _now(host.released)
    state.started = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    disk = _disk(found)
    state.slot = boot_variables.started(disk.partitions)
    state.host = {
        "name": host.name,
        "version": host.version,
        "level": str(host.level),
        "policy": policy_digest(content),
    }
    say("machine", f"{host.name} version {host.version} on slot {state.slot}, {state.root_slot} with root {state.root}")
    _choose(state)
    opened = _modules(state, content, now)
    _measure(state, content, opened)
    started = [one for image in opened for one in _services(state, image)]
    state.reached("modules")
    enforcement.activate()
    name = network.bring_up(host.network)
    for missing in enforcement.close_ways_round():
        say("machine", f"this kernel has no {missing}")
    mounts = service_view.lay_over(opened)
    state.reached("enforced")
    say("machine", f"the kernel runs what is in {len(opened)} modules and the root, and nothing else")
    supervisor = Supervisor(started, say, mounts)
    state.services = supervisor.states()
    state.write()
    managed = Path("/", PLACE, SERVE_FOLDER, SERVE_FILE).is_file()
    if name and (host.management or managed):
        running = _running(state, content)
        own, control = receiver.channel()
        receive = partial(receiver.serve, own, partial(_follow, running, disk), partial(print, flush=True))
        supervisor.add(_fork(UPDATE, 0, receive, limited=False, last=receiver.RESTART))
        if host.management:
            answer = partial(management.serve, management.listen(host.management), control)
            supervisor.add(_fork(MANAGEMENT, MANAGEMENT_USER, answer))
        if managed:
            refused = tuple(RefusedModule(one["bundle"], Failure(one["code"], one["detail"])) for one in state.refused)
            shown = ManagedHost(running, state.generation or 0, tuple(opened), refused, DATA, control, listen())
            supervisor.add(_fork(SERVE, 0, partial(manage, shown), _MANAGING))
    supervisor.step()
    state.reached("services")
    say("machine", f"up after {state.seconds['services']:.1f} s, {len(started)} services, {_memory()} MB in use")
    _stay(state, supervisor, disk, watchdog)


def _now(released: int) -> datetime:
    """What time it is: not before the root was released, which a clock without a battery does not know."""
    if time.time() < released:
        say("machine", "the clock is before the root's release, and is set to that")
        time.clock_settime(time.CLOCK_REALTIME, released)
    return datetime.now(UTC).replace(microsecond=0)


def _stay(state: HostStatus, supervisor: Supervisor, disk: HostDisk, watchdog: int | None) -> None:
    """Run services; judge what is on trial. Returns where the machine is to restart."""
    judge = trial.TrialJudge(time.monotonic()) if state.trial else None
    changed = True
    while not supervisor.over:
        if changed:
            state.services = supervisor.states()
            state.write()
        changed = supervisor.step()
        trial.feed(watchdog)
        if judge is None:
            continue
        if why := judge.given_up([*(one["bundle"] for one in state.refused), *supervisor.troubled()]):
            say("machine", f"the state on trial is given up: {why}")
            break
        if judge.is_good(time.monotonic()):
            _keep(state, disk)
            judge, changed = None, True
    end = time.monotonic() + _LAST_WORDS
    while supervisor.over and time.monotonic() < end:
        supervisor.step()
    supervisor.stop()


def _choose(state: HostStatus) -> None:
    """Which generation is started, and whether on trial: noted on the disk before anything else is done with it."""
    with suppress(OSError):
        update.forget_delivery(DATA)
    found = update.load(DATA)
    chosen = slots.start(found, state.slot)
    if chosen.slots != found:
        try:
            update.save(DATA, chosen.slots)
        except OSError as error:  # what is tried and not noted would be tried again for ever
            say("machine", f"what is on trial cannot be noted, and is not tried: {error}")
            chosen = replace(chosen, generation=found.slots[state.slot].generation, trial=False)
    state.generation, state.trial = chosen.generation, chosen.trial
    if state.trial:
        say("machine", f"slot {state.slot}, generation {state.generation} is on trial")
    if failure := slots.failure(chosen.slots):
        state.failed = failure.evidence
        say("machine", f"{failure.code}: {failure.detail}")


def _keep(state: HostStatus, disk: HostDisk) -> None:
    found = update.load(DATA)
    boot_variables.prefer(state.slot, disk.partitions)
    update.save(DATA, slots.kept(found))
    state.trial = False
    state.write()
    say("machine", f"slot {state.slot}, generation {state.generation} runs well, and is kept")


def _disk(found: Mapping[str, partitions.DiskPartition]) -> HostDisk:
    named = {name: one for name in slots.NAMES if (one := found.get(f"boot-{name}"))}
    return HostDisk(
        DATA,
        {name: Path(one.device) for name, one in named.items()},
        {name: Path(found[f"root-{name}"].device) for name in slots.NAMES},
        {name: one.place for name, one in named.items()},
        boot_variables.FOLDER,
    )


def _owner() -> x509.Certificate:
    return x509.load_der_x509_certificate(Path("/", PLACE, OWNER_FILE).read_bytes())


def _running(state: HostStatus, content: RootContent) -> RunningHost:
    return RunningHost(state.slot, state.root_slot.removeprefix("root-"), state.root, content, _owner())


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
    return update.follow(delivery, running, disk, _now(running.content[0].released), _open_root)


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
                yield _content(Path(place))
            finally:
                syscalls.unmount(place)
        finally:
            mapper.close(name)
    finally:
        if held is not None:
            os.close(held)


def _mounts(data: str) -> None:
    syscalls.mount("securityfs", "/sys/kernel/security", "securityfs", syscalls.PLAIN)
    syscalls.mount("efivarfs", boot_variables.FOLDER, "efivarfs", syscalls.PLAIN)
    for place in ("/tmp", "/var"):  # noqa: S108 - the places of the file system hierarchy, empty at every start
        syscalls.mount("tmpfs", place, "tmpfs", syscalls.PLAIN, "mode=1777" if place == "/tmp" else "mode=0755")  # noqa: S108
    syscalls.mount(data, str(DATA), "ext4", syscalls.PLAIN, "errors=remount-ro")


def _content(root: Path) -> RootContent:
    """What a root image says of the host, and its policy: part of the image that the root hash stands for."""
    place = root / PLACE
    host = decode_host((place / HOST_FILE).read_bytes(), HOST_FILE)
    files = tuple(
        (name, (place / POLICY_FILES / str(number)).read_bytes()) for number, name in enumerate(host.policy_files)
    )
    return host, from_bytes(PolicyBytes((place / POLICY_FILE).read_bytes(), files), "the policy of the root image")


def policy_digest(content: RootContent) -> str:
    """The digest of all that the policy of a root says."""
    origin = content[1].origin
    return origin.digest if origin else ""


def _modules(state: HostStatus, content: RootContent, now: datetime) -> list[OpenImage]:
    """The proved modules of the generation, open. No image is looked at whose root hash the owner has not signed."""
    folder = DATA / GENERATIONS / str(state.generation)
    data = read_small(folder / GENERATION_FILE, limits.HOST_DOCUMENT_SIZE).data
    generation = decode_generation(data, f"generation {state.generation}")
    signed = read_small(folder / f"{state.root}.p7b", limits.HOST_DOCUMENT_SIZE).data
    enforcement.load(signed, generation.number, [state.root, *(one.root for one in generation.modules)], _owner())
    host, policy = content
    found, refused = prove.accepted_bundles(folder, generation, policy, host.level, now)
    opened, more = prove.open_images(folder, found, _MODULES)
    for one in (*refused, *more):
        _refuse(state, one)
    for image in opened:
        module = image.module
        say("machine", f"accepted {module.name} {module.version}, {module.level}")
        values = {"name": module.name, "version": module.version, "vendor": module.manifest.vendor}
        state.modules.append({**values, "level": str(module.level), "root": image.root})
    return opened


def _refuse(state: HostStatus, one: RefusedModule) -> None:
    say("machine", f"refused {one.bundle}: {one.failure.code}: {one.failure.detail}")
    state.refused.append({"bundle": one.bundle, "code": one.failure.code, "detail": one.failure.detail})


def _services(state: HostStatus, image: OpenImage) -> Sequence[services.Service]:
    found, failures = services.services_of(image.place, image.module.name)
    for failure in failures:
        _refuse(state, RefusedModule(f"a service of {image.module.name}", failure))
    return found


def _measure(state: HostStatus, content: RootContent, opened: Sequence[OpenImage]) -> None:
    """Measure into the TPM, where there is one, before anything of a module runs."""
    if not os.path.exists(tpm_commands.DEVICE):
        say("machine", "there is no TPM: nothing is measured")
        return
    modules = [(one.module.name, one.module.version, one.module.record.manifest, one.root) for one in opened]
    refused = [(one["bundle"], one["code"]) for one in state.refused]
    failed = Running(**state.failed) if state.failed else None
    digest, number = policy_digest(content), state.generation or 0
    state.events = list(attestation.events(content[0], digest, number, modules, refused, failed))
    descriptor = os.open(tpm_commands.DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        for one in state.events:
            tpm_commands.extend(
                tpm_commands.open_device(descriptor), attestation.MEASURED, Measurement(dict(one)).digest
            )
    finally:
        os.close(descriptor)
    say("machine", f"{len(state.events)} events are measured into register {attestation.MEASURED}")


def _memory() -> int:
    """Megabytes in use."""
    values = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text("ascii").splitlines())
    return (int(values["MemTotal"].split()[0]) - int(values["MemAvailable"].split()[0])) >> 10
