"""Two reports compared: what came, went, changed, moved; which findings are new; and what is worse."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from builders.audit_samples import finding, made_of, result
from builders.reports import edited, save
from modseal.auditing.diff import Difference, compare
from modseal.auditing.finding import Finding, Severity, State
from modseal.auditing.report_file import ReportFile
from modseal.report import audit_diff

ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


def good(name: str, sha256: str | None = ONE, **changes: Any) -> dict[str, Any]:
    return result(name, sha256=sha256, **{"verdict": "accepted", **changes})


def rejected(name: str, sha256: str | None = ONE, **changes: Any) -> dict[str, Any]:
    return good(name, sha256, **{"verdict": "rejected", "proven_level": None, **changes})


class Both:
    """Writes reports beside each other and compares them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def report(self, results: Iterable[dict[str, Any]], found: Iterable[Finding] = (), **changes: Any) -> ReportFile:
        self._count += 1
        return save(made_of(found, results, **changes), self._folder / f"{self._count}.json")

    def results(self, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Difference:
        return compare(self.report(old), self.report(new))

    def findings(self, old: list[Finding], new: list[Finding], fail_on: Severity = Severity.MEDIUM) -> Difference:
        return compare(self.report([good("a")], old), self.report([good("a")], new), fail_on)


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)


def text(difference: Difference) -> list[str]:
    return b"".join(audit_diff.render_text(difference)).decode().splitlines()


def document(difference: Difference) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(b"".join(audit_diff.render_json(difference)))
    return values


def test_the_same_report_is_no_difference(both: Both) -> None:
    rows = [good("a"), rejected("b", TWO), good("c", None)]
    report = both.report(rows, [finding(), finding(state=State.KNOWN, sha256=TWO)])
    difference = compare(report, report)
    assert not difference.worse
    assert difference.bundles.same == 3
    assert difference.still_there == 1
    assert text(difference)[-1] == "not worse"
    values = document(difference)
    assert [key for key, value in values.items() if value == []] == [
        *("added", "removed", "changed", "moved", "rejudged"),
        *("new_findings", "gone_findings", "now_set_aside"),
    ]


# Bundles.


def test_bundles_come_and_go(both: Both) -> None:
    difference = both.results([good("a"), good("b", TWO)], [good("a"), good("c", THREE)])
    assert [side.name for side in difference.bundles.added] == ["c"]
    assert [side.name for side in difference.bundles.removed] == ["b"]
    assert not difference.worse


def test_the_same_name_with_other_content_changed(both: Both) -> None:
    difference = both.results([good("a")], [good("a", TWO)])
    assert [(pair.old.sha256, pair.new.sha256) for pair in difference.bundles.changed] == [(ONE, TWO)]
    assert not difference.worse
    assert "  content    a: accepted, partner" in text(difference)


def test_the_same_content_under_another_name_moved(both: Both) -> None:
    old = [good("x/1"), good("x/2"), good("x/3", TWO)]
    difference = both.results(old, [good("y/1"), good("y/2"), good("y/3"), good("y/4", TWO)])
    moved = [(pair.old.name, pair.new.name) for pair in difference.bundles.moved]
    assert moved == [("x/1", "y/1"), ("x/2", "y/2"), ("x/3", "y/4")]
    assert [side.name for side in difference.bundles.added] == ["y/3"]
    assert difference.bundles.removed == []
    assert not difference.worse


def test_bundles_whose_bytes_nobody_read_do_not_move(both: Both) -> None:
    difference = both.results([good("a", None)], [good("b", None)])
    assert (len(difference.bundles.added), len(difference.bundles.removed)) == (1, 1)


@pytest.mark.parametrize(
    ("old", "new", "worse"),
    [
        (good("a"), rejected("a"), True),
        (good("a"), good("a", verdict="undecided"), True),
        (good("a", verdict="undecided"), rejected("a", proven_level="partner"), True),
        (rejected("a"), good("a"), False),
        (rejected("a"), rejected("a", verdict="undecided"), False),
        (good("a"), good("a", proven_level="community"), True),
        (good("a", proven_level="certified"), good("a", proven_level="accepted"), True),
        (good("a"), good("a", proven_level=None), True),
        (good("a"), good("a", proven_level="certified"), False),
        (rejected("a", proven_level="partner"), rejected("a", proven_level="certified"), False),
    ],
)
def test_a_worse_verdict_or_a_lower_level_is_worse(
    both: Both, old: dict[str, Any], new: dict[str, Any], worse: bool
) -> None:
    difference = both.results([old], [new])
    assert len(difference.bundles.rejudged) == 1
    assert difference.worse is worse
    assert text(difference)[-1] == ("worse" if worse else "not worse")
    assert document(difference)["rejudged"][0]["worse"] is worse


def test_what_changed_or_moved_can_get_worse_too(both: Both) -> None:
    assert both.results([good("a")], [rejected("a", TWO)]).worse
    assert both.results([good("a")], [rejected("b")]).worse


def test_a_rejected_bundle_that_is_added_is_worse_and_a_copy_of_one_is_not(both: Both) -> None:
    assert both.results([good("a")], [good("a"), rejected("b", TWO)]).worse
    assert both.results([good("a")], [good("a"), rejected("b", None)]).worse
    assert not both.results([rejected("a")], [rejected("a"), rejected("b")]).worse
    assert not both.results([good("a"), rejected("b", TWO)], [good("a")]).worse


def test_of_a_bundle_that_stands_twice_the_worse_counts(both: Both) -> None:
    assert both.results([good("a"), good("a")], [rejected("a"), good("a")]).worse
    assert both.results([good("a"), good("a")], [good("a"), rejected("a")]).worse
    assert not both.results([good("a"), rejected("a")], [rejected("a")]).worse


# Findings.


def test_a_finding_is_new_gone_or_still_there(both: Both) -> None:
    old, still, new = (finding(sha256=digest) for digest in (ONE, TWO, THREE))
    difference = both.findings([old, still], [still, new])
    assert list(difference.new_findings()) == [new]
    assert list(difference.gone_findings()) == [old]
    assert difference.still_there == 1
    assert difference.worse
    assert not both.findings([old, still], [still]).worse


def test_a_finding_is_the_same_wherever_its_bundle_lies(both: Both) -> None:
    difference = both.findings([finding(bundle="a")], [finding(bundle="b"), finding(bundle="c")])
    assert list(difference.new_findings()) == []
    assert difference.still_there == 1
    assert not difference.worse


@pytest.mark.parametrize("state", [State.KNOWN, State.ALLOWED])
def test_a_finding_that_was_set_aside_and_counts_now_is_new(both: Both, state: State) -> None:
    difference = both.findings([finding(state=state)], [finding()])
    (new,) = difference.new_findings()
    assert difference.was_set_aside(new)
    assert difference.worse
    assert any(line.endswith(", which was set aside") for line in text(difference))


@pytest.mark.parametrize("state", [State.KNOWN, State.ALLOWED])
def test_a_finding_that_is_set_aside_now_is_not_gone(both: Both, state: State) -> None:
    difference = both.findings([finding()], [finding(state=state, reason="we know")])
    assert list(difference.gone_findings()) == []
    assert [one.state for one in difference.now_set_aside()] == [state]
    assert any("set aside" in line and "(we know)" in line for line in text(difference))
    assert not difference.worse


def test_a_new_finding_that_does_not_count_is_not_worse(both: Both) -> None:
    difference = both.findings([], [finding(state=State.ALLOWED)])
    assert list(difference.new_findings()) == list(difference.now_set_aside()) == []
    assert not difference.worse


@pytest.mark.parametrize(("severity", "worse"), [(Severity.LOW, False), (Severity.MEDIUM, True), (Severity.HIGH, True)])
def test_the_threshold_decides_what_makes_it_worse(both: Both, severity: Severity, worse: bool) -> None:
    found = finding(severity=severity)
    assert both.findings([], [found]).worse is worse
    assert both.findings([], [found], Severity.LOW).worse
    assert len(list(both.findings([], [found]).new_findings())) == 1


# The policy, interruptions, and how it is shown.


@pytest.mark.parametrize(
    ("old", "new", "changed"), [(ONE, ONE, False), (ONE, TWO, True), (None, None, True), (ONE, None, True)]
)
def test_another_policy_is_said(both: Both, tmp_path: Path, old: str | None, new: str | None, changed: bool) -> None:
    reports = []
    for number, digest in enumerate((old, new), 1):
        both.report([good("a")])
        reports.append(edited(tmp_path / f"{number}.json", lambda one, d=digest: one["policy"].update(sha256=d)))  # type: ignore[misc]
    difference = compare(*reports)
    assert difference.policy_changed is changed
    assert not difference.worse
    assert any(line.startswith("policy: other") for line in text(difference)) is changed


def test_an_interrupted_audit_leaves_it_undecided_unless_it_is_worse(both: Both) -> None:
    whole, part = both.report([good("a")]), both.report([], complete=False)
    assert not compare(whole, part).complete
    assert text(compare(whole, part))[-1] == "undecided: an audit was interrupted"
    assert any("was interrupted: bundles may be missing" in line for line in text(compare(part, whole)))
    assert text(compare(part, both.report([rejected("b", TWO)])))[-1] == "worse"


def test_names_that_a_terminal_would_obey_are_shown_escaped(both: Both) -> None:
    odd = "\x1b[2J\n\udcff"
    found = finding(bundle=odd, rule=odd, detail=odd, state=State.NEW)
    aside = finding(bundle=odd, sha256=TWO)
    old = both.report([good(f"{odd}1"), good(f"{odd}2", TWO)], [aside], source=odd)
    new = both.report(
        [rejected(f"{odd}3"), good(f"{odd}4", THREE)],
        [found, finding(bundle=odd, sha256=TWO, state=State.KNOWN, reason=odd)],
        source=odd,
    )
    for difference in (compare(old, new), compare(new, old)):
        assert "\x1b" not in "".join(text(difference))
        assert all(line.isprintable() for line in text(difference))
        assert document(difference)["schema"] == "modseal/audit-diff@1"


def test_json_has_every_word_of_it(both: Both) -> None:
    old = both.report([good("a"), good("b", TWO), good("c", THREE)], [finding()])
    new = both.report([rejected("a"), good("x", TWO), good("d", "4" * 64)], [finding(sha256=TWO)])
    values = document(compare(old, new))
    side = {"bundle": "a", "sha256": ONE, "verdict": "accepted", "proven_level": "partner"}
    assert values["rejudged"] == [
        {"old": side, "new": side | {"verdict": "rejected", "proven_level": None}, "worse": True}
    ]
    assert [pair["new"]["bundle"] for pair in values["moved"]] == ["x"]
    assert [one["bundle"] for one in values["added"] + values["removed"]] == ["d", "c"]
    assert values["new_findings"] == [finding(sha256=TWO).plain()]
    assert values["gone_findings"] == [finding().plain()]
    assert (values["worse"], values["same"], values["still_there"]) == (True, 0, 0)
    assert values["old"] == {
        "report": old.name,
        "sha256": old.sha256,
        "at": "2026-01-01T00:00:00Z",
        "complete": True,
        "policy": old.policy,
    }
