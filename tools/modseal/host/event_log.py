"""The event log: who changed what on a host, and when; one JSON line each, chained by SHA-256.

The newest event is part of the state (`documents.HostState`), so an event and what it tells of become true by the same
rename. Its line is written after that. A run that is killed in between leaves the log one line short, and the next
change adds it. `audit` holds the whole chain against the state.
"""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from modseal import limits
from modseal.errors import RefusedError, UndecidedError
from modseal.files import folder, left_behind
from modseal.format.times import time_text
from modseal.host import documents
from modseal.host.actor import Actor
from modseal.host.documents import Event, sha256_of
from modseal.host.store import LOG, Store, StoreFolder, open_regular

_WRITING = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would wait

_NOBODY_LOGGED_IN = "4294967295"
"""What `loginuid` says of processes that no login began (proc_pid_loginuid(5))."""


def who(actor: Actor) -> dict[str, str]:
    """Who makes this change: the effective user, and who logged in to become that user, as the system knows them.

    Of somebody elsewhere, whose key is proved, the key too: then the user is the one whose process did it for them.
    """
    found = {"uid": str(os.geteuid())}
    if actor.key is not None:
        found |= {"key": actor.key, "name": bounded(actor.name)}
    if actor.task is not None:
        found["task"] = actor.task
    with suppress(KeyError):
        found["user"] = pwd.getpwuid(os.geteuid()).pw_name
    with suppress(OSError):
        login = Path("/proc/self/loginuid").read_text("ascii").strip()
        if login != _NOBODY_LOGGED_IN:
            found["login_uid"] = login
    return found


def bounded(text: str) -> str:
    """A text that may be anybody's, as the log takes it: all of it but what is very long, or no character."""
    return text[: limits.TEXT_LENGTH].encode("utf-8", "replace").decode("utf-8")


def following(event: Event | None, at: datetime, name: str, facts: Mapping[str, str], actor: Actor) -> Event:
    """The event after another one, at an aware time."""
    number = event.number + 1 if event else 0
    previous = sha256_of(documents.encode_event(event)) if event else None
    return Event(number, time_text(at), who(actor), name, dict(facts), previous)


def append(store: int, event: Event, after: int | None = None) -> None:
    """Write the line of an event, after so many bytes of the log (None: after all). Raises `OSError`.

    What has another name as well may be any file of the system: a copy takes its place, and is written to.
    """
    status = folder.status_of(LOG, store)
    if status and status.st_nlink > 1:
        _copy(store)
    with os.fdopen(open_regular(LOG, store, sys.maxsize, _WRITING | os.O_APPEND | os.O_CREAT), "ab") as file:
        if after is not None:
            os.ftruncate(file.fileno(), after)
        os.fchmod(file.fileno(), 0o600)  # whatever the umask was
        file.write(documents.encode_event(event))
        file.flush()
        os.fsync(file.fileno())


def _copy(store: int) -> None:
    name = left_behind.new_name()
    with (
        os.fdopen(open_regular(LOG, store, limits.HOST_LOG_SIZE), "rb") as old,
        os.fdopen(open_regular(name, store, 0, _WRITING | os.O_CREAT | os.O_EXCL), "wb") as new,
    ):
        os.fchmod(new.fileno(), 0o600)
        shutil.copyfileobj(old, new)
    os.rename(name, LOG, src_dir_fd=store, dst_dir_fd=store)


def complete(store: Store) -> None:
    """Add the line that a killed run did not write, or wrote a part of.

    A log that is broken, or cannot be read or written, stays so, and whoever asks is told. It keeps nobody from
    changing the host: removing what an intruder has installed is a change, too.
    """
    newest = documents.encode_event(store.state.event)
    with suppress(OSError, UndecidedError):
        data = store.read(LOG, limits.HOST_LOG_SIZE) if folder.status_of(LOG, store.descriptor) else b""
        begun = data[data.rfind(b"\n") + 1 :]
        if not data.endswith(newest):
            append(store.descriptor, store.state.event, len(data) - len(begun) if newest.startswith(begun) else None)


def chain(store: StoreFolder) -> Iterator[Event]:
    """Every event of the log, the oldest first, each held against the one before, but not the last against the state.

    Raises `RefusedError` (log-broken) at the first line that does not fit, after those that do.
    """
    for event, _ in _chained(store.read(LOG, limits.HOST_LOG_SIZE).splitlines(keepends=True)):
        yield event


def _chained(lines: Iterable[bytes]) -> Iterator[tuple[Event, bytes]]:
    last: bytes | None = None
    for number, line in enumerate(lines):
        event = event_of(line, number)
        if event.number != number or event.previous != (last and sha256_of(last)):
            raise _broken(number, "it does not follow the line before")
        yield event, line
        last = line


def events(store: Store) -> Iterator[Event]:
    """Every event, the oldest first, each held against the one before and the last against the state.

    Raises `RefusedError` (log-broken) at the first line that does not fit, after those that do.
    """
    newest = store.state.event
    newest_line = documents.encode_event(newest)
    lines = store.read(LOG, limits.HOST_LOG_SIZE).splitlines(keepends=True)
    if len(lines) == newest.number + 1 and not lines[-1].endswith(b"\n") and newest_line.startswith(lines[-1]):
        del lines[-1]  # a run was killed while it wrote this line
    last: bytes | None = None
    for event, line in _chained(lines):
        yield event
        last = line
    number = len(lines)
    if number == newest.number and newest.previous == (last and sha256_of(last)):
        yield newest
    elif last != newest_line:
        raise _broken(number, f"it ends there, and the newest event of this host is number {newest.number}")
    if newest.facts.get("state") != documents.digest_of(store.state):
        raise _broken(newest.number, "the state of this host is not the one that its newest event tells of")


def event_of(line: bytes, number: int) -> Event:
    """The event of a line, the first of which has the number 0. Raises `RefusedError` (log-broken)."""
    try:
        return documents.decode_event(line, f"line {number + 1}")
    except UndecidedError as error:
        raise _broken(number, error.failure.detail) from None


def _broken(number: int, why: str) -> RefusedError:
    return RefusedError("log-broken", f"the event log is broken at line {number + 1}: {why}", line=number + 1)
