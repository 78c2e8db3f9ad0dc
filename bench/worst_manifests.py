"""The worst manifests, descriptors and archives, each as large as may be. What signed them is another manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from builders.bundles import Bundle, make
from modseal import limits
from modseal.format import ar, canonical_json
from modseal.format.manifest import MANIFEST_MEMBER

SIZE = limits.MANIFEST_SIZE
MARK = "\u0315\u0300\u05ae\u0300\u0315"
"""Combining characters in an order that normalising must change."""
ZERO = hashlib.sha256(b"").hexdigest()


def _with(bundle: Bundle, data: bytes) -> bytes:
    if len(data) > SIZE:
        raise ValueError(f"{len(data)} bytes are more than a manifest may have")
    return bundle.with_member(MANIFEST_MEMBER[bundle.kind], data=data).data


# manifest.json


def json_manifests() -> Iterator[tuple[str, bytes]]:
    """`manifest.json` at its limit."""
    good = make()
    for what, data in _json_texts(good):
        yield what, _with(good, data)


def _json_texts(good: Bundle) -> Iterator[tuple[str, bytes]]:
    room = SIZE - 100
    yield "nested lists", b"[" * room
    yield "nested objects", b'{"a":' * (room // 5)
    yield "a million values", b"[" + b"1," * (limits.MANIFEST_VALUES - 10) + b"1]"
    yield "a million empty lists", b"[" + b"[]," * (limits.MANIFEST_VALUES // 2 - 10) + b"[]]"
    keys = b",".join(b'"%d":1' % n for n in range(limits.MANIFEST_VALUES - 10))
    yield "an object with a million keys", b"{" + keys + b"}"
    yield "a number of 16 million digits", b'{"size":' + b"9" * room + b"}"
    yield "white space", b" " * room + b"{}"
    yield "escapes", b'"' + b"\\u0000" * (room // 6) + b'"'
    yield "quotes and commas", b'"' + b'","' * (room // 3)
    for field in ("description", "vendor", "name", "version", "summary", "released", "schema", "level"):
        yield (
            f"{field} of 16 MiB",
            _edited(good, lambda plain, field=field: plain.update({field: "1." * (room // 2 - 900)})),
        )
    marks = MARK * ((room - 2000) // len(MARK.encode()))
    yield "a vendor of combining characters", _edited(good, lambda plain: plain.update(vendor=marks))
    yield "50,000 files", _edited(good, _files(lambda n: f"d/{n:06}", limits.FILES))
    fitting = 16_000_000 // (limits.PATH_LENGTH + 180)
    path = (MARK * 40).encode()[:240].decode("utf-8", "ignore")
    yield "paths of combining characters", _edited(good, _files(lambda n: f"{n:06}{path}", fitting))
    deep = "/".join("a" * (limits.PATH_DEPTH - 3))
    yield "paths of 64 parts", _edited(good, _files(lambda n: f"{n:06}/{deep}", limits.FILES))
    yield "paths that fold alike", _edited(good, _files(lambda n: f"{n:06}" + "\u0130\ufb03\u1e9e" * 28, fitting))
    yield "links", _edited(good, _links)
    yield "payloads with 230,000 chunks", _edited(good, _chunks)
    yield "4,096 tags and as many constraints", _edited(good, _lists)


def _edited(good: Bundle, change: Callable[[Any], None]) -> bytes:
    plain = canonical_json.load(good.manifest_bytes, "manifest.json")
    change(plain)
    return canonical_json.dump(plain)


def _files(path: Callable[[int], str], count: int) -> Callable[[Any], None]:
    def change(plain: Any) -> None:
        one = {"type": "file", "mode": "0644", "payload": plain["payloads"][0]["name"], "size": 0, "sha256": ZERO}
        plain["files"] = [{**one, "path": path(n)} for n in range(count)]

    return change


def _links(plain: Any) -> None:
    one = {"type": "symlink", "payload": plain["payloads"][0]["name"], "target": "../" * 33}
    plain["files"] = [{**one, "path": f"{n:06}/" + "b" * 60} for n in range(limits.FILES)]


def _chunks(plain: Any) -> None:
    one = plain["payloads"][0]
    size = limits.MEMBER_SIZE
    chunks = [ZERO] * -(-size // limits.CHUNK_SIZE)
    count = min(limits.PAYLOADS, (SIZE - 10_000) // (len(chunks) * 67 + 300))
    plain["payloads"] = [{**one, "name": f"p{n}", "size": size, "chunks": chunks} for n in range(count)]
    plain.pop("files", None)


def _lists(plain: Any) -> None:
    plain["tags"] = [f"tag{n:05}" + "x" * 100 for n in range(limits.ITEMS)]
    each = [{"name": f"n{n:05}" + "x" * 100, "relation": ">=", "version": "1." * 60 + "1"} for n in range(limits.ITEMS)]
    plain["relationships"] = dict.fromkeys(("conflicts", "depends", "replaces"), each)


# descriptor.xml


def descriptors() -> Iterator[tuple[str, bytes]]:
    """`descriptor.xml` at its limit."""
    good = make("vib")
    for what, data in _xml_texts(good.manifest_bytes):
        yield what, _with(good, data)


def _xml_texts(text: bytes) -> Iterator[tuple[str, bytes]]:
    room = SIZE - len(text) - 100
    start = text.index(b">", text.index(b"<vib")) + 1

    def inside(more: bytes) -> bytes:
        return text[:start] + more + text[start:]

    def files(each: Callable[[int], bytes], count: int) -> bytes:
        return text.replace(b"<file-list>", b"<file-list>" + b"".join(map(each, range(count))), 1)

    attributes = b"".join(b' a%d=""' % n for n in range(limits.MANIFEST_ATTRIBUTES - 50))
    yield "an element with 200,000 attributes", text[: start - 1] + attributes + text[start - 1 :]
    yield "200,000 elements with an attribute", inside(b'<a b=""/>' * (limits.MANIFEST_ATTRIBUTES - 50))
    yield "unknown elements", inside(b"<a/>" * (room // 4))
    yield "nested elements", inside(b"<a>" * (room // 3))
    yield "an element's name of 16 MiB", inside(b"<" + b"a" * room + b"/>")
    yield "an attribute of 16 MiB", inside(b'<a b="' + b"c" * room + b'"/>')
    yield "white space between elements", inside(b"\n" * room)
    yield "character references", inside(b"&#32;" * (room // 5))
    yield "comments", inside(b"<!---->" * (room // 7))
    yield "an unfinished comment", inside(b"<!--" + b"- " * (room // 2))
    yield "a document type with entities", b'<!DOCTYPE vib [<!ENTITY a "b">]>' + b"<vib>" + b"&a;" * (room // 3)
    for name in (b"description", b"vendor", b"version", b"name", b"summary"):
        tag = b"<%s>" % name
        if tag in text:
            yield f"{name.decode()} of 16 MiB", text.replace(tag, tag + b"1." * (room // 2), 1)
    yield "50,000 files", files(lambda n: b"<file>d/%06d</file>" % n, limits.FILES - 10)
    yield "files without end", files(lambda n: b"<file>%d</file>" % n, room // 21)
    path = (MARK * 40).encode()[:230]
    path = path.decode("utf-8", "ignore").encode()
    yield "paths of combining characters", files(lambda n: b"<file>%06d%s</file>" % (n, path), limits.FILES - 10)


# The archive.


def archives() -> Iterator[tuple[str, bytes]]:
    """Archives of many members."""
    good = make()
    *first, last = good.members
    more = [type(last)(f"m{n}", b"x" * 100) for n in range(limits.MEMBERS)]
    yield "128 members", good.with_members(*good.members, *more[: limits.MEMBERS - len(good.members)]).data
    header = type(last)("base", b"").encode()
    yield "279,000 members", ar.MAGIC + b"".join(one.encode() for one in first) + header * (16 * 2**20 // len(header))
