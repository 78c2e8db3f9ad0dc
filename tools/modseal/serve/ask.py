"""How the process that speaks to clients asks the one that has the rights."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from modseal.errors import InputError
from modseal.serve import frames
from modseal.serve.room import Turns
from modseal.values import dataclass

_ANSWER_SECONDS = 300
"""Within which the host answers what is no task. To prove a few hundred modules takes some seconds."""


@dataclass(frozen=True, slots=True)
class Refusal(Exception):  # noqa: N818 - an answer, too
    """Why something was not done: the document of the failure, and the exit code that `modseal host` would have."""

    problem: Mapping[str, Any]
    exit: int


class AskedHost:
    """The host, as seen from here: each question goes over a new pair of sockets, so that none waits for another."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._threads = ThreadPoolExecutor(frames.ASKING, "ask")
        self._turns = Turns(frames.ASKING)

    async def ask(
        self, certificate: bytes, operation: str, arguments: Mapping[str, Any] = {}, descriptors: Sequence[int] = ()
    ) -> dict[str, Any]:
        """The reply of `Broker`: caller, verdict, document. Raises `Refusal`, `InputError` where nobody answers."""
        asked = {
            "certificate": base64.b64encode(certificate).decode(),
            "operation": operation,
            "arguments": dict(arguments),
        }
        async with self._turns.turn(certificate):
            reply = await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, asked, descriptors)
        if "failure" in reply:
            raise Refusal(reply["failure"], reply["exit"])
        return reply

    async def lines(self, after: int | None) -> dict[str, Any]:
        """Lines of the log after a number, at most so many, and the number of the newest; nobody asks for them.

        Raises `Refusal`, `InputError`.
        """
        loop = asyncio.get_running_loop()
        reply = await loop.run_in_executor(self._threads, self._ask, {"lines_after": after}, ())
        if "failure" in reply:
            raise Refusal(reply["failure"], reply["exit"])
        return reply

    def _ask(self, asked: Mapping[str, Any], descriptors: Sequence[int]) -> dict[str, Any]:
        mine, theirs = socket.socketpair()
        with mine:
            try:
                socket.send_fds(self._control, [b"?"], [theirs.fileno()])
            finally:
                theirs.close()
            frames.send(mine, asked, *descriptors)
            try:
                return frames.receive(mine, _ANSWER_SECONDS)[0]
            except frames.MessageError as error:
                detail = f"the other process does not answer: {error}"
                raise InputError(detail).because("serve-silent") from None
