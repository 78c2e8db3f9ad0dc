"""The text report of an audit: what a person sees, at 80 columns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders.audit_samples import finding, made_of, result
from modseal.auditing import rules
from modseal.auditing.choice import Choice
from modseal.auditing.finding import Kind, Severity, State
from modseal.auditing.run import Audit
from modseal.codes import CODES
from modseal.report import audit_text


def told(audit: Audit, *, verbose: bool = False) -> str:
    return b"".join(audit_text.render(audit, verbose)).decode()


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_summary_says_what_was_audited_and_what_came_out(sampled: Audit) -> None:
    head, _, _ = told(sampled).partition("\n\n")
    summary = sampled.summary
    assert head.startswith(f"{summary.bundles} bundles, {summary.bytes:,} bytes, examined as of 2026-01-01T00:00:00Z\n")
    assert "  policy        test policy, minimum level community\n" in head
    assert "  complete      yes\n" in head
    verdicts = summary.verdicts
    assert (
        f"{verdicts['accepted']} accepted, {verdicts['rejected']} rejected, {verdicts['undecided']} undecided" in head
    )
    assert f"  findings      {summary.findings['high']} high, " in head
    assert "1 certified, " in head
    assert "left out      1 (" in head


def test_an_audit_that_ended_early_says_so() -> None:
    assert "complete      NO: ended early" in told(made_of([], complete=False))


def test_what_was_set_aside_is_counted_and_not_listed() -> None:
    known = finding(state=State.KNOWN, reason="the baseline has it", detail="hidden detail")
    text = told(made_of([known, replace(known, state=State.ALLOWED)], [result()]))
    assert "set aside     1 known to the baseline, 1 allowed by the policy" in text
    assert "hidden detail" not in text
    assert text.endswith("\n\nNo findings that count.\n")


def test_each_bundle_is_listed_with_verdict_level_module_and_signers(sampled: Audit) -> None:
    text = told(sampled)
    for one in sampled.results():
        assert f"{one['verdict']:<11}{one['proven_level'] or 'none':<11}depot/" in text
    assert "accepted   certified  depot/good/certified.seal\n      Acme acme-agent 1.2.3-4; signed by " in text
    assert "undecided  none       depot/other/gone.seal\n      could not be examined: io-error\n" in text


def test_what_nobody_proved_is_marked(sampled: Audit) -> None:
    text = flat(told(sampled))
    assert "depot/signers/stranger.vib unproved: Evil Corp acme-str 1.2.3-4, claims partner; signed by" in text
    assert "CN=Stranger,O=Test (not trusted: unproved)" in text
    unproved = [one for one in sampled.results() if one["module"] and not one["module"]["proved"]]
    assert text.count(" unproved: Acme ") + text.count(" unproved: Evil Corp ") == len(unproved) > 3


def test_findings_are_grouped_by_rule_with_title_and_next_step_once(sampled: Audit) -> None:
    text = told(sampled)
    counted = [one for one in sampled.findings() if one.state is State.NEW]
    for id_ in {one.rule for one in counted}:
        title, step = (
            (rules.BY_ID[id_].title, rules.BY_ID[id_].remedy)
            if id_ in rules.BY_ID
            else (CODES[id_].meaning, CODES[id_].next_step)
        )
        (group,) = [block for block in text.split("\n\n") if block[8:].startswith((f"{id_}:", f"{id_} ("))]
        assert flat(f"{title} next: {step}") in flat(group)
        assert flat(group).count(flat(step)) == 1
        of_rule = [one for one in counted if one.rule == id_]
        for one in of_rule[:20]:
            assert flat(one.detail) in flat(group)


def test_the_most_severe_comes_first_and_what_rejects_before_what_is_undecided() -> None:
    low = finding(rule="no-timestamp", kind=Kind.RULE, severity=Severity.LOW, step=None)
    high = finding(rule="claim-above-proven", kind=Kind.RULE, step=None)
    doubt = finding(rule="crl-stale", step=5, undecided=True)
    late, early = finding(), finding(rule="truncated", step=0)
    text = told(made_of([low, high, doubt, late, early]))
    places = [text.index(one.rule) for one in (early, late, doubt, high, low)]
    assert places == sorted(places)


def test_a_finding_with_a_remedy_of_its_own_shows_it() -> None:
    text = flat(told(made_of([finding(), finding(next_step="Do this instead.")])))
    assert text.count("next: Do this instead.") == 1


@pytest.mark.parametrize(("count", "more"), [(20, None), (21, "... and 1 more; --format json has them all")])
def test_a_rule_shows_its_first_twenty_findings(count: int, more: str | None) -> None:
    text = told(made_of(finding(bundle=f"b{number}", detail=f"detail {number}.") for number in range(count)))
    assert "detail 19." in text
    assert "detail 20." not in text
    assert (more is None and "more;" not in text) or (more is not None and f"  {more}\n" in text)


@pytest.mark.parametrize("count", [40, 41])
@pytest.mark.parametrize("verbose", [False, True])
def test_up_to_forty_bundles_are_all_listed_then_only_those_with_findings(count: int, verbose: bool) -> None:
    results = [result(f"b{number}.", verdict="accepted") for number in range(count)]
    text = told(made_of([finding(bundle="b7.")], results), verbose=verbose)
    listed = [number for number in range(count) if f"accepted   partner    b{number}.\n" in text]
    every = verbose or count == 40
    assert listed == (list(range(count)) if every else [7])
    assert ("... and 40 more bundles without findings that count; --verbose lists every one" in text) == (not every)


def test_of_very_many_bundles_with_findings_the_first_are_listed() -> None:
    names = [f"b{number}." for number in range(250)]
    text = told(made_of([finding(bundle=name) for name in names], map(result, names)))
    assert text.count("rejected   partner    b") == 200
    assert "... and 50 more bundles with and without findings; --verbose lists every one" in text


def test_only_names_digests_and_evidence_make_a_line_longer_than_80_columns(sampled: Audit) -> None:
    for line in told(sampled).splitlines():
        if len(line) > 80:
            assert "long-name-" in line or line.startswith("        "), line
            assert len(line.split()[-1]) > 40, line


def test_it_is_the_same_whatever_the_terminal(sampled: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = told(sampled)
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert told(sampled) == usual
    assert "\x1b" not in usual


def test_the_names_of_files_cannot_draw(sampled: Audit) -> None:
    assert "depot/other/=cmd()\\n\\x1b[31m<b>&\\udcff.seal\n" in told(sampled)


def test_a_baseline_does_not_hide_a_verdict(sampled: Audit) -> None:
    known = frozenset(one.fingerprint for one in sampled.findings())
    aside = made_of([replace(one, state=State.KNOWN) for one in sampled.findings()], sampled.results())
    text = told(replace(aside, choice=Choice(frozenset(), known)))
    assert f"{sampled.summary.verdicts['rejected']} rejected, 1 undecided" in text
    assert "rejected   none       depot/other/empty.seal" in text
