"""Bundles on web servers and in object stores: found by the rules of `discover`, each fetched once.

On a web server, an address that ends with a slash is a folder, and what is in it are the links of its page that lead
below it. In an object store, folders are what lies between the slashes of names. As on a disk, bundles are
called `.seal` or `.vib` or begin like one, places that cannot be looked into are said, and the order is that of names.
Zip archives, which may be depots, are such places; of an unpacked depot, the bundles are examined and no more.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

from modseal import limits
from modseal.auditing.hiding import LONGEST, STARTS, hiding_place
from modseal.auditing.target import LeftOut, Opened, Unreadable
from modseal.errors import Failure, InputError
from modseal.files import fetch
from modseal.files.address import Address, read
from modseal.files.identity import Identity
from modseal.format.manifest import SUFFIXES
from modseal.format.zip import starts_like_zip
from modseal.values import dataclass

_LINK = re.compile(
    r"""<a\s(?:[^<>]{0,512}?\s)?href\s{0,8}=\s{0,8}(?:"([^"<>]{0,4096})"|'([^'<>]{0,4096})'|([^\s"'<>]{1,4096}))""",
    re.IGNORECASE,
)
"""An HTML link's address. Every part has a bound, so that no page makes it slow."""

_TITLE = re.compile(r"<title>\s{0,99}(?:index of|directory listing)\b", re.IGNORECASE)
"""How the listings of Apache, nginx, lighttpd, Caddy and Python begin: such a page may be empty."""


_HEAD = 512
"""Bytes of a file of another name that are fetched: enough to see what it is, a tar too."""

_NOT_NAMES = {"", ".", ".."}


@dataclass(frozen=True, slots=True)
class RemoteTarget:
    """A bundle on a server."""

    address: Address
    size: int = 0
    salt: str = ""

    @property
    def name(self) -> str:
        """The address without what may be secret in it."""
        return self.address.name

    def numbered(self, number: int) -> RemoteTarget:
        """It, as one of several whose addresses differ only in what is not shown; the first keeps its name."""
        name = f"{self.name} ({number})" if number > 1 else self.name
        return replace(self, address=replace(self.address, name=name))

    @contextmanager
    def open(self) -> Iterator[Opened]:
        """See `Target.open`. Fetches it, each time anew."""
        with fetch.fetched(self.address) as source:
            if starts_like_zip(source.read(0, min(source.size, LONGEST))):
                raise _no_depot(self.name)
            yield Opened(source, lambda: None)

    def identity(self) -> Identity | None:
        """None: what a server says of a bundle proves nothing about its bytes."""
        return None


Remote = RemoteTarget | LeftOut | Unreadable


class _Entry(NamedTuple):
    """What a folder says that it has; `part` is its name there, by which entries are sorted."""

    part: bytes
    address: Address
    folder: bool
    size: int = 0
    problem: str = ""


def discover_remote(url: str) -> Iterator[Remote]:
    """All that is at an address, or below it where it is a folder. Raises `UsageError` for one that cannot be used."""
    address = read(url)
    return _Walk().start(address)


class _Walk:
    """A walk over one server, which could go on for ever: its depth and its number of entries are bounded."""

    def __init__(self) -> None:
        self._seen = 0

    def start(self, address: Address) -> Iterator[Remote]:
        """What is at the address that was named."""
        try:
            if address.web:
                folder, size = urlsplit(address.url).path.endswith("/"), 0
            else:
                found = fetch.look_up(address)
                folder, size = found["type"] == "directory", int(found.get("size") or 0)
        except InputError as error:
            yield Unreadable(address.name, error.failure)
            return
        yield from self._folder(address, 1) if folder else (RemoteTarget(address, size),)

    def _folder(self, address: Address, depth: int) -> Iterator[Remote]:
        if depth > limits.REMOTE_DEPTH:
            yield Unreadable(address.name, _limit(f"{address.name}: folders within {depth - 1} folders", depth))
            return
        try:
            listed = sorted(_web_entries(address) if address.web else _store_entries(address))
        except InputError as error:
            yield Unreadable(address.name, error.failure)
            return
        for entry in listed:
            self._seen += 1
            if self._seen > limits.REMOTE_ENTRIES:
                if self._seen == limits.REMOTE_ENTRIES + 1:
                    detail = f"{address.name}: more than {limits.REMOTE_ENTRIES} entries; the rest was not looked at"
                    yield Unreadable(address.name, _limit(detail, self._seen))
                return
            yield from self._entry(entry, depth)

    def _entry(self, entry: _Entry, depth: int) -> Iterator[Remote]:
        name = entry.address.name
        if entry.problem:
            yield Unreadable(name, Failure("io-error", f"{name}: {entry.problem}", {"path": name}))
        elif entry.folder:
            yield from self._folder(entry.address, depth + 1)
        elif entry.part.lower().endswith(tuple(suffix.encode("ascii") for suffix in SUFFIXES)):
            yield RemoteTarget(entry.address, entry.size)
        else:
            yield _other(entry)


def _no_depot(name: str) -> InputError:
    return InputError(f"{name}: zip archives are not looked into on a server; audit a copy of it", path=name).because(
        "zip-on-server"
    )


def _limit(detail: str, count: int) -> Failure:
    return Failure("limit-exceeded", detail, {"count": count, "cause": "too-much-there"})


def _other(entry: _Entry) -> Remote:
    """Something of another name, which may be a bundle all the same."""
    try:
        start = fetch.head(entry.address, _HEAD)
    except InputError as error:
        return Unreadable(entry.address.name, error.failure)
    if start.startswith(STARTS):
        return RemoteTarget(entry.address, entry.size)
    if starts_like_zip(start):
        return Unreadable(entry.address.name, _no_depot(entry.address.name).failure)
    return LeftOut.file(entry.address.name, hiding_place(lambda at, length: start[at : at + length], len(start)))


def _store_entries(folder: Address) -> Iterator[_Entry]:
    """What an object store has in a folder. An object may have a name that no path has; it is said, not passed over."""
    path = folder.url.partition("://")[2].strip("/")
    for found in fetch.entries(folder):
        name = str(found["name"]).lstrip("/")
        directory = found["type"] == "directory"
        if name.rstrip("/") == path and not directory and not found.get("size"):
            continue  # the mark that makes an empty folder
        part = name.removeprefix(f"{path}/")
        odd = not name.startswith(f"{path}/") or "/" in part or part in _NOT_NAMES
        problem = "no path leads to an object with this name; audit a copy of it" if odd else ""
        address = folder.below(part)
        yield _Entry(part.encode("utf-8", "surrogateescape"), address, directory, int(found.get("size") or 0), problem)


def _web_entries(folder: Address) -> Iterable[_Entry]:
    """What a web server's page links to below it, but for what its folders have."""
    text = fetch.page(folder).decode("utf-8", "replace")
    links = {link for match in _LINK.finditer(text) if (link := _link_below(folder, match)) is not None}
    if not links and not _TITLE.search(text):
        raise InputError(f"{folder.name}: the page lists nothing below it; is it a listing?", path=folder.name).because(
            "not-a-listing"
        )
    folders = {link for link in links if link.endswith("/")}
    return [
        _Entry(unquote_to_bytes(link.rstrip("/")), folder.below(link), link in folders)
        for link in links
        if not any(link[: slash.end()] in folders for slash in re.finditer("/(?=.)", link))
    ]


def _link_below(folder: Address, match: re.Match[str]) -> str | None:
    """The part of a link's address below the page's, None where it leads elsewhere."""
    base = folder.url.partition("?")[0]
    href = html.unescape(next(filter(None, match.groups()), ""))
    try:
        link = urlsplit(urljoin(base, href.strip()))
    except ValueError:
        return None
    path = f"{link.scheme}://{link.netloc}{link.path}"
    below = path.removeprefix(base) if path.startswith(base) and not link.query else ""
    parts = unquote_to_bytes(below.removesuffix("/")).decode("latin-1").split("/")
    return None if _NOT_NAMES.intersection(parts) else below
