"""What was asked for and may take long: one small file for each task, so that it outlives the process that does it.

A task is written before it begins and once more when it has ended. One that has no end when the service starts was
killed; whether it was done then is what the host's own log says.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.errors import InputError, ModsealError, RefusedError
from modseal.files import left_behind
from modseal.files.output import output_file
from modseal.files.small import read_small
from modseal.format.times import time_text
from modseal.host import values
from modseal.serve.roles import Caller

SCHEMA = "modseal/task@1"
RUNNING, DONE, REFUSED, FAILED = "running", "done", "refused", "failed"
"""`refused`: the host was asked, and is as before. `failed`: killed, or not decided, and the host is as before."""

_ARGUMENTS = 64 * limits.KIB
"""Bytes of a task's arguments that a list of tasks repeats; the task itself has all."""

Task = dict[str, Any]
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}\.json")
_MEMBERS = {"id", "operation", "arguments", "by", "state", "started", "ended", "before", "result", "problem"}


class Tasks:
    """The tasks in a folder that nobody else can write to. Raises `InputError` where it cannot be made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InputError.of(folder, error, to_write=True) from error

    def begin(self, operation: str, arguments: Mapping[str, object], by: Caller, at: datetime, before: int) -> Task:
        """A new task; `before` is the number of the host's newest event. Raises `InputError`."""
        task = {
            "schema": SCHEMA,
            "id": f"{time_text(at).replace(':', '').replace('-', '')}-{secrets.token_hex(4)}",
            "operation": operation,
            "arguments": dict(arguments),
            "by": {"key": by.key, "name": by.name},
            "state": RUNNING,
            "started": time_text(at),
            "ended": None,
            "before": before,
            "result": None,
            "problem": None,
        }
        self._write(task)
        for old in self._names()[: -limits.SERVE_TASKS]:
            with suppress(OSError):
                (self._folder / old).unlink()
        return task

    def end(self, task: Task, state: str, at: datetime, result: object = None, problem: object = None) -> Task:
        """Say what became of a task. Raises `InputError`."""
        task = {**task, "state": state, "ended": time_text(at), "result": result, "problem": problem}
        if len(_encoded(task)) > limits.SERVE_TASK:
            failure = InputError(f"task {task['id']}: its result is longer than is kept").because("serve-task").failure
            task |= {"result": None, "problem": values.problem_values(failure)}
        self._write(task)
        return task

    def get(self, name: str) -> Task:
        """Raises `RefusedError` (unknown-item)."""
        if f"{name}.json" not in self._names():
            raise RefusedError("unknown-item", f"there is no task {name!r}", task=name)
        try:
            task = json.loads(
                read_small(self._folder / f"{name}.json", limits.SERVE_TASK, ValueError, follow=False).data
            )
            if not isinstance(task, dict) or task.get("schema") != SCHEMA or not task.keys() >= _MEMBERS:
                raise ValueError("it is no task")  # noqa: TRY301 - one of the ways in which it is damaged
        except (ValueError, RecursionError) as error:
            raise InputError(f"task {name}: {error}").because("serve-task") from None
        return dict(task)

    def newest(self) -> list[Task]:
        """All that are kept, the newest first, without what cannot be read."""
        found = []
        for name in reversed(self._names()):
            with suppress(InputError, RefusedError):
                found.append(self.get(name.removesuffix(".json")))
        return found

    def heads(self) -> list[Task]:
        """The same without what may be many times what one message can have: of their results the verdict alone."""
        found = []
        for one in self.newest():
            short = len(_encoded({"arguments": one["arguments"]})) <= _ARGUMENTS
            head = {"result": None, "arguments": one["arguments"] if short else {}}
            found.append({**one, **head, "verdict": (one["result"] or {}).get("verdict")})
        return found

    def ignored(self) -> list[str]:
        """What is in the folder and is no task that can be read, each with the reason."""
        found = []
        for name in sorted(os.listdir(self._folder)):
            if _NAME.fullmatch(name):
                try:
                    self.get(name.removesuffix(".json"))
                except ModsealError as error:
                    found.append(f"{self._folder / name} is ignored: {error}")
            elif not left_behind.is_ours(name):
                found.append(f"{self._folder / name} is ignored: it has not the name of a task")
        return found

    def _names(self) -> list[str]:
        return sorted(filter(_NAME.fullmatch, os.listdir(self._folder)))

    def _write(self, task: Task) -> None:
        with output_file(self._folder / f"{task['id']}.json") as file:
            file.write(_encoded(task))


def _encoded(task: Task) -> bytes:
    return json.dumps(task, indent=1).encode()
