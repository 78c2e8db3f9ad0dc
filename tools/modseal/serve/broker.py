"""The process with the rights: takes operations from the one that speaks to clients, and decides each anew.

It has no socket that anybody else could open: the other process, its child, hands it one end of a new pair for each
request. It takes the client's certificate, the name of an operation and its arguments, and proves who that is by the
CAs and CRLs that it has itself. So a child that was taken over can ask in the name of clients that are connected, for
what those may do, and for nothing else.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import stat
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.errors import InputError, InternalError, ModsealError, RefusedError, UsageError
from modseal.format.times import time_text
from modseal.host import event_log, values
from modseal.host.actor import Actor
from modseal.host.logged import logged_result
from modseal.host.look import proved_log
from modseal.host.progress import WatchedProgress
from modseal.host.store import open_store
from modseal.serve import frames
from modseal.serve.operations import OPERATIONS, Answer, Asked, Operation, require_arguments
from modseal.serve.roles import Caller, caller
from modseal.serve.room import InFlight, require_room
from modseal.serve.routes import require_role
from modseal.serve.spec import Clients
from modseal.serve.tasks import DONE, FAILED, REFUSED, RUNNING, Task, Tasks
from modseal.trust.examination import Verdict

_TASKS_WAITING = 16
"""Tasks at one time: one changes the host, the others wait. Each may have a bundle on the disk."""

PLACE = "var/lib/modseal-serve"
"""Below the root: the tasks, and the copies of what is being installed."""

_PEER = struct.Struct("3i")
_STATES = {Verdict.ACCEPTED: DONE, Verdict.REJECTED: REFUSED, Verdict.UNDECIDED: FAILED}


class Broker:
    """Carries out what clients ask for on the host below a root. `upload` is the most bytes of a bundle."""

    def __init__(
        self,
        root: Path,
        clients: Clients,
        upload: int,
        now: Callable[[], datetime],
        operations: Mapping[str, Operation] = OPERATIONS,
        *,
        tells: bool = False,
    ) -> None:
        """With `tells`, the other process may read the log in nobody's name: the owner wants it sent."""
        self._root, self._clients, self._upload, self._now = root, clients, upload, now
        self._operations, self._tells = operations, tells
        self.place = root / PLACE
        self._tasks = Tasks(self.place / "tasks")
        self._uploads = self.place / "uploads"
        self._changes = threading.Lock()
        self._asking = threading.BoundedSemaphore(frames.ASKING)
        self._waiting = threading.BoundedSemaphore(_TASKS_WAITING)
        self._in_flight = InFlight(upload)
        self._unwritten: dict[str, Task] = {}
        self._watched: dict[str, WatchedProgress] = {}
        self._threads: list[threading.Thread] = []

    def recover(self) -> list[str]:
        """Say of each task without an end what became of it; remove copies that nobody needs.

        Gives what is among the tasks and is none, each with the reason. Raises `InputError`.
        """
        try:
            if self._uploads.is_symlink() or self._uploads.is_file():
                self._uploads.unlink()
            shutil.rmtree(self._uploads, ignore_errors=True)
            self._uploads.mkdir(mode=0o700)
        except OSError as error:
            raise InputError.of(self._uploads, error, to_write=True) from error
        for task in self._tasks.newest():
            if task["state"] == RUNNING:
                self._end_of_killed(task)
        return self._tasks.ignored()

    def _end_of_killed(self, task: Task) -> None:
        """Say of a task that was killed whether it was done, by the host's log; or why that cannot be said."""
        try:
            if result := self._result_of(task):
                self._tasks.end(task, DONE, self._now(), result)
                return
            detail = "the service was ended before this was done; the host is as it was before"
            failure = InputError(detail).because("serve-task").failure
        except ModsealError as error:  # a log that is broken keeps nobody from managing the host
            failure = error.failure
        self._tasks.end(task, FAILED, self._now(), problem=values.problem_values(failure))

    def _result_of(self, task: Task) -> dict[str, Any] | None:
        """What a task has changed, by the line of the log that names it; None where there is none."""
        with open_store(self._root) as store:
            events = list(event_log.events(store))
            done = next((one for one in events if one.by.get("task") == task["id"]), None)
            return logged_result(store, events, done, self._now()) if done else None

    def serve(self, control: socket.socket, process: int, user: int) -> None:
        """Answer until the other process is gone or closes its end, then finish what is under way."""
        while True:
            try:
                _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            except OSError:
                break
            if not descriptors:
                break
            try:
                connection = socket.socket(fileno=descriptors[0])
            except OSError:  # a descriptor of something else ends nobody's service
                os.close(descriptors[0])
                continue
            try:
                found = _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
            except OSError:  # nor does a socket of another kind
                found = ()
            if found[:2] != (process, user):
                connection.close()
                continue
            self._asking.acquire()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()
        for thread in self._threads:
            thread.join()

    def _answer(self, connection: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            with connection:
                try:
                    asked, descriptors = frames.receive(
                        connection,
                        limits.SERVE_FRAME_TIME,
                        most=limits.SERVE_QUESTION,
                        descriptors=limits.SERVE_BUNDLES,
                    )
                    reply = self._reply(asked, descriptors)
                except frames.MessageError as error:
                    reply = _failed(UsageError(f"a broken request: {error}"))
                except ModsealError as error:
                    reply = _failed(error)
                except Exception as error:  # noqa: BLE001 - a bug ends one request and no other
                    reply = _failed(InternalError(f"{type(error).__name__}: {error}"))
                connection.settimeout(limits.SERVE_FRAME_TIME)  # for all of the reply
                with suppress(OSError, ModsealError):
                    frames.send(connection, reply)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
            self._asking.release()

    def _reply(self, asked: Mapping[str, Any], descriptors: list[int]) -> dict[str, Any]:
        match asked:
            case {"lines_after": int() | None as after} if self._tells and len(asked) == 1:
                return self._lines(after)
            case {"certificate": str(text), "operation": str(name), "arguments": dict(arguments)}:
                pass
            case _:
                raise UsageError("a broken request: it has not the members of one")
        try:
            certificate = base64.b64decode(text, validate=True)
        except ValueError as error:  # binascii.Error is one
            raise UsageError(f"a broken request: certificate: {error}") from None
        who = caller(certificate, self._clients.current(), self._now())
        require_role(name, who.role, who.name)
        answer = self._carry_out(name, arguments, who, descriptors)
        return {
            "caller": {"name": who.name, "key": who.key, "role": str(who.role)},
            "verdict": str(answer.verdict),
            "document": answer.document,
        }

    def _lines(self, after: int | None) -> dict[str, Any]:
        """Lines after a number, or none, and where the log ends by now."""
        with open_store(self._root) as store:
            newest = store.state.event.number
            start = newest if after is None else after
            found = [one for one in event_log.events(store) if one.number > start] if start < newest else []
            document = values.log_values(proved_log(found[: limits.SERVE_LINES_AT_ONCE], None))
            return {"host": store.state.host, "newest": newest, "events": document["events"]}

    def _carry_out(self, name: str, arguments: Mapping[str, Any], who: Caller, descriptors: list[int]) -> Answer:
        if name == "tasks":
            return Answer(Verdict.ACCEPTED, {"tasks": [self._shown(one) for one in self._tasks.heads()]})
        if name == "task":
            wanted = str(arguments.get("id"))
            return Answer(Verdict.ACCEPTED, self._shown(self._unwritten.get(wanted) or self._tasks.get(wanted)))
        operation = self._operations[name]
        require_arguments(operation, arguments)
        if operation.bundles != bool(descriptors):
            raise UsageError("a bundle is needed here, and nowhere else")
        asked = Asked(self._root, arguments, self._now(), Actor(who.key, who.name))
        if operation.task:
            return Answer(Verdict.ACCEPTED, self._begin(name, operation, asked, who, descriptors))
        if not operation.changes:
            return operation.act(asked)
        with self._changes:
            return operation.act(asked)

    def _shown(self, task: Task) -> Task:
        """A task, and while it is done the step that it is at; none before it has begun, and none when it has ended."""
        watched = self._watched.get(task["id"])
        step = watched.step() if watched and task["state"] == RUNNING else None
        return {**task, "progress": {**step._asdict(), "percent": step.percent} if step else None}

    def _begin(self, name: str, operation: Operation, asked: Asked, who: Caller, descriptors: list[int]) -> Task:
        if not self._waiting.acquire(blocking=False):
            raise InputError("as many tasks wait as may").because("serve-busy")
        held = ExitStack()
        held.callback(self._waiting.release)
        with held:
            held.enter_context(self._in_flight.held(self._measured(descriptors)))
            with open_store(self._root) as store:
                before = store.state.event.number
            task = self._tasks.begin(name, asked.arguments, who, asked.at, before)
            folder = self._uploads / task["id"]
            names = asked.arguments.get("Files", [])
            bundles = frames.places(folder, names, len(descriptors))
            try:
                for descriptor, bundle in zip(descriptors, bundles, strict=True):
                    self.copy(descriptor, bundle)
            except ModsealError as error:
                shutil.rmtree(folder, ignore_errors=True)  # first: the disk may be full of it
                self._end(task, FAILED, None, values.problem_values(error.failure))
                raise
            self._watched[task["id"]] = progress = WatchedProgress()
            actor = replace(asked.actor, task=task["id"])
            asked = replace(asked, actor=actor, bundles=bundles, progress=progress)
            thread = threading.Thread(target=self._work, args=(task, operation, asked, folder, held.pop_all()))
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()
        return task

    def _measured(self, descriptors: list[int]) -> int:
        """The bytes of what was pushed. Raises `RefusedError` where it is too much, or is no file."""
        found = [os.fstat(one) for one in descriptors]
        size = sum(one.st_size for one in found)
        if size > self._upload or not all(stat.S_ISREG(one.st_mode) for one in found):
            raise RefusedError("upload-too-large", f"a push has {self._upload} bytes at most here", most=self._upload)
        return size

    def _work(self, task: Task, operation: Operation, asked: Asked, folder: Path, held: ExitStack) -> None:
        with held:
            state, result, problem = self._outcome(operation, asked)
            shutil.rmtree(folder, ignore_errors=True)  # first: the disk may be full of it
            self._end(task, state, result, problem)
            del self._watched[task["id"]]

    def _outcome(self, operation: Operation, asked: Asked) -> tuple[str, object, object]:
        """What became of a task: its state, its result, and the problem where there is none."""
        try:
            with self._changes if operation.changes else nullcontext():
                asked.progress.begin("getting ready")
                answer = operation.act(asked)
        except ModsealError as error:
            state = FAILED if error.exit_code == InputError.exit_code else REFUSED
            return state, None, values.problem_values(error.failure)
        except Exception as error:  # noqa: BLE001 - the task must have an end
            failure = InternalError(f"{type(error).__name__}: {error}").failure
            return FAILED, None, values.problem_values(failure)
        return _STATES[answer.verdict], answer.document, None

    def _end(self, task: Task, state: str, result: object, problem: object) -> None:
        """Say what became of a task: where the disk is full, as long as the service runs; then the log knows it."""
        at = self._now()
        try:
            self._tasks.end(task, state, at, result, problem)
        except ModsealError:
            ended = {"state": state, "ended": time_text(at), "result": result, "problem": problem}
            self._unwritten[task["id"]] = {**task, **ended}
            for old in [*self._unwritten][: -limits.SERVE_TASKS]:
                self._unwritten.pop(old, None)

    def copy(self, descriptor: int, bundle: Path) -> None:
        """What was pushed, where the other process cannot change it any more. Raises `RefusedError`, `InputError`."""
        size = self._measured([descriptor])
        try:
            bundle.parent.mkdir(mode=0o700, parents=True)
            with bundle.open("xb") as file:
                require_room(file.fileno(), size, "the pushed bundle")
                at, left = 0, size
                while left and (count := os.sendfile(file.fileno(), descriptor, at, left)):
                    at, left = at + count, left - count
        except OSError as error:
            raise InputError.of("the pushed bundle", error, to_write=True) from error


def _failed(error: ModsealError) -> dict[str, Any]:
    return {"failure": values.problem_values(error.failure), "exit": error.exit_code}
