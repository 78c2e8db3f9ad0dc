"""Proves the modules of a generation, on the host, when it starts: whole bundles, under the policy of the root image.

A module is used if its bundle is accepted now, it fits the host and the others, and its image has exactly the files
that its signed manifest declares. The image is opened by its dm-verity root hash before it is compared, so the kernel
holds every later read against what was compared. What the generation's document says is only where to look.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from modseal.boot import mapper, syscalls
from modseal.boot.documents import ImageGeneration, ImageRecord
from modseal.errors import Failure
from modseal.files import folder
from modseal.format.level import Level
from modseal.format.manifest import Entry, FileType
from modseal.host import image, plan
from modseal.host.admit import admit
from modseal.host.compare import differences
from modseal.host.installed import Installed
from modseal.host.keep import Nothing
from modseal.host.scan import TOP, scan
from modseal.trust.policy import Policy


@dataclass(frozen=True, slots=True)
class RefusedModule:
    """A module that is not used: by its bundle's name, and why."""

    bundle: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class OpenImage:
    """A proved module of a bundle by name, whose image is mounted at `place`. `held` keeps its loop device."""

    module: Installed
    bundle: str
    place: str
    root: str
    held: int


def accepted_bundles(
    folder_of: Path, generation: ImageGeneration, policy: Policy, level: Level, at: datetime
) -> tuple[list[tuple[ImageRecord, Installed]], list[RefusedModule]]:
    """The modules of a generation whose bundles are accepted, and what is refused. No image has been looked at."""
    found: list[tuple[ImageRecord, Installed]] = []
    refused: list[RefusedModule] = []
    for record in generation.modules:
        admitted = admit(folder_of / record.bundle, policy, at, Nothing())
        failure = _failure(admitted.result.examination, admitted.result.failure)
        if admitted.module is not None:
            failure = next(plan.unfit([admitted.module], level), None)
        if admitted.module is None or failure:
            refused.append(
                RefusedModule(record.bundle, failure or Failure("internal-error", "it could not be examined"))
            )
        else:
            found.append((record, admitted.module))
    together = plan.arrival((), (), [module for _, module in found], level, update=False).failures
    if together:
        return [], [*refused, *(RefusedModule("the modules together", failure) for failure in together)]
    return found, refused


def _failure(examination: object, failure: Failure | None) -> Failure | None:
    return getattr(examination, "primary", None) or failure


def open_images(
    folder_of: Path, found: Sequence[tuple[ImageRecord, Installed]], places: str
) -> tuple[list[OpenImage], list[RefusedModule]]:
    """The images of accepted modules, each mounted below `places` and compared with what is signed."""
    opened: list[OpenImage] = []
    refused: list[RefusedModule] = []
    for number, (record, module) in enumerate(found):
        place = f"{places}/{number}"
        try:
            held = _mount(folder_of / record.image, f"module{number}", place, record)
            failure = next(image_failures(place, module), None)
        except OSError as error:
            failure = Failure("io-error", f"the image of {module.name} {module.version} cannot be opened: {error}")
            refused.append(RefusedModule(record.bundle, failure))
            continue
        if failure:
            refused.append(RefusedModule(record.bundle, failure))
        else:
            opened.append(OpenImage(module, record.bundle, place, record.root, held))
    return opened, refused


def _mount(path: Path, name: str, place: str, record: ImageRecord) -> int:
    os.makedirs(place)
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would wait for ever
    try:
        device, held = mapper.attach(file)
    finally:
        os.close(file)
    shown = mapper.open_verity(device, name, record.root, record.blocks)
    syscalls.mount(shown, place, "erofs", syscalls.READ_ONLY | syscalls.NO_SUID | syscalls.NO_DEV)
    return held


def image_failures(place: str, module: Installed) -> Iterator[Failure]:
    """What an image that is mounted has, or has not, beside what its module's signed manifest declares."""
    expected = image.layout([module.entries])
    expected = {path: one for path, one in expected.items() if not f"{path}/".startswith(image.RELEASE_FOLDER)}
    sizes = frozenset(one.size for one in expected.values() if one.size is not None)
    expected[TOP] = Entry(TOP, FileType.DIRECTORY, image.FOLDER_MODE)
    descriptor = os.open(place, folder.FLAGS)
    try:
        found = dict(scan(descriptor, sizes))
    finally:
        os.close(descriptor)
    for one in differences(expected, dict.fromkeys(expected, module.name), found, (0, 0)):
        yield one.failure
