"""The dictionaries: every word that modseal's shapes and grammar know, and some that must be refused.

`make_seeds.py` writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from modseal.bundle import layout
from modseal.depot import grammar
from modseal.format import manifest_json, pem, strict_xml, trust_bundle, vib_grammar
from modseal.format.shape import Array, Shape, Table, Text, TextMap, Variant
from modseal.packing import spec_shape
from modseal.policy import shape as policy_shape

_JSON = {'"\\u0000"', '"\\ud800"', "null", "true", "1e9", "-0", "[]", "{}"}
_TOML = {"[[", "]]", "= [", "{", "}", "\n", '"""', "'''", "\\u0000", "0x", "1e9", "inf", "true", "a.b.c"}
_TIMES = {"1979-05-27T07:32:00Z", "0001-01-01T00:00:00+23:00"}
_FILES = {"root.pem", "root.crl", "tsa-root.pem", "chain.pem"}
_XML = {"&amp;", "&#13;", "&#x41;", "<!--", "-->", "<![CDATA[", "]]>", "<!DOCTYPE", "<?xml", "?>", "xmlns="}
_VIB = {"gunzip", "sha-1", "sha-256", "sha-256-gunzip1", "vgz", "tgz", "vzstd", "community", "certified"}
_DEPOT = (grammar.INDEX, grammar.VENDOR_INDEX, grammar.LISTING, grammar.BULLETIN, grammar.DESCRIBED)


def dictionaries() -> dict[str, bytes]:
    """The files by name."""
    words = {
        "json.dict": {*_quoted(manifest_json.SHAPE), *_JSON},
        "layout.dict": {*_quoted(layout.SHAPE), *_JSON},
        "trust.dict": {*_quoted(trust_bundle.SHAPE), *_JSON},
        "spec.dict": {*_words(spec_shape.SHAPE), *_TOML, *_TIMES},
        "policy.dict": {*_words(policy_shape.SHAPE), *_TOML, *_FILES},
        "pem.dict": _boundaries(),
        "depot.dict": {*(word for root in _DEPOT for word in _tags(root)), *_XML, *_VIB},
        "xml.dict": {*_tags(vib_grammar.DESCRIPTOR), *_tags(vib_grammar.STAGE), *_XML, *_VIB},
    }
    return {name: _dictionary(found) for name, found in words.items()}


def _boundaries() -> Iterator[str]:
    """The lines around blocks, and what is left of them."""
    for label in (pem.CERTIFICATE, pem.CRL, *pem.REQUESTS, *pem.KEYS, "PKCS7", "CMS"):
        yield from (f"-----BEGIN {label}-----\n", f"-----END {label}-----\n")
    yield from ("-----", "---", "-----BEGIN ", "-----END ", "Proc-Type: 4,ENCRYPTED\n\n", "# ", "\r\n", "==", "=")


def _dictionary(words: Iterable[str]) -> bytes:
    """LibFuzzer's form of a dictionary."""
    escaped = (
        word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\x0a").replace("\r", "\\x0d")
        for word in sorted(words)
    )
    return "".join(f'"{word}"\n' for word in escaped if word).encode("ascii")


def _quoted(shape: Shape) -> Iterator[str]:
    return (f'"{word}"' for word in _words(shape))


def _words(shape: Shape) -> Iterator[str]:
    """The keys and choices of a shape."""
    if isinstance(shape, Table):
        yield from shape.fields
        for field in shape.fields.values():
            yield from _words(field)
    elif isinstance(shape, Variant):
        for name, table in shape.tables.items():
            yield name
            yield from _words(table)
    elif isinstance(shape, Array | TextMap):
        yield from _words(shape.item)
    elif isinstance(shape, Text):
        yield from shape.choices


def _tags(element: strict_xml.ElementRule) -> Iterator[str]:
    """The tags and attributes of a grammar."""
    yield from (f"<{element.name}>", f"</{element.name}>", f"<{element.name} />")
    yield from (f' {name}=""' for name in element.attributes)
    for child in element.children:
        yield from _tags(child.element)
