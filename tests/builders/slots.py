"""A host with two slots in plain files, for tests: partitions, variables, a data folder, and what an owner sends it."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from builders import pki
from builders.images import program
from modseal.boot import boot_variables, fat, portable_executable, slots, update
from modseal.boot.boot_variables import BootPartition
from modseal.boot.documents import GENERATION_FILE, HostDocument, ImageGeneration, encode_generation
from modseal.boot.requests import Request, RollbackRequest, Running, UpdatePart, UpdateRequest
from modseal.boot.update import Delivery, HostDisk, RootContent, RunningHost
from modseal.format.level import Level
from modseal.image import firmware
from modseal.image.update import signed
from modseal.policy.sources import from_bytes
from modseal.trust.policy import PolicyBytes

MIB = 1 << 20
OWNER = pki.issue("owner", key=pki.new_key("rsa"))
STRANGER = pki.issue("owner", key=pki.new_key("rsa", 1))
POLICY = b'schema = "modseal/policy@1"\nminimum-level = "community"\nallow-unsigned-community = true\n'
AT = datetime(2026, 2, 1, tzinfo=UTC)
GLOBAL = boot_variables._GLOBAL
PARTITIONS = {
    "a": BootPartition(1, 2048, 65536, uuid.UUID(int=1)),
    "b": BootPartition(2, 67584, 65536, uuid.UUID(int=2)),
}


def root_hash(root: bytes) -> str:
    return hashlib.sha256(root).hexdigest()


def boot_program(version: int, root: bytes, owner: pki.Identity = OWNER) -> bytes:
    line = f"quiet modseal.root={root_hash(root)} modseal.blocks=9"
    parts = [(".osrel", f"ID=modseal\nVERSION_ID={version}\n".encode()), (".cmdline", line.encode())]
    return firmware.sign_executable(portable_executable.with_sections(program(b"stub"), parts), owner.signer())


@dataclass
class Image:
    """What a build makes: a program, a root, the files of a generation."""

    version: int
    generation: int
    root: bytes = b""
    program: bytes = b""
    files: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = self.root or b"root %d " % self.version * 9999
        self.program = self.program or boot_program(self.version, self.root)
        if not self.files:
            generation = encode_generation(ImageGeneration(self.generation, ()))
            self.files = {GENERATION_FILE: generation, f"{root_hash(self.root)}.p7b": b"policy"}

    @property
    def state(self) -> Running:
        return Running(self.version, self.generation)

    @property
    def contents(self) -> dict[str, bytes]:
        return {"boot.efi": self.program, "root.img": self.root, **dict(sorted(self.files.items()))}

    def request(self, **other: object) -> UpdateRequest:
        parts = tuple(
            UpdatePart(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in self.contents.items()
        )
        digest = portable_executable.digest(self.program).hex()
        made = UpdateRequest("edge", self.state, digest, root_hash(self.root), 9, parts)
        return replace(made, **other)  # type: ignore[arg-type]

    def update(self, first: int = 0, **other: object) -> bytes:
        return self.asked(self.request(**other), first)

    def asked(self, request: Request, first: int = 0, owner: pki.Identity = OWNER) -> bytes:
        return signed(request, owner.signer()) + b"".join(list(self.contents.values())[first:])


def back(running: Image, to: Image) -> bytes:
    return signed(RollbackRequest("edge", running.state, to.state), OWNER.signer())


@dataclass
class Host:
    """A host that runs an image in slot a; `versions` says which version the root with a hash is."""

    folder: Path
    runs: Image
    floor: int = 1
    revoked: tuple[str, ...] = ()
    slot: str = "a"
    versions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("boot-a", "boot-b", "root-a", "root-b"):
            with (self.folder / name).open("wb") as file:
                file.truncate(9 * MIB if name.startswith("boot") else MIB)
        (self.folder / "data/generations").mkdir(parents=True)
        (self.folder / "variables").mkdir()
        (self.folder / f"variables/BootOrder-{GLOBAL}").write_bytes(b"\7\0\0\0\1\0")
        self.put("a", self.runs)
        digest = portable_executable.digest(self.runs.program).hex()
        update.save(self.data, slots.first(self.runs.version, digest, self.runs.generation))

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def disk(self) -> HostDisk:
        return HostDisk(
            self.data,
            {name: self.folder / f"boot-{name}" for name in "ab"},
            {name: self.folder / f"root-{name}" for name in "ab"},
            PARTITIONS,
            str(self.folder / "variables"),
        )

    def put_program(self, slot: str, program: bytes) -> None:
        with (self.folder / f"boot-{slot}").open("r+b") as file:
            for at, data in fat.boot_partition(program, 9 * MIB):
                file.seek(at)
                file.write(data)

    def put(self, slot: str, image: Image) -> None:
        self.put_program(slot, image.program)
        with (self.folder / f"root-{slot}").open("r+b") as file:
            file.write(image.root)
        folder = self.data / "generations" / str(image.generation)
        folder.mkdir(parents=True)
        for name, data in image.files.items():
            (folder / name).write_bytes(data)

    def document(self, version: int) -> HostDocument:
        return HostDocument("edge", version, Level.COMMUNITY, None, None, (), self.floor, self.revoked)

    def follow(self, data: bytes) -> Running:
        """Have the host follow what is delivered."""
        left = memoryview(data)

        def receive(size: int) -> bytes:
            nonlocal left
            piece, left = bytes(left[:size]), left[size:]
            return piece

        content = (self.document(self.runs.version), from_bytes(PolicyBytes(POLICY, ()), "x"))
        own = root_hash(self.runs.root)
        running = RunningHost(self.slot, self.slot, own, content, OWNER.certificate)
        return update.follow(Delivery(receive, len(data)), running, self.disk, AT, self.open_root)

    @contextmanager
    def open_root(self, path: Path, root: str, _: int) -> Iterator[RootContent]:
        data = path.read_bytes().rstrip(b"\0")
        if root_hash(data) != root:
            raise OSError(5, "Input/output error")
        version = self.versions.get(root) or int(data.split()[1])
        yield self.document(version), from_bytes(PolicyBytes(POLICY, ()), "x")

    def next(self) -> tuple[str, slots.SlotStart]:
        """What the machine starts when it starts again: the firmware's choice, and the host's."""
        place = self.folder / "variables" / f"BootNext-{GLOBAL}"
        order = boot_variables.order(self.disk.variables)
        if place.exists():
            order = [int.from_bytes(place.read_bytes()[4:6], "little"), *order]
            place.unlink()
        names = {number: name for name, number in boot_variables.NUMBERS.items()}
        slot = next((names[one] for one in order if one in names), "a")
        chosen = slots.start(update.load(self.data), slot)
        update.save(self.data, chosen.slots)
        self.slot = slot
        return slot, chosen

    def keep(self, image: Image) -> None:
        """What process 1 does once what is on trial runs well."""
        boot_variables.prefer(self.slot, PARTITIONS, self.disk.variables)
        update.save(self.data, slots.kept(update.load(self.data)))
        self.runs = image
