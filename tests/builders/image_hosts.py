"""A host that was booted from an image, for tests: what process 1 shows of it. Images are plain folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import hosts, policies, slots
from builders.pki import NOW
from modseal.boot import prove, receiver, update
from modseal.boot.documents import GENERATION_FILE, SERVED, ImageGeneration, ImageRecord, encode_generation
from modseal.boot.managed import ManagedHost
from modseal.boot.prove import OpenImage
from modseal.boot.requests import Running
from modseal.boot.update import Delivery, RunningHost
from modseal.errors import ModsealError
from modseal.format.level import Level
from modseal.format.manifest import FileType
from modseal.host.actor import LOCAL, Actor
from modseal.policy.sources import load
from modseal.process_1 import prepare
from modseal.serve.image_operations import operations
from modseal.serve.operations import Answer, Asked


@dataclass
class ImageHost:
    """The host, its disk, and where bundles are made."""

    disk: slots.Host
    shown: ManagedHost
    maker: hosts.Host

    @property
    def root(self) -> Path:
        return self.disk.data / SERVED

    def ask(self, operation: str, *bundles: Path, actor: Actor = LOCAL, **arguments: Any) -> Answer:
        asked = Asked(self.root, arguments, NOW, actor, bundles)
        return operations(self.shown)[operation].act(asked)

    def code(self, operation: str, *bundles: Path, actor: Actor = LOCAL, **arguments: Any) -> str:
        """Of what is refused as a whole, the code."""
        try:
            answer = self.ask(operation, *bundles, actor=actor, **arguments)
        except ModsealError as error:
            return error.failure.code
        raise AssertionError(answer)

    def pushed(self, data: bytes, actor: Actor = LOCAL, **arguments: Any) -> Answer:
        """Push what an owner has signed, or somebody else."""
        path = self.disk.folder / "pushed"
        path.write_bytes(data)
        return self.ask("install", path, actor=actor, **arguments)


def generation_of(number: int, *bundles: Path) -> tuple[ImageGeneration, dict[str, bytes]]:
    """A generation with these modules, and its files."""
    records = tuple(ImageRecord(one.name, f"{one.stem}.erofs", "0" * 64, 1) for one in bundles)
    generation = ImageGeneration(number, records)
    files = {one.name: one.read_bytes() for one in bundles}
    return generation, {GENERATION_FILE: encode_generation(generation), **files}


def make(folder: Path, *names: str) -> ImageHost:
    """A host that runs a module of each name, all for partner."""
    (folder / "disk").mkdir()
    maker = hosts.host(folder)
    policy = load(str(policies.write(folder)))
    bundles = {name: maker.bundle(name, files={f"opt/{name}/run": name.encode()}) for name in names}
    generation, files = generation_of(1, *bundles.values())
    disk = slots.Host(folder / "disk", slots.Image(1, 1, files=files))
    found, refused = prove.accepted_bundles(disk.data / "generations/1", generation, policy, Level.PARTNER, NOW)
    assert not refused
    images = []
    for record, module in found:
        place = folder / "images" / module.name
        (place / "usr/lib").mkdir(parents=True)  # every image has them
        for entry in module.entries:
            path = place / entry.path
            if entry.type is FileType.DIRECTORY:
                path.mkdir(mode=0o755, parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(module.name.encode())
                path.chmod(entry.mode or 0)
        images.append(OpenImage(module, record.bundle, str(place), record.root, -1))
    document = slots.HostDocument("edge", 1, Level.PARTNER, None, None, ())
    running = RunningHost("a", "a", slots.root_hash(disk.runs.root), (document, policy), slots.OWNER.certificate)

    def follow(delivery: Delivery) -> Running:
        return update.follow(delivery, running, disk.disk, NOW, disk.open_root)

    own, control = receiver.channel()
    if not os.fork():
        try:
            control.close()
            receiver.serve(own, follow, lambda _: None)
        finally:
            os._exit(0)
    own.close()
    made = ImageHost(disk, ManagedHost(running, 1, tuple(images), (), disk.data, control, control), maker)
    prepare(made.root, made.shown, NOW)
    return made
