"""The audit's JSON report fits its schema, which is closed, and knows every rule and code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from builders.audit_samples import finding, made_of, result
from builders.json_schemas import require_closed
from modseal.auditing.finding import Kind, Severity, State
from modseal.auditing.rules import BY_ID
from modseal.auditing.run import SCHEMA as NAME
from modseal.auditing.run import Audit
from modseal.codes import CODES
from modseal.report import audit_json
from modseal.trust.examination import Status, Verdict

FOLDER = Path(__file__).parents[2] / "schemas"
SCHEMA = json.loads((FOLDER / "audit.schema.json").read_text())
REPORT = json.loads((FOLDER / "report.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
RESULT, FINDING = (SCHEMA["properties"][name]["items"]["properties"] for name in ("results", "findings"))
VERIFIED = REPORT["properties"]["results"]["items"]["properties"]


def document_of(audit: Audit) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(b"".join(audit_json.render(audit)))
    VALIDATOR.validate(document)
    return document


def test_a_whole_audit_fits_the_schema(sampled: Audit) -> None:
    document = document_of(sampled)
    assert len(document["results"]) == sampled.summary.bundles
    assert {one["verdict"] for one in document["results"]} == {"accepted", "rejected", "undecided"}
    assert {one["kind"] for one in document["findings"]} == {"check", "rule"}


def test_an_audit_of_nothing_fits_the_schema() -> None:
    document = document_of(made_of([], complete=False))
    assert (document["results"], document["findings"], document["complete"]) == ([], [], False)


def test_states_and_unreadable_bundles_fit_the_schema() -> None:
    error = {
        "error": {"code": "io-error", "detail": "no", "evidence": {}},
        "module": None,
        "sha256": None,
        "format": None,
    }
    found = [finding(state=state, reason="r", related=("b",)) for state in State]
    assert len(document_of(made_of(found, [result(**error)]))["findings"]) == 3


@pytest.mark.parametrize("id_", sorted({*CODES, *BY_ID}))
def test_every_code_and_every_rule_is_one_of_the_schema(id_: str) -> None:
    kind = Kind.RULE if id_ in BY_ID else Kind.CHECK
    document_of(made_of([finding(rule=id_, kind=kind)]))


def test_the_names_are_those_of_the_code() -> None:
    assert SCHEMA["title"] == NAME == SCHEMA["properties"]["schema"]["const"]
    assert FINDING["severity"]["enum"] == [str(one) for one in reversed(Severity)]
    assert FINDING["state"]["enum"] == [str(one) for one in State]
    assert FINDING["kind"]["enum"] == [str(one) for one in Kind]
    assert RESULT["verdict"]["enum"] == [str(one) for one in Verdict]
    assert set(RESULT["checks"]["items"]["properties"]["status"]["enum"]) == {str(one) for one in Status}
    assert set(FINDING) == set(finding().plain())


@pytest.mark.parametrize("name", ["sha256", "verdict", "claimed_level", "proven_level", "module"])
def test_what_both_reports_have_is_the_same(name: str) -> None:
    assert RESULT[name] == VERIFIED[name]


def test_a_result_is_that_of_verify_and_more() -> None:
    assert set(VERIFIED) < set(RESULT)
    ours, theirs = (result["checks"]["items"] for result in (RESULT, VERIFIED))
    assert ours["required"] == theirs["required"]


def test_the_schema_is_closed_everywhere() -> None:
    require_closed(SCHEMA)


@pytest.mark.parametrize(
    "change", [{"schema": "modseal/report@1"}, {"extra": 1}, {"complete": 1}, {"at": "now"}, {"rules": ["No Rule"]}]
)
def test_the_schema_refuses_what_is_no_report(change: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid({**document_of(made_of([])), **change})


@pytest.mark.parametrize(
    "change", [{"severity": "fatal"}, {"evidence": {"a": [1]}}, {"next_step": ""}, {"step": 10}, {"fingerprint": "x"}]
)
def test_the_schema_refuses_what_is_no_finding(change: dict[str, Any]) -> None:
    document = document_of(made_of([finding()]))
    document["findings"][0].update(change)
    assert not VALIDATOR.is_valid(document)
