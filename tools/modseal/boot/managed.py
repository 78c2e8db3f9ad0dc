"""What a running host shows to the service that manages it: what runs, where it is kept, and who takes deliveries."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from modseal.boot.prove import OpenImage, RefusedModule
from modseal.boot.update import RunningHost


@dataclass(frozen=True, slots=True)
class ManagedHost:
    """A host as it was started: the generation that runs, the images of its modules, and what was refused.

    `data` is the data partition's folder; `receiver` leads to the process that takes what the owner has signed.
    `listening` is where clients come in: process 1 keeps it, so that no service of a module takes the port meanwhile.
    """

    running: RunningHost
    generation: int
    images: tuple[OpenImage, ...]
    refused: tuple[RefusedModule, ...]
    data: Path
    receiver: socket.socket
    listening: socket.socket
