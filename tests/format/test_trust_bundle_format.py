"""Trust bundles as bytes: one form, every byte accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import json_schema
import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders.pki import NOW
from builders.trust_bundles import A, B, archive, files, make, members, root_of
from modseal import limits
from modseal.errors import FormatError
from modseal.format import canonical_json, trust_bundle

SCHEMA_FILE = Path(__file__).parents[2] / "schemas" / "trust-bundle.schema.json"
GOOD = make()
GOOD_BYTES = trust_bundle.encode(GOOD)
Members = list[tuple[str, bytes]]


def refused(data: bytes, *words: str) -> FormatError:
    with pytest.raises(FormatError) as caught:
        trust_bundle.decode(data)
    assert caught.value.failure.code == "trust-bundle-invalid"
    for word in words:
        assert word in caught.value.failure.detail
    return caught.value


def with_plain(change: Callable[[Any], None]) -> bytes:
    plain = json.loads(GOOD.signed)
    change(plain)
    return archive([("trust.json", canonical_json.dump(plain)), *members(GOOD)[1:]])


def test_what_is_written_is_what_is_read() -> None:
    assert trust_bundle.decode(GOOD_BYTES) == GOOD
    assert trust_bundle.encode(trust_bundle.decode(GOOD_BYTES)) == GOOD_BYTES


def test_the_same_content_gives_the_same_bytes_whatever_order_it_comes_in() -> None:
    turned = replace(GOOD, files=dict(reversed(GOOD.files.items())))
    assert trust_bundle.declare(turned) == trust_bundle.declare(GOOD)


def test_another_signature_does_not_make_it_another_version() -> None:
    assert make(by=[A]).sha256 == make(by=[A, B]).sha256
    assert make(contents=files(), version=2).sha256 != GOOD.sha256


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: [*m, ("f003", b"x")], "f001 f002 f003"),
        (lambda m: m[:-1], "declares 2 files"),
        (lambda m: [m[1], m[0], *m[2:]], "first members"),
        (lambda m: [m[0], *m[2:]], "first members"),
        (lambda m: [*m[:2], m[3], m[2]], "f002 f001"),
        (lambda m: [*m[:2], (m[2][0], m[3][1]), (m[3][0], m[2][1])], "not the declared one"),
        (lambda m: [*m[:2], (m[2][0], m[2][1][:-1] + b"X"), m[3]], "anchors/root.pem"),
        (lambda m: [*m[:3], (m[3][0], m[3][1] + b"\n")], "policy.toml"),
        (lambda m: [(m[0][0], m[0][1] + b"\n"), *m[1:]], "canonical"),
        (lambda m: [(m[0][0], b"[]"), *m[1:]], "must be a table"),
        (lambda m: [(m[0][0], b"\xff"), *m[1:]], "UTF-8"),
        (lambda m: [(m[0][0], b"{" * 100_000), *m[1:]], "cannot be used"),
    ],
)
def test_a_changed_container_is_refused(change: Callable[[Members], Members], words: str) -> None:
    refused(archive(change(members(GOOD))), words)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("schema", "modseal/trust-bundle@2", "schema"),
        ("version", 0, "version"),
        ("version", True, "version"),
        ("expires", "2026-01-01", "expires"),
        ("expires", "2026-13-01T00:00:00Z", "not a time"),
        ("expires", "2020-01-01T00:00:00Z", "not after issued"),
        ("root", {"signers": [], "threshold": 1}, "signers"),
        ("root", {"signers": [A.fingerprint], "threshold": 2}, "threshold"),
        ("root", {"signers": [A.fingerprint], "threshold": 0}, "threshold"),
        ("root", {"signers": [A.fingerprint, A.fingerprint], "threshold": 2}, "each once"),
        ("root", {"signers": [A.fingerprint.upper()], "threshold": 1}, "signers"),
        ("root", {"signers": [A.fingerprint], "threshold": 1, "more": 1}, "more"),
        ("files", [], "files"),
        ("surprise", 1, "surprise"),
    ],
)
def test_a_declaration_outside_the_rules_is_refused(key: str, value: object, words: str) -> None:
    refused(with_plain(lambda plain: plain.update({key: value})), words)


@pytest.mark.parametrize("path", ["/etc/passwd", "../root.pem", "./root.pem", "a//b", ""])
def test_a_path_that_leads_out_is_refused(path: str) -> None:
    def change(plain: Any) -> None:
        plain["files"][0]["path"] = path

    refused(with_plain(change))


def test_files_out_of_order_or_twice_are_refused() -> None:
    refused(with_plain(lambda plain: plain["files"].reverse()), "sorted")
    refused(with_plain(lambda plain: plain["files"].append(plain["files"][-1])), "each once")


def test_a_trust_bundle_without_a_policy_is_neither_written_nor_read() -> None:
    with pytest.raises(FormatError, match=r"policy\.toml is missing"):
        trust_bundle.declare(replace(GOOD, files={"other": b""}))

    def change(plain: Any) -> None:
        plain["files"][1]["path"] = "zzz.toml"

    refused(with_plain(change), "policy.toml is missing")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0},
        {"expires": NOW - timedelta(days=9)},
        {"root": root_of(2, A)},
        {"files": {"policy.toml": b"", "../x": b""}},
        {"files": {"policy.toml": b"", **{f"f{n}": b"" for n in range(limits.TRUST_FILES)}}},
    ],
)
def test_the_writer_refuses_what_the_reader_would(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        trust_bundle.encode(replace(GOOD, signed=b"", **changes))


def test_a_header_in_another_form_is_refused() -> None:
    assert (
        refused(GOOD_BYTES.replace(b"sig.pkcs7 ", b"sig.pkcs7/", 1)).failure.evidence["reason"] == "malformed-archive"
    )


def test_too_many_bytes_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TRUST_BUNDLE_SIZE", len(GOOD_BYTES) - 1)
    refused(GOOD_BYTES, "over")


@settings(max_examples=150)
@given(st.integers(0, len(GOOD_BYTES) - 1), st.integers(1, 255))
@example(len(GOOD_BYTES) - 1, 1)
def test_no_byte_can_change_without_changing_what_is_signed_or_the_signatures(position: int, change: int) -> None:
    data = bytearray(GOOD_BYTES)
    data[position] ^= change
    try:
        found = trust_bundle.decode(bytes(data))
    except FormatError as error:
        assert error.failure.code == "trust-bundle-invalid"  # noqa: PT017 - either outcome is right
    else:
        assert (found.signed == GOOD.signed) != (found.signature == GOOD.signature), "one of both is changed"
        assert found.files == GOOD.files or found.signed != GOOD.signed, "a file cannot change by itself"


@settings(max_examples=50)
@given(st.integers(0, len(GOOD_BYTES) - 1))
def test_a_cut_file_is_refused(length: int) -> None:
    refused(GOOD_BYTES[:length])


def test_the_committed_json_schema_is_what_the_shape_says() -> None:
    assert SCHEMA_FILE.read_text("utf-8") == json_schema.text(json_schema.published("trust-bundle")), (
        "write it again: docs/generate.py"
    )


def test_the_json_schema_accepts_a_good_declaration_and_refuses_an_unknown_key() -> None:
    schema, plain = json.loads(SCHEMA_FILE.read_text("utf-8")), json.loads(GOOD.signed)
    jsonschema.validate(plain, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**plain, "more": 1}, schema)
