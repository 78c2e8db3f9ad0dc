"""What discovery finds: bundles to examine, what is left out, and places that cannot be looked into.

A target is a bundle that any process can open by itself, and recognise again. It is a value that can be sent to
another process or machine. Opening it gives one `Source` that stays the same while it is examined: an open file, or
bytes that were fetched once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol

from modseal.errors import Failure
from modseal.files.identity import Identity, identity_of, is_still, settled_identity
from modseal.files.open import open_file
from modseal.format.source import FileSource, Source
from modseal.values import dataclass

if TYPE_CHECKING:
    from modseal.auditing.finding import Finding


DEADLINE = 600
"""Seconds that one bundle may take, opening and fetching it included, where `--deadline` says nothing. Work that a
small file can ask for is counted and ends after some seconds; 10 GB from a fast disk take less than a minute, and a
server that sends so slowly that it takes ten holds up an audit."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open target. `identity` tells what it is recognised by, None where it changed since it was opened.

    `partial` says that payloads may lie elsewhere (see `trust.integrity.Bundle.partial`).
    """

    source: Source
    identity: Callable[[], Identity | None]
    partial: bool = False


class Target(Protocol):
    """One bundle to examine. Implementations are frozen and can be pickled."""

    @property
    def name(self) -> str:
        """How reports name it."""

    @property
    def size(self) -> int:
        """Bytes, as far as is known without opening it; to share out the work, never to judge."""

    def open(self) -> AbstractContextManager[Opened]:
        """Open it. Raises `InputError` where it cannot be read, `FormatError` where what contains it is malformed."""

    @property
    def salt(self) -> str:
        """What its findings depend on besides its bytes and the policy."""

    def identity(self) -> Identity | None:
        """What it is recognised by now, None where that cannot be told without reading it."""


@dataclass(frozen=True, slots=True)
class FileTarget:
    """A bundle in a file of its own. `found` is what it was recognised by when it was found, if it was looked at."""

    name: str
    size: int = 0
    salt: str = ""
    found: Identity | None = field(default=None, compare=False)

    @contextmanager
    def open(self, *, recognised: bool = True) -> Iterator[Opened]:
        """See `Target.open`. What it is `recognised` by later takes five calls of the kernel: for a cache alone."""
        with open_file(self.name) as descriptor:
            settled = settled_identity(descriptor) if recognised else None
            yield Opened(FileSource(descriptor), lambda: settled if is_still(descriptor, settled) else None)

    def identity(self) -> Identity | None:
        """See `Target.identity`."""
        try:
            return self.found or identity_of(os.stat(self.name))
        except (OSError, ValueError):
            return None


class End:
    """What follows the bundles of a whole, such as a depot or a host, of which more is known when all were seen."""

    name: str

    @property
    def held(self) -> int:
        """Bytes of metadata that it keeps in memory."""
        raise NotImplementedError

    def findings(self, members: Iterable[Any]) -> Iterator[Finding]:
        """What the whole shows, given what was kept of each of its bundles."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something below a folder that is not a bundle, or a link not followed; `hides` says it could hold one."""

    name: str
    why: str
    hides: bool = False

    @classmethod
    def file(cls, name: str, hides: str | None) -> LeftOut:
        """A file that is not a bundle, by the hiding place that it is (`auditing.hiding`)."""
        return cls(name, hides or "no bundle", hides=hides is not None)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A place that could not be looked into: undecided, because bundles may be there.

    A depot that is `malformed` is rejected, and nothing in it is examined.
    """

    name: str
    failure: Failure
    malformed: bool = False
