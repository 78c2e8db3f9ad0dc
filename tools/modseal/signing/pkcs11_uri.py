"""Reads `pkcs11:` URIs (RFC 7512), strictly, so that a misspelt one never finds another key.

What the RFC lets a reader ignore is refused here: unknown attributes, vendor attributes, repetitions.
No message repeats a value, because one of them may be a PIN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from modseal.errors import UsageError

SCHEME = "pkcs11"

TOKEN_ATTRIBUTES = (
    "token",
    "manufacturer",
    "serial",
    "model",
    "library-manufacturer",
    "library-version",
    "library-description",
    "slot-description",
    "slot-manufacturer",
    "slot-id",
)
"""What chooses the token (RFC 7512 section 2.3)."""

_PATH = (*TOKEN_ATTRIBUTES, "object", "type", "id")
_QUERY = ("pin-source", "pin-value", "module-name", "module-path")
_ESCAPED = "%[0-9A-Fa-f]{2}"
_COMMON = r"A-Za-z0-9\-._~:\[\]@!$'()*+,="
_PATH_VALUE = re.compile(f"(?:[{_COMMON}&]|{_ESCAPED})*")
_QUERY_VALUE = re.compile(f"(?:[{_COMMON}/?|]|{_ESCAPED})*")
_FORMS = {
    "library-version": re.compile(r"[0-9]+(\.[0-9]+)?"),
    "slot-id": re.compile(r"[0-9]+"),
    "type": re.compile("public|private|cert|secret-key|data"),
}
_PLAIN_NAME = re.compile("[a-z][a-z0-9_-]*")
_URI_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class KeyUri:
    """What a URI says. `token` has the attributes that choose the token, as text; None is what is not said."""

    token: Mapping[str, str]
    label: str | None
    id: bytes | None
    module: Path | None
    pin_file: Path | None
    pin: str | None = field(repr=False)


def parse(uri: str) -> KeyUri:
    """The parts of a `pkcs11:` URI that names a private key.

    Raises `UsageError` for anything that RFC 7512 does not allow or that would not name a private key.
    """
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != SCHEME:
        raise _wrong("its scheme is not pkcs11")
    path_text, _, query_text = rest.partition("?")
    path = _attributes(path_text, ";", _PATH, _PATH_VALUE)
    query = _attributes(query_text, "&", _QUERY, _QUERY_VALUE)
    if path.get("type", b"private") != b"private":
        raise _wrong("its type is not private: what signs is a private key")
    # RFC 7512 section 2.4 refuses both ways to give a PIN at once.
    if "pin-source" in query and "pin-value" in query:
        raise _wrong("pin-source and pin-value exclude each other")
    if "module-name" in query:
        raise _wrong("modules are not searched for by module-name; give the module's file as module-path")
    return KeyUri(
        {name: _text(name, path[name]) for name in TOKEN_ATTRIBUTES if name in path},
        _optional_text("object", path),
        path.get("id"),
        _module(_optional_text("module-path", query)),
        _pin_file(_optional_text("pin-source", query)),
        _optional_text("pin-value", query),
    )


def _attributes(text: str, separator: str, known: tuple[str, ...], form: re.Pattern[str]) -> dict[str, bytes]:
    """The attributes of one component by name, percent-decoded."""
    found: dict[str, bytes] = {}
    for part in text.split(separator) if text else ():
        name, equals, value = part.partition("=")
        if not equals or name not in known:
            raise _unknown(name if equals else None, known)
        if name in found:
            raise _wrong(f"{name} is there twice")
        if not form.fullmatch(value):
            raise _wrong(f"{name} has a character that must be percent-encoded")
        if name in _FORMS and not _FORMS[name].fullmatch(value):
            raise _wrong(f"{name} is not of the form of RFC 7512")
        found[name] = unquote_to_bytes(value)
    return found


def _unknown(name: str | None, known: tuple[str, ...]) -> UsageError:
    if name is None:
        return _wrong("a part of it is not NAME=VALUE")
    if name in _QUERY:
        return _wrong(f"{name} belongs after the question mark")
    if name in _PATH:
        return _wrong(f"{name} belongs before the question mark")
    may_be_shown = known is _PATH and _PLAIN_NAME.fullmatch(name)  # in the query it may be a piece of a PIN
    return _wrong(f"{name if may_be_shown else 'an attribute'} is not one of {', '.join(known)}")


def _module(path: str | None) -> Path | None:
    """A module's file. It is code that will run here, so it is never looked for along a search path."""
    if path is None:
        return None
    if not Path(path).is_absolute() or "\0" in path:
        raise _wrong("module-path is not an absolute path")
    return Path(path)


def _pin_file(source: str | None) -> Path | None:
    """The file of a pin-source: a `file:` URI, or a path as other tools take it."""
    if source is None:
        return None
    if source.startswith("|"):
        raise _wrong("pin-source names a program, and modseal runs none; name a file")
    if source.startswith("file:"):
        return Path(unquote(_local_path(source.removeprefix("file:"))))
    if not source or _URI_SCHEME.match(source):
        raise _wrong("pin-source is not a file on this machine")
    return Path(source)


def _local_path(rest: str) -> str:
    """The path of a `file:` URI (RFC 8089), which may have no host but this one."""
    if not rest.startswith("//"):
        return rest
    host, _, path = rest.removeprefix("//").partition("/")
    if host not in ("", "localhost"):
        raise _wrong("pin-source is not a file on this machine")
    return f"/{path}"


def _optional_text(name: str, attributes: Mapping[str, bytes]) -> str | None:
    return _text(name, attributes[name]) if name in attributes else None


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise _wrong(f"{name} is not UTF-8") from None


def _wrong(reason: str) -> UsageError:
    return UsageError(f"the pkcs11: URI is not usable: {reason}")
