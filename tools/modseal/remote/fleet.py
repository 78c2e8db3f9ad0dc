"""One question for many hosts at once. Each answers for itself, and one that is silent keeps no other waiting."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from modseal import limits
from modseal.errors import Failure, InputError, ModsealError, UndecidedError
from modseal.remote import answers
from modseal.remote.connection import Connection, Reply
from modseal.remote.inventory import RemoteHost
from modseal.remote.questions import Question

_BLOCK = 256 * limits.KIB


@dataclass(frozen=True, slots=True)
class HostOutcome:
    """What became of a question at one host: its own document, or why there is none. `verdict`: `answers.VERDICTS`."""

    target: RemoteHost
    verdict: str
    document: dict[str, Any] | None
    problem: Failure | None


def ask_all(
    targets: Sequence[RemoteHost], question: Question, seconds: float, say: Callable[[RemoteHost, str], None]
) -> list[HostOutcome]:
    """The outcomes in the order of the hosts. `say` hears at most once in a while how far a host is, from any thread.

    What is wrong on this side is raised before any host is asked: `KeyMaterialError`, `InputError`.
    """
    connections = [Connection(one) for one in targets]
    for bundle in question.bundles:
        _open(bundle).close()
    pool = ThreadPoolExecutor(min(len(targets), limits.REMOTE_AT_ONCE))
    try:
        return list(pool.map(lambda one: _outcome(one, question, seconds, say), connections))
    finally:  # who interrupts does not wait for those that are still asked
        pool.shutdown(wait=False, cancel_futures=True)


def _outcome(
    connection: Connection, question: Question, seconds: float, say: Callable[[RemoteHost, str], None]
) -> HostOutcome:
    target = connection.target
    try:
        found = _ask(connection, question, seconds, say)
    except ModsealError as error:
        failure = error.failure
        if question.changes and error.exit_code == UndecidedError.exit_code:
            detail = f"{failure.detail}; whether anything was changed is not known"
            failure = Failure(failure.code, detail, failure.evidence)
        return HostOutcome(target, answers.REJECTED if error.exit_code == 1 else answers.UNDECIDED, None, failure)
    return HostOutcome(target, answers.verdict(found), found, None)


def _ask(
    connection: Connection, question: Question, seconds: float, say: Callable[[RemoteHost, str], None]
) -> dict[str, Any]:
    """The host's document, waited for where it takes its time. Raises `ModsealError`."""
    target, end = connection.target, time.monotonic() + seconds
    if question.bundles:
        path = answers.push_path(target, connection.ask("GET", question.path))
        reply = _send(connection, path, question)
    elif question.body is None:
        reply = connection.ask(question.method, question.path)
    else:
        reply = connection.ask(
            question.method, question.path, json.dumps(question.body).encode(), {"Content-Type": "application/json"}
        )
    task, pause = answers.path_of_task(target, reply), limits.REMOTE_PAUSE / 1000
    while task:
        reply = connection.ask("GET", task)
        if reply.status >= 300 or answers.has_ended(target, reply):
            break
        if time.monotonic() + pause > end:
            detail = f"{target.shown}: it is still at work after {seconds:g} seconds ({task})"
            raise UndecidedError("host-unreachable", detail, host=target.host, task=task).because("remote-at-work")
        say(target, "at work")
        time.sleep(pause)
        pause = min(2 * pause, limits.REMOTE_LONGEST_PAUSE / 1000)
    return answers.document(target, question, reply)


def _send(connection: Connection, path: str, question: Question) -> Reply:
    """The bundles, as multipart/form-data (RFC 7578, and DSP0266 section 13.7.1): read as they are sent."""
    mark = secrets.token_hex(16)
    with ExitStack() as stack:
        files = [stack.enter_context(_open(bundle)) for bundle in question.bundles]
        sizes = [os.fstat(file.fileno()).st_size for file in files]
        names = [quote(bundle.name, safe="") for bundle in question.bundles]
        heads = [
            _head(mark, 'name="UpdateParameters"', "application/json").lstrip() + json.dumps(question.body).encode(),
            *(_head(mark, f'name="UpdateFile"; filename="{name}"', "application/octet-stream") for name in names),
        ]
        tail = f"\r\n--{mark}--\r\n".encode()
        size = sum(map(len, heads)) + sum(sizes) + len(tail)
        headers = {"Content-Type": f"multipart/form-data; boundary={mark}", "Content-Length": str(size)}
        seconds = limits.REMOTE_REPLY_TIME + size / limits.REMOTE_SLOWEST
        body = _body(heads, files, sizes, tail, question.bundles)
        return connection.ask("POST", path, body, headers, seconds=seconds)


def _head(mark: str, names: str, kind: str) -> bytes:
    """What stands before a part."""
    return f"\r\n--{mark}\r\nContent-Disposition: form-data; {names}\r\nContent-Type: {kind}\r\n\r\n".encode()


def _body(
    heads: list[bytes], files: list[BinaryIO], sizes: list[int], tail: bytes, names: Sequence[Path]
) -> Iterator[bytes]:
    yield heads[0]
    for head, file, size, name in zip(heads[1:], files, sizes, names, strict=True):
        yield head
        sent = 0
        while sent < size:
            block = file.read(min(size - sent, _BLOCK))
            if not block:
                raise InputError(f"{name} became shorter while it was sent").because("changed-meanwhile")
            sent += len(block)
            yield block
    yield tail


def _open(path: Path) -> BinaryIO:
    """A bundle to send. Raises `InputError`."""
    try:
        file = path.open("rb")
        if path.is_file():
            return file
        file.close()
    except OSError as error:
        raise InputError.of(path, error) from None
    raise InputError(f"{path}: not a regular file").because("not-a-file")
