"""The CSV of an audit: every bundle and every finding a row, and nothing a formula."""

from __future__ import annotations

import csv
import io
import re

import pytest

from builders.audit_samples import finding, made_of, result
from modseal.auditing.run import Audit
from modseal.report import audit_csv
from modseal.report.text import safe, safe_name


def rows_of(audit: Audit) -> list[dict[str, str]]:
    text = b"".join(audit_csv.render(audit)).decode()
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert tuple(header) == audit_csv.HEADER
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_every_bundle_and_every_finding_is_a_row(sampled: Audit) -> None:
    rows = rows_of(sampled)
    bundles = [row for row in rows if row["row"] == "bundle"]
    findings = [row for row in rows if row["row"] == "finding"]
    assert len(bundles) + len(findings) == len(rows)
    assert [(row["bundle"], row["verdict"]) for row in bundles] == [
        (safe_name(one["bundle"]), one["verdict"]) for one in sampled.results()
    ]
    assert [(row["rule"], row["fingerprint"], row["next_step"]) for row in findings] == [
        (one.rule, one.fingerprint, one.next_step) for one in sampled.findings()
    ]


def test_a_bundle_has_its_module_and_whether_that_is_proved() -> None:
    (row,) = rows_of(made_of([], [result(signers=[{"subject": "CN=A", "trusted": False}])]))
    assert (row["vendor"], row["name"], row["version"], row["module_proved"]) == ("Acme", "agent", "1.0", "true")
    assert row["signers"] == "CN=A (not trusted)"
    assert {row[name] for name in audit_csv.FINDING} == {""}


def test_a_finding_has_its_evidence() -> None:
    (row,) = rows_of(made_of([finding(related=("b", "c"))]))
    assert row["evidence"] == "payload: base; chunk: 0; pinned: False; anchor: none"
    assert (row["state"], row["undecided"], row["step"], row["related"]) == ("new", "false", "7", "b; c")
    assert {row[name] for name in audit_csv.BUNDLE} == {""}


def test_lines_end_as_rfc_4180_says() -> None:
    lines = b"".join(audit_csv.render(made_of([finding()]))).split(b"\r\n")
    assert lines[0].startswith(b"row,bundle,")
    assert lines[-1] == b""
    assert b"\n" not in b"".join(lines)


@pytest.mark.parametrize(
    "hostile",
    ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "\uff1d1", "\uff0b1", '"=1', "a,=1"],
)
def test_no_cell_is_a_formula_and_one_apostrophe_is_all_that_is_added(hostile: str) -> None:
    (row,) = rows_of(made_of([finding(bundle=hostile, detail=hostile)]))
    for told in (row["bundle"], row["detail"]):
        assert told[0] not in "=+-@\t\r\n\uff1d\uff0b"
        assert told.removeprefix("'") == safe(hostile) or told == safe(hostile)
        assert told.startswith("'") == safe(hostile).startswith(("=", "+", "-", "@", "'", "\uff1d", "\uff0b"))


SEPARATED = ["a;=1", "a;+1", "a;-1", "a;@SUM(A1)", "a; =1", 'a;"=1"', "a;\uff1d1", "a;;=1", "a\t=1", "a;'=1", "a;\t=1"]


@pytest.mark.parametrize("hostile", [*SEPARATED, " =1", "\ufe661", "=1;=2"])
def test_a_spreadsheet_that_splits_at_semicolons_or_tabs_finds_no_formula_either(hostile: str) -> None:
    data = b"".join(audit_csv.render(made_of([finding(bundle=hostile, detail=hostile)]))).decode()
    for separator in (";", "\t", ","):
        for row in csv.reader(io.StringIO(data, newline=""), delimiter=separator):
            assert not [cell for cell in row if cell.lstrip(' "')[:1] in tuple("=+-@\uff1d\uff0b\ufe66")]
    (row,) = rows_of(made_of([finding(bundle=hostile, detail=hostile)]))
    for told in (row["bundle"], row["detail"]):
        assert re.sub("(^|;)'", r"\1", told) == safe(hostile)


def test_quotes_commas_and_lines_stay_in_their_cell() -> None:
    (row,) = rows_of(made_of([finding(detail='a "b", c\nd')]))
    assert row["detail"] == 'a "b", c\\nd'
