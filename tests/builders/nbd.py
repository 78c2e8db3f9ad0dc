"""Disks over NBD (github.com/NetworkBlockDevice/nbd, doc/proto.md) that keep every write in order, for power cuts."""

from __future__ import annotations

import random
import socket
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path

_OPTION, _REPLY = 0x49484156454F5054, 0x3E889045565A9
_HAS_FLUSH, _FUA = 1 | 4 | 8, 1
_GO, _INFO, _ABORT = 7, 6, 2
_READ, _WRITE, _DISCONNECT, _FLUSH = range(4)
SECTOR = 512


@dataclass
class Write:
    """A write, or a flush where it has no data; `through` is one that is durable by itself."""

    device: str
    at: int = 0
    data: bytes = b""
    through: bool = False


@dataclass
class Journal:
    """What was written to some devices since they were served, in one order; `contents` is what they had before."""

    contents: dict[str, bytes]
    durable: frozenset[str] = frozenset()
    """Devices of which every write is durable at once, as flash memory is."""
    writes: list[Write] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def cut(self, at: int, chance: random.Random) -> dict[str, bytearray]:
        """What the devices have after a power cut before the write number `at`.

        Of what was not flushed, a random part has arrived, and one write of that in part. Of a write to flash memory
        that the cut meets, the beginning has.
        """
        found = {name: bytearray(data) for name, data in self.contents.items()}
        waiting: dict[str, list[Write]] = {name: [] for name in found}
        for one in self.writes[:at]:
            if not one.data:
                for each in waiting[one.device]:
                    found[one.device][each.at : each.at + len(each.data)] = each.data
                waiting[one.device].clear()
            elif one.through or one.device in self.durable:
                found[one.device][one.at : one.at + len(one.data)] = one.data
            else:
                waiting[one.device].append(one)
        for name, writes in waiting.items():
            kept = [one for one in writes if chance.random() < 0.5]
            torn = chance.choice(kept) if kept else None
            for one in kept:
                data = one.data[: chance.randrange(0, len(one.data), SECTOR)] if one is torn else one.data
                found[name][one.at : one.at + len(data)] = data
        met = self.writes[at] if at < len(self.writes) else None
        if met and met.device in self.durable and met.data:
            data = met.data[: chance.randrange(len(met.data))]
            found[met.device][met.at : met.at + len(data)] = data
        return found


class Server:
    """Serves the devices of a journal, each on a socket of its own in `folder`, until it is closed."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self.journal = journal
        self.now = {name: bytearray(data) for name, data in journal.contents.items()}
        self._sockets = []
        for name in journal.contents:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(folder / name))
            listener.listen(1)
            self._sockets.append(listener)
            threading.Thread(target=self._serve, args=(listener, name), daemon=True).start()

    def close(self) -> None:
        for one in self._sockets:
            one.close()

    def _serve(self, listener: socket.socket, name: str) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                try:
                    self._talk(client, name)
                except (OSError, EOFError):
                    continue

    def _talk(self, client: socket.socket, name: str) -> None:
        client.sendall(b"NBDMAGIC" + struct.pack(">QH", _OPTION, 3))
        _take(client, 4)
        while True:
            _, option, size = struct.unpack(">QII", _take(client, 16))
            _take(client, size)
            if option in (_GO, _INFO):
                info = struct.pack(">HQH", 0, len(self.now[name]), _HAS_FLUSH)
                client.sendall(struct.pack(">QIII", _REPLY, option, 3, len(info)) + info)
                client.sendall(struct.pack(">QIII", _REPLY, option, 1, 0))
                if option == _GO:
                    break
            else:
                client.sendall(struct.pack(">QIII", _REPLY, option, 1 if option == _ABORT else 0x80000001, 0))
                if option == _ABORT:
                    return
        content = self.now[name]
        while True:
            _, flags, kind, handle, at, size = struct.unpack(">IHHQQI", _take(client, 28))
            answer = b""
            with self.journal.lock:
                if kind == _READ:
                    answer = bytes(content[at : at + size])
                elif kind == _WRITE:
                    data = _take(client, size)
                    content[at : at + size] = data
                    self.journal.writes.append(Write(name, at, data, bool(flags & _FUA)))
                elif kind == _FLUSH:
                    self.journal.writes.append(Write(name))
                elif kind == _DISCONNECT:
                    return
            client.sendall(struct.pack(">IIQ", 0x67446698, 0, handle) + answer)


def _take(client: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        piece = client.recv(size - len(found))
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)
