"""The SARIF of an audit and of `verify`: valid by OASIS's own schema, and with all that services show of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders import sarif_schema
from builders.audit_samples import finding, made_of, result
from builders.audits import audit_of
from builders.bundles import make
from builders.pki import NOW
from builders.policies import trusting
from modseal.auditing.choice import RuleChoice
from modseal.auditing.finding import Finding, Kind, Severity, State
from modseal.auditing.rules import BY_ID
from modseal.auditing.run import Audit
from modseal.bundle.verify import verify
from modseal.codes import CODES
from modseal.report import audit_sarif, sarif, sarif_log
from modseal.report.audit_words import words_of

SCHEMED = re.compile(r"(file://|s3://)[A-Za-z0-9._~/%-]*")
RELATIVE = re.compile(r"[A-Za-z0-9_~%.-][A-Za-z0-9._~/%-]*")
"""RFC 3986: what percent-encoding leaves of a path."""


def run_of(audit: Audit) -> dict[str, Any]:
    (run,) = sarif_schema.read(b"".join(audit_sarif.render(audit)))["runs"]
    return dict(run)


def result_of(one: Finding, **changes: Any) -> dict[str, Any]:
    (entry,) = run_of(made_of([one], **changes))["results"]
    return dict(entry)


def test_a_whole_audit_fits_the_schema(sampled: Audit) -> None:
    run = run_of(sampled)
    assert len(run["results"]) == len(list(sampled.findings()))
    assert len(run["artifacts"]) == sampled.summary.bundles
    assert run["invocations"] == [
        {"executionSuccessful": True, "endTimeUtc": "2026-01-01T00:00:00Z", "toolExecutionNotifications": []}
    ]
    assert run["properties"]["summary"] == sampled.summary.plain()


def test_verify_fits_the_schema(tmp_path: Path) -> None:
    results = []
    for name, bundle in {"good": make(), "unsigned": make("vib").unsigned(), "cut": make().data[:-3]}.items():
        data = bundle if isinstance(bundle, bytes) else bundle.data
        (tmp_path / name).write_bytes(data)
        results.append(verify(tmp_path / name, trusting(), NOW, with_digest=True))
    results.append(verify(tmp_path / "absent", trusting(), NOW, with_digest=True))
    (run,) = sarif_schema.read(sarif.render(results))["runs"]
    assert {"unsigned", "truncated", "io-error"} <= {entry["ruleId"] for entry in run["results"]}
    for entry in run["results"]:
        assert entry["ruleId"] == run["tool"]["driver"]["rules"][entry["ruleIndex"]]["id"]


def test_verify_and_audit_say_the_same_of_a_bundle(tmp_path: Path) -> None:
    path = tmp_path / "b.vib"
    path.write_bytes(make("vib").unsigned().data)
    (verified,) = json.loads(sarif.render([verify(path, trusting(), NOW, with_digest=True)]))["runs"]
    audited = run_of(audit_of([path], trusting()))

    def checks(run: Mapping[str, Any]) -> list[dict[str, Any]]:
        """An audit has rules besides, and so more that follows from a check."""
        found = [dict(entry) for entry in run["results"] if entry["properties"]["kind"] == "check"]
        for entry in found:
            entry["ruleIndex"] = None
            follows = entry["properties"]["consequences"]
            codes = [one for one in follows if one in CODES]
            entry["properties"] = {**entry["properties"], "consequences": codes}
            entry["message"] = {"text": entry["message"]["text"].replace(", ".join(follows), ", ".join(codes))}
        return found

    assert checks(verified) == checks(audited) != []


@pytest.mark.parametrize("id_", sorted({*CODES, *BY_ID}))
def test_a_rule_has_all_that_services_show(id_: str) -> None:
    said = words_of(id_)
    assert said is not None
    (rule,) = sarif_log.driver([said])["rules"]
    name = rule.get("name", id_)
    assert re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() == id_
    assert (name == id_) == ("-" not in id_)
    assert rule["shortDescription"]["text"]
    assert rule["fullDescription"]["text"]
    for form in ("text", "markdown"):
        assert said.next_step in rule["help"][form].replace("{{", "{").replace("}}", "}")
    severity = BY_ID[id_].severity if id_ in BY_ID else Severity.HIGH
    score = {Severity.HIGH: (7.0, 8.9), Severity.MEDIUM: (4.0, 6.9), Severity.LOW: (0.1, 3.9)}.get(severity)
    told = rule["properties"].get("security-severity")
    assert (score is None and told is None) or (score is not None and score[0] <= float(told) <= score[1])


def test_a_result_has_evidence_and_next_step_in_its_message_and_as_values() -> None:
    entry = result_of(finding())
    assert entry["message"]["text"].splitlines() == [
        "step 7: chunk 0 of the payload has another digest",
        "payload: base",
        "chunk: 0",
        "pinned: False",
        "anchor: none",
        "Next step: Get the bundle again.",
    ]
    assert entry["properties"]["evidence"] == {"payload": "base", "chunk": 0, "pinned": False, "anchor": None}
    assert entry["properties"]["nextStep"] == "Get the bundle again."
    assert entry["partialFingerprints"]["modseal/v1"] == finding().fingerprint


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({}, "error"),
        ({"undecided": True}, "warning"),
        ({"severity": Severity.MEDIUM, "kind": Kind.RULE}, "warning"),
        ({"severity": Severity.LOW, "kind": Kind.RULE}, "note"),
        ({"severity": Severity.INFO, "kind": Kind.RULE}, "note"),
    ],
)
def test_the_level_is_the_severity_and_a_doubt_is_a_warning(changes: dict[str, Any], level: str) -> None:
    assert result_of(finding(**changes))["level"] == level


def test_what_is_set_aside_is_suppressed_with_its_reason() -> None:
    entry = result_of(finding(state=State.ALLOWED, reason="agreed with Eve (until 2026-02-01)"))
    assert entry["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "agreed with Eve (until 2026-02-01)"}
    ]
    assert "suppressions" not in result_of(finding())


def test_every_result_says_whether_the_baseline_has_it_if_there_is_one() -> None:
    old, new = finding(state=State.KNOWN, reason="the baseline has it"), finding(bundle="b", sha256="cd" * 32)
    audit = made_of([old, new], choice=RuleChoice(frozenset(), frozenset({old.fingerprint})))
    assert [entry["baselineState"] for entry in run_of(audit)["results"]] == ["unchanged", "new"]
    assert all("baselineState" not in entry for entry in run_of(made_of([old, new]))["results"])


def test_copies_of_a_bundle_have_one_fingerprint_and_are_told_apart() -> None:
    one, copy = (result_of(finding(bundle=name))["partialFingerprints"] for name in ("a", "b"))
    assert one["modseal/v1"] == copy["modseal/v1"]
    assert one["primaryLocationLineHash"] != copy["primaryLocationLineHash"]


def test_an_audit_that_ended_early_was_no_success() -> None:
    (invocation,) = run_of(made_of([], complete=False))["invocations"]
    assert invocation["executionSuccessful"] is False
    (note,) = invocation["toolExecutionNotifications"]
    assert note["level"] == "error"
    assert "missing" in note["message"]["text"]


@pytest.mark.parametrize(("count", "notes"), [(25_000, 0), (25_001, 1)])
def test_more_results_than_github_takes_are_said_and_all_there(count: int, notes: int) -> None:
    audit = made_of([])
    audit.summary.findings["low"] = count - 1
    audit.summary.set_aside["known"] = 1
    found = list(audit_sarif._notes(audit))
    assert len(found) == notes
    if notes:
        assert "25001 results" in found[0][1]


@pytest.mark.parametrize(
    ("name", "location"),
    [
        ("a b.seal", {"uri": "a%20b.seal", "uriBaseId": "%SRCROOT%"}),
        ("./d//x#1?.vib", {"uri": "d/x%231%3F.vib", "uriBaseId": "%SRCROOT%"}),
        ("a:b.seal", {"uri": "a%3Ab.seal", "uriBaseId": "%SRCROOT%"}),
        ("ä\udcff\n.seal", {"uri": "%C3%A4%FF%0A.seal", "uriBaseId": "%SRCROOT%"}),
        ("/srv/d.zip!/vib20/x.vib", {"uri": "file:///srv/d.zip%21/vib20/x.vib"}),
        ("s3://bucket/a b.seal", {"uri": "s3://bucket/a%20b.seal"}),
        ("../\ud800", None),
        ("..\0", None),
    ],
)
def test_names_become_uris(name: str, location: dict[str, str] | None) -> None:
    found = sarif_log.location(name)
    assert found == location or location is None
    assert (SCHEMED if "uriBaseId" not in found else RELATIVE).fullmatch(found["uri"])


def test_a_path_with_dots_is_resolved_through_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    (tmp_path / "link").symlink_to("real/inner")
    monkeypatch.chdir(tmp_path / "work")
    assert sarif_log.location("../link/../x.seal") == {"uri": f"{(tmp_path / 'real').resolve().as_uri()}/x.seal"}


@pytest.mark.parametrize("hostile", ["[a](http://evil)", "{0}", "{", "}}", "](", "\x1b[31m", "\u202e"])
def test_nothing_from_a_file_is_a_link_or_a_placeholder(hostile: str) -> None:
    entry = result_of(finding(detail=hostile, evidence={"name": hostile}))
    text = entry["message"]["text"]
    assert "](" not in text
    assert "{" not in text.replace("{{", "")
    assert "}" not in text.replace("}}", "")
    assert text.replace("\n", "").isprintable()


def test_an_artifact_says_its_verdict_and_whether_its_module_is_proved() -> None:
    unproved = {"vendor": "Evil\n", "name": "n", "version": "1", "proved": False}
    good, bad = run_of(made_of([], [result("a"), result("b", module=unproved, sha256=None)]))["artifacts"]
    assert good["hashes"] == {"sha-256": "ab" * 32}
    assert good["properties"]["verdict"] == "rejected"
    assert "hashes" not in bad
    assert bad["properties"]["module"] == {"vendor": "Evil\\n", "name": "n", "version": "1", "proved": False}


def test_related_bundles_are_related_locations() -> None:
    entry = result_of(finding(related=("x y.seal", "/z.seal")))
    uris = [one["physicalLocation"]["artifactLocation"]["uri"] for one in entry["relatedLocations"]]
    assert uris == ["x%20y.seal", "file:///z.seal"]
    assert [one["id"] for one in entry["relatedLocations"]] == [1, 2]


def test_a_finding_of_a_rule_that_this_version_does_not_know_has_its_id_for_words() -> None:
    run = run_of(made_of([finding(rule="from-the-future", kind=Kind.RULE, step=None)]))
    (rule,) = run["tool"]["driver"]["rules"]
    assert (rule["id"], rule["shortDescription"]["text"]) == ("from-the-future", "from-the-future")


def test_the_schema_refuses_what_is_no_sarif(sampled: Audit) -> None:
    document = sarif_schema.read(b"".join(audit_sarif.render(sampled)))
    document["runs"][0]["results"][0]["level"] = "fatal"
    assert not sarif_schema.validator().is_valid(document)


def test_the_same_audit_gives_the_same_bytes(sampled: Audit) -> None:
    assert b"".join(audit_sarif.render(sampled)) == b"".join(audit_sarif.render(replace(sampled)))
