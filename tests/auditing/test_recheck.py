"""An old report against the files: what still is as it says, and everything that is not."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import bundles
from builders.audits import audit_of, folder_of
from builders.pki import leaf, root
from builders.policies import anchor, trusting
from builders.reports import edited, save
from modseal.auditing import rules
from modseal.auditing.discover import discover
from modseal.auditing.engine import Serial
from modseal.auditing.recheck import Recheck, What, _pairs, compare, prepare
from modseal.auditing.report_file import ReportFile
from modseal.auditing.run import run
from modseal.format.level import Level
from modseal.report import audit_recheck
from modseal.trust.policy import Policy

POLICY = trusting(minimum=Level.COMMUNITY)


def checked(
    report: ReportFile, policy: Policy = POLICY, unjudged: str | None = None, known: frozenset[str] = frozenset()
) -> Recheck:
    audit = prepare(report, policy, known)
    run(discover(audit.paths), Serial(policy, audit.at), audit)
    return compare(report, audit, unjudged)


def deviations(check: Recheck) -> list[tuple[What, str]]:
    """What deviates, and the name of the bundle without its folder."""
    return [(one.what, Path(one.bundle or "").name) for one in check.deviations]


@pytest.fixture
def depot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three good bundles and one that is not signed, from beside it."""
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "depot", 3)
    (tmp_path / "depot" / "9.seal").write_bytes(bundles.make("seal", name="m9").unsigned().data)
    return tmp_path / "depot"


@pytest.fixture
def report(depot: Path) -> ReportFile:
    return save(audit_of(["depot"], POLICY), depot.parent / "r.json")


def test_a_report_of_what_is_there_is_reproduced(report: ReportFile) -> None:
    check = checked(report)
    assert check.deviations == check.unreadable == []
    assert check.reproduced
    assert check.bundles == 4


def test_one_file_that_was_named_is_found_again(depot: Path) -> None:
    named = save(audit_of(["depot/000.seal", "depot/9.seal"], POLICY), depot.parent / "r.json")
    assert checked(named).reproduced
    (depot / "9.seal").unlink()
    assert deviations(checked(named))[0] == (What.MISSING, "9.seal")


# What became of the files.


def test_a_bundle_that_is_gone_is_missing(report: ReportFile, depot: Path) -> None:
    (depot / "001.vib").unlink()
    check = checked(report)
    assert deviations(check) == [(What.MISSING, "001.vib")]
    assert b"findings that come from comparing bundles were not compared" in b"".join(audit_recheck.render_text(check))


def test_a_bundle_that_the_report_does_not_have_is_said(report: ReportFile, depot: Path) -> None:
    (depot / "new.seal").write_bytes(bundles.make("seal", name="new").data)
    assert deviations(checked(report)) == [(What.NOT_REPORTED, "new.seal")]


def test_other_content_is_said_and_its_verdict_is_not_compared(report: ReportFile, depot: Path) -> None:
    (depot / "001.vib").write_bytes(bundles.make("vib", name="m1").unsigned().data)
    check = checked(report)
    assert deviations(check) == [(What.CONTENT, "001.vib")]
    assert "the report says sha256 " in check.deviations[0].detail


def test_a_file_that_cannot_be_read_is_no_deviation_and_not_reproduced(report: ReportFile, depot: Path) -> None:
    (depot / "001.vib").unlink()
    os.mkfifo(depot / "001.vib")
    check = checked(report)
    assert check.deviations == []
    assert [(one.what, one.bundle) for one in check.unreadable] == [(What.UNREADABLE, "depot/001.vib")]
    assert not check.reproduced


def test_what_could_not_be_read_then_either_is_as_the_report_says(depot: Path) -> None:
    (depot / "gone.seal").symlink_to("nowhere")
    report = save(audit_of(["depot"], POLICY), depot.parent / "r.json")
    assert checked(report).reproduced
    (depot / "gone.seal").unlink()
    (depot / "gone.seal").write_bytes((depot / "9.seal").read_bytes())
    assert deviations(checked(report)) == [(What.CONTENT, "gone.seal")]


def test_a_folder_that_is_not_here_cannot_be_checked(report: ReportFile, depot: Path) -> None:
    depot.rename(depot.parent / "elsewhere")
    check = checked(report)
    assert deviations(check) == [(What.MISSING, f"{name}") for name in ("000.seal", "001.vib", "002.seal", "9.seal")]
    assert [one.bundle for one in check.unreadable] == ["depot"]


# What somebody made of the report.


def change(report: ReportFile, edit: Callable[[dict[str, Any]], object]) -> Recheck:
    return checked(edited(Path(report.name), edit))


def result_of(document: dict[str, Any], name: str = "9.seal") -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in document["results"] if one["bundle"].endswith(name))
    return found


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda one: one.update(verdict="accepted"), "the report says verdict accepted, it is rejected"),
        (lambda one: one.update(proven_level="partner"), "the report says proven level partner, it is none"),
        (lambda one: one.update(claimed_level="community"), "the report says claimed level community, it is partner"),
        (lambda one: one.update(format="vib"), "the report says format vib, it is seal"),
        (lambda one: one["module"].update(name="other"), "the report has another module"),
        (lambda one: one["module"].update(proved=1), "the report has another module"),
        (lambda one: one["signers"].append({"subject": "CN=Vendor"}), "the report has other signers"),
        (lambda one: one["checks"].pop(), "the report has other checks"),
        (lambda one: one["checks"][0].update(status="passed!"), "the report has other checks"),
        (lambda one: one["checks"][0].update(evidence={"a": 1}), "the report has other checks"),
    ],
)
def test_a_result_that_was_edited_is_found(
    report: ReportFile, edit: Callable[[dict[str, Any]], object], words: str
) -> None:
    check = change(report, lambda document: edit(result_of(document)))
    details = [one.detail for one in check.deviations if one.what is What.JUDGEMENT]
    assert words in details
    assert {one.bundle for one in check.deviations if one.what is What.JUDGEMENT} == {"depot/9.seal"}


def test_an_edited_digest_is_other_content(report: ReportFile) -> None:
    check = change(report, lambda document: result_of(document).update(sha256="0" * 64))
    assert deviations(check) == [(What.CONTENT, "9.seal")]


def test_a_result_that_was_taken_out_is_found(report: ReportFile) -> None:
    check = change(report, lambda document: document["results"].remove(result_of(document)))
    assert deviations(check)[0] == (What.NOT_REPORTED, "9.seal")
    assert What.SUMMARY in {one.what for one in check.deviations}


def test_a_result_that_was_put_in_is_found(report: ReportFile) -> None:
    check = change(report, lambda document: document["results"].append(result_of(document) | {"bundle": "depot/x"}))
    assert (What.MISSING, "x") in deviations(check)
    check = change(report, lambda document: document["results"].append(result_of(document)))
    assert (What.MISSING, "9.seal") in deviations(check)


def test_the_order_of_results_does_not_matter(report: ReportFile) -> None:
    assert change(report, lambda document: document["results"].reverse()).reproduced


def test_a_finding_that_was_taken_out_is_found(report: ReportFile) -> None:
    check = change(report, lambda document: document["findings"].pop(0))
    assert [one.what for one in check.deviations] == [What.FINDING_NOT_REPORTED, *_sums(check)]


def test_a_finding_that_was_put_in_is_found(report: ReportFile) -> None:
    more = {"rule": "expired", "evidence": {"a": 1}}
    check = change(report, lambda document: document["findings"].append(document["findings"][0] | more))
    assert [one.what for one in check.deviations] == [What.FINDING_NOT_FOUND, *_sums(check)]


def _sums(check: Recheck) -> list[What]:
    return [one.what for one in check.deviations if one.what is What.SUMMARY]


@pytest.mark.parametrize(
    "more", [{"severity": "info"}, {"state": "allowed"}, {"state": "known"}, {"undecided": True}, {"related": ["x"]}]
)
def test_a_finding_that_was_made_to_matter_less_is_found(report: ReportFile, more: dict[str, Any]) -> None:
    check = change(report, lambda document: document["findings"][0].update(more))
    assert What.FINDING in {one.what for one in check.deviations}


def test_wording_may_differ(report: ReportFile) -> None:
    """A later version says the same in other words."""

    def reword(document: dict[str, Any]) -> None:
        for one in document["findings"]:
            one.update(detail="other", next_step="other", reason="other")
        for one in document["results"]:
            for check in one["checks"]:
                check.update(detail="other", next_step="other")

    assert change(report, reword).reproduced


@pytest.mark.parametrize(
    ("key", "value"),
    [("bundles", 5), ("bytes", 1), ("verdicts", {"accepted": 4}), ("findings", {"high": 0}), ("set_aside", None)],
)
def test_a_summary_that_does_not_fit_the_list_is_found(report: ReportFile, key: str, value: object) -> None:
    check = change(report, lambda document: document["summary"].update({key: value}))
    assert [(one.what, one.detail.rpartition(": ")[2]) for one in check.deviations] == [
        (What.SUMMARY, key.replace("_", " "))
    ]


# The policy, the rules, the time, the baseline.


def test_another_policy_is_said_and_what_it_finds_is_compared(report: ReportFile) -> None:
    other = trusting(anchor(root(), Level.COMMUNITY), minimum=Level.PARTNER)
    check = checked(report, other)
    found = Counter(one.what for one in check.deviations)
    assert found[What.POLICY] == 1
    assert found[What.JUDGEMENT] >= 3
    assert "the report says minimum level community" in {one.detail for one in check.deviations}


def test_an_edited_digest_of_the_policy_is_found(report: ReportFile) -> None:
    check = change(report, lambda document: document["policy"].update(sha256="0" * 64))
    assert [one.what for one in check.deviations] == [What.POLICY]


def test_without_the_policy_content_alone_is_checked(report: ReportFile, depot: Path) -> None:
    nobody = trusting(anchor(root(9)), minimum=Level.CERTIFIED)
    check = checked(report, nobody, unjudged="it is not here")
    assert check.deviations == []
    assert not check.reproduced
    (depot / "001.vib").unlink()
    assert deviations(checked(report, nobody, unjudged="it is not here")) == [(What.MISSING, "001.vib")]


def test_bundles_are_judged_at_the_time_of_the_report(depot: Path) -> None:
    from datetime import timedelta

    from builders.pki import NOW

    ends = leaf("Ending signer", end=NOW + timedelta(days=1))
    (depot / "9.seal").write_bytes(bundles.make("seal", ends, name="m9").data)
    before = save(audit_of(["depot"], POLICY), depot.parent / "before.json")
    after = save(audit_of(["depot"], POLICY, NOW + timedelta(days=2)), depot.parent / "after.json")
    assert checked(before).reproduced
    assert checked(after).reproduced
    moved = edited(depot.parent / "after.json", lambda document: document.update(at="2026-01-01T00:00:00Z"))
    assert What.JUDGEMENT in {one.what for one in checked(moved).deviations}


def test_the_rules_are_those_of_the_report(depot: Path) -> None:
    report = save(audit_of(["depot"], POLICY, ignore=["*"]), depot.parent / "r.json")
    assert checked(report).reproduced
    check = change(report, lambda document: document.update(rules=sorted(rules.BY_ID)))
    assert {one.what for one in check.deviations} == {What.FINDING_NOT_REPORTED, What.FINDING}
    check = change(report, lambda document: document.update(rules=["one-of-tomorrow"]))
    assert [(one.what, "one-of-tomorrow" in one.detail) for one in check.deviations] == [(What.RULES, True)]


def test_what_a_baseline_set_aside_is_found_again_with_that_baseline(report: ReportFile, depot: Path) -> None:
    known = frozenset(one.fingerprint for one in report.findings())
    quiet = save(audit_of(["depot"], POLICY, known=known), depot.parent / "quiet.json")
    assert checked(quiet, known=known).reproduced
    assert {one.what for one in checked(quiet).deviations} == {What.FINDING}


# How it is shown.


def test_a_report_is_called_a_claim(report: ReportFile) -> None:
    lines = b"".join(audit_recheck.render_text(checked(report))).decode().splitlines()
    assert lines[0] == f"{report.name}: reproduced"
    assert lines[-1].startswith("A report is a claim: it proves nothing by itself.")


def test_every_deviation_is_shown_and_no_terminal_is_steered(report: ReportFile) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["results"][0]["bundle"] = "\x1b[2J\n\udcff"
        document["results"][1]["proven_level"] = "certified"
        document["policy"]["source"] = document["findings"][0]["detail"] = "\x1b[2J"

    check = change(report, edit)
    for unjudged in (None, "\x1b[2J"):
        check.unjudged = unjudged
        shown = b"".join(audit_recheck.render_text(check)).decode().splitlines()
        assert all(line.isprintable() for line in shown)
        assert sum(line.startswith("  ") for line in shown) >= len(check.deviations)
        values = json.loads(b"".join(audit_recheck.render_json(check)))
        assert len(values["deviations"]) == len(check.deviations)
        assert values["reproduced"] is False
        assert values["unjudged"] == unjudged


def test_an_interrupted_audit_is_said(depot: Path) -> None:
    report = save(audit_of(["depot"], POLICY), depot.parent / "r.json")
    check = change(report, lambda document: document.update(complete=False))
    assert "was interrupted" in b"".join(audit_recheck.render_text(check)).decode()


keys = st.lists(st.integers(0, 5), max_size=12)


@given(keys, keys)
def test_pairs_are_what_belongs_together_and_nothing_is_lost(said: list[int], found: list[int]) -> None:
    pairs = list(_pairs(((key, "said") for key in said), ((key, "found") for key in found), lambda one: one[0]))
    assert Counter(one[0] for one, _ in pairs if one) == Counter(said)
    assert Counter(one[0] for _, one in pairs if one) == Counter(found)
    for one, other in pairs:
        assert one is None or one[1] == "said"
        assert other is None or other[1] == "found"
        assert one is None or other is None or one[0] == other[0]
    assert sum(1 for one, other in pairs if one and other) == (Counter(said) & Counter(found)).total()


def test_pairs_in_the_same_order_are_given_out_at_once() -> None:
    drawn: list[int] = []

    def counting() -> Any:
        for number in range(1000):
            drawn.append(number)
            yield number

    pairs = _pairs(counting(), iter(range(1, 1001)), lambda one: one)
    for _ in range(10):
        next(pairs)
    assert len(drawn) < 20
