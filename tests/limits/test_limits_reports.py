"""The limits of reports that are read back, and of attestations. They are smaller here: nothing depends on the size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders.audit_samples import finding, made_of, result
from limits.cover import bounds
from modseal import limits
from modseal.auditing.report_file import load
from modseal.errors import FormatError, InputError
from modseal.format import dsse
from modseal.report import audit_json

REPORT = b"".join(
    audit_json.render(made_of([finding()], [result(), result("depot/b.seal", signers=[{"subject": "x" * 2000}])]))
)
LONGEST = max(map(len, REPORT.splitlines(keepends=True)))


def read(path: Path, data: bytes) -> int:
    """How many results a report has."""
    path.write_bytes(data)
    return len(list(load(path).results()))


@bounds("REPORT_SIZE")
def test_a_report_has_at_most_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REPORT_SIZE", len(REPORT))
    assert read(tmp_path / "r.json", REPORT) == 2
    monkeypatch.setattr(limits, "REPORT_SIZE", len(REPORT) - 1)
    with pytest.raises(InputError, match=f"it is over {len(REPORT) - 1} bytes"):
        load(tmp_path / "r.json")


@bounds("REPORT_LINE")
def test_a_line_of_a_report_has_at_most_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report with a longer one is read at once, where it is small enough for that."""
    monkeypatch.setattr(limits, "REPORT_LINE", LONGEST)
    monkeypatch.setattr(limits, "REPORT_REFORMATTED", 0)
    assert read(tmp_path / "r.json", REPORT) == 2
    monkeypatch.setattr(limits, "REPORT_LINE", LONGEST - 1)
    with pytest.raises(InputError, match="its lines are not those that modseal writes, and it is over 0 bytes"):
        load(tmp_path / "r.json")
    monkeypatch.setattr(limits, "REPORT_REFORMATTED", len(REPORT))
    assert read(tmp_path / "r.json", REPORT) == 2


@bounds("REPORT_REFORMATTED")
def test_a_report_in_another_layout_has_at_most_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = json.dumps(json.loads(REPORT)).encode()
    monkeypatch.setattr(limits, "REPORT_REFORMATTED", len(other))
    assert read(tmp_path / "r.json", other) == 2
    monkeypatch.setattr(limits, "REPORT_REFORMATTED", len(other) - 1)
    with pytest.raises(InputError, match=f"it is over {len(other) - 1} bytes"):
        load(tmp_path / "r.json")


@bounds("ENVELOPE_SIZE")
def test_an_envelope_has_at_most_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """`test_an_envelope_that_no_reader_would_take_is_not_written` has the writer's side."""
    data = dsse.encode(dsse.Envelope(dsse.STATEMENT, b"{}", (("k", b"s"),)))
    monkeypatch.setattr(limits, "ENVELOPE_SIZE", len(data))
    assert dsse.decode(data, "a.json").payload == b"{}"
    monkeypatch.setattr(limits, "ENVELOPE_SIZE", len(data) - 1)
    with pytest.raises(FormatError, match=f"it is over {len(data) - 1} bytes"):
        dsse.decode(data, "a.json")
