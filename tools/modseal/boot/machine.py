"""What process 1 does on the opened root, from top to bottom: prove, open, tell the kernel, close, start, stay.

Whatever keeps it from that is said on the console and ends in a restart. There is no way from here to a shell.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.boot import attestation, enforcement, management, network, prove, services, syscalls, tpm_commands
from modseal.boot.documents import (
    CURRENT_FILE,
    GENERATION_FILE,
    GENERATIONS,
    HOST_FILE,
    PLACE,
    POLICY_FILE,
    POLICY_FILES,
    HostDocument,
    ImageGeneration,
    decode_generation,
    decode_host,
)
from modseal.boot.prove import OpenImage, RefusedModule
from modseal.errors import ModsealError, UndecidedError
from modseal.files.small import read_small
from modseal.host.measure import Measurement
from modseal.policy.sources import from_bytes
from modseal.trust.policy import Policy, PolicyBytes

DATA = Path("/data")
_MODULES = "/run/modules"
_LOG = DATA / "log.jsonl"
_LOG_SIZE = 4 << 20
"""Bytes of the log on the data partition; what is older is in one file beside it."""
_PLAIN = syscalls.NO_SUID | syscalls.NO_DEV | syscalls.NO_EXEC
_PAUSE = 10


@dataclass
class HostStatus:
    """What this host has found of itself, as the management interface shows it."""

    slot: str
    root: str
    started: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    generation: int | None = None
    modules: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    services: list[dict[str, Any]] = field(default_factory=list)
    events: list[Mapping[str, Any]] = field(default_factory=list)

    def reached(self, what: str) -> None:
        """Note how many seconds after the start of the kernel something was reached."""
        with open("/proc/uptime", encoding="ascii") as file:
            self.seconds[what] = float(file.read().split()[0])

    def write(self) -> None:
        """Give the management interface the state of now."""
        path = Path(management.STATUS)
        path.parent.mkdir(exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(vars(self), indent=2) + "\n")
        new.rename(path)


def main() -> None:
    """Process 1. Never returns."""
    state = HostStatus(sys.argv[1], sys.argv[2])
    try:
        _run(state)
    except (ModsealError, OSError) as error:
        say("machine", f"this machine does not start: {error}")
    except BaseException as error:  # noqa: BLE001 - whatever it is, process 1 must not end in a traceback
        say("machine", f"this machine does not start: {type(error).__name__}: {error}")
    time.sleep(_PAUSE)
    syscalls.end_machine(syscalls.RESTART)


def say(source: str, text: str) -> None:
    """One line on the console and, where it is mounted, in the log of the data partition."""
    shown = "".join(one if one.isprintable() else "?" for one in text)
    sys.stdout.write(f"modseal: {source}: {shown}\n")
    sys.stdout.flush()
    try:
        if os.path.ismount(DATA):
            line = {"time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "source": source, "text": shown}
            descriptor = os.open(_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                if file.tell() > _LOG_SIZE:
                    _LOG.rename(_LOG.with_suffix(".old"))
    except OSError:
        pass  # the console has it; a full disk does not stop the host


def _run(state: HostStatus) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    state.started = f"{now:%Y-%m-%dT%H:%M:%SZ}"
    state.reached("root")
    _mounts()
    host, policy = _host()
    state.host = {"name": host.name, "version": host.version, "level": str(host.level), "policy": _digest(policy)}
    say("machine", f"{host.name} version {host.version} on {state.slot}, root {state.root}")
    opened = _modules(state, host, policy, now)
    _measure(state, host, policy, opened)
    started = [one for image in opened for one in _services(state, image)]
    _lay_over(opened)
    state.reached("modules")
    enforcement.activate()
    name = network.bring_up(host.network)
    for missing in enforcement.close_ways_round():
        say("machine", f"this kernel has no {missing}")
    state.reached("enforced")
    say("machine", f"the kernel runs what is in {len(opened)} modules and the root, and nothing else")
    supervisor = services.Supervisor(started, say)
    state.services = supervisor.states()
    state.write()
    if host.management and name:
        supervisor.watch(management.start(host.management), "management")
    supervisor.step()
    state.reached("services")
    say("machine", f"up after {state.seconds['services']:.1f} s, {len(started)} services, {_memory()} MB in use")
    while True:
        state.services = supervisor.states()
        state.write()
        while not supervisor.step():
            pass


def _mounts() -> None:
    syscalls.mount("securityfs", "/sys/kernel/security", "securityfs", _PLAIN)
    for place in ("/tmp", "/var"):  # noqa: S108 - the places of the file system hierarchy, empty at every start
        syscalls.mount("tmpfs", place, "tmpfs", _PLAIN, "mode=1777" if place == "/tmp" else "mode=0755")  # noqa: S108
    syscalls.mount(_partition("data"), str(DATA), "ext4", _PLAIN, "errors=remount-ro")


def _partition(name: str) -> str:
    for one in os.listdir("/sys/class/block"):
        if f"PARTNAME={name}\n" in Path("/sys/class/block", one, "uevent").read_text("utf-8"):
            return f"/dev/{one}"
    raise UndecidedError("host-invalid", f"no partition is called {name}")


def _host() -> tuple[HostDocument, Policy]:
    """What the root image says of the host, and its policy: part of the image that the root hash stands for."""
    place = Path("/", PLACE)
    host = decode_host((place / HOST_FILE).read_bytes(), HOST_FILE)
    files = tuple(
        (name, (place / POLICY_FILES / str(number)).read_bytes()) for number, name in enumerate(host.policy_files)
    )
    return host, from_bytes(PolicyBytes((place / POLICY_FILE).read_bytes(), files), "the policy of the root image")


def _digest(policy: Policy) -> str:
    return policy.origin.digest if policy.origin else ""


def _modules(state: HostStatus, host: HostDocument, policy: Policy, now: datetime) -> list[OpenImage]:
    """The proved modules of the generation, open. No image is looked at whose root hash the owner has not signed."""
    folder, generation = _generation()
    state.generation = generation.number
    signed = read_small(folder / f"{state.root}.p7b", limits.HOST_DOCUMENT_SIZE).data
    enforcement.load(signed, [state.root, *(one.root for one in generation.modules)])
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


def _generation() -> tuple[Path, ImageGeneration]:
    current = read_small(DATA / CURRENT_FILE, limits.NAME_LENGTH).data.decode("ascii", "replace").strip()
    if not current.isdigit():
        raise UndecidedError("host-invalid", f"{CURRENT_FILE} of the data partition has no number")
    folder = DATA / GENERATIONS / current
    data = read_small(folder / GENERATION_FILE, limits.HOST_DOCUMENT_SIZE).data
    return folder, decode_generation(data, f"generation {current}")


def _refuse(state: HostStatus, one: RefusedModule) -> None:
    say("machine", f"refused {one.bundle}: {one.failure.code}: {one.failure.detail}")
    state.refused.append({"bundle": one.bundle, "code": one.failure.code, "detail": one.failure.detail})


def _services(state: HostStatus, image: OpenImage) -> Sequence[services.Service]:
    found, failures = services.services_of(image.place, image.module.name)
    for failure in failures:
        _refuse(state, RefusedModule(f"a service of {image.module.name}", failure))
    return found


def _lay_over(opened: Sequence[OpenImage]) -> None:
    """Show the modules' files in /usr and /opt, read-only."""
    for name in ("usr", "opt"):
        lower = [f"{one.place}/{name}" for one in opened if os.path.isdir(f"{one.place}/{name}")]
        if lower:
            options = "lowerdir=" + ":".join([*lower, f"/{name}"])
            syscalls.mount(
                "modules", f"/{name}", "overlay", syscalls.READ_ONLY | syscalls.NO_SUID | syscalls.NO_DEV, options
            )


def _measure(state: HostStatus, host: HostDocument, policy: Policy, opened: Sequence[OpenImage]) -> None:
    """Measure into the TPM, where there is one, before anything of a module runs."""
    if not os.path.exists(tpm_commands.DEVICE):
        say("machine", "there is no TPM: nothing is measured")
        return
    modules = [(one.module.name, one.module.version, one.module.record.manifest, one.root) for one in opened]
    refused = [(one["bundle"], one["code"]) for one in state.refused]
    state.events = list(attestation.events(host, _digest(policy), state.generation or 0, modules, refused))
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
