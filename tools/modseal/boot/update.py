"""Follows a request of the owner on the host, from top to bottom: read, prove, write beside what runs, switch.

Nothing that the host may start is written over before all that was delivered is proved, and then the slot that does not
run alone. Until the last step the next start is that of before; that step is one write (ADR 46).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from modseal import limits
from modseal.boot import authenticode, boot_variables, fat, portable_executable, prove, requests, slots
from modseal.boot.boot_variables import BootPartition
from modseal.boot.documents import GENERATION_FILE, GENERATIONS, HostDocument, decode_generation
from modseal.boot.requests import PROGRAM, ROOT, Request, Running, UpdatePart, UpdateRequest
from modseal.boot.slots import Slots
from modseal.errors import RefusedError, UndecidedError
from modseal.files.small import read_small
from modseal.trust.policy import Policy

_INCOMING, _GENERATION = "incoming", "generation"
_PIECE = 1 << 20
_WORD = re.compile(r"modseal\.(root|blocks)=(\S+)")
_VERSION = re.compile(r"^VERSION_ID=([0-9]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class HostDisk:
    """Where things are: the data partition's folder, the devices of both slots, and the firmware's variables."""

    data: Path
    boot: Mapping[str, Path]
    roots: Mapping[str, Path]
    partitions: Mapping[str, BootPartition]
    variables: str


RootContent = tuple[HostDocument, Policy]
"""What a root image says of the host."""


@dataclass(frozen=True, slots=True)
class RunningHost:
    """What runs: the slots of its program and of its root, its root hash, what the root says, and the owner."""

    slot: str
    root_slot: str
    root: str
    content: RootContent
    owner: x509.Certificate


@dataclass(slots=True)
class Delivery:
    """What is delivered, from its beginning: `left` bytes of it. `receive` gives up to so many, and none at the end."""

    receive: Callable[[int], bytes]
    left: int

    def take(self, size: int) -> bytes:
        """So many bytes. Raises `RefusedError` (update-invalid) where there are fewer."""
        found = bytearray()
        if size <= self.left:
            while len(found) < size and (piece := self.receive(min(size - len(found), _PIECE))):
                found += piece
        if len(found) < size:
            raise requests.invalid("it ends too early")
        self.left -= size
        return bytes(found)


OpenRoot = Callable[[Path, str, int], AbstractContextManager[RootContent]]
"""Opens a root image or partition by its root hash, of so many blocks, and reads what it says of the host."""


def load(data: Path) -> Slots:
    """The document of the slots. Raises `FormatError`, `InputError`."""
    return slots.decode(read_small(data / slots.FILE, limits.HOST_DOCUMENT_SIZE).data)


def save(data: Path, found: Slots) -> None:
    """Write the document of the slots: after a power cut it is the old or the new one. Raises `OSError`."""
    new = data / f"{slots.FILE}.new"
    _remove(new)  # neither a FIFO nor a link is written to
    _write(new, slots.encode(found))
    new.rename(data / slots.FILE)
    _sync(data)


def follow(delivery: Delivery, running: RunningHost, disk: HostDisk, at: datetime, open_root: OpenRoot) -> Running:
    """Prepare the next start as a signed request wants it; gives the state that it will try.

    Raises `RefusedError`, `FormatError`, `UndecidedError`, `OSError`: then the next start is that of before.
    """
    request = requests.read(delivery.take, running.owner)
    found = load(disk.data)
    host = running.content[0]
    bounds = slots.Limits(host.floor, frozenset(host.revoked))
    slot = slots.target(request, found, running.slot, host.name, bounds)
    if isinstance(request, UpdateRequest):
        forget_delivery(disk.data)
        _tidy(disk.data, found)
        _take_in(delivery, request, disk.data / _INCOMING, short=slot == running.slot and request.root == running.root)
        _prove_update(request, slot, running, disk, at, open_root)
        if slot != running.slot:
            found = slots.cleared(found, slot)
            save(disk.data, found)
            _tidy(disk.data, found)
        _write_update(request, slot, running, disk)
    else:
        if delivery.left:
            raise requests.invalid("it has something behind its end")
        _prove_rollback(found, request, slot, running, disk, at, open_root)
    if slot != running.slot:
        boot_variables.prefer(running.slot, disk.partitions, disk.variables)
    save(disk.data, slots.tried(found, request, slot, running.slot))
    if slot != running.slot:
        try:
            boot_variables.try_once(slot, disk.variables)
        except OSError:
            save(disk.data, found)
            raise
    with suppress(OSError):
        forget_delivery(disk.data)
    return request.state


def forget_delivery(data: Path) -> None:
    """Remove what is left of a delivery that nobody has in hand. Raises `OSError`."""
    _remove(data / _INCOMING)


def _tidy(data: Path, found: Slots) -> None:
    """Remove what no slot names: it makes room."""
    named = {str(one) for one in slots.generations(found)}
    for path in (data / GENERATIONS).iterdir():
        if path.name not in named:
            _remove(path)


def _remove(path: Path) -> None:
    """Remove whatever is there, and nothing that a link leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _take_in(delivery: Delivery, request: UpdateRequest, place: Path, *, short: bool) -> None:
    """Write the parts of an update to a folder that nobody else has; each must be the one that the owner has signed."""
    parts: Iterable[UpdatePart] = request.parts
    if short and delivery.left == sum(one.size for one in request.parts[2:]):
        parts = request.parts[2:]
    elif delivery.left != sum(one.size for one in request.parts):
        raise requests.invalid(f"its parts have other sizes than it names: {delivery.left} bytes are left")
    (place / _GENERATION).mkdir(parents=True, mode=0o700)
    for part in parts:
        path = place / part.name if part.name in (PROGRAM, ROOT) else place / _GENERATION / part.name
        hashed, left = hashlib.sha256(), part.size
        with path.open("xb") as file:
            while left:
                piece = delivery.take(min(left, _PIECE))
                left -= len(piece)
                hashed.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if hashed.hexdigest() != part.sha256:
            raise requests.invalid(f"{part.name} is not the one that the owner has signed")


def _prove_update(
    request: UpdateRequest, slot: str, running: RunningHost, disk: HostDisk, at: datetime, open_root: OpenRoot
) -> None:
    place = disk.data / _INCOMING
    folder = place / _GENERATION
    if slot == running.slot:
        if request.root != running.root:
            raise requests.invalid("the program is the running one, and the root another")
        _prove_modules(folder, request.state, request.root, running.content, at)
        return
    program = (place / PROGRAM).read_bytes()
    fat.boot_partition(program, _size(disk.boot[slot]))  # refused where it does not fit
    said = _require_program(program, request.program, request.state.version, running.owner)
    if said != (request.root, request.blocks):
        raise requests.invalid("the command line of the program names another root")
    size = _size(disk.roots[slots.other(running.root_slot)])
    if request.parts[1].size > size:
        raise requests.invalid(f"its root does not fit into a partition of {size} bytes")
    with open_root(place / ROOT, request.root, request.blocks) as content:
        if (content[0].name, content[0].version) != (request.host, request.state.version):
            raise requests.invalid(f"the root is that of {content[0].name}, version {content[0].version}")
        _prove_modules(folder, request.state, request.root, content, at)


def _prove_rollback(
    found: Slots,
    request: Request,
    slot: str,
    running: RunningHost,
    disk: HostDisk,
    at: datetime,
    open_root: OpenRoot,
) -> None:
    folder = disk.data / GENERATIONS / str(request.state.generation)
    if slot == running.slot:
        _prove_modules(folder, request.state, running.root, running.content, at)
        return
    own = found.slots[slot]
    with disk.boot[slot].open("rb") as file:
        program = fat.read_program(file, _size(disk.boot[slot]))
    root, blocks = _require_program(program, own.program, own.version, running.owner)
    with open_root(disk.roots[slots.other(running.root_slot)], root, blocks) as content:
        _prove_modules(folder, request.state, root, content, at)


def _require_program(program: bytes, digest: str, version: int, owner: x509.Certificate) -> tuple[str, int]:
    """The root hash and its blocks of a program that the owner has signed, and that has this digest and version."""
    if authenticode.verify(program, owner).hex() != digest:
        raise requests.invalid("the program has another digest")
    release = portable_executable.section(program, ".osrel") or b""
    named = _VERSION.search(release.decode("utf-8", "replace"))
    if not named or int(named[1]) != version:
        raise requests.invalid("the program is of another version")
    line = portable_executable.section(program, ".cmdline") or b""
    words = dict(_WORD.findall(line.decode("ascii", "replace")))
    if len(words) != 2 or not words["blocks"].isdigit():
        raise requests.invalid("the command line of the program names no root")
    return words["root"], int(words["blocks"])


def _prove_modules(folder: Path, state: Running, root: str, content: RootContent, at: datetime) -> None:
    """A generation must have a policy for this root, and each bundle must be accepted under the policy in the root."""
    data = read_small(folder / GENERATION_FILE, limits.HOST_DOCUMENT_SIZE).data
    generation = decode_generation(data, f"generation {state.generation}")
    if generation.number != state.generation or not (folder / f"{root}.p7b").is_file():
        raise requests.invalid(f"it has no generation {state.generation} for its root")
    host, policy = content
    _, refused = prove.accepted_bundles(folder, generation, policy, host.level, at)
    for one in refused:
        raise RefusedError(one.failure.code, f"{one.bundle}: {one.failure.detail}")


def _write_update(request: UpdateRequest, slot: str, running: RunningHost, disk: HostDisk) -> None:
    """Write what is proved: the generation beside the others, root and program to the slot that does not run."""
    place = disk.data / _INCOMING
    (place / _GENERATION).rename(disk.data / GENERATIONS / str(request.state.generation))
    _sync(disk.data / GENERATIONS)
    if slot == running.slot:
        return
    _put(disk.roots[slots.other(running.root_slot)], _pieces(place / ROOT))
    _put(disk.boot[slot], fat.boot_partition((place / PROGRAM).read_bytes(), _size(disk.boot[slot])))


def _pieces(path: Path) -> Iterable[tuple[int, bytes]]:
    with path.open("rb") as file:
        while data := file.read(_PIECE):
            yield file.tell() - len(data), data


def _put(device: Path, pieces: Iterable[tuple[int, bytes]]) -> None:
    """Write pieces to a partition, and read back from the disk that they are there."""
    digests = []
    descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        for at, data in pieces:
            done = 0
            while done < len(data):
                done += os.pwrite(descriptor, data[done:], at + done)
            digests.append((at, len(data), hashlib.sha256(data).digest()))
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        for at, size, digest in digests:
            if hashlib.sha256(os.pread(descriptor, size, at)).digest() != digest:
                raise UndecidedError("io-error", f"{device} does not keep what is written to it")
    finally:
        os.close(descriptor)


def _size(device: Path) -> int:
    with device.open("rb") as file:
        return file.seek(0, os.SEEK_END)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
