"""Name constraints (RFC 5280 sections 4.2.1.10 and 6.1.4 (g)): which names a CA's certificates may have.

Judged for directory, e-mail, DNS and URI names. Where a constraint meets a name of another form, or a name
or constraint that is not in its one plain form, the chain is refused: what cannot be compared cannot be
shown to be inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from modseal import limits
from modseal.errors import FormatError
from modseal.format import der
from modseal.pki.extensions import read_count
from modseal.pki.names import (
    DIRECTORY,
    DNS,
    EMAIL,
    EMAIL_ADDRESS,
    URI,
    GeneralName,
    Name,
    form_name,
    is_comparable,
    read_general_name,
)
from modseal.values import dataclass, regex

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = regex(rf"{_LABEL}(?:\.{_LABEL})*")
_LOCAL_PART = regex(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+")
_URI = regex(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<host>[A-Za-z0-9._-]+)(?::[0-9]*)?(?:[/?#][\x21-\x7e]*)?")
_ADDRESS = regex(r"[0-9.]+")


class NotJudgedError(Exception):
    """A name or constraint that cannot be compared; the text says why."""


@dataclass(frozen=True, slots=True)
class NameConstraints:
    """A CA's subtrees: names must be in one of `permitted` of their form (where it has one), in none of `excluded`."""

    permitted: tuple[GeneralName, ...]
    excluded: tuple[GeneralName, ...]

    @classmethod
    def parse(cls, data: bytes) -> NameConstraints:
        """From the extension's value. Raises `FormatError` (not DER, none at all, or with a minimum or maximum)."""
        body = der.only(data)
        permitted, excluded = (body.optional(der.context(number)) for number in (0, 1))
        body.end()
        found = cls(_subtrees(permitted), _subtrees(excluded))
        if not found.permitted and not found.excluded:
            raise der.malformed("the name constraints constrain nothing")
        return found

    def problem(self, name: GeneralName) -> str | None:
        """Why a name is outside. Raises `NotJudgedError`."""
        excluded = [base for base in self.excluded if base.form == name.form]
        permitted = [base for base in self.permitted if base.form == name.form]
        if (excluded or permitted) and name.form not in _WITHIN:
            raise NotJudgedError(f"constraints on names of the form {form_name(name.form)} are not judged")
        if any(_is_within(name, base) for base in excluded):
            return f"an excluded {form_name(name.form)}"
        if permitted and not any(_is_within(name, base) for base in permitted):
            return f"a {form_name(name.form)} outside what is permitted"
        return None


def check_names(names: tuple[GeneralName, ...], constraints: NameConstraints) -> Iterator[str]:
    """Why a certificate's names break a CA's constraints. Raises `NotJudgedError`."""
    if len(names) * (len(constraints.permitted) + len(constraints.excluded)) > limits.NAME_COMPARISONS:
        raise NotJudgedError(f"names and constraints would take more than {limits.NAME_COMPARISONS} comparisons")
    for name in names:
        problem = constraints.problem(name)
        if problem:
            yield problem


def constrained_names(subject: Name, alternative: tuple[GeneralName, ...]) -> tuple[GeneralName, ...]:
    """The names that constraints apply to: the subject, e-mail addresses in it, and the alternative names."""
    own = [GeneralName(DIRECTORY, subject)] if subject else []
    emails = [value for relative in subject for oid, value in relative if oid == EMAIL_ADDRESS]
    own += [GeneralName(EMAIL, value if isinstance(value, str) else "") for value in emails]
    return (*own, *alternative)


def _subtrees(value: der.Value | None) -> tuple[GeneralName, ...]:
    if value is None:
        return ()
    reader = der.Reader(value.content)
    bases: list[GeneralName] = []
    while reader.more():
        if len(bases) == limits.GENERAL_NAMES:
            raise FormatError("limit-exceeded", f"more than {limits.GENERAL_NAMES} name constraints")
        fields = reader.enter()
        bases.append(read_general_name(fields.next()))
        minimum, maximum = fields.optional(0x80), fields.optional(0x81)
        fields.end()
        if maximum or (minimum and read_count(minimum.content)):
            raise der.malformed("a name constraint has a minimum or a maximum (RFC 5280 allows neither)")
    return tuple(bases)


def _is_within(name: GeneralName, base: GeneralName) -> bool:
    return _WITHIN[name.form](name.value, base.value)


def _directory_within(name: Name, base: Name) -> bool:
    """Whether a name begins with the base (section 7.1 last paragraph)."""
    if not is_comparable(name) or not is_comparable(base):
        raise NotJudgedError("a directory name has text in an encoding that cannot be compared")
    return name[: len(base)] == base


def _email_within(address: str, base: str) -> bool:
    """A mailbox, all mailboxes of a host, or (with a dot first) all of the hosts below a domain."""
    local, at, host = address.rpartition("@")
    if not at or not _LOCAL_PART.fullmatch(local):
        raise NotJudgedError(f"{address!r} is not a plain e-mail address")
    _require_host(host)
    base_local, base_at, base_host = base.rpartition("@")
    if base_at:
        _require_host(base_host)
        if base_host.lower() != host.lower():
            return False
        # `"me"` with its quotes is the mailbox `me` (RFC 5321 section 4.1.2), whatever else is quoted.
        if not _LOCAL_PART.fullmatch(base_local) or (base_local != local and base_local.lower() == local.lower()):
            raise NotJudgedError(f"whether {address!r} and {base!r} are one mailbox is for its host to say")
        return base_local == local
    return _host_within(host, base)


def _dns_within(name: str, base: str) -> bool:
    """The host itself, or any host below it; the empty base has them all."""
    _require_host(name)
    if not base:
        return True
    _require_host(base)
    return f".{name}".lower().endswith(f".{base}".lower())


def _uri_within(uri: str, base: str) -> bool:
    """By the host of the URI, which must be a name and not an address."""
    match = _URI.fullmatch(uri)
    if not match or _ADDRESS.fullmatch(match["host"]):
        raise NotJudgedError(f"{uri!r} is not a plain URI with a host name")
    _require_host(match["host"])
    return _host_within(match["host"], base)


def _host_within(host: str, base: str) -> bool:
    _require_host(base.removeprefix("."))
    if base.startswith("."):
        return host.lower().endswith(base.lower())
    return host.lower() == base.lower()


def _require_host(host: str) -> None:
    if not _HOST.fullmatch(host):
        raise NotJudgedError(f"{host!r} is not a plain host name")


_WITHIN: dict[int, Callable[..., bool]] = {
    DIRECTORY: _directory_within,
    EMAIL: _email_within,
    DNS: _dns_within,
    URI: _uri_within,
}
