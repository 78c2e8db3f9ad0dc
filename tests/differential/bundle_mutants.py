"""Bundles that are nearly good: most of them changed below the signature and signed again."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from builders import bundles, zstd_blocks
from builders.bundles import Bundle, Member
from differential import mutants
from modseal.format import canonical_json, compression, rules, tar
from modseal.format.manifest import Entry, FileType
from vectors.keys import SIGNER
from vectors.material import frame, good, stored

BASES = (
    good(),
    good(packer=frame, attachments={"sbom.json": b"{}", "odd": b"1"}),
    good(files={"a": None, "a/l": "../b", "b": b"x" * 600, "\u00e9": b""}, released="2024-02-29T23:59:59Z"),
)
TEXTS = (
    "", " ", "a", "A", "a ", " a", "a\u00a0", "a\tb", "a\nb", "a/b", "a\\b", "\u3000a", "a\u2028b", "a\u202eb",
    "\ufffe",
    "\u0378",
    "\U0001f642", "e\u0301", "\u00e9", "a\u0085b", "\x7f", "1.0-1", "<<", "=", "==", "partner", "community",
    "Partner",
    "2026-01-31T12:00:00Z", "2016-12-31T23:59:60Z", "0000-01-01T00:00:00Z", "2025-02-29T00:00:00Z",
    "2000-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z", "2026-01-31T24:00:00Z", "2026-1-31T12:00:00Z", ".", "..", "...", "sig.pkcs7",
    "manifest.json", "base",
    "a" * 15, "a" * 16, "a" * 128, "a" * 129, "text/plain", "Text/plain", "a/b+c", "a!/b", "!a/b", "a/b/c", "a/",
    "tar+gzip",
    "tar+zstd", "file", "directory", "symlink", "0644", "4755", "644", "00644", "0888", "00" * 32,
    "key-sha256:" + "a" * 64, "\ue000",
    "modseal/manifest@2", "-a", "~1", "+", "a*", "a?", "1" * 20, "\u0661",
)  # fmt: skip
PATHS = (
    "a", "A", "b", "a/b", "a/B", "A/b", "a-b", "a.b", "a/b/c", "a b", "a /b", "./a", "../a", "/a", "a/", "a//b",
    "a/./b",
    "a/../b", "stra\u00dfe", "strasse", "STRASSE/x", "\u017f", "S", "s/x", "\u00e9", "e\u0301", "\u00c9/x", "\u0130",
    "i\u0307", "\u1e9e", "ss", "\ufb01", "fi",
    "a\\b", "a*", "a?", "a\n", "\u3000a", "a\u200bb", "a\u0378", "x" * 100, "x" * 101, "d" * 60 + "/" + "e" *
    60, "d" * 155 + "/" + "e" * 99,
    "d" * 155 + "/" + "e" * 100, "y" * 255, "y" * 256, "/".join(["z"] * 64), "/".join(["z"] * 65), "\u03c3",
    "\u03c2", "\u03a3", "\u212a", "k",
)  # fmt: skip
TARGETS = (
    "a",
    "../a",
    "../../a",
    "..",
    ".",
    "./",
    "a//b",
    "a/../b",
    "/a",
    "",
    "a\\b",
    "x" * 100,
    "x" * 101,
    "\u00e9",
    "a\u200b",
    "..a",
    "...",
)
NUMBERS = (
    0,
    1,
    -1,
    2,
    10,
    511,
    512,
    4096,
    4_194_304,
    4_194_305,
    2**33 - 1,
    2**33,
    2**53,
    2**64,
    9_999_999_999,
    10**10,
    64 * 2**20 + 1,
)


def mutant(rng: Random) -> bytes:
    """One bundle."""
    base = rng.choice(BASES)
    change: Callable[[Random, Bundle], Bundle | bytes] = rng.choice(
        (_container, _values, _values, _values, _bytes, _tree, _tree, _tree, _tar, _packed)
    )
    made = change(rng, base)
    return made if isinstance(made, bytes) else made.data


def _container(rng: Random, base: Bundle) -> bytes:
    """Members moved, doubled and removed, or a header changed; the signature stays good."""
    members = list(base.members)
    kind = rng.randrange(5)
    at = rng.randrange(len(members))
    if kind == 0:
        members.insert(rng.randint(0, len(members)), rng.choice((members[at], Member("odd", b"1"), Member("x", b""))))
    elif kind == 1:
        del members[at]
    elif kind == 2:
        rng.shuffle(members)
    elif kind == 3:
        members[at] = replace(members[at], padding=rng.choice((b"", b"\n", b"\0", b"\n\n")))
    data = b"".join([b"!<arch>\n", *(member.encode() for member in members)])
    if kind == 4:
        start = 8 + sum(len(member.encode()) for member in members[:at])
        end = start + len(members[at].encode())
        data = data[:start] + mutants._ar_field(rng, data[start:end]) + data[end:]
    return data[: rng.randint(0, len(data))] if rng.random() < 0.05 else data


def _values(rng: Random, base: Bundle) -> Bundle:
    """One to three values of the manifest changed, in canonical form, and signed again."""

    def change(plain: dict[str, Any]) -> None:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            _one_value(rng, plain)

    return base.edit(change)


def _one_value(rng: Random, plain: dict[str, Any]) -> None:
    holder: Any = plain
    while True:
        keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.8:
            holder = holder[key]
            continue
        break
    kind = rng.random()
    if kind < 0.1:
        del holder[key]
    elif kind < 0.2 and isinstance(holder, list):
        holder.insert(rng.randint(0, len(holder)), holder[key])
    elif kind < 0.25 and isinstance(holder, list):
        rng.shuffle(holder)
    elif kind < 0.3 and isinstance(holder, dict):
        holder[rng.choice(("x", "summary", "target", "size", "mode", "depends", "released", "version"))] = _any(rng)
    elif kind < 0.4:
        holder[key] = rng.choice((None, True, [], {}, "", 1.5, [{}], {"name": "a"}))
    elif isinstance(holder[key], str):
        word = holder[key]
        holder[key] = rng.choice((word.upper(), word + rng.choice(TEXTS), word[:-1], *rng.sample(TEXTS, 4)))
    elif isinstance(holder[key], int):
        holder[key] = rng.choice((holder[key] + rng.choice((1, -1, 512)), rng.choice(NUMBERS)))
    else:
        holder[key] = _any(rng)


def _any(rng: Random) -> object:
    one: object = rng.choice((rng.choice(TEXTS), rng.choice(NUMBERS), {"name": rng.choice(TEXTS)}))
    constraint = {"name": "a", "relation": rng.choice(("=", "<<", "x")), "version": rng.choice(("1", "", "1 2"))}
    return rng.choice((one, [one], [constraint], [{"name": "b", "version": "1"}]))


def _bytes(rng: Random, base: Bundle) -> Bundle:
    """Bytes of the manifest changed and signed again."""
    data = bytearray(base.manifest_bytes)
    at = rng.randrange(len(data))
    kind = rng.randrange(4)
    if kind == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at:at] = rng.choice((b" ", b"\n", b"\0", b"\\", b"\\u0041", b",", b'"', b"\xef\xbb\xbf", b"0"))
    elif kind == 2:
        del data[at : at + rng.randint(1, 3)]
    else:
        data += rng.choice((b"\n", b" ", b"{}", b"\0"))
    return base.with_manifest_bytes(bytes(data))


def _tree(rng: Random, base: Bundle) -> Bundle:
    """A tree of odd paths that tar and manifest agree about."""
    entries: list[Entry] = []
    parts: list[bytes] = []
    paths = rng.sample(PATHS, rng.randint(1, 4))
    if rng.random() < 0.9:
        paths.sort(key=rules.sort_key)
    for path in paths:
        kind = rng.choice(tuple(FileType))
        data = rng.randbytes(rng.choice((0, 1, 512, 700))) if kind is FileType.FILE else b""
        mode = tar.LINK_MODE if kind is FileType.SYMLINK else rng.choice((0o644, 0o755, 0, 0o777))
        target = rng.choice(TARGETS) if kind is FileType.SYMLINK else None
        entry = Entry(path, kind, mode, target=target, payload="base")
        if kind is FileType.FILE:
            entry = replace(entry, size=len(data), sha256=hashlib.sha256(data).digest())
        entries.append(entry)
        parts += [_header(entry), data, bytes(-len(data) % 512)]
    plain = canonical_json.load(base.manifest_bytes, "manifest.json")
    plain["files"] = [_plain(entry) for entry in entries]
    return _packed_as(base, b"".join(parts) + bytes(1024), plain)


def _header(entry: Entry) -> bytes:
    try:
        return tar.encode_headers(entry, bundles.MTIME)
    except Exception:  # noqa: BLE001 - it does not fit, and nothing in its place does
        return tar.encode_headers(Entry("fits", FileType.FILE, 0o644, entry.size or 0), bundles.MTIME)


def _plain(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {"path": entry.path, "payload": "base", "type": str(entry.type)}
    if entry.target is not None:
        return found | {"target": entry.target}
    found["mode"] = f"{entry.mode:04o}"
    return found if entry.sha256 is None else found | {"size": entry.size, "sha256": entry.sha256.hex()}


def _packed_as(base: Bundle, unpacked: bytes, plain: dict[str, Any], packed: bytes | None = None) -> Bundle:
    """The base with another tar, declared in the manifest and signed: nothing here refuses anything."""
    payload = plain["payloads"][0]
    if packed is None:
        packed = stored(unpacked) if payload["type"] == "tar+gzip" else frame(unpacked)
    payload |= {"size": len(packed), "unpacked-size": len(unpacked), "chunks": [hashlib.sha256(packed).hexdigest()]}
    changed = base.with_member("base", data=packed).with_member("manifest.json", data=canonical_json.dump(plain))
    return changed.signed(SIGNER)


def _tar(rng: Random, base: Bundle) -> Bundle:
    """Headers of the tar changed field by field; the manifest is as before, but for the new bytes."""
    plain = canonical_json.load(base.manifest_bytes, "manifest.json")
    return _packed_as(base, mutants.mutated_tar(rng, _unpacked(base)), plain)


def _packed(rng: Random, base: Bundle) -> Bundle:
    """The same tar packed in another way, with a few bits changed most of the time."""
    plain = canonical_json.load(base.manifest_bytes, "manifest.json")
    data = _unpacked(base)
    if plain["payloads"][0]["type"] == "tar+gzip":
        deflate = zlib.compressobj(rng.randint(0, 9), zlib.DEFLATED, -15, 8, rng.randint(0, 4))
        body = deflate.compress(data) + deflate.flush()
        packed = (
            compression.GZIP_HEADER + body + zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
        )
    else:
        size = rng.choice((256, 511, 512, 1000, 4096))
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        blocks = [rng.choice((zstd_blocks.raw, zstd_blocks.raw, zstd_blocks.matching))(part) for part in parts]
        blocks += [zstd_blocks.raw(b"")] if rng.random() < 0.2 else []
        window = rng.choice((None, None, None, 0, 0x30))
        packed = zstd_blocks.frame(*blocks, content=len(data) + rng.choice((0, 0, 0, 1, -1)), window=window)
    if rng.random() < 0.6:
        changed = bytearray(packed)
        for _ in range(rng.choice((1, 1, 2))):
            changed[rng.randrange(rng.choice((20, len(changed))))] ^= 1 << rng.randrange(8)
        packed = bytes(changed) + rng.choice((b"", b"", b"", b"\0"))
    return _packed_as(base, data, plain, packed)


def _unpacked(base: Bundle) -> bytes:
    packed = iter([base["base"].data])
    zipped = base.manifest.payloads[0].type == "tar+gzip"
    return b"".join((compression.gunzip if zipped else compression.unzstd_frames)(packed))
