"""What process 1 does on the opened root, from top to bottom: choose, prove, open, tell the kernel, close, start, stay.

Whatever keeps it from that is said on the console and ends in a restart. There is no way from here to a shell.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from modseal import limits
from modseal.boot import (
    attestation,
    boot_variables,
    enforcement,
    network,
    of_root,
    partitions,
    prove,
    service_view,
    services,
    slots,
    syscalls,
    tpm_commands,
    trial,
    update,
)
from modseal.boot.documents import GENERATION_FILE, GENERATIONS, decode_generation
from modseal.boot.managed import ManagedHost
from modseal.boot.prove import OpenImage, RefusedModule
from modseal.boot.requests import Running
from modseal.boot.status import DATA, HostStatus, say
from modseal.boot.supervisor import Supervisor
from modseal.boot.update import HostDisk, RootContent
from modseal.errors import ModsealError, UndecidedError
from modseal.files.small import read_small
from modseal.format.times import time_text
from modseal.host.measure import Measurement

_MODULES = "/run/modules"
_PAUSE = 10
_LAST_WORDS = 5.0
"""Seconds in which who has pushed an update can read what became of it, before the restart."""


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
    content = of_root.content(Path("/"))
    host = content[0]
    now = of_root.now(host.released)
    state.started = time_text(now)
    disk = _disk(found)
    state.slot = boot_variables.started(disk.partitions)
    state.host = {
        "name": host.name,
        "version": host.version,
        "level": str(host.level),
        "policy": of_root.policy_digest(content),
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
    if name:
        for one in of_root.services(state, content, disk, opened, manage, listen):
            supervisor.add(one)
    supervisor.step()
    state.reached("services")
    say("machine", f"up after {state.seconds['services']:.1f} s, {len(started)} services, {_memory()} MB in use")
    _stay(state, supervisor, disk, watchdog)


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


def _mounts(data: str) -> None:
    syscalls.mount("securityfs", "/sys/kernel/security", "securityfs", syscalls.PLAIN)
    syscalls.mount("efivarfs", boot_variables.FOLDER, "efivarfs", syscalls.PLAIN)
    for place in ("/tmp", "/var"):  # noqa: S108 - the places of the file system hierarchy, empty at every start
        syscalls.mount("tmpfs", place, "tmpfs", syscalls.PLAIN, "mode=1777" if place == "/tmp" else "mode=0755")  # noqa: S108
    syscalls.mount(data, str(DATA), "ext4", syscalls.PLAIN, "errors=remount-ro")


def _modules(state: HostStatus, content: RootContent, now: datetime) -> list[OpenImage]:
    """The proved modules of the generation, open. No image is looked at whose root hash the owner has not signed."""
    folder = DATA / GENERATIONS / str(state.generation)
    data = read_small(folder / GENERATION_FILE, limits.HOST_DOCUMENT_SIZE).data
    generation = decode_generation(data, f"generation {state.generation}")
    signed = read_small(folder / f"{state.root}.p7b", limits.HOST_DOCUMENT_SIZE).data
    enforcement.load(
        signed, generation.number, [state.root, *(one.root for one in generation.modules)], of_root.owner()
    )
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
    digest, number = of_root.policy_digest(content), state.generation or 0
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
