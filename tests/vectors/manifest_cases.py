"""Vectors of the manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from modseal.format import rules
from vectors.material import (
    NAME,
    SEAL,
    Vector,
    good,
    seal,
)


def manifests() -> Iterator[Vector]:
    def edited(name: str, change: Callable[[Any], Any], about: str, code: str = "bad-manifest") -> Vector:
        return seal(f"manifest-{name}", attached.edit(lambda plain: change(plain) and None), code, about)

    def raw(name: str, data: bytes, about: str) -> Vector:
        return seal(f"manifest-{name}", SEAL.with_manifest_bytes(data), "bad-manifest", about)

    attached = good(attachments={"sbom.json": b"{}"})
    data = SEAL.manifest_bytes
    yield raw("bom", b"\xef\xbb\xbf" + data, "A byte order mark.")
    yield raw("line-feed", data + b"\n", "A line feed at the end.")
    yield raw("space", data.replace(b":", b": ", 1), "A space between tokens.")
    yield raw("escape", data.replace(b"Acme", b"\\u0041cme", 1), "A needless escape.")
    yield raw("slash-escape", data.replace(b"opt/acme", b"opt\\/acme", 1), "A slash that is escaped.")
    yield raw("duplicate-key", data.replace(b'{"description"', b'{"description":"x","description"', 1), "A key twice.")
    yield raw("unsorted", b'{"vendor":"Acme",' + data[1:].replace(b'"vendor":"Acme",', b"", 1), "Keys out of order.")
    yield raw("utf-8", data.replace(b"Acme", b"Ac\xffe", 1), "Bytes that are not UTF-8.")
    yield raw("surrogate", data.replace(b"An agent.", b"\\ud800", 1), "A lone surrogate.")
    yield raw("exponent", data.replace(b'"size":10,', b'"size":1e1,', 1), "A number with an exponent.")
    yield raw("fraction", data.replace(b'"size":10,', b'"size":10.0,', 1), "A number with a fraction.")
    yield raw("not-json", b"<vib/>", "No JSON.")
    yield raw("array", b"[]", "No object.")
    yield edited("unknown-key", lambda m: m.update({"x-extra": "1"}), "An unknown key.")
    yield edited("missing-key", lambda m: m.pop("version"), "A needed key is missing.")
    yield edited("type", lambda m: m.update(name=["acme-agent"]), "A value of another type.")
    yield edited("null", lambda m: m.update(summary=None), "A null in the place of a text.")
    yield edited(
        "schema", lambda m: m.update(schema="modseal/manifest@2"), "A version of the format that does not exist."
    )
    yield edited("vendor-space", lambda m: m.update(vendor="Acme\u00a0"), "A vendor that ends with white space.")
    yield edited("vendor-slash", lambda m: m.update(vendor="Ac/me"), "A vendor with a slash.")
    yield edited("name", lambda m: m.update(name="-acme"), "A name that does not start with a letter or digit.")
    yield edited("version", lambda m: m.update(version="1 2"), "A version with a space.")
    yield edited("level", lambda m: m.update(level="PartnerSupported"), "Another name of a level.")
    yield edited("text", lambda m: m.update(summary="a\u202eb"), "A bidirectional control in a text.")
    yield edited("text-nel", lambda m: m.update(summary="a\u0085b"), "A control character above ASCII in a text.")
    yield edited("empty-text", lambda m: m.update(summary=""), "An empty text, which must be absent.")
    yield edited("empty-array", lambda m: m.update(depends=[]), "An empty array, which must be absent.")
    for label, time in (
        ("leap-second", "2016-12-31T23:59:60Z"),
        ("year-0", "0000-01-01T00:00:00Z"),
        ("hour-24", "2026-01-31T24:00:00Z"),
        ("day", "2025-02-29T12:00:00Z"),
        ("offset", "2026-01-31T12:00:00+00:00"),
    ):
        yield edited(f"time-{label}", lambda m, time=time: m.update(released=time), f"Released at {time}.")
    yield edited(
        "relation",
        lambda m: m.update(depends=[{"name": "a", "relation": "==", "version": "1"}]),
        "An unknown relation.",
    )
    yield edited(
        "relation-alone", lambda m: m.update(depends=[{"name": "a", "relation": "="}]), "A relation without a version."
    )
    yield edited("chunks", lambda m: m["payloads"][0]["chunks"].append("00" * 32), "More chunks than the size needs.")
    yield edited("chunk-size", lambda m: m["payloads"][0].update({"chunk-size": 4096}), "Another chunk size.")
    yield edited(
        "digest-case",
        lambda m: m["payloads"][0].update(chunks=[m["payloads"][0]["chunks"][0].upper()]),
        "A digest in upper case.",
    )
    yield edited(
        "member-twice", lambda m: m["attachments"][0].update(name=NAME), "An attachment with the name of a payload."
    )
    yield edited(
        "member-reserved",
        lambda m: m["attachments"][0].update(name="descriptor.xml"),
        "An attachment with a reserved name.",
    )
    yield edited("member-dots", lambda m: m["attachments"][0].update(name=".."), "An attachment named '..'.")
    yield edited(
        "media-type-case",
        lambda m: m["attachments"][0].update({"media-type": "Text/plain"}),
        "A media type in upper case.",
    )
    yield edited(
        "media-type-parameter",
        lambda m: m["attachments"][0].update({"media-type": "text/plain;a=b"}),
        "A media type with a parameter.",
    )
    yield edited("entry-order", lambda m: m["files"].reverse(), "Entries out of order.")
    yield edited(
        "entry-payload", lambda m: m["files"][0].update(payload="other"), "An entry in a payload that is not declared."
    )
    yield edited("entry-keys", lambda m: m["files"][0].update(size=0), "A directory with a size.")
    yield edited("entry-mode", lambda m: m["files"][0].update(mode="755"), "A mode of three digits.")
    yield edited(
        "expected-order",
        lambda m: m.update({"expected-signers": [f"key-sha256:{'b' * 64}", f"key-sha256:{'a' * 64}"]}),
        "Expected signers out of order.",
    )
    yield edited(
        "expected-prefix",
        lambda m: m.update({"expected-signers": [f"sha256:{'a' * 64}"]}),
        "An expected signer by a certificate's fingerprint.",
    )
    for label, path in (
        ("absolute", "/opt/a"),
        ("dots", "opt/../a"),
        ("dot", "./a"),
        ("empty-component", "opt//a"),
        ("slash-at-end", "opt/"),
        ("space-at-end", "opt /a"),
        ("white-space", "\u3000a"),
        ("backslash", "opt\\a"),
        ("star", "opt/*"),
        ("question", "opt/?"),
        ("nfd", "e\u0301"),
        ("control", "a\nb"),
        ("format", "a\u200bb"),
        ("private", "a\ue000"),
        ("unassigned", "a\u0378"),
        ("unicode-15", "a\U0001fae8"),
        ("long", "a" * 256),
        ("deep", "/".join(["a"] * 65)),
    ):
        change = {"mode": "0644", "path": path, "payload": NAME, "sha256": "00" * 32, "size": 0, "type": "file"}
        yield edited(
            f"path-{label}",
            lambda m, change=change: m.update(files=[change]),
            f"A path that is {path[:20]!a}.",
            "bad-manifest" if label == "long" else "unsafe-path",
        )
    for label, first, second in (
        ("case", "a/B", "a/b"),
        ("fold", "stra\u00dfe", "strasse"),
        ("parents", "A/x", "a/y"),
        ("long-s", "S", "\u017f"),
    ):
        both = [
            {"mode": "0755", "path": path, "payload": NAME, "type": "directory"}
            for path in sorted((first, second), key=rules.sort_key)
        ]
        yield edited(
            f"collision-{label}",
            lambda m, both=both: m.update(files=both),
            f"The paths {first!a} and {second!a}.",
            "unsafe-path",
        )
    below = [
        {"path": "a", "payload": NAME, "target": "b", "type": "symlink"},
        {"mode": "0755", "path": "a/b", "payload": NAME, "type": "directory"},
    ]
    yield edited("below-link", lambda m: m.update(files=below), "An entry below a link.", "unsafe-path")
    for label, target in (
        ("absolute", "/etc"),
        ("out", "../../etc"),
        ("inner-dots", "a/../b"),
        ("backslash", "a\\b"),
        ("format", "a\u200b"),
    ):
        link = [{"path": "a/l", "payload": NAME, "target": target, "type": "symlink"}]
        yield edited(
            f"link-{label}", lambda m, link=link: m.update(files=link), f"A link to {target!a}.", "unsafe-link"
        )
