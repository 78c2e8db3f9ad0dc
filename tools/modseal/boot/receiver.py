"""Takes requests of the owner, in a process of its own that may write to the disk and the firmware's variables.

The management interface, which has no right, hands it one connection after the other. What comes over it is data:
`update` follows what the owner has signed. A state that was prepared is tried by a restart, which process 1 makes.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from modseal import limits
from modseal.boot.requests import Running
from modseal.boot.update import Delivery
from modseal.errors import FormatError, ModsealError, RefusedError

RESTART = 3
"""How this process ends when the machine is to restart."""
_SIZE = struct.Struct(">Q")


def channel() -> tuple[socket.socket, socket.socket]:
    """The receiver's end, and the one that connections are handed over on. Raises `OSError`.

    Who starts the receiver keeps both: one that is started again takes what was handed over meanwhile.
    """
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def serve(own: socket.socket, follow: Callable[[Delivery], Running], say: Callable[[str], None]) -> int:
    """Receive one delivery after the other; gives how this process ends, for a restart of the machine, or none."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(own, _SIZE.size, 1)
        if not message:
            return 0
        if len(message) != _SIZE.size or not descriptors:
            continue
        try:
            connection = socket.socket(fileno=descriptors[0])
        except OSError:  # a descriptor of something else ends nobody's way in
            os.close(descriptors[0])
            continue
        with connection:
            if answer(connection, _SIZE.unpack(message)[0], follow, say):
                return RESTART


def hand_over(control: socket.socket, size: int) -> socket.socket:
    """A connection to the receiver, for a delivery of `size` bytes. Raises `OSError`."""
    own, given = socket.socketpair()
    with given:
        try:
            socket.send_fds(control, [_SIZE.pack(size)], [given.fileno()])
        except OSError:
            own.close()
            raise
    return own


def answer(
    connection: socket.socket, size: int, follow: Callable[[Delivery], Running], say: Callable[[str], None]
) -> bool:
    """Follow one delivery, and say what came of it; gives whether the machine is to restart."""
    connection.settimeout(limits.DELIVERY_PAUSE)
    said: dict[str, object]
    try:
        state = follow(Delivery(connection.recv, size))
        said = {"outcome": "accepted", "version": state.version, "generation": state.generation}
        say(f"accepted: {state} is tried after a restart")
    except ModsealError as error:
        outcome = "rejected" if isinstance(error, RefusedError | FormatError) else "undecided"
        said = {"outcome": outcome, "code": error.failure.code, "detail": error.failure.detail}
        say(f"{outcome}: {error.failure.code}: {error.failure.detail}")
    except OSError as error:
        said = {"outcome": "undecided", "code": "io-error", "detail": str(error)}
        say(f"undecided: io-error: {error}")
    except Exception as error:  # noqa: BLE001 - whatever somebody delivers, the next one must be answered, too
        said = {"outcome": "undecided", "code": "internal-error", "detail": f"{type(error).__name__}: {error}"}
        say(f"undecided: {said['code']}: {said['detail']}")
    with suppress(OSError):
        connection.sendall(json.dumps(said).encode() + b"\n")
    return said["outcome"] == "accepted"
