"""Messages between the two processes: a length, then JSON; a file goes beside it as an open descriptor."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modseal import limits
from modseal.errors import InputError

IDLE_SECONDS = 15
"""A client that sends nothing for longer is let go."""

ASKING = 32
"""Questions to the host at one time. More wait; each has a thread on both sides."""

_LENGTH = struct.Struct(">I")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")


class MessageError(Exception):
    """What came from the other process is no message, or did not come in time; the text says which."""


def send(connection: socket.socket, message: Mapping[str, Any], *descriptors: int) -> None:
    """Raises `OSError`, `InputError` for a message that is too long."""
    data = json.dumps(message).encode()
    if len(data) > limits.SERVE_FRAME:
        raise InputError(f"an answer of {len(data)} bytes is longer than one may be").because("serve-silent")
    head = _LENGTH.pack(len(data))
    if descriptors:
        socket.send_fds(connection, [head], descriptors)
    else:
        connection.sendall(head)
    connection.sendall(data)


def receive(
    connection: socket.socket, seconds: float, *, most: int | None = None, descriptors: int = 0
) -> tuple[dict[str, Any], list[int]]:
    """A message of at most `most` bytes that is whole within so many seconds, and the descriptors that came with it.

    Raises `MessageError` where there is none.
    """
    found: list[int] = []
    ends = time.monotonic() + seconds
    try:
        connection.settimeout(seconds)
        head, found, _, _ = socket.recv_fds(connection, _LENGTH.size, descriptors)
        head += _exactly(connection, _LENGTH.size - len(head), ends)
        (length,) = _LENGTH.unpack(head)
        if length > (limits.SERVE_FRAME if most is None else most):
            raise ValueError("it is longer than one may be")  # noqa: TRY301
        message = json.loads(_exactly(connection, length, ends))
        if not isinstance(message, dict):
            raise ValueError("it is no object")  # noqa: TRY301, TRY004 - one of the ways in which bytes are no message
    except (OSError, EOFError, ValueError, RecursionError) as error:
        for descriptor in found:
            os.close(descriptor)
        raise MessageError(str(error)) from None
    return message, list(found)


def _exactly(connection: socket.socket, count: int, ends: float) -> bytes:
    data = bytearray()
    while len(data) < count:
        connection.settimeout(max(ends - time.monotonic(), 0.001))  # 0 would be: do not wait, and say something else
        part = connection.recv(min(count - len(data), 1 << 16))
        if not part:
            raise EOFError("it has ended early")
        data += part
    return bytes(data)


def places(folder: Path, names: Sequence[str], count: int) -> tuple[Path, ...]:
    """Where pushed files are put: each in a folder of its own, under its name where that is a plain one.

    The name is shown, and leads nowhere.
    """
    given = [*names, *[""] * count][:count]
    plain = (name if _PLAIN.fullmatch(name) else "bundle" for name in given)
    return tuple(folder / str(number) / name for number, name in enumerate(plain))
