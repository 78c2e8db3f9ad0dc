"""Which findings count: chosen rules, a baseline, and what the policy's keeper allows. Verdicts stay as they are."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from builders import bundles
from builders.audits import audit_of
from builders.pki import NOW, leaf, root
from builders.policies import pin, trusting
from modseal.auditing import rules
from modseal.auditing.choice import RuleChoice, choose
from modseal.auditing.finding import Finding, Kind, Severity, State
from modseal.auditing.rule import Row
from modseal.auditing.run import Audit
from modseal.codes import CODES
from modseal.errors import PolicyError, UsageError
from modseal.format.level import Level
from modseal.trust.examination import Verdict
from modseal.trust.policy import Allowance, Policy

DIGEST, OTHER = "1" * 64, "2" * 64
LAST = date(2026, 1, 31)
ROW = Row("b.seal", DIGEST, 9, Verdict.ACCEPTED, name="acme-agent", proved=True)
POLICY = trusting()
MARKED = {"summary": "[Fling] Agent"}


def finding(rule: str = "fling-leftover", kind: Kind = Kind.RULE, sha256: str | None = DIGEST) -> Finding:
    return Finding(rule, kind, Severity.LOW, "detail", "next", "b.seal", sha256, evidence={"times": 1})


def check(code: str = "expired") -> Finding:
    return finding(code, Kind.CHECK)


def allowing(rule: str = "fling-leftover", **changes: object) -> Policy:
    values = {"sha256": DIGEST, **changes}
    return trusting(allowances=(Allowance(rule, "we know", LAST, line=7, **values),))  # type: ignore[arg-type]


def states(choice: RuleChoice, *findings: Finding, row: Row | None = ROW) -> list[State]:
    return [one.state for one in choice.apply(findings, row)]


# --select and --ignore.


def test_all_rules_run_where_nothing_is_said() -> None:
    assert choose(POLICY, NOW).ids == rules.BY_ID.keys()


def test_rules_are_named_or_matched() -> None:
    signer_rules = {id_ for id_ in rules.BY_ID if id_.startswith("signer-")}
    assert len(signer_rules) > 1
    assert choose(POLICY, NOW, select=["signer-*", "fling-leftover"]).ids == {*signer_rules, "fling-leftover"}
    assert choose(POLICY, NOW, ignore=["signer-*"]).ids == rules.BY_ID.keys() - signer_rules
    both = choose(POLICY, NOW, select=["signer-*"], ignore=["signer-expires-soon"])
    assert both.ids == signer_rules - {"signer-expires-soon"}


@pytest.mark.parametrize("option", ["select", "ignore"])
def test_a_rule_that_does_not_exist_is_an_error_that_names_a_near_one(option: str) -> None:
    with pytest.raises(UsageError, match="fling-leftovers: there is no such rule; did you mean 'fling-leftover'"):
        choose(POLICY, NOW, **{option: ["fling-leftovers"]})
    with pytest.raises(UsageError, match=f"--{option} nothing-like"):
        choose(POLICY, NOW, **{option: ["fling-*", "nothing-like-*"]})


@pytest.mark.parametrize("option", ["select", "ignore"])
def test_a_check_can_be_neither_selected_nor_ignored(option: str) -> None:
    with pytest.raises(UsageError, match="expired is a check, which always counts"):
        choose(POLICY, NOW, **{option: ["expired"]})


def test_a_rule_that_does_not_run_has_no_findings_and_a_check_has_them_always() -> None:
    choice = choose(POLICY, NOW, ignore=["*"])
    assert choice.ids == frozenset()
    assert choice.apply([finding(), check()], ROW) == [check()]


# [[allow]].


def test_an_allowed_finding_is_told_with_its_reason() -> None:
    (told,) = choose(allowing(), NOW).apply([finding()], ROW)
    assert (told.state, told.reason) == (State.ALLOWED, "we know (until 2026-01-31)")
    assert replace(told, state=State.NEW, reason=None) == finding()


def test_a_digest_allows_one_rule_of_exactly_that_file() -> None:
    choice = choose(allowing(), NOW)
    assert states(choice, finding(sha256=OTHER), finding(sha256=None), finding("not-reproducible")) == [State.NEW] * 3
    assert states(choice, finding(), row=None) == [State.ALLOWED]  # of bundles beside each other


def test_an_allowance_counts_until_the_end_of_its_day() -> None:
    end = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    assert states(choose(allowing(), end), finding()) == [State.ALLOWED]
    assert states(choose(allowing(), end + timedelta(seconds=1)), finding()) == [State.NEW]


def test_a_name_allows_modules_that_a_trusted_signer_stands_for() -> None:
    choice = choose(allowing(sha256=None, modules=("acme-*", "other")), NOW)
    assert states(choice, finding()) == [State.ALLOWED]
    assert states(choice, finding(), row=ROW._replace(name="other")) == [State.ALLOWED]
    assert states(choice, finding(), row=ROW._replace(name="Acme-agent")) == [State.NEW]


def test_a_name_that_nobody_proved_allows_nothing() -> None:
    choice = choose(allowing(sha256=None, modules=("*",)), NOW)
    assert states(choice, finding(), row=ROW._replace(proved=False)) == [State.NEW]
    assert states(choice, finding(), row=ROW._replace(name=None)) == [State.NEW]
    assert states(choice, finding(), row=None) == [State.NEW]


def test_no_check_can_be_allowed() -> None:
    for code in ("expired", "unsigned"):
        with pytest.raises(PolicyError, match=f"test policy:7: allow.rule: {code} is a check, which cannot be allowed"):
            choose(allowing(code), NOW)
    # Not even where a rule and a check have one name.
    for name in rules.BY_ID.keys() & CODES.keys():
        assert states(choose(allowing(name), NOW), check(name)) == [State.NEW]


def test_a_rule_that_does_not_exist_cannot_be_allowed_even_after_its_day() -> None:
    with pytest.raises(PolicyError, match="is not a rule of an audit; did you mean 'fling-leftover'"):
        choose(allowing("fling-leftovers"), NOW + timedelta(days=999))


# A baseline.


def test_a_baseline_knows_findings_of_both_kinds() -> None:
    choice = choose(POLICY, NOW, known=[finding().fingerprint, check().fingerprint])
    assert states(choice, finding(), check(), check("unsigned")) == [State.KNOWN, State.KNOWN, State.NEW]


def test_what_is_known_and_allowed_is_allowed() -> None:
    assert states(choose(allowing(), NOW, known=[finding().fingerprint]), finding()) == [State.ALLOWED]


def known_of(audit: Audit) -> list[str]:
    return [one.fingerprint for one in audit.findings()]


def audited(folder: Path, policy: Policy = POLICY, known: Iterable[str] = (), at: datetime = NOW) -> Audit:
    return audit_of([folder], policy, at, known=tuple(known))


def counted(audit: Audit) -> set[str]:
    return {one.rule for one in audit.findings() if one.state is State.NEW}


@pytest.fixture
def depot(tmp_path: Path) -> Path:
    """A folder with one bundle that has findings of rules and of checks."""
    folder = tmp_path / "depot"
    folder.mkdir()
    expired = leaf("Ended", end=NOW - timedelta(days=1))
    (folder / "a.seal").write_bytes(bundles.make("seal", expired, **MARKED).data)
    return folder


def test_what_an_older_audit_found_is_known_tomorrow_and_the_verdict_stays(depot: Path) -> None:
    before = audited(depot)
    assert counted(before) == {"expired", "fling-leftover"}
    after = audited(depot, known=known_of(before), at=NOW + timedelta(days=1))
    assert counted(after) == set()
    assert [result["verdict"] for result in after.results()] == ["rejected"]
    assert (after.worst, after.doubt) == (None, False)


def test_a_file_that_moved_is_still_known(depot: Path) -> None:
    known = known_of(audited(depot))
    (depot / "deeper").mkdir()
    (depot / "a.seal").rename(depot / "deeper" / "b.seal")
    assert counted(audited(depot, known=known)) == set()


def test_a_file_with_one_more_finding_has_one_that_counts(depot: Path) -> None:
    known = known_of(audited(depot))
    assert counted(audited(depot, trusting(root(7)), known=known)) == {"no-path"}


def test_everything_in_a_changed_file_is_new(depot: Path) -> None:
    known = known_of(audited(depot))
    path = depot / "a.seal"
    before, text, after = re.split(rb"(?<=-----\n)([^-]*)(?=-----END)", path.read_bytes())
    block = base64.b64decode(text)
    changed = base64.b64encode(
        block[:-1] + bytes([block[-1] ^ 1])
    )  # the signature's last bit, which no manifest covers
    path.write_bytes(before + b"".join(changed[at : at + 64] + b"\n" for at in range(0, len(changed), 64)) + after)
    assert counted(audited(depot, known=known)) == {"bad-signature", "fling-leftover"}


def test_a_baseline_is_read_back_from_a_report(depot: Path, tmp_path: Path) -> None:
    from modseal.auditing.report_file import load
    from modseal.report.audit_json import render

    before = audited(depot)
    report = tmp_path / "before.json"
    report.write_bytes(b"".join(render(before)))
    assert json.loads(report.read_bytes())["findings"]
    assert [one.fingerprint for one in load(report).findings()] == known_of(before)


# All together.


def test_an_allowance_of_a_policy_takes_a_finding_out_of_what_counts(tmp_path: Path) -> None:
    folder = tmp_path / "depot"
    folder.mkdir()
    (folder / "a.seal").write_bytes(bundles.make("seal", **MARKED).data)
    policy = allowing(sha256=None, modules=("acme-*",))
    audit = audited(folder, replace(policy, anchors=(pin(bundles.signer(), Level.PARTNER),)))
    assert audit.summary.plain()["set_aside"] == {"known": 0, "allowed": 1}
    assert "fling-leftover" not in counted(audit)
