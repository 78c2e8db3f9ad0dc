"""Where the parts of a bundle are kept until it is decided whether they are needed, and where a dry run keeps none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

from modseal.errors import Failure
from modseal.files import folder, left_behind
from modseal.format import rules
from modseal.format.manifest import Entry, FileType
from modseal.format.payload import is_relocatable
from modseal.format.source import Span, blocks
from modseal.host.actor import Actor
from modseal.host.documents import sha256_of
from modseal.host.installed import Installed
from modseal.host.scan import KERNEL_LABELS, inode_flags
from modseal.host.store import Store, object_name, open_regular, record_name, remove_tree, status_below

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_RECORD_MODE = 0o400
_BLOCK = 1 << 20
_HEAD = 64
"""Bytes: the header of an ELF file, which says what it is."""


class Nothing:
    """Keeps nothing: a dry run, which finds and says the same as a real one."""

    def begin(self) -> int | None:
        """See `admit.Keeper`."""
        return None

    def end(self, descriptor: int | None, sha256: str, mode: int) -> None:
        """See `admit.Keeper`."""

    def record(self, data: bytes) -> str:
        """See `admit.Keeper`."""
        return sha256_of(data)

    def record_source(self, source: Span) -> str:
        """See `admit.Keeper`."""
        digest = hashlib.sha256()
        for block in blocks(source):
            digest.update(block)
        return digest.hexdigest()


class Staging:
    """A folder of the store for what may become part of it. `place` moves what is needed; the rest goes with it.

    `actor` is who makes the change that it is for, `replaced` has the places where a damaged file was. Everything
    raises `OSError`.
    """

    def __init__(self, store: int, actor: Actor) -> None:
        self.actor = actor
        self._store = store
        self._name = left_behind.new_name()
        self.descriptor = folder.make(self._name, store)
        self.replaced: set[str] = set()
        self._staged: dict[str, str] = {}
        self._count = 0

    def begin(self) -> int:
        """See `admit.Keeper`. The file is for its owner alone until `end`."""
        return os.open(self._next(), _NEW, 0o600, dir_fd=self.descriptor)

    def end(self, descriptor: int | None, sha256: str, mode: int) -> None:
        """See `admit.Keeper`. Modes may have set-user-id bits: nobody else can enter the folder that it is in."""
        if descriptor is not None:
            os.fchmod(descriptor, mode)
            os.close(descriptor)
            self._staged[object_name(sha256, mode)] = str(self._count)

    def record(self, data: bytes) -> str:
        """See `admit.Keeper`."""
        digest = sha256_of(data)
        return digest if record_name(digest) in self._staged else self._write_record([data])

    def record_source(self, source: Span) -> str:
        """See `admit.Keeper`."""
        return self._write_record(blocks(source))

    def add_object(self, data: bytes, mode: int) -> None:
        """A file of the image that no bundle brings."""
        descriptor = self.begin()
        os.write(descriptor, data)
        self.end(descriptor, sha256_of(data), mode)

    def place(self, names: Iterable[str]) -> None:
        """Move staged files to these places of the store, where they are missing or damaged (`replaced`).

        What is there already is looked at, and not trusted for its name.
        """
        for name in dict.fromkeys(names):
            staged = self._staged.get(name)
            if staged is None or is_good(name, self._store, os.stat(staged, dir_fd=self.descriptor).st_size):
                continue
            with folder.above(name.rpartition("/")[0], self._store) as (top, below):
                if folder.status_of(below, top) is None:
                    os.close(folder.make(below, top))
            with folder.above(name, self._store) as (above, last):
                if folder.status_of(last, above):
                    self.replaced.add(name)
                os.rename(staged, last, src_dir_fd=self.descriptor, dst_dir_fd=above)
            del self._staged[name]

    def place_records(self, digests: Iterable[str]) -> None:
        """Move staged records to their places, and have them on the disk before anything refers to them."""
        if digests := tuple(digests):
            self.place(map(record_name, digests))
            os.sync()

    def discard_all_but(self, digests: Iterable[str]) -> None:
        """Remove everything but these records: the bundles of a refused change may have filled the disk."""
        wanted = {name: self._staged[name] for name in map(record_name, digests) if name in self._staged}
        for staged in set(os.listdir(self.descriptor)) - set(wanted.values()):
            os.unlink(staged, dir_fd=self.descriptor)
        self._staged = wanted

    def close(self) -> None:
        """Remove what was not placed."""
        folder.empty(self.descriptor)
        os.close(self.descriptor)
        remove_tree(self._name, self._store)

    def _next(self) -> str:
        self._count += 1
        return str(self._count)

    def _write_record(self, pieces: Iterable[bytes]) -> str:
        digest = hashlib.sha256()
        name = self._next()
        with os.fdopen(os.open(name, _NEW, 0o600, dir_fd=self.descriptor), "wb") as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fchmod(file.fileno(), _RECORD_MODE)
        self._staged[record_name(digest.hexdigest())] = name
        return digest.hexdigest()


def damaged_entry(store: Store, module: Installed, proved: str | None = None) -> Entry | None:
    """The first file of a module that the store has not, or not as it is signed; None where all are good.

    `proved` is an image of the store whose files were read, and are as signed: a hard link to one is not read again.
    """
    for entry in module.entries:
        if entry.type is FileType.FILE and entry.sha256:
            name = object_name(entry.sha256.hex(), entry.mode or 0)
            same = proved and _is_same(name, f"{proved}/{entry.path}", store)
            if not same and not is_good(name, store.descriptor, entry.size or 0):
                return entry
    return None


def hidden_failures(store: Store, modules: Iterable[Installed]) -> Iterator[Failure]:
    """Files that say themselves that they are kernel modules, where the record, which powers are judged by, does not.

    Only the start of each is read: whether it is the signed one is another question (`is_good`).
    """
    for module in modules:
        recorded = set(module.record.relocatable)
        for entry in module.entries:
            if entry.sha256 and entry.path not in recorded and _is_relocatable(store, entry):
                yield hidden_failure(module, entry.path)


def hidden_failure(module: Installed, path: str) -> Failure:
    """What is said of such a file."""
    detail = f"{path!r} is an ELF relocatable object, and {module.name} is recorded to have none there"
    return Failure("host-invalid", detail, {"path": rules.shown(path)})


def _is_relocatable(store: Store, entry: Entry) -> bool:
    with suppress(OSError):  # what cannot be read is found elsewhere
        name = object_name(entry.sha256.hex() if entry.sha256 else "", entry.mode or 0)
        descriptor = open_regular(name, store.descriptor, entry.size or 0)
        try:
            return is_relocatable(os.read(descriptor, _HEAD))
        finally:
            os.close(descriptor)
    return False


def objects_of(module: Installed) -> Iterator[str]:
    """The places in the store of a module's files."""
    files = (entry for entry in module.entries if entry.type is FileType.FILE)
    return (object_name(one.sha256.hex(), one.mode or 0) for one in files if one.sha256)


def _is_same(name: str, other: str, store: Store) -> bool:
    found, there = (status_below(one, store.descriptor) for one in (name, other))
    return found is not None and there is not None and os.path.samestat(found, there)


def is_good(name: str, store: int, most: int) -> bool:
    """Whether a file of the store has the content, and an object the mode, that its name says, and can be linked to.

    It has at most so many bytes, and no more are read. With an inode flag that binds even root it cannot be linked to
    (link(2), EPERM).
    """
    try:
        descriptor = open_regular(name, store, most)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        above, _, last = name.partition("/")[2].partition("/")
        digest, _, mode = last.partition(".")
        as_owned = (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid()) and KERNEL_LABELS.issuperset(
            os.listxattr(descriptor)
        )
        as_made = not mode or status.st_mode & 0o7777 == int(mode, 8)
        sound = as_owned and as_made and not inode_flags(descriptor)
        return sound and _digest(descriptor, most) == above + digest
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _digest(descriptor: int, most: int) -> str:
    """The SHA-256 of an open file; of one that grows meanwhile, of little more than so many bytes."""
    digest = hashlib.sha256()
    left = most + 1
    while left > 0 and (data := os.read(descriptor, min(left, _BLOCK))):
        digest.update(data)
        left -= len(data)
    return digest.hexdigest()
