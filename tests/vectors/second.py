"""A second reader of `.seal` bundles, written from docs/format.md alone: it imports nothing of modseal.

It judges steps 0, 1, 7 and 8 (docs/verification.md) for one trusted Ed25519 key, in the plainest way and all in memory,
so that a difference from modseal is a gap in the page or a mistake in either. It is a test, and no tool.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
import zlib
from itertools import pairwise
from typing import Any

import zstandard
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MIB = 1024 * 1024
CHUNK = 4 * MIB
RESERVED = {"manifest.json", "descriptor.xml", "sig.pkcs7"}
SPACE = {0x20, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000, *range(9, 14), *range(0x1C, 0x20), 0x85}
SPACE |= {0x2028, 0x2029}
NOT_IN_TEXT = {*range(9), *range(11, 32), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F)}
NOT_IN_TEXT |= {*range(0x2066, 0x206A), 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)}
NAME = "[A-Za-z0-9][A-Za-z0-9._+-]{0,127}"
VERSION = "[A-Za-z0-9][A-Za-z0-9._+~:-]{0,127}"
HEX = "[0-9a-f]{64}"
MEDIA = "[a-z0-9][a-z0-9!#$&^_.+-]{0,62}"
MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class RefusedError(Exception):
    """The bundle is not accepted; the text says why."""


def need(holds: object, why: str) -> None:
    """One MUST of the page."""
    if not holds:
        raise RefusedError(why)


def verify(data: bytes, key: Ed25519PublicKey) -> None:
    """Raises `RefusedError` unless the bundle is sound and signed by the key."""
    members = container(data)
    names = [name for name, _ in members]
    need(names[:2] == ["manifest.json", "sig.pkcs7"], "the first two members")
    content = dict(members)
    raw = content["manifest.json"]
    need(len(raw) <= 16 * MIB and len(content["sig.pkcs7"]) <= MIB, "size of manifest and signature")
    signature(content["sig.pkcs7"], raw, key)
    manifest = parse(raw)
    payloads, attachments = manifest.get("payloads", []), manifest.get("attachments", [])
    need(names[2:] == [one["name"] for one in payloads + attachments], "exactly the declared members, in order")
    for payload in payloads:
        entries = [one for one in manifest.get("files", []) if one["payload"] == payload["name"]]
        listing(unpacked(content[payload["name"]], payload), entries, payload["mtime"])
    for attachment in attachments:
        found = content[attachment["name"]]
        need(len(found) == attachment["size"] and sha256(found) == attachment["sha256"], "attachment")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# Section 2.


def container(data: bytes) -> list[tuple[str, bytes]]:
    need(data[:8] == b"!<arch>\n", "magic")
    found: list[tuple[str, bytes]] = []
    at = 8
    while at < len(data):
        head = data[at : at + 60].decode("latin-1")
        name, size = head[:16].rstrip(" "), head[48:58].rstrip(" ")
        need(re.fullmatch("[A-Za-z0-9._-]{1,15}", name) and name not in (".", ".."), "name of a member")
        need(re.fullmatch("0|[1-9][0-9]*", size), "size of a member")
        zeros = "0".ljust(12) + "0".ljust(6) + "0".ljust(6) + "0".ljust(8)
        need(head == name.ljust(16) + zeros + size.ljust(10) + "`\n", "header of a member")
        at += 60
        body = data[at : at + int(size)]
        need(len(body) == int(size), "truncated")
        at += len(body)
        if len(body) % 2:
            need(data[at : at + 1] == b"\n", "padding")
            at += 1
        found.append((name, body))
    need(len(found) <= 128 and len({name for name, _ in found}) == len(found), "number and names of members")
    return found


# Section 5, as far as one key needs it.


def signature(member: bytes, manifest: bytes, key: Ed25519PublicKey) -> None:
    blocks = re.findall(rb"-----BEGIN PKCS7-----\n((?:[A-Za-z0-9+/=]{1,76}\n)+)-----END PKCS7-----\n", member)
    need(blocks, "signed")
    good = False
    for block in blocks:
        good |= block_verifies(base64.b64decode(block.replace(b"\n", b"")), manifest, key)
    need(good, "signed by the key")


def block_verifies(der: bytes, manifest: bytes, key: Ed25519PublicKey) -> bool:
    signed = children(children(children(der)[0][2])[1][2])[0][2]
    certificates = children(next(body for tag, _, body in children(signed) if tag == 0xA0))
    info = children(children(children(signed)[-1][2])[0][2])
    attributes = next(one for one in info if one[0] == 0xA0)
    values = {children(one)[0][2]: children(children(one)[1][2])[0][2] for _, _, one in children(attributes[2])}
    need(values[bytes.fromhex("2a864886f70d010904")] == hashlib.sha512(manifest).digest(), "message digest")
    public = [x509.load_der_x509_certificate(raw).public_key() for _, raw, _ in certificates]
    value = next(body for tag, _, body in info if tag == 0x04)
    for one in public:
        if isinstance(one, Ed25519PublicKey):
            try:
                one.verify(value, b"\x31" + attributes[1][1:])
            except InvalidSignature:
                continue
            return one.public_bytes_raw() == key.public_bytes_raw()
    raise RefusedError("signature")


def children(data: bytes) -> list[tuple[int, bytes, bytes]]:
    """The DER values in some bytes: tag, all bytes, content."""
    found, at = [], 0
    while at < len(data):
        first = data[at + 1]
        more = first & 0x7F if first & 0x80 else 0
        start = at + 2 + more
        end = start + (int.from_bytes(data[at + 2 : start], "big") if more else first)
        need(end <= len(data), "DER")
        found.append((data[at], data[at:end], data[start:end]))
        at = end
    return found


# Section 3.


def parse(raw: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(raw.decode("utf-8"), parse_float=_no_float, parse_constant=_no_float)
        need(canonical(manifest).encode("utf-8") == raw, "canonical")
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"JSON: {error}") from None
    structure = re.sub(rb'"(?:[^"\\]|\\.)*"', b"", raw)
    need(sum(map(structure.count, (b",", b"[", b"{"))) <= 1_000_000, "number of values")
    fields(
        manifest,
        {"schema": is_one_of("modseal/manifest@1"), "vendor": vendor, "name": like(NAME), "version": like(VERSION),
         "level": is_one_of("certified", "accepted", "partner", "community")},
        {"summary": text, "description": text, "released": time, "depends": many(constraint, 4096),
         "conflicts": many(constraint, 4096), "replaces": many(constraint, 4096), "provides": many(provided, 4096),
         "payloads": many(payload_fields, 120), "files": many(entry_fields, 50_000),
         "attachments": many(attachment_fields, 6), "expected-signers": many(like("key-sha256:" + HEX), 16)},
    )  # fmt: skip
    payloads, files = manifest.get("payloads", []), manifest.get("files", [])
    names = [one["name"] for one in payloads + manifest.get("attachments", [])]
    need(len(set(names)) == len(names) and not RESERVED & set(names), "names of payloads and attachments")
    for payload in payloads:
        need(len(payload["chunks"]) == (payload["size"] + CHUNK - 1) // CHUNK, "number of chunks")
    order = {payload["name"]: index for index, payload in enumerate(payloads)}
    need(all(one["payload"] in order for one in files), "payload of an entry")
    keys = [(order[one["payload"]], one["path"].replace("/", "\0").encode()) for one in files]
    need(all(first < second for first, second in pairwise(keys)), "order of entries")
    collisions(files)
    expected = manifest.get("expected-signers", [])
    need(expected == sorted(set(expected)) and not expected, "expected signers")  # this reader knows no other key
    return dict(manifest)


def _no_float(_: str) -> None:
    raise ValueError("a number that is not an integer")


def canonical(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, str):
        short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
        return '"' + "".join(short.get(one) or (f"\\u{ord(one):04x}" if one < " " else one) for one in value) + '"'
    need(type(value) is int and value >= 0, "only objects, arrays, strings and integers")
    return str(value)


def fields(value: Any, needed: dict[str, Any], optional: dict[str, Any]) -> None:
    need(type(value) is dict, "an object")
    need(set(needed) <= set(value) <= set(needed) | set(optional), "keys of an object")
    for key, rule in (needed | optional).items():
        if key in value:
            need(rule(value[key]), key)


def many(rule: Any, most: int) -> Any:
    return lambda value: type(value) is list and 1 <= len(value) <= most and all(map(rule, value))


def like(pattern: str) -> Any:
    return lambda value: type(value) is str and re.fullmatch(pattern, value) is not None


def is_one_of(*values: str) -> Any:
    return lambda value: type(value) is str and value in values


def integer(least: int, most: int) -> Any:
    return lambda value: type(value) is int and least <= value <= most


def text(value: Any, most: int = 16384) -> bool:
    return type(value) is str and 1 <= len(value) <= most and not NOT_IN_TEXT & set(map(ord, value))


def vendor(value: Any) -> bool:
    return text(value, 128) and not set("/\\\n\t") & set(value) and trimmed(value)


def trimmed(value: str) -> bool:
    return ord(value[0]) not in SPACE and ord(value[-1]) not in SPACE


def time(value: Any) -> bool:
    if not like("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")(value):
        return False
    year, month, day, hour, minute, second = (int(part) for part in re.findall("[0-9]+", value))
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return bool(
        year and 1 <= month <= 12 and 1 <= day <= MONTHS[month - 1] + (leap and month == 2)
        and hour < 24 and minute < 60 and second < 60
    )  # fmt: skip


def constraint(value: Any) -> bool:
    more = {"relation": is_one_of("<<", "<=", "=", ">=", ">>"), "version": like(VERSION)}
    fields(value, {"name": like(NAME), **({} if type(value) is dict and len(value) == 1 else more)}, {})
    return True


def provided(value: Any) -> bool:
    fields(value, {"name": like(NAME)}, {"version": like(VERSION)})
    return True


def member_name(value: Any) -> bool:
    return bool(like("[A-Za-z0-9._-]{1,15}")(value)) and value not in (".", "..")


def payload_fields(value: Any) -> bool:
    fields(
        value,
        {"name": member_name, "type": is_one_of("tar+zstd", "tar+gzip"), "size": integer(1, 9_999_999_999),
         "unpacked-size": integer(0, 256 * 1024 * MIB), "chunk-size": integer(CHUNK, CHUNK),
         "chunks": many(like(HEX), 2385), "mtime": integer(0, 2**33 - 1)},
        {},
    )  # fmt: skip
    return True


def attachment_fields(value: Any) -> bool:
    rules = {"name": member_name, "media-type": like(f"{MEDIA}/{MEDIA}"), "sha256": like(HEX)}
    fields(value, {**rules, "size": integer(0, 64 * MIB)}, {})
    return True


def entry_fields(value: Any) -> bool:
    need(type(value) is dict, "an object")
    kind = value.get("type")
    need(is_one_of("file", "directory", "symlink")(kind), "type of an entry")
    rules: dict[str, Any] = {"type": like(".*"), "path": path, "payload": member_name}
    if kind == "symlink":
        rules["target"] = lambda target: link(value.get("path", ""), target)
    else:
        rules["mode"] = like("[0-7]{4}")
    if kind == "file":
        rules |= {"size": integer(0, 2**33 - 1), "sha256": like(HEX)}
    fields(value, rules, {})
    return True


def seen(value: str) -> bool:
    return not any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for one in value)


def path(value: Any) -> bool:
    if type(value) is not str or not value or not seen(value) or not trimmed(value) or set("\\*?") & set(value):
        return False
    parts = value.split("/")
    return (
        len(value.encode()) <= 255 and len(parts) <= 64 and unicodedata.is_normalized("NFC", value)
        and not any(part in ("", ".", "..") or part.endswith(" ") for part in parts)
    )  # fmt: skip


def link(path_: str, target: Any) -> bool:
    if type(target) is not str or not seen(target) or "\\" in target or target.startswith("/"):
        return False
    steps = [step for step in target.split("/") if step not in ("", ".")]
    up = 0
    while steps[up : up + 1] == [".."]:
        up += 1
    return 1 <= len(target.encode()) <= 100 and ".." not in steps[up:] and up <= path_.count("/")


def fold(value: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).casefold())


def collisions(files: list[dict[str, Any]]) -> None:
    spelled: dict[str, str] = {}
    kinds: dict[str, str] = {}
    for one in files:
        need(fold(one["path"]) not in kinds, "two paths that collide")
        kinds[fold(one["path"])] = one["type"]
    for one in files:
        parts = one["path"].split("/")
        for count in range(1, len(parts) + 1):
            above = "/".join(parts[:count])
            need(spelled.setdefault(fold(above), above) == above, "one spelling")
            need(count == len(parts) or kinds.get(fold(above), "directory") == "directory", "below no directory")


# Section 4.


def unpacked(member: bytes, payload: dict[str, Any]) -> bytes:
    need(len(member) == payload["size"], "size of a payload")
    chunks = [sha256(member[at : at + CHUNK]) for at in range(0, len(member), CHUNK)]
    need(chunks == payload["chunks"], "digest of a chunk")
    need(payload["unpacked-size"] <= 64 * MIB, "this reader has everything in memory")
    tar = (gunzipped if payload["type"] == "tar+gzip" else unframed)(member, payload["unpacked-size"])
    need(len(tar) == payload["unpacked-size"], "unpacked size")
    return tar


def gunzipped(member: bytes, size: int) -> bytes:
    need(member[:10].hex() == "1f8b08000000000002ff", "gzip header")
    inflate = zlib.decompressobj(-15)
    try:
        data = inflate.decompress(member[10:], size + 1)
    except zlib.error as error:
        raise RefusedError(str(error)) from None
    need(inflate.eof, "the end of the deflate stream")
    end = zlib.crc32(data).to_bytes(4, "little") + (len(data) & 0xFFFFFFFF).to_bytes(4, "little")
    need(inflate.unused_data == end, "CRC-32 and size, and nothing more")
    return data


def unframed(member: bytes, size: int) -> bytes:
    data, at, full = b"", 0, True
    while at < len(member):
        need(full, "only the last frame is not full")
        end, content = one_frame(member, at)
        reader = zstandard.ZstdDecompressor(max_window_size=CHUNK).stream_reader(member[at:end])
        try:
            found = reader.read()
        except zstandard.ZstdError as error:
            raise RefusedError(str(error)) from None
        need(len(found) == content, "content size of a frame")
        data, at, full = data + found, end, content == CHUNK
        need(len(data) <= size, "no more than the unpacked size")
    need(data, "a payload is not empty")
    return data


def one_frame(member: bytes, at: int) -> tuple[int, int]:
    """Where a frame ends, and its content size."""
    need(member[at : at + 4].hex() == "28b52ffd", "magic of a frame")
    need(member[at + 4 : at + 5] in (b"\x20", b"\x60", b"\xa0", b"\xe0"), "frame header")
    width = {0x20: 1, 0x60: 2, 0xA0: 4, 0xE0: 8}[member[at + 4]]
    content = int.from_bytes(member[at + 5 : at + 5 + width], "little") + (256 if width == 2 else 0)
    need(1 <= content <= CHUNK, "content size")
    at += 5 + width
    count = held = last = 0
    while not last:
        need(at + 3 <= len(member), "header of a block")
        field = int.from_bytes(member[at : at + 3], "little")
        last, kind, size = field & 1, field >> 1 & 3, field >> 3
        need(kind != 3 and size <= min(content, 128 * 1024), "kind and size of a block")
        need(size or (last and kind != 2), "an empty block")
        length = 1 if kind == 1 else size
        at, count, held = at + 3 + length, count + 1, held + length
    need(at <= len(member), "truncated")
    need(held <= content + content // 64 + 1024 and count <= content // 512 + 2, "a sane number of blocks")
    return at, content


def listing(tar: bytes, entries: list[dict[str, Any]], mtime: int) -> None:
    """The tar is what the manifest makes it, header for header."""
    at = 0
    for one in entries:
        head = tar_headers(one, mtime)
        need(tar[at : at + len(head)] == head, f"header of {one['path']}")
        at += len(head)
        size = one.get("size", 0)
        need(sha256(tar[at : at + size]) == one.get("sha256", sha256(b"")), f"content of {one['path']}")
        need(not any(tar[at + size : at + size + -size % 512]), "padding")
        at += size + -size % 512
    need(tar[at:] == bytes(1024), "the end of the tar")


def tar_headers(entry: dict[str, Any], mtime: int) -> bytes:
    path = (entry["path"] + ("/" if entry["type"] == "directory" else "")).encode()
    mode = "0777" if entry["type"] == "symlink" else entry["mode"]
    flag = {"file": b"0", "symlink": b"2", "directory": b"5"}[entry["type"]]
    rest = (mode, entry.get("size", 0), mtime, flag, entry.get("target", "").encode())
    if len(path) <= 100:
        return tar_header(path, b"", *rest)
    for at, byte in enumerate(path):
        if byte == ord("/") and 1 <= at <= 155 and 1 <= len(path) - at - 1 <= 100:
            return tar_header(path[at + 1 :], path[:at], *rest)
    record = str(len(path) + 10).encode() + b" path=" + path + b"\n"
    before = tar_header(b"././@PaxHeader", b"", "0644", len(record), mtime, b"x", b"")
    return before + record.ljust(512, b"\0") + tar_header(b"././@LongPath", b"", *rest)


def tar_header(name: bytes, prefix: bytes, mode: str, size: int, mtime: int, flag: bytes, target: bytes) -> bytes:
    head = name.ljust(100, b"\0") + f"000{mode}\0".encode() + b"0000000\0" * 2
    head += f"{size:011o}\0{mtime:011o}\0".encode() + b" " * 8 + flag
    head += target.ljust(100, b"\0") + b"ustar\x0000"
    head += b"root".ljust(32, b"\0") * 2 + b"0000000\0" * 2 + prefix.ljust(155, b"\0") + bytes(12)
    return head[:148] + f"{sum(head):06o}\0 ".encode() + head[156:]
