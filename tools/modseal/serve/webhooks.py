"""Sends the lines of the log to the addresses that the host's owner has named, and to no other: signed, and bounded.

The log itself is what waits: of each address only the number of the last line that was sent is kept. So an address that
does not answer costs no memory, and keeps neither the service nor another address waiting.
"""

from __future__ import annotations

import asyncio
import encodings.idna  # noqa: F401 - aiohttp wants it for names, when nothing of root's can be read any more
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from modseal import limits
from modseal.errors import ModsealError
from modseal.serve import redfish
from modseal.serve.ask import AskedHost, Refusal
from modseal.serve.signatures import WebhookKeys, signed

_PAUSE = 1
"""Seconds between two looks for new lines."""

PAUSES = (1, 2, 4, 8, 16, 32, 64)
"""Seconds between the attempts to send: two minutes in all, as long as a restart takes."""

_UNREAD = "the log cannot be read"
_SHOWN = 200
"""Characters of a failure: OpenSSL's and the resolver's are shorter."""

_ANSWER_SECONDS = 10
"""Within which an address has taken what was sent, from the connection on."""


class Destination:
    """An address, with what became of what was sent to it."""

    def __init__(self, keys: WebhookKeys) -> None:
        self._keys = keys
        self.sent = self.dropped = 0
        self.failure: str | None = None

    @property
    def shown(self) -> str:
        """Where it is, without the path, in which others have their secrets."""
        parts = urlsplit(self._keys.url)
        return f"{parts.scheme}://{parts.netloc}/"

    async def follow(self, host: AskedHost, pauses: Sequence[float] = PAUSES) -> None:
        """Send what is written to the log from now on, until this is cancelled."""
        after: int | None = None
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._keys.tls, limit=1),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS),
        ) as session:
            while True:
                try:
                    found = await host.lines(after)
                except (Refusal, ModsealError, OSError):  # whoever asks for the log is told
                    self.failure = _UNREAD
                    await asyncio.sleep(_PAUSE)
                    continue
                if self.failure == _UNREAD:
                    self.failure = None
                newest, lines = found["newest"], found["events"]
                if after is None or not lines:
                    after = newest if after is None else after
                    await asyncio.sleep(_PAUSE)
                elif newest - after > limits.SERVE_LINES_BEHIND:
                    self._drop(after + 1, newest - limits.SERVE_LINES_BEHIND, "it is too far behind")
                    after = newest - limits.SERVE_LINES_BEHIND
                else:
                    first, after = lines[0]["number"], lines[-1]["number"]
                    await self._send(session, found["host"], first, after, lines, pauses)

    async def _send(
        self,
        session: aiohttp.ClientSession,
        host: str,
        first: int,
        last: int,
        lines: Sequence[Mapping[str, Any]],
        pauses: Sequence[float],
    ) -> None:
        identity = f"{host}-{first}-{last}"
        body = json.dumps(redfish.event(identity, lines)).encode()
        for pause in (*pauses, None):
            if await self._posted(session, identity, body):
                self.sent, self.failure = self.sent + len(lines), None
                return
            if pause is not None:
                await asyncio.sleep(pause)
        self._drop(first, last, self.failure or "")

    async def _posted(self, session: aiohttp.ClientSession, identity: str, body: bytes) -> bool:
        headers = {**signed(self._keys.key, identity, datetime.now(UTC), body), "Content-Type": "application/json"}
        try:
            async with session.post(self._keys.url, data=body, headers=headers, allow_redirects=False) as reply:
                self.failure = f"it has answered with HTTP {reply.status}"
                return 200 <= reply.status < 300
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # With names of certificates, which may be anybody's; but not with the address, whose path is a secret.
            text = type(error).__name__ if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            self.failure = "".join(each if each.isprintable() else " " for each in text)[:_SHOWN]
            return False

    def _drop(self, first: int, last: int, why: str) -> None:
        self.dropped += last - first + 1
        sys.stderr.write(f"modseal: webhook {self.shown}: lines {first} to {last} of the log are not sent: {why}\n")
        sys.stderr.flush()
