"""The JUnit XML of an audit: read back by a reader that services use, and by the rules of Jenkins's schema."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import junitparser
import pytest

from builders.audit_samples import finding, made_of, result
from builders.audits import audit_of
from builders.bundles import make
from builders.policies import trusting
from modseal.auditing.finding import Kind, Severity, State
from modseal.auditing.run import Audit
from modseal.report import audit_junit
from modseal.report.text import safe_name

RULE = {"kind": Kind.RULE, "rule": "claim-above-proven", "step": None}
ACROSS = {"kind": Kind.RULE, "rule": "same-id-other-content", "step": None}
ATTRIBUTES = {
    "testsuites": ({"name", "tests", "failures", "errors"}, set()),
    "testsuite": ({"name", "tests", "failures", "errors"}, {"id", "skipped", "timestamp"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname"}, set()),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
    "skipped": ({"message"}, set()),
}
"""Attributes of each element that readers need, and those that they take besides (Jenkins xUnit, junit-10.xsd)."""


def xml_of(audit: Audit) -> str:
    text = b"".join(audit_junit.render(audit)).decode()
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    for element in root.iter():
        needed, more = ATTRIBUTES.get(element.tag, (set(), set()))
        assert needed <= set(element.attrib) <= needed | more, element.tag
    for suite in root:
        assert [child.tag for child in suite] == ["properties"] + ["testcase"] * int(suite.attrib["tests"])
        outcomes = Counter(child.tag for case in suite.iter("testcase") for child in case)
        assert [int(suite.attrib[name]) for name in ("failures", "errors", "skipped")] == [
            outcomes[name] for name in ("failure", "error", "skipped")
        ]
    for name in ("tests", "failures", "errors"):
        assert int(root.attrib[name]) == sum(int(suite.attrib[name]) for suite in root)
    return text


def cases_of(audit: Audit) -> list[junitparser.TestCase]:
    return [case for suite in junitparser.JUnitXml.fromstring(xml_of(audit)) for case in suite]


def case_of(audit: Audit) -> junitparser.TestCase:
    (case,) = cases_of(audit)
    return case


def test_every_bundle_is_a_test_case_with_its_outcome(sampled: Audit) -> None:
    cases = {case.name: case for case in cases_of(sampled) if case.classname == "modseal.bundles"}
    assert list(cases) == [safe_name(one["bundle"]) for one in sampled.results()]
    bad = {one.bundle for one in sampled.findings() if one.severity >= Severity.MEDIUM and one.step is not None}
    for one in sampled.results():
        kinds = [type(outcome) for outcome in cases[safe_name(one["bundle"])].result]
        wanted = {"undecided": [junitparser.Error], "rejected": [junitparser.Failure], "accepted": []}
        assert kinds == wanted[one["verdict"]], one["bundle"]
        assert (one["bundle"] in bad) == (one["verdict"] == "rejected")


def test_a_failure_has_the_code_the_evidence_and_the_next_step() -> None:
    (failure,) = case_of(made_of([finding()], [result()])).result
    assert (failure.type, failure.message) == (
        "high",
        "payload-digest-mismatch: chunk 0 of the payload has another digest",
    )
    for part in ("payload: base", "chunk: 0", "anchor: none", "Next: Get the bundle again."):
        assert part in failure.text


@pytest.mark.parametrize(
    ("changes", "outcome", "type_"),
    [
        ({}, "failure", "high"),
        ({"undecided": True}, "error", "undecided"),
        (RULE, "failure", "high"),
        (RULE | {"severity": Severity.MEDIUM}, "failure", "medium"),
        (RULE | {"severity": Severity.LOW}, None, None),
        (RULE | {"severity": Severity.INFO}, None, None),
        ({"state": State.KNOWN, "reason": "old"}, "skipped", None),
        ({"state": State.KNOWN, "reason": "old", "undecided": True}, "skipped", None),
        (RULE | {"state": State.ALLOWED, "reason": "agreed"}, "skipped", None),
        (RULE | {"state": State.ALLOWED, "reason": "agreed", "severity": Severity.LOW}, None, None),
    ],
)
def test_the_outcome_of_one_finding(changes: dict[str, Any], outcome: str | None, type_: str | None) -> None:
    verdict = "accepted" if "kind" in changes else "rejected"
    case = case_of(made_of([finding(**changes)], [result(verdict=verdict)]))
    assert [one._elem.tag for one in case.result] == ([outcome] if outcome else [])
    assert [one.type for one in case.result] == ([type_] if outcome else [])
    noted = "another digest" in (case.system_out or "")
    assert noted == (outcome in (None, "skipped"))


def test_a_rejection_outweighs_a_doubt_and_both_are_told() -> None:
    (failure,) = case_of(made_of([finding(undecided=True, detail="doubt"), finding()], [result()])).result
    assert isinstance(failure, junitparser.Failure)
    assert failure.message.startswith("payload-digest-mismatch: chunk 0")
    assert "high, undecided payload-digest-mismatch: doubt" in failure.text


def test_a_bundle_that_is_not_accepted_never_passes_without_a_reason() -> None:
    low = finding(**RULE | {"severity": Severity.LOW})
    for verdict in ("rejected", "undecided"):
        for found in ([], [low]):
            (error,) = case_of(made_of(found, [result(verdict=verdict)])).result
            assert isinstance(error, junitparser.Error)
            assert error.message == f"{verdict}, and no finding says why"
    assert case_of(made_of([], [result(verdict="accepted")])).result == []


def test_what_is_about_several_bundles_has_a_suite_of_its_own() -> None:
    found = [finding(), finding(bundle="depot.zip", rule="zip-malformed"), finding(**ACROSS), finding(bundle="b")]
    cases = cases_of(made_of(found, [result(), result("b")]))
    assert [(case.classname, case.name) for case in cases] == [
        ("modseal.bundles", "depot/a.seal"),
        ("modseal.bundles", "b"),
        ("modseal.collections", "zip-malformed: depot.zip"),
        ("modseal.collections", "same-id-other-content: depot/a.seal"),
    ]
    assert all(isinstance(case.result[0], junitparser.Failure) for case in cases)


def test_an_audit_that_ended_early_is_an_error() -> None:
    (case,) = cases_of(made_of([], complete=False))
    assert (case.name, type(case.result[0])) == ("the audit came to its end", junitparser.Error)


def test_the_names_and_details_of_files_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "<&\"'\x01\udcff]]>\n.vib"
    path.write_bytes(make("vib", name="a").unsigned().data)
    (case,) = cases_of(audit_of([path], trusting()))
    assert case.name.endswith("<&\"'\\x01\\xff]]>\\n.vib")


def test_the_policy_and_the_time_are_properties() -> None:
    audit = replace(made_of([finding()], [result()], source="my <policy>"))
    suite = next(iter(junitparser.JUnitXml.fromstring(xml_of(audit))))
    assert {one.name: one.value for one in suite.properties()} == {
        "policy": "my <policy>",
        "at": "2026-01-01T00:00:00Z",
    }
