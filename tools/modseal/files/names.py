r"""Names of files in JSON, where every reader must find them again and tell them apart.

A name on Linux is bytes, and Python keeps those that are not UTF-8 as lone surrogates (PEP 383). JSON can write them
as `\udcff`, but what a reader makes of that is not foreseeable (RFC 8259, section 8.2): jq, Go and browsers put U+FFFD
in the place of each, so that two names become one, and I-JSON (RFC 7493, section 2.1) forbids them. So a name is
written with `\xff` for a byte that is not UTF-8, and with `\\` for a backslash, which makes it unambiguous.
"""

from __future__ import annotations

from typing import Any

from modseal.values import regex

_SPECIAL = regex("[\\\\\ud800-\udfff]")
_ESCAPED = regex(r"\\(\\|x[89a-f][0-9a-f]|u[0-9a-f]{4})")
_ESCAPES = regex(r"\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|\\u(d[89a-f][0-9a-f]{2})|\\.")
r"""In JSON: a pair of surrogates, which is one character; a lone one; any other escape, `\\` among them."""


def portable(name: str) -> str:
    r"""A name as JSON has it: `\` is `\\`, and a byte that is not UTF-8 is `\x` and two hexadecimal digits."""
    if name.isascii() and "\\" not in name:
        return name
    return _SPECIAL.sub(lambda found: "\\\\" if found[0] == "\\" else _escape(ord(found[0])), name)


def native(text: str) -> str:
    """The name that `portable` gives this text for. An escape that it never writes stands for itself."""
    return _ESCAPED.sub(lambda found: _unescape(found[1]), text) if "\\" in text else text


def _escape(surrogate: int) -> str:
    """A lone surrogate: a byte (PEP 383), or else one that no file has in its name."""
    byte = surrogate - 0xDC00
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else f"\\u{surrogate:04x}"


def _unescape(text: str) -> str:
    if text == "\\":
        return text
    number = int(text[1:], 16)
    if text[0] == "x":
        return chr(0xDC00 + number)
    return chr(number) if 0xD800 <= number <= 0xDFFF else f"\\{text}"


def dumped(value: Any, indent: int | None = None) -> str:
    r"""Values as JSON in ASCII. A lone surrogate in any text of it is written as in `portable`, `\` as it is."""
    import json  # most names are not written to it

    text = json.dumps(value, indent=indent, ensure_ascii=True)
    if "\\ud" not in text:
        return text
    return _ESCAPES.sub(lambda found: f"\\{_escape(int(found[1], 16))}" if found[1] else found[0], text)
