"""What the active generation lets run, proved again by a thread of its own whenever the host has another state."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from modseal import limits
from modseal.errors import Failure, ModsealError
from modseal.format.manifest import Entry, FileType
from modseal.host import plan as planning
from modseal.host.admission import HEAD_SIZE, Admission, interpreter, named_by_env
from modseal.host.guard_log import GuardLog
from modseal.host.installed import prove
from modseal.host.store import CURRENT, Store, object_name, open_place, open_store
from modseal.trust.powers import Power, uses

_PROGRAMS = ("/bin", "/usr/bin", "/usr/local/bin", "/lib", "/lib64")
"""Where this system's own interpreters and loaders are."""
_EXECUTABLE = 0o111


class Loaded(NamedTuple):
    """What a state of the store lets run. It was the host's state at some time after `began_at` (monotonic seconds)."""

    state: str
    generation: int
    admission: Admission
    began_at: float


class ActiveGeneration:
    """The generation that is active below a root.

    `loaded` is None while another one is proved: nothing may be judged by an old one. Only `follow` changes it, which
    the caller guards with a lock of its own.
    """

    def __init__(
        self,
        root: Path,
        clock: Callable[[], datetime],
        log: GuardLog,
        pool: ThreadPoolExecutor,
        wake: Callable[[], None],
    ) -> None:
        """Proves it once. `wake` is called when another one is proved. Raises what `open_store` and `prove` raise."""
        self._root, self._clock, self._log, self._pool, self._wake = root, clock, log, pool, wake
        self.loaded: Loaded | None = self._prove()
        self._fresh: Loaded | None = None
        self._loading = False
        self._place = open_place(root)

    def close(self) -> None:
        """End it."""
        os.close(self._place)

    def follow(self) -> Loaded | None:
        """What was proved last, if that was just now, or still holds.

        It is proved again after each change of the host, and now and then for signers that expire. What was proved just
        now can be outdated already, and `loaded` None: who has waited since before `began_at` may be judged by it all
        the same, or would wait for ever while a host changes again and again.
        """
        fresh = self._fresh
        if fresh:
            self.loaded, self._fresh, self._loading = fresh, None, False
        try:
            state = os.readlink(CURRENT, dir_fd=self._place)
        except OSError as error:
            state = f"unknown: {error.strerror}"
        if self.loaded and self.loaded.state != state:
            self.loaded = None
        due = not self.loaded or time.monotonic() - self.loaded.began_at > limits.GUARD_PROOF_AGE
        if due and not self._loading:
            self._loading = True
            self._pool.submit(self._load, state)
        return self.loaded or (fresh if fresh and fresh.generation >= 0 else None)

    def _load(self, state: str) -> None:
        try:
            loaded = self._prove()
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is proved, and nothing runs until it is
            detail = str(error) if isinstance(error, ModsealError) else f"{type(error).__name__}: {error}"
            self._log.write("not-proved", detail=detail)
            retry = time.monotonic() - limits.GUARD_PROOF_AGE + limits.GUARD_RETRY
            loaded = Loaded(state, -1, Admission({}), retry)
        self._fresh = loaded
        self._wake()

    def _prove(self) -> Loaded:
        """The active generation, with the modules that today's policy accepts for the host's level."""
        began_at = time.monotonic()
        with open_store(self._root) as store:
            at = self._clock()
            store.require_clock(at)
            modules = [prove(store, one, store.policy, at) for one in store.generation(store.state.generation).modules]
            refused: dict[str, Failure] = {}
            for failure in planning.generation_failures(modules, store.state.level):
                # Of two that cannot be together, nothing says which one the host was meant to have.
                for label in ("module", "owner", "other" if failure.code == "module-conflicts" else "module"):
                    refused.setdefault(str(failure.evidence.get(label, "")), failure)
            refused.pop("", None)
            for name, failure in refused.items():
                self._log.write("module-refused", module=name, code=failure.code, detail=failure.detail)
            entries = {one.name: one.entries for one in modules if one.name not in refused}
            files = [entry for each in entries.values() for entry in each if entry.type is FileType.FILE]
            named = frozenset(_named_interpreters(store, files))
            admission = Admission(entries, named, frozenset(_system_interpreters({one.size for one in files})))
            self._log.write("generation", generation=store.state.generation.number, modules=len(entries))
            return Loaded(store.state_name, store.state.generation.number, admission, began_at)


def _named_interpreters(store: Store, files: Iterable[Entry]) -> Iterator[str]:
    """The paths that installed scripts and programs have as their interpreter or loader.

    Only the start of each file is read, which proves nothing. But all that follows from it is that less may run.
    """
    for entry in files:
        if entry.sha256 and (entry.mode or 0) & _EXECUTABLE:
            name = object_name(entry.sha256.hex(), entry.mode or 0)
            with suppress(ModsealError, OSError), store.open(name, entry.size or 0) as file:
                head = file.read(HEAD_SIZE)
                for path in filter(None, (interpreter(head), named_by_env(head))):
                    yield path
                    if path.startswith("/"):
                        yield os.path.realpath(path)  # /bin leads to /usr/bin on most systems, by no module's link


def _system_interpreters(sizes: set[int | None]) -> Iterator[bytes]:
    """The digests of this system's own interpreters of these sizes: a module can have them by any name."""
    for folder in _PROGRAMS:
        with suppress(OSError):
            for path in _interpreters_of(folder, os.stat(folder).st_mtime_ns):
                with suppress(OSError):
                    status = os.stat(path)
                    if stat.S_ISREG(status.st_mode) and status.st_size in sizes:
                        yield hashlib.sha256(Path(path).read_bytes()).digest()


@lru_cache(maxsize=len(_PROGRAMS))
def _interpreters_of(folder: str, changed: int) -> tuple[str, ...]:  # noqa: ARG001 - looked at anew when it has changed
    entries = [Entry(f"{folder}/{name}".strip("/"), FileType.FILE, 0o755) for name in os.listdir(folder)]
    return tuple({f"/{use.where}" for use in uses(entries) if use.power is Power.INTERPRETERS})
