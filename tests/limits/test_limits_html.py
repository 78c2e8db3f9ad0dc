"""The limits of an audit's HTML report: what is just within is there, what is just beyond is said to be elsewhere."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from browser.hostile import audit, finding, result
from limits.cover import bounds
from modseal import limits
from modseal.auditing.finding import Severity
from modseal.auditing.run import Audit
from modseal.format.level import Level
from modseal.profile.footprint import ModuleSize
from modseal.report import audit_html, footprint_html
from modseal.report.audit_html.signers import Signers
from modseal.report.html import shown
from modseal.serve import routes
from report.test_host_html import event, failure, source, verified


def page(of: Audit) -> str:
    return b"".join(audit_html.render(of)).decode()


def carried(text: str) -> list[int]:
    """The places of the bundles whose steps a page carries."""
    return sorted(map(int, re.findall(r'id="steps-(\d+)"', text)))


def named(*names: str) -> list[dict[str, Any]]:
    return [result(name) for name in names]


LEFT_OUT = "1 bundle without findings is listed without their steps; the JSON report has them."


@bounds("HTML_STEPS")
def test_steps_of_as_many_bundles_as_the_limit_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTML_STEPS", 3)
    within = page(audit(named("a", "b", "c")))
    assert carried(within) == [0, 1, 2]
    assert 'id="left-out"' not in within
    beyond = page(audit(named("a", "b", "c", "d"), [finding("d")]))
    assert carried(beyond) == [0, 1, 3]
    assert LEFT_OUT in beyond


def test_the_most_severe_findings_keep_their_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTML_STEPS", 2)
    found = [finding("a", severity=Severity.LOW), finding("b", severity=Severity.LOW), finding("d")]
    text = page(audit([*named("a", "b", "c", "d"), result("e", verdict="rejected")], found))
    assert carried(text) == [0, 3]
    assert "3 bundles of the lowest severities are listed without their steps" in text


@bounds("HTML_STEPS_SIZE")
def test_steps_of_as_many_bytes_as_the_limit_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    text = page(audit(named("a", "b")))
    size = sum(len(f"{place} {body}") for place, body in re.findall(r'id="steps-(\d)">(.*)</script>', text))
    monkeypatch.setattr(limits, "HTML_STEPS_SIZE", size)
    assert carried(page(audit(named("a", "b")))) == [0, 1]
    monkeypatch.setattr(limits, "HTML_STEPS_SIZE", size - 1)
    beyond = page(audit(named("a", "b")))
    assert carried(beyond) == [0]
    assert LEFT_OUT in beyond


@bounds("HTML_CHECKS")
@pytest.mark.parametrize("more", [0, 1])
def test_checks_of_one_bundle_up_to_the_limit_those_that_failed_first(more: int) -> None:
    one = result("a")
    passed = one["checks"][0]
    failed = {**passed, "step": 7, "status": "failed", "code": "payload-digest-mismatch", "next_step": "Ask."}
    one["checks"] = [passed] + [failed] * (limits.HTML_CHECKS - 1 + more)
    [steps] = re.findall(r'id="steps-0">(.*)</script>', page(audit([one])))
    read = json.loads(steps)
    assert (len(read["checks"]), read["more"]) == (limits.HTML_CHECKS, more)
    assert sum(check["step"] == 7 for check in read["checks"]) == limits.HTML_CHECKS - 1 + more


@bounds("HTML_FINDINGS")
@pytest.mark.parametrize("more", [0, 1])
def test_findings_of_one_rule_up_to_the_limit(more: int) -> None:
    count = limits.HTML_FINDINGS + more
    text = page(audit(named("a"), (finding("a", f"finding {number:04}") for number in range(count))))
    assert f"<p>finding {limits.HTML_FINDINGS - 1:04}</p>" in text
    assert f"<p>finding {limits.HTML_FINDINGS:04}</p>" not in text
    assert ("1 more are in the JSON report." in text) is bool(more)


@bounds("HTML_ROWS")
@pytest.mark.parametrize("more", [0, 1])
def test_static_rows_up_to_the_limit(more: int) -> None:
    count = limits.HTML_ROWS + more
    text = page(audit(result(f"{number:04}.seal") for number in range(count)))
    assert text.count('<td role="cell" data-column="File"') == limits.HTML_ROWS
    note = f"Without its script this page lists the {limits.HTML_ROWS} worst of {count} bundles."
    assert (note in text) is bool(more)


@bounds("HTML_SIGNERS")
def test_signers_up_to_the_limit_are_counted_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTML_SIGNERS", 2)
    signers = Signers()
    for number in (1, 2, 1, 3):
        signers.add([{**result("a")["signers"][0], "fingerprint": str(number)}])
    assert [one.bundles for one in signers.by_bundles()] == [2, 1]
    assert signers.uncounted == 1


@bounds("HTML_TEXT")
def test_a_text_up_to_the_limit_is_whole() -> None:
    whole = "x" * limits.HTML_TEXT
    assert shown(whole) == whole
    assert shown(whole + "y") == f"{whole} … (1 more characters)"


@bounds("HTML_BOXES")
def test_a_treemap_has_as_many_boxes_as_the_limit_and_one_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTML_BOXES", 3)
    modules = [ModuleSize("v", f"m{n}", "1", Level.PARTNER, 1, 1000, "a", str(n)) for n in range(4)]
    assert footprint_html.render(modules[:3]).count(b'class="box partner"') == 3
    assert b"more of v" not in footprint_html.render(modules[:3])
    beyond = footprint_html.render(modules)
    assert beyond.count(b'class="box partner"') == 2
    assert b"2 more of v" in beyond


@bounds("HTML_ITEMS")
@pytest.mark.parametrize("more", [0, 1])
def test_lists_of_a_host_s_page_up_to_the_limit(more: int) -> None:
    events = [{"module": None, **failure(text=f"finding {number:04}")} for number in range(limits.HTML_ITEMS + more)]
    text = source(routes.TASK_PAGE, task=verified("rejected", findings=events))
    assert f"finding {limits.HTML_ITEMS - 1:04}" in text
    assert f"finding {limits.HTML_ITEMS:04}" not in text
    assert ("and 1 more" in text) is bool(more)


@pytest.mark.parametrize("more", [0, 1])
def test_lines_of_the_log_on_one_page_up_to_the_limit_and_the_others_on_the_next(more: int) -> None:
    found = {"head": None, "events": [event(number) for number in range(limits.HTML_ROWS + more)]}
    text = source(routes.LOG_PAGE, log=found)
    assert text.count('data-column="Line"') == limits.HTML_ROWS
    assert ("/log?before=1" in text) is bool(more)
    assert source(routes.LOG_PAGE, before=1, log=found).count('data-column="Line"') == 1
