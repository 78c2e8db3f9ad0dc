"""Services that modules bring: what their files say, and how a process becomes one.

A service has no capability that its file does not name, no way to get one, and never CAP_MAC_ADMIN, which process 1
itself has given up by then; and no system call of `service_filter`. Its output goes to the host's log, line by line.
The root's own service is a fork of process 1 that starts no program (`run`).
"""

from __future__ import annotations

import os
import re
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modseal.boot import service_filter, syscalls
from modseal.boot.documents import OWN_NAMES, OWN_USERS, SERVICE_SHAPE, SERVICE_USER, SERVICES
from modseal.errors import Failure, SpecError
from modseal.format import toml_text
from modseal.host.ways_round import drop_from_bounding_set

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NEVER = {
    "mac_admin": "it could switch the kernel's enforcement off",
    "kill": "it could stop what the host itself runs",
    "sys_nice": "it could take the processor from what the host itself runs",
    "setuid": "it could become root, whose the host's own processes and files are",
    "sys_ptrace": "it could reach the disk and the firmware's variables as process 1 sees them, by /proc",
}
"""Capabilities that no service has, and why."""
_FIRST, _LAST = 500, -1000
"""Of which processes the kernel ends one where memory runs out: of services first, and never of the host's own."""
_IGNORED = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that process 1 ignores: the first for itself, two because Python does. A program would inherit that."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service as its file has it, and the module that brings it."""

    name: str
    module: str
    command: tuple[str, ...]
    user: int
    capabilities: frozenset[int]
    environment: dict[str, str]
    folders: tuple[str, ...]
    restart: bool
    run: Callable[[], int | None] | None = None
    """What it does in the place of a command, with the files of the root alone: how it ends is how the service does."""
    limited: bool = True
    """Whether it has the rights of its user and its capabilities alone, and not all those of process 1."""
    last: int | None = None
    """How it ends when the machine is to restart: then nothing is started again."""


def services_of(place: str, module: str) -> tuple[list[Service], list[Failure]]:
    """The services of a proved module that is mounted at `place`, and what is wrong with those that are none."""
    found: list[Service] = []
    failures: list[Failure] = []
    folder = Path(place, SERVICES)
    for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
        try:
            if path.resolve() != Path(place).resolve() / SERVICES / path.name:
                raise _bad(f"{path.name}: is a link, and must be a file of the module", module)
            found.append(service_of(path.name, path.read_bytes(), module))
        except SpecError as error:
            failures.append(error.failure)
    return found, failures


def service_of(file: str, data: bytes, module: str) -> Service:
    """The service that a file of a module is about, by the file's name and content. Raises `SpecError`."""
    try:
        document = toml_text.parse(data)
    except toml_text.TomlError as error:
        raise _bad(error.describe(file), module) from None
    for problem in document.problems(SERVICE_SHAPE, file) or _problems(document.values, file):
        raise _bad(problem, module)
    return _service(file.removesuffix(".toml"), module, document.values)


def _bad(problem: str, module: str) -> SpecError:
    found = SpecError(problem).because("service-file")
    found.failure = replace(found.failure, evidence={**found.failure.evidence, "module": module})
    return found


def _problems(values: dict[str, Any], file: str) -> list[str]:
    name = file.removesuffix(".toml")
    unknown = [one for one in values.get("capabilities", ()) if one not in syscalls.CAPABILITIES]
    found = [f"{file}: {one!r} is no capability" for one in unknown]
    if not _NAME.fullmatch(name):
        found.append(f"{file}: the name of a service has letters, digits, dots, hyphens and underscores")
    if name.casefold() in OWN_NAMES:
        found.append(f"{file}: the host itself speaks under this name, and no service does")
    if values.get("user") in OWN_USERS:
        found.append(f"{file}: user {values['user']} is one of the host's own, {OWN_USERS[0]} to {OWN_USERS[-1]}")
    found += [
        f"{file}: no service has {one}: {why}" for one, why in _NEVER.items() if one in values.get("capabilities", ())
    ]
    if not values["command"][0].startswith("/"):
        found.append(f"{file}: the command must be an absolute path")
    return found


def _service(name: str, module: str, values: dict[str, Any]) -> Service:
    return Service(
        name,
        module,
        tuple(values["command"]),
        values.get("user", SERVICE_USER),
        frozenset(syscalls.CAPABILITIES[one] for one in values.get("capabilities", ())),
        {"PATH": "/usr/bin", **values.get("environment", {})},
        tuple(values.get("folders", ())),
        values.get("restart", True),
    )


def become(service: Service, output: int, mounts: int | None) -> None:
    """In a child of process 1: give up what the service may not have, and become its program. Never returns."""
    code = 127
    try:
        os.setsid()
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(PermissionError):  # who is not root may not be the last one, and only tests are not
            Path("/proc/self/oom_score_adj").write_text(str(_LAST if service.run else _FIRST), "ascii")
        if service.run:
            if service.limited:
                limit_to(service.user, service.capabilities)
                service_filter.install()
            code = 1
            code = service.run() or 0
        else:
            for number in _IGNORED:
                signal.signal(number, signal.SIG_DFL)
            if mounts is not None:
                syscalls.enter_mounts(mounts)
            for path in service.folders:
                os.makedirs(path, mode=0o755, exist_ok=True)
                os.chown(path, service.user, service.user, follow_symlinks=False)
            limit_to(service.user, service.capabilities)
            service_filter.install()
            os.execve(service.command[0], service.command, service.environment)  # noqa: S606 - no shell, on purpose
    except Exception as error:  # noqa: BLE001 - a bug of ours ends this process, and no frame of process 1 goes on in it
        why = f"cannot start {service.command[0]}" if service.command else type(error).__name__
        os.write(2, f"{why}: {error}\n".encode())
    finally:
        os._exit(code)


def close_all_but(*kept: int) -> None:
    """A fork has open what its parent has: of that, these stay, and the standard three."""
    below = 3
    for number in (*sorted(kept), 1 << 20):
        os.closerange(below, number)
        below = number + 1


def limit_to(user: int, capabilities: frozenset[int]) -> None:
    """Become a user, with these capabilities and no way to any other; so is every program that it starts."""
    syscalls.no_new_privileges()
    for number in range(syscalls.last_capability() + 1):
        if number not in capabilities:
            drop_from_bounding_set(number)
    if user:
        syscalls.keep_on_change_of_user()
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if user:
        syscalls.hand_down_capabilities(capabilities)
    else:
        syscalls.keep_capabilities(sum(1 << number for number in capabilities))
