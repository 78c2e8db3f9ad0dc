"""The folder that holds a host's modules, as it is read: documents by their digests, and one pointer to what holds now.

    current -> states/K           the one pointer: replaced by one rename
    states/K/state.json           the generations, which is active, which waits; level, policy, the newest event;
                                  what was seen of depots, recalls
    states/K/image                -> ../../generations/N/image
    generations/N/generation.json the modules of a generation; never changed
    generations/N/image           its files, as systemd-sysext merges them
    objects/ab/cd....0755         each file once: by the SHA-256 of its content, and its mode
    records/ab/cd...              manifests, signatures, policies, decisions as they were: by their SHA-256
    log.jsonl                     the event log
    index.sqlite                  an index, which decides nothing

Nobody else can enter it: a setuid program of an old generation must not be there to run. Nothing here writes
(`host.change` does). What is read is compared with the digest that named it, from the state down.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from modseal import limits
from modseal.errors import FormatError, InputError, UndecidedError, UsageError
from modseal.files import folder
from modseal.format.times import parse_time, time_text
from modseal.host import documents
from modseal.host.documents import Generation, HostState, ModuleRecord, Reference, invalid, sha256_of
from modseal.trust.policy import Policy, PolicyBytes

if TYPE_CHECKING:  # most hosts keep none
    from modseal.format.recall import Recall

PLACE = ("var", "lib", "modseal")
"""Where the store is below the root."""
CURRENT, STATES, GENERATIONS, OBJECTS, RECORDS = "current", "states", "generations", "objects", "records"
FOLDERS = (OBJECTS, RECORDS, GENERATIONS, STATES)
STATE_FILE, GENERATION_FILE, IMAGE, LOG, INDEX = "state.json", "generation.json", "image", "log.jsonl", "index.sqlite"

READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
STATE_LINK = re.compile(rf"{STATES}/(0|[1-9][0-9]{{0,15}})")


class StoreFolder:
    """The folder of an image store, open for reading, whatever is in it; `descriptor` stays the opener's."""

    def __init__(self, root: Path, descriptor: int) -> None:
        self.root = root
        self.path = root.joinpath(*PLACE)
        self.descriptor = descriptor

    def open(self, name: str, most: int) -> BinaryIO:
        """A regular file of the store of at most so many bytes, to be read. Raises `UndecidedError` (host-invalid)."""
        try:
            return os.fdopen(open_regular(name, self.descriptor, most), "rb")
        except OSError as error:
            raise invalid(f"{self.path}/{name}: {error.strerror}") from None

    def read(self, name: str, most: int) -> bytes:
        """The bytes of a file of the store. Raises `UndecidedError` (host-invalid)."""
        with self.open(name, most) as file:
            return file.read(most)


def open_regular(name: str, store: int, most: int, flags: int = READ_FLAGS) -> int:
    """Open a regular file of at most so many bytes by its name below an open store. No link on the way is followed.

    Every file of a store is opened by this: what has another type or size there could be read without an end, and a
    link could lead out of the store. Raises `OSError`.
    """
    descriptor = folder.open_below(name, store, flags)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_size <= most:
        return descriptor
    os.close(descriptor)
    if stat.S_ISREG(status.st_mode):
        raise OSError(errno.EFBIG, f"it has over {most} bytes")
    raise OSError(errno.EINVAL, "it is not a regular file")


def status_below(name: str, store: int) -> os.stat_result | None:
    """What has a name below an open store, a link itself if it is one; None where nothing has. Raises `OSError`."""
    try:
        with folder.above(name, store) as (parent, last):
            return folder.status_of(last, parent)
    except FileNotFoundError:
        return None


class Store(StoreFolder):
    """An image store whose state can be read.

    `state` is the one that held when it was opened: a change meanwhile makes another store of it. Only what looks at a
    damaged store (`host.damaged`) names another state.
    """

    def __init__(self, root: Path, descriptor: int, state_name: str | None = None) -> None:
        super().__init__(root, descriptor)
        self.state_name = state_name or self._state_name()
        data = self.read(f"{self.state_name}/{STATE_FILE}", limits.HOST_DOCUMENT_SIZE)
        self.state: HostState = documents.decode_state(data, f"{self.path}/{self.state_name}/{STATE_FILE}")
        if self.state_name != f"{STATES}/{self.state.event.number}":
            raise invalid(f"{self.path}/{self.state_name} has the state {self.state.event.number}")

    def _state_name(self) -> str:
        try:
            name = os.readlink(CURRENT, dir_fd=self.descriptor)
        except OSError as error:
            raise invalid(f"{self.path}/{CURRENT}: {error.strerror}") from None
        if not STATE_LINK.fullmatch(name):
            raise invalid(f"{self.path}/{CURRENT} leads to {name!r}, which is not a state")
        return name

    @property
    def image(self) -> Path:
        """The folder with the files of the active generation."""
        return self.path / GENERATIONS / str(self.state.generation.number) / IMAGE

    @property
    def newest(self) -> Reference:
        """The generation that the next one is made from: the one that waits, else the active one."""
        return self.state.pending or self.state.generation

    def record(self, sha256: str, limit: int = limits.HOST_DOCUMENT_SIZE) -> bytes:
        """A record by its digest. Raises `UndecidedError` (host-invalid), also for other bytes."""
        data = self.read(record_name(sha256), limit)
        if sha256_of(data) != sha256:
            raise invalid(f"{self.path}/{record_name(sha256)} was changed", sha256=sha256)
        return data

    def module(self, sha256: str) -> ModuleRecord:
        """The record of a module. Raises `UndecidedError` (host-invalid)."""
        return documents.decode_module(self.record(sha256), f"{self.path}/{record_name(sha256)}")

    def generation(self, reference: Reference) -> Generation:
        """A generation, whose document must have this digest. Raises `UndecidedError` (host-invalid)."""
        generation, found = self.any_generation(reference.number)
        if found != reference:
            raise invalid(f"generation {reference.number} of {self.path} is not the one that was made")
        return generation

    def any_generation(self, number: int) -> tuple[Generation, Reference]:
        """The generation that is there under a number, whichever was made. Raises `UndecidedError` (host-invalid)."""
        name = f"{GENERATIONS}/{number}/{GENERATION_FILE}"
        data = self.read(name, limits.HOST_DOCUMENT_SIZE)
        generation = documents.decode_generation(data, f"{self.path}/{name}")
        return generation, Reference(generation.number, sha256_of(data))

    def names(self, name: str) -> list[str]:
        """What is in a folder of the store. Raises `UndecidedError` (host-invalid)."""
        try:
            descriptor = folder.open_below(name, self.descriptor)
            try:
                return os.listdir(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise invalid(f"{self.path}/{name}: {error.strerror}") from None

    @cached_property
    def policy(self) -> Policy:
        """The host's policy, from its original bytes, with the recalls that the host keeps.

        Raises `PolicyError`, `UndecidedError` (host-invalid).
        """
        return self.with_recalls(self.own_policy())

    def own_policy(self) -> Policy:
        """The policy without the recalls that the host keeps. Raises `PolicyError`, `UndecidedError` (host-invalid)."""
        from modseal.policy.sources import from_bytes

        policy = self.state.policy
        files = tuple((name, self.record(digest, limits.POLICY_FILE_SIZE)) for name, digest in policy.files)
        return from_bytes(PolicyBytes(self.record(policy.text), files, policy.built_in), policy.source)

    def with_recalls(self, policy: Policy) -> Policy:
        """A policy with the recalls that the host keeps. Raises `UndecidedError` (host-invalid)."""
        return replace(policy, kept_recalls=tuple(map(self.recall, self.state.recalls)))

    def recall(self, sha256: str) -> Recall:
        """A recall that the host keeps. Raises `UndecidedError` (host-invalid)."""
        from modseal.format import recall

        try:
            return recall.decode(self.record(sha256, limits.RECALL_SIZE))
        except FormatError as error:
            raise invalid(f"{self.path}: {error.failure.detail}") from error

    def require_writable(self) -> None:
        """Raises `OSError` where nothing can be written to the store. Nothing is: a file without a name is made."""
        try:
            os.close(os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=self.descriptor))
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):  # not all file systems can do that
                raise

    def require_clock(self, at: datetime) -> None:
        """Time does not go back: a clock that was set back would bring expired signers to life again.

        Raises `UndecidedError` (clock-set-back).
        """
        newest = parse_time(self.state.changed)
        if at < newest:
            detail = f"the clock shows {time_text(at)}, and the last change of this host was on {time_text(newest)}"
            raise UndecidedError("clock-set-back", detail, clock=time_text(at), newest=time_text(newest))


def record_name(sha256: str) -> str:
    """Where a record is."""
    return f"{RECORDS}/{sha256[:2]}/{sha256[2:]}"


def records_of(record: ModuleRecord) -> Iterator[tuple[str, int]]:
    """The digests of everything that is kept of a module, each with the most bytes that it may have."""
    yield record.manifest, limits.MANIFEST_SIZE
    yield record.signature, limits.SIGNATURE_MEMBER_SIZE
    yield record.decision, limits.HOST_DOCUMENT_SIZE
    yield from ((part.sha256, part.size) for part in record.attachments)
    if record.kind == "vib":
        yield from ((part.sha256, part.size) for part in record.payloads)


def object_name(sha256: str, mode: int) -> str:
    """Where a file is. Each mode of the same content is a file of its own: all hard links of a file have one mode."""
    return f"{OBJECTS}/{sha256[:2]}/{sha256[2:]}.{mode:04o}"


@contextmanager
def open_store(root: Path) -> Iterator[Store]:
    """The image store below a root. Raises `UsageError` where none was made, `UndecidedError` (host-invalid)."""
    descriptor = open_place(root)
    try:
        require_private(descriptor, root.joinpath(*PLACE))
        yield Store(root, descriptor)
    except OSError as error:
        raise InputError.of(root.joinpath(*PLACE), error) from error
    finally:
        os.close(descriptor)


def open_place(root: Path) -> int:
    """The store's folder, open. No link below the root is followed: it could lead out of it.

    Raises `UsageError`, `UndecidedError`.
    """
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InputError.of(root, error) from None
    for name in PLACE:
        above = descriptor
        try:
            descriptor = os.open(name, folder.FLAGS, dir_fd=above)
        except FileNotFoundError:
            raise UsageError(f"{root} has no image store; make one with `modseal host init`") from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise invalid(f"{root.joinpath(*PLACE)}: {name!r} on the way to it is not a folder") from None
            raise invalid(f"{root.joinpath(*PLACE)}: {error.strerror}") from None
        finally:
            os.close(above)
    return descriptor


def require_private(descriptor: int, path: Path) -> None:
    """Only root, or this user, may be able to enter the store. Raises `UndecidedError` (host-invalid)."""
    status = os.fstat(descriptor)
    if status.st_uid not in (0, os.geteuid()):
        raise invalid(f"{path} belongs to user {status.st_uid}, neither to root nor to this user")
    if status.st_mode & 0o077:
        raise invalid(f"{path} is open to others ({stat.filemode(status.st_mode)}), and must be for its owner alone")


def remove_tree(name: str, parent: int) -> None:
    """Remove a file or a folder with all below it, as far as that goes. No link on the way is followed."""
    with suppress(OSError), folder.above(name, parent) as (above, last):
        try:
            os.unlink(last, dir_fd=above)
        except IsADirectoryError:
            descriptor = os.open(last, folder.FLAGS, dir_fd=above)
            try:
                folder.empty(descriptor)
                os.rmdir(last, dir_fd=above)
            finally:
                os.close(descriptor)
