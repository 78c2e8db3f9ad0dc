"""PEM files (RFC 7468): certificates, CRLs, requests and keys as people keep them, read strictly.

    # a comment, or explanatory text
    -----BEGIN CERTIFICATE-----
    MIIB...
    -----END CERTIFICATE-----

A block that is skipped could be a CRL whose revocations are then missed, so nothing is skipped. Explanatory text may
stand before a BEGIN line (sections 2 and 5.2), and is itself judged: what looks like a part of a block whose
other lines were lost is an error. After the last block, white space alone may follow. Lines may be of any
length and end in CRLF or in white space, as OpenSSL reads them; base64 has its one form.

Messages name the line and say what stands there. They quote a label at most: the rest may be a private key.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Collection, Iterator
from dataclasses import field

from modseal.errors import FormatError
from modseal.format import der
from modseal.values import dataclass, regex

CERTIFICATE = "CERTIFICATE"
CRL = "X509 CRL"
REQUESTS = ("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
KEYS = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY",
        "OPENSSH PRIVATE KEY")  # fmt: skip

_PRIVATE = "PRIVATE KEY"
_BOUNDARY = regex(rb"-----(BEGIN|END) ([A-Z0-9]{1,20}(?: [A-Z0-9]{1,20}){0,4})-----")
_BASE64 = regex(rb"[A-Za-z0-9+/=]+")
_LOOSE_BASE64 = regex(rb"[A-Za-z0-9+/]{40,}={0,2}")
"""A line of text that is nothing but this is taken for a line of a block: no word is as long."""
_DASHES = b"---"
"""What is left of a BEGIN or END line that lost a part. No line of text has it."""
_TITLE = regex(rb"[ \t]*(BEGIN|END) [A-Z0-9 ]*(CERTIFICATE|CRL|KEY|REQUEST|PKCS7|CMS)\b")
"""What is left of one that lost its dashes."""
_CONTROL = regex(rb"[\x00-\x08\x0a-\x1f\x7f]")
_HEADER = regex(rb"[A-Za-z][A-Za-z0-9-]*:")
_KEY_HEADER = regex(rb"(Proc-Type|DEK-Info): [\x20-\x7e]+")
"""Those of a private key that an old OpenSSL encrypted (RFC 1421 section 4.6)."""
_KEY_TRACE = regex(
    rb"(BEGIN|END)[A-Z0-9 ]{0,40}PRIVATE KEY"
    # `openssl pkey -text`, whose numbers stand on the lines below
    rb"|^[ \t#]*(priv|prime1|prime2|exponent1|exponent2|coefficient|privateExponent):|Private-Key:"
    # a private JWK (RFC 7518 sections 6.2.2 and 6.3.2), age, PuTTY
    rb'|"(d|p|q|dp|dq|qi)"[ \t]*:[ \t]*"|AGE-SECRET-KEY-|PuTTY-User-Key-File-|^[ \t#]*Private-(Lines|MAC|Hash):',
    re.MULTILINE,
)
_BLANK = b" \t"
_ENOUGH = 8
_FORMS = {
    CRL: regex(rb"\x02?\x30\x30[\x17\x18]"),
    REQUESTS[0]: regex(rb"\x02\x30\x30\xa0"),
    CERTIFICATE: regex(rb"\xa0?\x02\x30{4}"),
}
"""The tags of the first values of what is signed."""

_BELONGS = {
    CERTIFICATE: "a certificate, which an anchor, `intermediates` or `time.anchors` names",
    CRL: "a CRL: name it in a file of its own, under `crls` in [revocation]",
    "TRUSTED CERTIFICATE": "a certificate as OpenSSL alone has it; `openssl x509 -in FILE -out NEW` writes it plainly",
    "X509 CERTIFICATE": "an old name for a certificate; write CERTIFICATE into both lines",
    "PKCS7": "a PKCS #7 container; `openssl pkcs7 -print_certs -in FILE` takes its certificates out",
    "CMS": "a CMS message, not a certificate",
    "PUBLIC KEY": "a public key alone",
    "EC PARAMETERS": "the parameters of a private key",
    **dict.fromkeys(REQUESTS, "a request, of which a CA makes a certificate"),
}
PRIVATE_KEY = "a private key, which belongs to its owner alone: take it out, and replace it if others had this file"
"""What is said of one in a file that is handed on."""


@dataclass(frozen=True, slots=True)
class PemBlock:
    """One block: its label, its content, the line of its BEGIN (from 1).

    `text` is the block as the library takes it. `headers` says that it has the header fields of an old
    encrypted private key (RFC 1421), and then its content is encrypted.
    """

    label: str
    line: int
    content: bytes = field(repr=False)
    text: bytes = field(repr=False)
    headers: bool = False


def contents(data: bytes, *labels: str) -> tuple[bytes, ...]:
    """The DER of a file: of its PEM blocks, which all have one of the labels, or of the one value that it is.

    Raises `ValueError` with a sentence that has the line, also where there is nothing.
    """
    if is_der(data):
        _require_one(data, "the file")
        kind = kind_of(data)
        if kind and kind not in labels:
            raise ValueError(f"it has {belongs(kind)}")
        return (data,)
    blocks = read(data, labels)
    if not blocks:
        raise ValueError(f"no {labels[0]} in PEM or DER form")
    for block in blocks:
        _require_one(block.content, f"line {block.line}: the {block.label} block")
    return tuple(block.content for block in blocks)


def read(data: bytes, labels: Collection[str] | None = None) -> tuple[PemBlock, ...]:
    """All blocks of a PEM file, each with one of these labels (None: any); none where there is only other text.

    Raises `ValueError` with a sentence that has the line and what stands there.
    """
    if data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("line 1: the file starts with a byte order mark; save it as ASCII, or as UTF-8 without one")
    return tuple(_PemLines(data, labels).blocks())


def is_der(data: bytes) -> bool:
    """Whether a file is to be read as DER: it starts as a SEQUENCE does, and not as a text with a zero."""
    return data[:1] == b"\x30" and (data[1:2] >= b"\x80" or _DASHES not in data)


def has_private_key(data: bytes) -> bool:
    """Whether there is a trace of a private key in PEM, however damaged, or in another form of text."""
    return _KEY_TRACE.search(data) is not None


def belongs(label: str) -> str:
    """What a block with this label is, and where it belongs."""
    if _PRIVATE in label:
        return PRIVATE_KEY
    return _BELONGS.get(label, f"a block {label}, which modseal does not know")


def kind_of(data: bytes) -> str | None:
    """The PEM label of what a DER value seems to be; None where it is nothing that is known.

    Only for messages: whether it is one is for its own reader.
    """
    try:
        return _kind(data)
    except FormatError:
        return None


class _PemLines:
    """A file, line by line."""

    def __init__(self, data: bytes, labels: Collection[str] | None) -> None:
        self._lines = enumerate((line.removesuffix(b"\r").rstrip(_BLANK) for line in data.split(b"\n")), 1)
        self._labels = labels

    def blocks(self) -> Iterator[PemBlock]:
        has_block, text = False, 0
        for number, line in self._lines:
            found = _BOUNDARY.fullmatch(line)
            if found and found[1] == b"BEGIN":
                yield self._block(number, found[2])
                has_block, text = True, 0
            elif line:
                _require_text(number, line)
                text = text or number
        if has_block and text:
            raise ValueError(f"line {text}: text after which no block follows; is the file cut off?")

    def _block(self, start: int, label: bytes) -> PemBlock:
        """The block whose BEGIN was read, up to its END."""
        name = label.decode("ascii")
        if self._labels is not None and name not in self._labels:
            raise ValueError(f"line {start}: {belongs(name)}")
        lines: list[bytes] = []
        for number, line in self._lines:
            if _BOUNDARY.fullmatch(line) or _DASHES in line:
                if line != b"-----END %s-----" % label:
                    raise ValueError(f"line {number}: {_boundary(line)} inside the block {name} of line {start}")
                headers, body = _split(lines, start, name)
                text = b"\n".join((b"-----BEGIN %s-----" % label, *lines, line, b""))
                return PemBlock(name, start, _decode(start, name, b"".join(body)), text, bool(headers))
            lines.append(line)
        raise ValueError(f"line {start}: BEGIN {name}, and no END follows; is the file cut off?")


def _boundary(line: bytes) -> str:
    """What a line with dashes is, where it does not end the block."""
    if b"BEGIN" not in line:
        return "an END line that is damaged or of another label,"
    return "two lines in one (put a line break before BEGIN)" if b"END" in line else "a BEGIN line"


def _split(lines: list[bytes], start: int, label: str) -> tuple[list[bytes], list[bytes]]:
    """The header fields and the base64 of a block. Raises `ValueError`, without what a line says."""
    count = lines.index(b"") if _PRIVATE in label and b"" in lines else 0
    headers, body = lines[:count], lines[count + 1 if count else 0 :]
    for number, line in enumerate(lines, start + 1):
        if number <= start + count:
            what = "" if _KEY_HEADER.fullmatch(line) else "no header field of an encrypted key"
        elif not line:
            what = "" if count and number == start + count + 1 else "a blank line"
        elif _HEADER.match(line):
            what = "a header field"
        else:
            what = "" if _BASE64.fullmatch(line) else "a character that is not base64"
        if what:
            raise ValueError(f"line {number}: {what} inside the block {label} of line {start}")
    return headers, body


def _require_text(number: int, line: bytes) -> None:
    """Check explanatory text: it must not contain parts of a block. Raises `ValueError`."""
    if _DASHES in line or _TITLE.match(line):
        what = "dashes or words as of a BEGIN or END line, which is damaged or has lost its block"
    elif _LOOSE_BASE64.fullmatch(line):
        what = "base64 that is in no block; its BEGIN line is damaged or missing"
    elif control := _CONTROL.search(line):
        what = f"a byte {control[0][0]:#04x}, which is not text"
    elif has_private_key(line):
        what = f"a part of {PRIVATE_KEY}"
    else:
        return
    raise ValueError(f"line {number}: {what}")


def _decode(start: int, label: str, text: bytes) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error:
        content = b""
    if not content or base64.b64encode(content) != text:
        raise ValueError(f"line {start}: the base64 of the block {label} is damaged or incomplete")
    return content


def _require_one(data: bytes, what: str) -> None:
    """Exactly one DER value. Raises `ValueError`."""
    try:
        reader = der.Reader(data)
        reader.next()
    except FormatError:
        raise ValueError(f"{what} is not DER, or is truncated") from None
    if reader.more():
        raise ValueError(f"{what} has bytes after the end of its DER value")


def _kind(data: bytes) -> str | None:
    """By the tags of the first values: RFC 5280 sections 4.1 and 5.1, RFC 2986, RFC 5652, RFC 5958, RFC 7292."""
    outer = _values(der.Reader(data).next().content)
    tags = bytes(value.tag for value in outer)
    if tags.startswith(bytes((der.INTEGER,))):
        return _PRIVATE  # of any form, or PKCS #12
    if tags == bytes((der.SEQUENCE, der.OCTET_STRING)):
        return "ENCRYPTED PRIVATE KEY"
    if tags == bytes((der.SEQUENCE, der.BIT_STRING)):
        return "PUBLIC KEY"
    if tags[:1] == bytes((der.OID,)):
        return "CMS"
    inner = bytes(value.tag for value in _values(outer[0].content)) if tags[:1] == b"\x30" else b""
    return next((label for label, form in _FORMS.items() if form.match(inner)), None)


def _values(content: bytes) -> list[der.Value]:
    reader = der.Reader(content)
    values: list[der.Value] = []
    while reader.more() and len(values) < _ENOUGH:
        values.append(reader.next())
    return values
