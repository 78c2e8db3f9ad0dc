"""A report read back: as modseal writes it line by line, in another layout at once, and whatever else as an error."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import audit_samples
from builders.audit_samples import finding, made_of, result
from builders.audits import audit_of
from builders.reports import save, written
from modseal import limits
from modseal.auditing.finding import State
from modseal.auditing.report_file import ReportFile, load
from modseal.auditing.run import Audit
from modseal.errors import InputError
from modseal.report import audit_json

SEVERAL = [finding(state=state, reason="known to us", related=("depot/b.seal",)) for state in State]
GOOD = made_of(SEVERAL, [result(), result("depot/b\udcff.seal", sha256=None)])
BYTES = b"".join(audit_json.render(GOOD))
VALUES = json.loads(BYTES)

only_by_line = mock.patch.object(limits, "REPORT_REFORMATTED", 0)
"""With it, a report that is not read line by line is not read at all."""


def read(path: Path, data: bytes) -> ReportFile:
    path.write_bytes(data)
    return load(path)


def refused(path: Path, data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        read(path, data)
    assert caught.value.failure.detail.startswith(f"{path}: not a JSON report of `modseal audit`: ")
    return caught.value.failure.detail


@pytest.mark.parametrize(
    "audit",
    [GOOD, made_of([]), made_of([], [result()]), made_of(SEVERAL), made_of([finding()], [result()], complete=False)],
    ids=["several", "nothing", "no findings", "no results", "interrupted"],
)
def test_what_an_audit_writes_is_read_line_by_line(tmp_path: Path, audit: Audit) -> None:
    with only_by_line:
        report = save(audit, tmp_path / "r.json")
        for _ in range(2):  # as often as its reader wants
            assert list(report.results()) == list(audit.results())
            assert list(report.findings()) == list(audit.findings())
    assert report.head == audit.head()
    assert (report.complete, report.at, report.policy) == (audit.complete, audit.at, audit.head()["policy"])


def test_a_real_audit_is_read_line_by_line(tmp_path: Path) -> None:
    sampled = audit_of([audit_samples.write(tmp_path / "depot")], audit_samples.policy())
    with only_by_line:
        report = save(sampled, tmp_path / "r.json")
    assert list(report.results()) == list(sampled.results())
    assert [one.fingerprint for one in report.findings()] == [one.fingerprint for one in sampled.findings()]


@pytest.mark.parametrize("indent", [None, 1, 2, 4])
def test_another_layout_says_the_same(tmp_path: Path, indent: int | None) -> None:
    ours = read(tmp_path / "ours.json", BYTES)
    other = read(tmp_path / "other.json", json.dumps(VALUES, indent=indent, sort_keys=indent == 1).encode())
    assert other.head == ours.head
    assert list(other.results()) == list(ours.results())
    assert list(other.findings()) == list(ours.findings())
    with only_by_line, pytest.raises(InputError, match="lines are not those that modseal writes"):
        load(tmp_path / "other.json")


def test_a_list_that_its_head_has_too_is_the_last_as_in_json(tmp_path: Path) -> None:
    head, results = BYTES.split(b'  "results": [', 1)
    lying = head + b'  "findings": [],\n  "results": [' + results
    report = read(tmp_path / "r.json", lying)
    assert (report.head, list(report.findings())) == (GOOD.head(), list(GOOD.findings()))
    with only_by_line:
        refused(tmp_path / "r.json", lying)


def test_carriage_returns_are_another_layout(tmp_path: Path) -> None:
    assert len(list(read(tmp_path / "r.json", BYTES.replace(b"\n", b"\r\n")).results())) == 2


def test_a_pipe_is_read_at_once(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, BYTES)
    os.close(writer)
    report = load(Path(f"/dev/fd/{reader}"))
    os.close(reader)
    assert len(list(report.findings())) == len(list(report.findings())) == len(SEVERAL)


def test_the_digest_is_that_of_the_file(tmp_path: Path) -> None:
    from hashlib import sha256

    for data in (BYTES, json.dumps(VALUES).encode()):
        assert read(tmp_path / "r.json", data).sha256 == sha256(data).hexdigest()


def test_a_report_that_changes_meanwhile_is_not_half_believed(tmp_path: Path) -> None:
    report = read(tmp_path / "r.json", BYTES)
    (tmp_path / "r.json").write_bytes(BYTES + b"\n")
    with pytest.raises(InputError, match="changed while it was read"):
        list(report.results())
    (tmp_path / "r.json").unlink()
    with pytest.raises(InputError, match="No such file"):
        list(report.findings())


def test_memory_does_not_grow_with_the_report(tmp_path: Path) -> None:
    rows = [result(f"depot/{number}.seal", signers=[{"x": "y" * 3000}]) for number in range(3000)]
    save(made_of([], rows), tmp_path / "r.json")
    size = (tmp_path / "r.json").stat().st_size
    tracemalloc.start()
    assert sum(1 for _ in load(tmp_path / "r.json").results()) == 3000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 9_000_000
    assert most < size / 5


# What is not a report.


def without(*path: str | int) -> dict[str, Any]:
    document = json.loads(BYTES)
    place = document
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return dict(document)


def having(value: object, *path: str | int) -> dict[str, Any]:
    document = json.loads(BYTES)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return dict(document)


MISSING = [
    *((key,) for key in VALUES if key not in ("schema", "hosts", "results", "findings")),
    *(("policy", key) for key in VALUES["policy"]),
    *(("results", 1, key) for key in ("bundle", "sha256", "size", "verdict", "proven_level", "checks")),
    *(("findings", 2, key) for key in VALUES["findings"][0] if key not in ("fingerprint", "consequences")),
]


@pytest.mark.parametrize("layout", [written, lambda values: json.dumps(values).encode()], ids=["ours", "other"])
@pytest.mark.parametrize("path", MISSING, ids=lambda path: ".".join(map(str, path)))
def test_what_is_missing_is_named_with_its_place(
    tmp_path: Path, path: tuple[str | int, ...], layout: Callable[[Any], bytes]
) -> None:
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path[:-1]).removeprefix(".")
    words = f": {place or 'document'}: the key {path[-1]!r} is missing"
    assert refused(tmp_path / "r.json", layout(without(*path))).endswith(words)


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        ("modseal/audit@2", ("schema",), "its schema is not modseal/audit@1"),
        ("2026-02-30T00:00:00Z", ("at",), "at: is '2026-02-30T00:00:00Z', which is not a day of the calendar"),
        ("yesterday", ("at",), "at: is 'yesterday', and must be a time"),
        (7, ("at",), "at: must be text, not an integer"),
        (1, ("complete",), "complete: must be true or false, not an integer"),
        ([1], ("paths",), "paths[0]: must be text, not an integer"),
        ([], ("policy",), "policy: must be a table, not an array"),
        ("xy", ("policy", "sha256"), "policy.sha256: is 'xy', and must be 64"),
        ("A" * 64, ("results", 0, "sha256"), "and must be 64 lower-case hex digits"),
        ("good", ("results", 0, "verdict"), "results[0].verdict: is 'good', and must be one of 'accepted', 'rejected'"),
        ("none", ("results", 1, "proven_level"), "results[1].proven_level: is 'none'"),
        (True, ("results", 1, "size"), "results[1].size: must be an integer, not a boolean"),
        (["x"], ("results", 1, "checks"), "results[1].checks[0]: must be a table, not text"),
        ("x", ("results", 1), "results[1]: must be a table, not text"),
        ("huge", ("findings", 0, "severity"), "findings[0].severity: is 'huge'"),
        ({}, ("findings", 0, "kind"), "findings[0].kind: must be text, not a table"),
        (
            {"a": 1.5},
            ("findings", 0, "evidence"),
            "findings[0].evidence.a: must be text, an integer, a boolean or null",
        ),
        ({"a": []}, ("findings", 0, "evidence"), "findings[0].evidence.a: must be text, an integer, a boolean or null"),
        (None, ("findings", 1, "related"), "findings[1].related: must be an array, not null"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    tmp_path: Path, value: object, path: tuple[str | int, ...], words: str
) -> None:
    assert words in refused(tmp_path / "r.json", json.dumps(having(value, *path)).encode())
    if path != ("results", 1):  # a row that is not a table is another layout
        assert words in refused(tmp_path / "r.json", written(having(value, *path)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not JSON"),
        (b"[]", "its schema is not"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (BYTES[:-2], "something follows its findings"),
        (BYTES + b" ", "something follows its findings"),
        (BYTES[: BYTES.index(b'  "findings": [')], "where findings should start"),
        (BYTES[: BYTES.index(b'    {"bundle": "depot/b')], "it ends, or breaks, in results[1]"),
        (BYTES.replace(b'"},\n    {"bundle"', b'"}\n    {"bundle"'), "results[1] follows no comma"),
        (BYTES.replace(b"}\n  ],", b"},\n  ],"), "results ends with a comma"),
        (BYTES.replace(b'"size": 1000', b'"size": NaN', 1), "results[0] is not JSON: NaN is not a number"),
        (BYTES.replace(b'"size": 1000', b'"size": 1' + b"0" * 5000, 1), "results[0] is not JSON"),
        (BYTES.replace(b'"signers": []', b'"signers": ' + b"[" * 100_000, 1), "results[0] is nested too deeply"),
    ],
)
def test_damage_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    assert data != BYTES
    assert words in refused(tmp_path / "r.json", data)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError):
            load(path)


WORDS = [
    b'  "results": [\n',
    b"  ],\n",
    b'  "findings": [\n',
    b"  ]\n",
    b"}\n",
    b"{\n",
    b'    {"',
    b"null",
    b"\n",
    b",",
]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_are_a_report_or_an_error(tmp_path: Path, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(BYTES)))
    end = data.draw(st.integers(start, min(len(BYTES), start + 400)))
    piece = data.draw(st.one_of(st.sampled_from(WORDS), st.binary(max_size=30)))
    whole = data.draw(st.one_of(st.just(BYTES[:start] + piece + BYTES[end:]), st.binary(max_size=200)))
    try:
        report = read(tmp_path / "r.json", whole)
    except InputError:
        return
    plain = [one.plain() for one in report.findings()]
    assert len(list(report.results())) == len(json.loads(whole)["results"])
    assert len(plain) == len(json.loads(whole)["findings"])
