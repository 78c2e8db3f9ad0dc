"""`modseal --version --verbose`: what this installation is made of, and where it looks for what."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from modseal import __version__
from modseal.report.text import safe

_NAME = re.compile(r"[A-Za-z0-9._-]+")
_EXTRA = re.compile(r"""extra == ['"]([^'"]+)['"]""")


def render() -> str:
    """All of it as text, without a final newline."""
    return "\n".join([f"modseal {__version__}", *(f"  {label:<14} {safe(text)}" for label, text in _rows())])


def _rows() -> Iterator[tuple[str, str]]:
    where = f"{platform.system()} {platform.machine()}"
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()}), {where}"
    yield "installed in", str(Path(__file__).parents[1])
    needed = _needed()
    yield "libraries", ", ".join(f"{name} {_version(name) or 'missing'}" for name in needed.pop("", []))
    yield from _cryptography()
    for extra, names in sorted(needed.items()):
        missing = [name for name in names if not _version(name)]
        present = ", ".join(f"{name} {_version(name)}" for name in names if name not in missing)
        how = f"no: pip install 'modseal[{extra}]'" if missing else f"yes: {present}"
        yield f"extra {extra}", how
    plugins = sorted({each.name for each in metadata.entry_points(group="modseal.keys")})
    yield "key plug-ins", ", ".join(plugins) or "none"
    yield from _places()


def _needed() -> dict[str, list[str]]:
    """The names of libraries by the extra that needs them; the empty extra is modseal itself."""
    try:
        lines = metadata.requires("modseal") or []
    except metadata.PackageNotFoundError:  # run from its source alone
        lines = []
    found: dict[str, list[str]] = {"": []}
    for line in lines:
        name, extra = _NAME.match(line), _EXTRA.search(line)
        if name:
            found.setdefault(extra[1] if extra else "", []).append(name[0])
    return found


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cryptography() -> Iterator[tuple[str, str]]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.backends.openssl.backend import backend
    from cryptography.hazmat.primitives.asymmetric import mldsa

    yield "OpenSSL", f"{backend.openssl_version_text()} (in cryptography)"
    try:
        mldsa.MLDSA44PrivateKey.generate()
        has = "yes"
    except UnsupportedAlgorithm:
        has = "no: this OpenSSL does not have it"
    yield "ML-DSA", has


def _places() -> Iterator[tuple[str, str]]:
    from modseal.auditing.cache import default_folder as cache_folder
    from modseal.errors import ModsealError
    from modseal.format.times import time_text
    from modseal.policy import store
    from modseal.policy.sources import BUILT_IN
    from modseal.report import pages

    yield "policies", f"built in: {', '.join(BUILT_IN)}; others by their files, or store:"
    folder = store.default_folder(os.environ)
    try:
        seen = store.read(folder)
        state = "nothing installed" if seen is None else f"version {seen.bundle.version}"
        if seen and seen.bundle.expires <= datetime.now(UTC):
            state += f", expired on {time_text(seen.bundle.expires)}"
    except (ModsealError, OSError) as error:
        state = f"unusable: {error}"
    yield "trust store", f"{folder} ({state}); {store.VARIABLE} names another"
    cache = cache_folder()
    yield "audit cache", f"{cache} ({'there' if cache.is_dir() else 'nothing yet'})"
    yield "pages", f"modseal help: {len(pages.pages())} pages; modseal help --schema: {', '.join(pages.schemas())}"
