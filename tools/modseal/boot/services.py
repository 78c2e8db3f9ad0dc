"""Starts the services that modules bring, and starts again what ends: process 1 is their parent.

A service has no capability that its file does not name, no way to get one, and never CAP_MAC_ADMIN, which process 1
itself has given up by then. Its output goes to the host's log, line by line. The root's own service is a fork of
process 1 that starts no program (`run`).
"""

from __future__ import annotations

import os
import resource
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.boot import syscalls
from modseal.boot.documents import SERVICE_SHAPE, SERVICES
from modseal.errors import Failure
from modseal.format import toml_text
from modseal.host.ways_round import drop_from_bounding_set

_NOBODY = 65534
_PAUSES = (1, 2, 5, 10, 30, 60)
"""Seconds until a service is started again; the last one from then on."""
_STEADY = 60
"""A service that ran for so many seconds starts again as if it had never ended."""
_POLL = 1.0


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
    run: Callable[[], None] | None = None
    """What it does in the place of a command, with the files of the root alone. Its end is the service's."""


@dataclass(slots=True)
class _Running:
    service: Service
    process: int = 0
    output: int = -1
    started: float = 0.0
    again: float | None = 0.0
    """When it is to be started; None while it runs, and for good where it is not started again."""
    ends: int = 0
    code: int = 0
    """How it ended last: 0 is well."""
    rest: bytes = field(default=b"", repr=False)


def services_of(place: str, module: str) -> tuple[list[Service], list[Failure]]:
    """The services of a proved module that is mounted at `place`, and what is wrong with those that are none."""
    found: list[Service] = []
    failures: list[Failure] = []
    folder = Path(place, SERVICES)
    for path in sorted(folder.glob("*.toml")) if folder.is_dir() else ():
        problems: Sequence[str]
        try:
            document = toml_text.parse(path.read_bytes())
            problems = document.problems(SERVICE_SHAPE, path.name) or _problems(document.values, path.name)
            if not problems:
                found.append(_service(path.stem, module, document.values))
        except toml_text.TomlError as error:
            problems = [error.describe(path.name)]
        failures += [Failure("bad-spec", one, {"module": module}) for one in problems[:1]]
    return found, failures


def _problems(values: dict[str, Any], name: str) -> list[str]:
    unknown = [one for one in values.get("capabilities", ()) if one not in syscalls.CAPABILITIES]
    found = [f"{name}: {one!r} is no capability" for one in unknown]
    if "mac_admin" in values.get("capabilities", ()):
        found.append(f"{name}: no service has mac_admin: it could switch the kernel's enforcement off")
    if not values["command"][0].startswith("/"):
        found.append(f"{name}: the command must be an absolute path")
    return found


def _service(name: str, module: str, values: dict[str, Any]) -> Service:
    return Service(
        name,
        module,
        tuple(values["command"]),
        values.get("user", _NOBODY),
        frozenset(syscalls.CAPABILITIES[one] for one in values.get("capabilities", ())),
        {"PATH": "/usr/bin", **values.get("environment", {})},
        tuple(values.get("folders", ())),
        values.get("restart", True),
    )


class Supervisor:
    """Runs services until the machine ends. `tell` takes a service's name and a line of its output, or of ours.

    `mounts` is what commands see mounted (`syscalls.mounts`); without it they see what this process sees.
    """

    def __init__(
        self, services: Sequence[Service], tell: Callable[[str, str], None], mounts: int | None = None
    ) -> None:
        self._tell, self._mounts = tell, mounts
        self._running = [_Running(one) for one in services]
        self._outputs = selectors.DefaultSelector()
        self._others: dict[int, str] = {}
        self.ended: dict[str, int] = {}
        """How other children have ended, by name."""
        self._stopping = False

    def add(self, service: Service) -> None:
        """One more service, which the next step starts."""
        self._running.append(_Running(service))

    def watch(self, process: int, name: str) -> None:
        """Say when another child ends, too."""
        self._others[process] = name

    def states(self) -> list[dict[str, Any]]:
        """Each service: its name, its module, whether it runs, how often it has ended."""
        return [
            {"name": one.service.name, "module": one.service.module, "running": bool(one.process), "ends": one.ends}
            for one in self._running
        ]

    def troubled(self) -> list[str]:
        """The services that have ended and should run, and those that ended badly."""
        return [one.service.name for one in self._running if one.ends and (one.service.restart or one.code)]

    def stop(self) -> None:
        """Ask every service to end, and wait a little for those that do. None is started again."""
        self._stopping = True
        for one in self._running:
            one.again = None
            if one.process:
                os.kill(one.process, signal.SIGTERM)
        end = time.monotonic() + limits.SERVICE_STOP
        while any(one.process for one in self._running) and time.monotonic() < end:
            self.step()

    def step(self) -> bool:
        """Start what is due, read what was said, take note of what has ended. Gives whether a state has changed."""
        changed = False
        now = time.monotonic()
        for one in self._running:
            if one.again is not None and one.again <= now:
                self._start(one, now)
                changed = True
        for key, _ in self._outputs.select(_POLL):
            self._read(key.data)
        return self._reap() or changed

    def _start(self, one: _Running, now: float) -> None:
        read, write = os.pipe2(os.O_CLOEXEC)
        process = os.fork()
        if not process:
            _become(one.service, write, self._mounts)
        os.close(write)
        one.process, one.output, one.started, one.again = process, read, now, None
        os.set_blocking(read, False)
        self._outputs.register(read, selectors.EVENT_READ, one)
        self._tell(one.service.name, f"started as process {process}")

    def _read(self, one: _Running) -> None:
        try:
            data = os.read(one.output, limits.SERVICE_LINE)
        except BlockingIOError:
            return
        if not data:
            self._outputs.unregister(one.output)
            os.close(one.output)
            one.output = -1
            return
        *lines, one.rest = (one.rest + data).split(b"\n")
        if len(one.rest) >= limits.SERVICE_LINE:
            lines, one.rest = [*lines, one.rest], b""
        for line in lines:
            self._tell(one.service.name, line.decode(errors="replace"))

    def _reap(self) -> bool:
        changed = False
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return changed
            if not process:
                return changed
            changed = True
            code = os.waitstatus_to_exitcode(status)
            if process in self._others:
                name = self._others.pop(process)
                self.ended[name] = code
                self._tell(name, f"ended ({code})")
            for one in self._running:
                if one.process == process:
                    self._ended(one, code)

    def _ended(self, one: _Running, code: int) -> None:
        if one.output >= 0:
            self._read(one)
        now = time.monotonic()
        one.process, one.code = 0, code
        one.ends = 1 if now - one.started > _STEADY else one.ends + 1
        pause = _PAUSES[min(one.ends, len(_PAUSES)) - 1]
        again = one.service.restart and not self._stopping
        one.again = now + pause if again else None
        then = f"again in {pause} s" if again else "not started again"
        self._tell(one.service.name, f"ended ({code}), {then}")


def _become(service: Service, output: int, mounts: int | None) -> None:
    """In the child: give up what the service may not have, and become its program. Never returns."""
    code = 127
    try:
        os.setsid()
        nothing = os.open("/dev/null", os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for path in service.folders:
            os.makedirs(path, mode=0o755, exist_ok=True)
            os.chown(path, service.user, service.user, follow_symlinks=False)
        if service.run:
            limit_to(service.user, service.capabilities)
            code = 1
            service.run()
            code = 0
        else:
            if mounts is not None:
                syscalls.enter_mounts(mounts)
            limit_to(service.user, service.capabilities)
            os.execve(service.command[0], service.command, service.environment)  # noqa: S606 - no shell, on purpose
    except OSError as error:
        os.write(2, f"cannot start {service.command[0] if service.command else service.name}: {error}\n".encode())
    except Exception as error:  # noqa: BLE001 - a bug of ours ends this process, and no frame of process 1 goes on in it
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def limit_to(user: int, capabilities: frozenset[int]) -> None:
    """Become a user, with these capabilities and no way to any other. Only root keeps any."""
    syscalls.no_new_privileges()
    for number in range(syscalls.last_capability() + 1):
        if number not in capabilities:
            drop_from_bounding_set(number)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if not user:
        syscalls.keep_capabilities(sum(1 << number for number in capabilities))
