"""Names as values that can be compared: distinguished names and general names (RFC 5280 sections 4.1.2.4, 7.1).

Two encodings of one name compare equal: letter case, repeated spaces and the choice between
PrintableString and UTF8String do not count (RFC 4518). Text in other encodings, or with characters that
RFC 4518 prohibits, stays as its bytes: equal only where the bytes are.
"""

from __future__ import annotations

import string

from modseal import limits
from modseal.errors import FormatError
from modseal.format import der
from modseal.values import dataclass

UTF8_STRING, NUMERIC_STRING, PRINTABLE_STRING, T61_STRING = 0x0C, 0x12, 0x13, 0x14
IA5_STRING, VISIBLE_STRING, UNIVERSAL_STRING, BMP_STRING = 0x16, 0x1A, 0x1C, 0x1E
EMAIL_ADDRESS = "1.2.840.113549.1.9.1"

Attribute = tuple[str, str | bytes]
"""A type and its value: prepared text, or tag and content where the encoding is not comparable."""

Name = tuple[frozenset[Attribute], ...]
"""A distinguished name: relative names from the most general to the most specific."""

OTHER, EMAIL, DNS, X400, DIRECTORY, EDI, URI, IP, REGISTERED_ID = range(9)
"""The forms of a general name, by their tag numbers (RFC 5280 section 4.2.1.6)."""

FORM_NAMES = (
    "otherName",
    "rfc822Name",
    "dNSName",
    "x400Address",
    "directoryName",
    "ediPartyName",
    "URI",
    "iPAddress",
    "registeredID",
)

_LONGEST = {EMAIL: limits.EMAIL_ADDRESS, DNS: limits.HOST_NAME, URI: limits.URI}
_ENCODINGS = {UTF8_STRING: "utf-8", PRINTABLE_STRING: "ascii", IA5_STRING: "ascii"}
_PROHIBITED = ("C",)
"""Control, format, private and unassigned characters: RFC 4518 maps some of them away; nothing good has them."""


@dataclass(frozen=True, slots=True)
class GeneralName:
    """A name of one form. `value` is a `Name`, text (email, DNS, URI), or the bytes of another form."""

    form: int
    value: Name | str | bytes


def read_name(value: der.Value) -> Name:
    """A distinguished name from its SEQUENCE. Raises `FormatError` (not DER)."""
    if value.tag != der.SEQUENCE:
        raise der.malformed("a distinguished name is not a SEQUENCE")
    if len(value.content) > limits.NAME_SIZE:
        raise too_long("distinguished name", limits.NAME_SIZE)
    reader = der.Reader(value.content)
    relative: list[frozenset[Attribute]] = []
    while reader.more():
        relative.append(read_relative_name(reader.enter(der.SET)))
    return tuple(relative)


def read_relative_name(reader: der.Reader) -> frozenset[Attribute]:
    """One relative name: the attributes of a SET. Raises `FormatError`."""
    attributes: set[Attribute] = set()
    for element in der.elements(reader):
        if element.tag != der.SEQUENCE:
            raise der.malformed("an attribute of a distinguished name is not a SEQUENCE")
        fields = reader.inside(element)
        oid = fields.oid()
        value = fields.next()
        fields.end()
        if len(value.content) > limits.NAME_VALUE:
            raise too_long("value of a distinguished name", limits.NAME_VALUE)
        attributes.add((oid, prepare(value)))
    if not attributes:
        raise der.malformed("a relative distinguished name is empty")
    return frozenset(attributes)


def prepare(value: der.Value) -> str | bytes:
    """A value ready to be compared: RFC 4518's preparation for case-ignore matching, or its bytes."""
    encoding = _ENCODINGS.get(value.tag)
    if encoding is None:
        return value.raw
    try:
        text = value.content.decode(encoding).casefold()
    except UnicodeDecodeError:
        return value.raw
    if text.isascii() and text.isprintable():  # the form and categories below are for other characters
        return " ".join(text.split())
    import unicodedata  # most names are ASCII

    text = unicodedata.normalize("NFKC", text).casefold()
    if any(unicodedata.category(character).startswith(_PROHIBITED) for character in text):
        return value.raw
    return " ".join(text.split())


_TEXT_ENCODINGS = {
    **dict.fromkeys((UTF8_STRING, NUMERIC_STRING, PRINTABLE_STRING, T61_STRING, IA5_STRING, VISIBLE_STRING), "utf-8"),
    UNIVERSAL_STRING: "utf-32-be",
    BMP_STRING: "utf-16-be",
}
_CHARACTERS = {
    NUMERIC_STRING: frozenset("0123456789 "),
    PRINTABLE_STRING: frozenset(f"{string.ascii_letters}{string.digits} '()+,-./:=?"),
    IA5_STRING: frozenset(map(chr, range(0x80))),
    VISIBLE_STRING: frozenset(map(chr, range(0x20, 0x7F))),
}
"""What the narrower kinds of text may hold (X.680 section 41)."""
_KEYWORDS = {
    "2.5.4.3": "CN",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.6": "C",
    "2.5.4.9": "STREET",
    "0.9.2342.19200300.100.1.25": "DC",
    "0.9.2342.19200300.100.1.1": "UID",
}
"""What a type is called in text (RFC 4514 section 3); others by their identifiers."""
_UNIQUE_IDENTIFIER = "2.5.4.45"
_ESCAPED = str.maketrans({**{one: f"\\{one}" for one in '\\"+,;<>'}, "\0": "\\00"})


def name_text(value: der.Value) -> str:
    """A distinguished name as people read it, the most specific part first (RFC 4514). Raises `FormatError`.

    The value is one that `read_name` has read.
    """
    reader = der.Reader(value.content)
    relative: list[str] = []
    while reader.more():
        attributes = (reader.inside(one) for one in der.elements(reader.enter(der.SET)))
        relative.append("+".join(_attribute_text(one.oid(), one.next()) for one in attributes))
    return ",".join(reversed(relative))


def _attribute_text(oid: str, value: der.Value) -> str:
    keyword = _KEYWORDS.get(oid, oid)
    if oid == _UNIQUE_IDENTIFIER and value.tag == der.BIT_STRING:  # the one type that is no text
        return f"{keyword}=#{value.content.hex()}"
    try:
        text = value.content.decode(_TEXT_ENCODINGS.get(value.tag, "ascii"))
        allowed = value.tag in _TEXT_ENCODINGS and _CHARACTERS.get(value.tag, frozenset(text)).issuperset(text)
    except UnicodeDecodeError:
        allowed = False
    if not allowed:
        raise der.malformed("a distinguished name has a value that is no text of its encoding")
    text = text.translate(_ESCAPED)
    if text.startswith("#") or (text.startswith(" ") and len(text) > 1):
        text = f"\\{text}"
    return f"{keyword}={text[:-1]}\\ " if text.endswith(" ") else f"{keyword}={text}"


def is_comparable(name: Name) -> bool:
    """Whether every value of a name is prepared text, so that "not equal" really means another name."""
    return all(isinstance(value, str) for relative in name for _, value in relative)


def read_general_name(value: der.Value) -> GeneralName:
    """A general name of any form. Raises `FormatError` (not DER, or text that is not ASCII)."""
    form = value.tag & 0x1F
    if value.tag & 0xC0 != 0x80 or form >= len(FORM_NAMES):
        raise der.malformed("a general name has an unknown form")
    if form == DIRECTORY:
        inner = der.Reader(value.content)
        name = read_name(inner.take(der.SEQUENCE))
        inner.end()
        return GeneralName(form, name)
    if form in (EMAIL, DNS, URI):
        if not value.content.isascii():
            raise der.malformed("a general name is not ASCII")
        if len(value.content) > _LONGEST[form]:
            raise too_long(form_name(form), _LONGEST[form])
        return GeneralName(form, value.content.decode("ascii"))
    return GeneralName(form, value.content)


def read_general_names(reader: der.Reader) -> tuple[GeneralName, ...]:
    """All general names of a GeneralNames. Raises `FormatError`."""
    found: list[GeneralName] = []
    while reader.more():
        if len(found) == limits.GENERAL_NAMES:
            raise FormatError("limit-exceeded", f"more than {limits.GENERAL_NAMES} general names")
        found.append(read_general_name(reader.next()))
    return tuple(found)


def read_point_names(content: bytes, issuer: Name) -> tuple[GeneralName, ...]:
    """A DistributionPointName: full names, or one relative to the issuer (section 4.2.1.13). Raises `FormatError`."""
    outer = der.Reader(content)
    value = outer.next()
    outer.end()
    if value.tag == der.context(0):
        return read_general_names(der.Reader(value.content))
    if value.tag == der.context(1):
        return (GeneralName(DIRECTORY, (*issuer, read_relative_name(der.Reader(value.content)))),)
    raise der.malformed("a distribution point's name has an unknown form")


def too_long(what: str, limit: int) -> FormatError:
    """The refusal of a name."""
    return FormatError("limit-exceeded", f"a {what} has more than {limit} bytes", limit=limit)


def form_name(form: int) -> str:
    """The RFC's word for a form of general name."""
    return FORM_NAMES[form]
