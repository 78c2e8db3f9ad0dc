"""What of an address may be shown: everything but what may be a secret.

User names and passwords, the query and the fragment are never shown, nor is a segment of the path that may be a token:
since 2025 the download token of a depot is one (`https://dl.example.com/TOKEN/PROD/...`). What is hidden is `...`.
Too much is hidden rather than too little: nothing is decided by a name.
"""

from __future__ import annotations

import re
from itertools import pairwise
from urllib.parse import unquote

from modseal.values import regex

HIDDEN = "..."

_ADDRESS = regex(r"((?:[A-Za-z][A-Za-z0-9+.-]*:/{1,3}|//))([^/?#]*)([^?#]*)(.*)", re.DOTALL)
_IN_TEXT = regex(
    r"(?:\b(?:https?|s3|gs|ftp|tcp|tls):/{1,3}|\b[a-z][a-z0-9+.-]*://|(?<![:\w/.])//)" r"[^\s'\"<>|\\^`]+",
    re.IGNORECASE,
)
_BARE = regex(r"[^\s/:@'\"]+:[^\s/@'\"]+@(?!sha[0-9]+:)([^\s?#'\"]*)(?:[?#][^\s'\"]*)?")
"""A user and a password before a host. An image by its digest (`name:tag@sha256:...`) has none."""
_FILE = regex(r"[^/]{1,100}\.(?:seal|vib|zip|trust|xml|json|toml|pem|crt|cer|crl|html?)", re.IGNORECASE)
_TIME = regex(r"[0-9]{8}(?:T[0-9]{4,6}Z?)?")
_RUN = regex(r"[A-Za-z0-9]+")
_UUID = regex(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_HEX = regex(r"(?:[a-z0-9]+:)?[0-9a-f]{7,128}")
"""A commit or a digest, which names what everybody may see."""
_NAMED = regex(
    r"(?:.*[^a-z])?(?:token|api-?key|key|secret|sig|signature|auth|passw(?:or)?d|pwd|credentials?|session)[^=:]*[=:].*",
    re.IGNORECASE | re.DOTALL,
)
_NAMES = frozenset({"token", "tokens", "apikey", "api-key", "access-token", "auth", "secret", "priv"})
"""Segments whose next one is a secret on servers that are in use."""
_BEFORE = "PROD"
"""Broadcom's depots have the download token in front of this segment."""
_LONG_RUN, _SHORT_RUN, _LONG_SEGMENT = 16, 10, 20
_MIXED = 0.4
"""The share of neighbours of different kinds (small, capital, digit): random text has more, words and versions less."""


def shown(text: str) -> str:
    """An address as it may be shown; of any other text all but a user and a password before a host."""
    found = _ADDRESS.fullmatch(text)
    if not found:
        return _BARE.sub(rf"{HIDDEN}@\1", text)
    scheme, host, path, rest = found.groups()
    host = f"{HIDDEN}@{host.rpartition('@')[2]}" if "@" in host else host
    query = f"?{HIDDEN}" if rest.startswith("?") else f"#{HIDDEN}" if rest else ""
    return f"{scheme}{host}{shown_path(path)}{query}"


def is_like_address(text: str) -> bool:
    """Whether a text can only be meant as an address, or has a secret as one has: `user:password@host`, `//host/?q`.

    A file that is called so is named as `./user:password@host`.
    """
    hides = _ADDRESS.fullmatch(text) is not None and shown(text) != text
    return "://" in text or hides or _BARE.match(text) is not None


def shown_path(path: str) -> str:
    """The path of an address, each segment that may be a token hidden."""
    segments = path.split("/")
    hidden = [
        bool(segment)
        and (
            _may_be_secret(unquote(segment), is_last=index == len(segments) - 1)
            or segments[index - 1].lower() in _NAMES
            or segments[index + 1 : index + 2] == [_BEFORE]
        )
        for index, segment in enumerate(segments)
    ]
    return "/".join(HIDDEN if hide else segment for segment, hide in zip(segments, hidden, strict=True))


def secret_in(uri: str) -> str | None:
    """What of a URI, or of a name like one, may be a secret, in words; None where it may be published.

    Unlike what is shown, this refuses work. So what is public by its nature is none: a query or fragment without a
    name of secrets, a commit or a digest in hex, a UUID, a number, and the user alone of ssh (`git@host`).
    """
    scheme, _, rest = uri.partition(":/") if ":/" in uri else ("", "", uri)
    host = re.split(r"[/\\?#]", rest.lstrip("/\\"), maxsplit=1)[0]
    user, at, _ = host.rpartition("@")
    if at and (":" in user if not scheme or scheme.lower().endswith("ssh") else True):
        return "a user name or password in it"
    parts = [unquote(part) for part in re.split(r"[/\\?#&;@]", rest.removeprefix(host)) if part]
    for before, part in pairwise(("", *parts)):
        if not _is_public(part) and (_may_be_secret(part, is_last=False) or before.lower() in _NAMES):
            return "a part that may be a token or password"
    return None


def _is_public(part: str) -> bool:
    return part.isdecimal() or _HEX.fullmatch(part) is not None or _UUID.fullmatch(part) is not None


def without_secrets(text: str) -> str:
    """Any text, with the addresses in it as they may be shown."""
    if "//" in text or ":/" in text:
        text = _IN_TEXT.sub(lambda found: shown(found[0]), text)
    return _BARE.sub(rf"{HIDDEN}@\1", text) if "@" in text else text


def _may_be_secret(segment: str, *, is_last: bool) -> bool:
    if _NAMED.fullmatch(segment) or "eyJ" in segment:  # a value with its name; JSON in Base64, as in a JWT
        return True
    if (is_last and _FILE.fullmatch(segment)) or _TIME.fullmatch(segment):
        return False
    runs = _RUN.findall(segment)
    if _UUID.fullmatch(segment) or any(map(_is_random, runs)):
        return True
    joined = "".join(runs)
    return len(joined) >= _LONG_SEGMENT and len(runs) < len(joined) / 2 and _mixture(joined) >= _MIXED


def _is_random(run: str) -> bool:
    if len(run) >= _LONG_RUN and not run.isalpha():
        return True
    return len(run) >= _SHORT_RUN and _mixture(run) >= _MIXED


def _mixture(text: str) -> float:
    kinds = ["digit" if one.isdigit() else "small" if one.islower() else "capital" for one in text]
    return sum(one != other for one, other in pairwise(kinds)) / max(1, len(kinds) - 1)
