"""Writes what a host is asked to do: an update, beside the image that it comes from, and the way back."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modseal.boot import requests
from modseal.boot.authenticode import ALGORITHM
from modseal.boot.requests import PROGRAM, ROOT, Request, UpdatePart, UpdateRequest
from modseal.image import firmware
from modseal.signing.signer import Signer

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class PartFile:
    """A part of an update, and where it lies here."""

    part: UpdatePart
    path: Path


def part_files(program: Path, root: Path, generation: Path) -> tuple[PartFile, ...]:
    """The parts of an update: program, root, and the files of a generation's folder."""
    named = ((PROGRAM, program), (ROOT, root), *((one.name, one) for one in sorted(generation.iterdir())))
    return tuple(PartFile(_part(name, path), path) for name, path in named)


def _part(name: str, path: Path) -> UpdatePart:
    with path.open("rb") as file:
        return UpdatePart(name, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def write(out: BinaryIO, request: UpdateRequest, files: tuple[PartFile, ...], signer: Signer) -> None:
    """Write an update: the signed request, and the parts that go with it, all or those of the generation alone."""
    out.write(signed(request, signer))
    for one in files:
        with one.path.open("rb") as file:
            while piece := file.read(_PIECE):
                out.write(piece)


def signed(request: Request, signer: Signer) -> bytes:
    """A request with the owner's signature. Raises `RefusedError` for a key that no host takes it from."""
    firmware.require_key(signer.certificate, "the owner's key")
    return requests.encode(request, lambda data: signer.sign(ALGORITHM, data))
