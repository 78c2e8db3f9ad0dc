"""The Code Quality report for GitLab: the form that GitLab documents, and findings that it can tell apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builders.audit_samples import finding, made_of
from modseal.auditing.finding import Kind, Severity, State
from modseal.auditing.run import Audit
from modseal.report import audit_gitlab


def entries_of(audit: Audit) -> list[dict[str, Any]]:
    entries = json.loads(b"".join(audit_gitlab.render(audit)))
    assert isinstance(entries, list)
    for entry in entries:
        assert set(entry) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert entry["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert set(entry["location"]) == {"path", "lines"}
        assert entry["location"]["lines"] == {"begin": 1}
        assert not entry["location"]["path"].startswith("./")
    return entries


def test_every_finding_that_counts_is_an_entry_with_a_fingerprint_of_its_own(sampled: Audit) -> None:
    entries = entries_of(sampled)
    counted = [one for one in sampled.findings() if one.state is State.NEW]
    assert [entry["check_name"] for entry in entries] == [one.rule for one in counted]
    assert len({entry["fingerprint"] for entry in entries}) == len(entries) > 10


def test_the_description_has_evidence_and_next_step() -> None:
    (entry,) = entries_of(made_of([finding()]))
    assert entry["description"] == (
        "A payload's digest differs from the declared one: chunk 0 of the payload has another digest"
        " | payload: base; chunk: 0; pinned: False; anchor: none | Next: Get the bundle again."
    )


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({}, "blocker"),
        ({"undecided": True}, "critical"),
        ({"kind": Kind.RULE}, "critical"),
        ({"kind": Kind.RULE, "severity": Severity.MEDIUM}, "major"),
        ({"kind": Kind.RULE, "severity": Severity.LOW}, "minor"),
        ({"kind": Kind.RULE, "severity": Severity.INFO}, "info"),
    ],
)
def test_severities(changes: dict[str, Any], severity: str) -> None:
    (entry,) = entries_of(made_of([finding(**changes)]))
    assert entry["severity"] == severity


@pytest.mark.parametrize("state", [State.KNOWN, State.ALLOWED])
def test_what_does_not_count_is_left_out(state: State) -> None:
    assert entries_of(made_of([finding(state=state, reason="r")])) == []


@pytest.mark.parametrize(
    ("name", "path"),
    [("./a/b.seal", "a/b.seal"), ("a//b", "a/b"), ("/srv/x", "/srv/x"), ("", "."), ("\udcff", "\\xff")],
)
def test_paths_are_those_of_the_repository(name: str, path: str) -> None:
    (entry,) = entries_of(made_of([finding(bundle=name)]))
    assert entry["location"]["path"] == path


def test_copies_and_findings_alike_but_for_their_detail_are_told_apart() -> None:
    found = [finding(bundle=name, detail=detail) for name in ("a", "b") for detail in ("one", "two")]
    assert len({entry["fingerprint"] for entry in entries_of(made_of(found))}) == 4
    assert entries_of(made_of(found)) == entries_of(made_of(found))
