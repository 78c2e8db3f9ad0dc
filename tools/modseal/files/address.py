"""Addresses of bundles on servers: which are supported, and how reports name them.

Nothing here opens a connection or loads what could. An address may hold a secret (the query of a pre-signed one), so
its name leaves out what may be one (`files.shown`), and no error shows more than the name.
"""

from __future__ import annotations

from dataclasses import field
from importlib.util import find_spec
from urllib.parse import quote, urlsplit

from modseal.errors import UsageError
from modseal.files.shown import shown, shown_path
from modseal.values import dataclass, regex

DRIVERS = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "gs": "gcsfs", "memory": "fsspec"}
"""Scheme -> the package that fsspec needs for it. Others that fsspec has (local files, archives, caches, shells on
other machines) would lead to something else than one server's bytes."""

WEB = ("http", "https")
_ADDRESS = regex(r"(?:[A-Za-z][A-Za-z0-9+.-]*::)*[A-Za-z][A-Za-z0-9+.-]*://")
_LEFT = "/:?#[]@!$&'()*+,;=%~"
"""What quoting leaves alone in a web address: all that has a meaning there, and what is quoted already."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where something is on a server. `url` may hold a secret and is never shown; `name` is.

    Web addresses are quoted; in object stores, `url` is the object's own name behind scheme and bucket.
    """

    url: str = field(repr=False)
    name: str

    @property
    def scheme(self) -> str:
        """One of DRIVERS."""
        return self.url.partition(":")[0]

    @property
    def web(self) -> bool:
        """Whether it is on a web server, whose folders are pages with links."""
        return self.scheme in WEB

    def below(self, part: str) -> Address:
        """What is called `part` in this folder: an object, or what a web page links to, with the folder's query."""
        if not self.web:
            return _stored(f"{self.url.rstrip('/')}/{part}")
        path, _, query = self.url.partition("?")
        return _named(path.removesuffix("/") + "/" + quote(part, safe=_LEFT), query)


def is_address(path: str) -> bool:
    """Whether a path of an audit is an address; `./` in front of it makes any text a path."""
    return _ADDRESS.match(path) is not None


def name_of(path: str) -> str:
    """A path of an audit as reports show it. Raises `UsageError` for an address that cannot be used."""
    return read(path).name if is_address(path) else path


def read(text: str) -> Address:
    """An address. Raises `UsageError`, also where the package that reads it is not installed."""
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if "::" in scheme:
        raise UsageError(f"{scheme}://...: addresses within addresses are not supported; fetch the outer file first")
    if scheme in ("file", "local"):
        raise UsageError(f"{scheme}://...: name a file on this machine by its path")
    if scheme not in DRIVERS:
        raise UsageError(f"{scheme}://... is not supported; there are {', '.join(f'{each}://' for each in DRIVERS)}")
    address = _web(scheme, rest) if scheme in WEB else _store(scheme, rest)
    require_driver(scheme)
    return address


def require_driver(scheme: str) -> None:
    """Raises `UsageError` where a package that this scheme needs is not installed."""
    missing = [package for package in ("fsspec", DRIVERS[scheme]) if find_spec(package) is None]
    if missing:
        driver = "" if DRIVERS[scheme] in ("fsspec", "aiohttp") else f" {DRIVERS[scheme]}"
        raise UsageError(f"{scheme}:// needs {' and '.join(missing)}: pip install modseal[remote]{driver}")


def _web(scheme: str, rest: str) -> Address:
    bad = UsageError(f"{scheme}://... is not an address of a web server")
    try:
        parts = urlsplit(quote(f"{scheme}://{rest}", safe=_LEFT))
        if not parts.hostname or parts.port == 0:
            raise bad
    except ValueError:
        raise bad from None
    if "@" in parts.netloc:
        raise UsageError(
            f"{scheme}://...@{parts.netloc.rpartition('@')[2]}: a user name or password in an address shows in lists "
            "of processes; give it in ~/.netrc"
        )
    return _named(f"{scheme}://{parts.netloc}{parts.path or '/'}", parts.query)


def _named(path: str, query: str) -> Address:
    url = f"{path}?{query}" if query else path
    return Address(url, shown(url))


def _store(scheme: str, rest: str) -> Address:
    bucket = rest.partition("/")[0]
    if "@" in bucket or "?" in rest or "#" in rest:
        raise UsageError(
            f"{scheme}://...: no user, password or query belongs in an address of an object store; credentials come "
            "from the environment"
        )
    if not bucket:
        raise UsageError(f"{scheme}://...: the bucket is missing")
    return _stored(f"{scheme}://{rest}")


def _stored(url: str) -> Address:
    """In an object's name, a question mark has no meaning, and a segment may be a token as in any path."""
    bucket, slash, path = url.partition("://")[2].partition("/")
    return Address(url, f"{url.partition(':')[0]}://{bucket}{slash}{shown_path(path)}")
