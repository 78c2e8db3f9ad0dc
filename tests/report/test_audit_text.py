"""The text report of an audit: what a person sees, at 80 columns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders.audit_samples import finding, made_of, result
from modseal.auditing import rules
from modseal.auditing.choice import RuleChoice
from modseal.auditing.finding import Kind, Severity, State
from modseal.auditing.run import Audit
from modseal.codes import CODES
from modseal.report import audit_text


def told(audit: Audit, *, verbose: bool = False) -> str:
    return b"".join(audit_text.render(audit, verbose)).decode()


def flat(text: str) -> str:
    return " ".join(text.split())


def test_it_ends_with_the_summary_and_the_verdicts(sampled: Audit) -> None:
    summary = sampled.summary
    _, _, end = told(sampled).rpartition("\n\nSUMMARY\n")
    assert end.startswith("  policy        test policy, minimum level community\n")
    assert f"  audited       {summary.bundles} bundles, {summary.bytes:,} bytes, as of 2026-01-01T00:00:00Z\n" in end
    assert f"  findings      {summary.findings['high']} high, " in end
    assert "1 certified, " in end
    assert "left out      1 (" in end
    verdicts = summary.verdicts
    last = f"{verdicts['accepted']} of {summary.bundles} bundles accepted; {verdicts['rejected']} rejected; 1 undecided"
    assert end.splitlines()[-1] == f"  verdicts      {last}"


def test_an_audit_that_ended_early_says_so() -> None:
    assert "interrupted   the audit ended early; only what came before is here" in told(made_of([], complete=False))


def test_what_was_set_aside_is_counted_and_not_listed() -> None:
    known = finding(state=State.KNOWN, reason="the baseline has it", detail="hidden detail")
    text = told(made_of([known, replace(known, state=State.ALLOWED)], [result()]))
    assert "set aside     1 known to the baseline, 1 allowed by the policy" in text
    assert "hidden detail" not in text
    assert "\n\nNo findings that count.\n\nSUMMARY\n" in text


def test_the_rejected_come_first_then_the_undecided_then_how_many_are_accepted(sampled: Audit) -> None:
    listed, _, _ = told(sampled).partition("\n\nFINDINGS")
    verdicts = [line.split()[0] for line in listed.splitlines()[1:] if not line.startswith(" ")]
    counts = sampled.summary.verdicts
    assert verdicts == ["rejected"] * counts["rejected"] + ["undecided"] * counts["undecided"] + ["accepted"]
    assert f"accepted   {counts['accepted']} bundles; --verbose lists every one" in listed


def test_without_a_policy_the_first_line_says_so() -> None:
    assert told(made_of([], [result()])).startswith("VERDICT ")
    first = told(replace(made_of([], [result()]), by_default=True))
    assert first.startswith("No policy was named (--policy), so the built-in policy strict is used: it trusts")


def test_each_bundle_has_its_verdict_level_module_and_signers_and_why_it_is_not_accepted(sampled: Audit) -> None:
    text = told(sampled, verbose=True)
    for one in sampled.results():
        assert f"{one['verdict']:<11}{one['proven_level'] or 'none':<11}depot/" in text
    assert "accepted   certified  depot/good/certified.seal\n      Acme acme-agent 1.2.3-4; signed by " in text
    assert "undecided  none       depot/other/gone.seal\n      could not be examined: io-error\n" in text
    assert "rejected   none       depot/signers/stranger.vib\n      why: no-path\n" in text


def test_what_follows_from_a_finding_is_named_with_it() -> None:
    text = told(made_of([finding(consequences=("level-not-granted", "claim-above-proven"))]))
    assert "        from this follows: level-not-granted, claim-above-proven\n" in text


def test_what_nobody_proved_is_marked(sampled: Audit) -> None:
    text = flat(told(sampled))
    assert "stranger.vib why: no-path unproved: Evil Corp acme-str 1.2.3-4, claims partner; signed by" in text
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


def test_accepted_bundles_are_a_number_unless_it_is_verbose() -> None:
    made = made_of([finding(bundle="b7.")], [result(f"b{number}.", verdict="accepted") for number in range(3)])
    assert "accepted   3 bundles; --verbose lists every one\n" in told(made)
    assert "accepted   partner    b" not in told(made)
    assert told(made, verbose=True).count("accepted   partner    b") == 3


def test_of_very_many_rejected_bundles_the_first_are_listed() -> None:
    made = made_of([], [result(f"b{number}.") for number in range(250)])
    assert told(made).count("rejected   partner    b") == 200
    assert "rejected   50 more bundles; --verbose lists every one" in told(made)
    assert told(made, verbose=True).count("rejected   partner    b") == 250


def test_a_cause_that_a_bundle_has_often_is_named_once() -> None:
    made = made_of([finding(bundle="b", detail=str(number)) for number in range(3)], [result("b")])
    assert "      why: payload-digest-mismatch (3 times)\n" in told(made)


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
    assert "depot/other/=cmd()\\n\\x1b[31m<b>&\\xff.seal\n" in told(sampled)


def test_a_baseline_does_not_hide_a_verdict(sampled: Audit) -> None:
    known = frozenset(one.fingerprint for one in sampled.findings())
    aside = made_of([replace(one, state=State.KNOWN) for one in sampled.findings()], sampled.results())
    text = told(replace(aside, choice=RuleChoice(frozenset(), known)))
    assert f"{sampled.summary.verdicts['rejected']} rejected; 1 undecided" in text
    assert "rejected   none       depot/other/empty.seal" in text
