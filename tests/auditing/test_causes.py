"""One cause is one finding: what follows from it is named there, and every check stays in the bundle's result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from builders.audits import audit_of
from builders.bundles import KINDS, Bundle, make, tar_of
from builders.pki import leaf, root, signer
from builders.policies import anchor, trusting
from builders.rules import record
from modseal.auditing import causes, rules
from modseal.auditing.finding import Finding, Kind
from modseal.codes import CODES
from modseal.format import manifest
from modseal.format.level import Level
from modseal.format.times import parse_time
from modseal.policy.sources import load
from modseal.trust.policy import Policy

VECTORS = Path(__file__).parents[1] / "vectors"


def told(bundle: Bundle | bytes, policy: Policy | None = None) -> list[tuple[str, tuple[str, ...]]]:
    """The checks that are findings, each with what follows from it."""
    findings = record(bundle, policy).findings
    return [(one.rule, one.consequences) for one in findings if one.kind is Kind.CHECK]


def codes_of(bundle: Bundle) -> list[str]:
    """The codes of all checks in the bundle's result."""
    return [check["code"] for check in json.loads(record(bundle).values, strict=False)["checks"] if check["code"]]


@pytest.mark.parametrize("kind", KINDS)
def test_an_unsigned_bundle_is_one_finding(kind: manifest.Kind) -> None:
    bundle = make(kind).unsigned()
    assert told(bundle) == [("unsigned", ("level-not-granted", "claim-above-proven"))]
    assert codes_of(bundle) == ["unsigned", "level-not-granted"]


def test_a_stranger_s_bundle_is_one_finding() -> None:
    assert told(make("seal", leaf("Stranger", issuer=root(7)))) == [("no-path", ("claim-above-proven",))]


def test_an_exchanged_payload_is_one_finding() -> None:
    other = make("seal", files={"opt/m/other": b"longer than what was there"})
    bundle = make("seal").with_member("base", data=other["base"].data)
    assert told(bundle) == [("payload-size-mismatch", ("payload-digest-mismatch",))]
    assert codes_of(bundle) == ["payload-size-mismatch", "payload-digest-mismatch"]


def test_a_listing_that_does_not_fit_is_one_finding_for_each_way_in_which_it_does_not() -> None:
    other = make("seal", files={f"opt/m/x{n}": b"" for n in range(9)})
    bundle = make("seal", files={f"opt/m/{n}": b"" for n in range(9)}).with_tar(tar_of(other))
    found = [one for one in record(bundle).findings if one.kind is Kind.CHECK]
    assert [(one.rule, one.detail.partition("; ")[2]) for one in found] == [
        ("file-missing", "and 8 more files"),
        ("file-undeclared", "and 8 more files"),
    ]
    assert codes_of(bundle).count("file-missing") == 9


def test_two_causes_are_two_findings() -> None:
    good = make("seal")
    bundle = good.unsigned().with_member("base", data=good["base"].data[:-1] + b"!")
    assert [rule for rule, _ in told(bundle)] == ["unsigned", "payload-digest-mismatch"]


def test_a_grant_that_is_too_low_is_a_cause_also_beside_a_damaged_signature() -> None:
    low = trusting(anchor(root(), Level.COMMUNITY))
    both = make("seal", signer(), signer("p384"))
    assert told(both, low)[0][0] == "level-not-granted"
    granted = Finding("level-not-granted", Kind.CHECK, rules.BY_ID["claim-above-proven"].severity, "", "", step=6)
    bad = replace(granted, rule="bad-signature", step=1)
    assert len(list(causes.by_cause([bad, replace(granted, evidence={"granted": "community"})]))) == 2
    assert len(list(causes.by_cause([bad, granted]))) == 1


def of_payload(rule: str, payload: str | None) -> Finding:
    severity = rules.BY_ID["claim-above-proven"].severity
    return Finding(rule, Kind.CHECK, severity, "", "", step=7, evidence={"payload": payload} if payload else {})


@pytest.mark.parametrize(
    ("findings", "left"),
    [
        ([("payload-size-mismatch", "a"), ("payload-digest-mismatch", "a")], 1),
        ([("payload-size-mismatch", "a"), ("payload-digest-mismatch", "b")], 2),
        ([("payload-digest-mismatch", "a"), ("bad-payload", "a"), ("bad-listing", "a"), ("file-missing", None)], 1),
        ([("file-missing", None), ("file-missing", None), ("file-undeclared", None)], 2),
        ([("unsafe-path", None), ("unsafe-path", None)], 2),
        ([("bad-listing", "a"), ("file-undeclared", None), ("unsafe-path", None)], 2),
    ],
)
def test_what_is_said_of_one_payload_explains_nothing_of_another(
    findings: Sequence[tuple[str, str | None]], left: int
) -> None:
    made = [of_payload(*one) for one in findings]
    assert len(list(causes.by_cause(made))) == left
    assert len(list(causes.by_cause(made[::-1]))) == left


def test_what_follows_is_a_code_or_a_rule_and_nothing_explains_itself() -> None:
    known = {*CODES, *rules.BY_ID}
    steps = range(10)

    def behind(rule: str) -> set[str]:
        direct = {str(one) for one in causes._FOLLOWS.get(rule, ()) if isinstance(one, str)}
        return direct.union(*map(behind, direct))

    for rule, explanations in causes._FOLLOWS.items():
        assert rule in known
        assert all(one in known or one in steps for one in explanations)
        assert rule not in behind(rule)


def test_a_rule_that_was_left_out_is_not_named_as_a_consequence(tmp_path: Path) -> None:
    (tmp_path / "a.vib").write_bytes(make("vib").unsigned().data)
    found = audit_of([tmp_path], trusting(), ignore=["claim-above-proven"]).findings()
    assert [one.consequences for one in found if one.rule == "unsigned"] == [("level-not-granted",)]


def vectors() -> list[dict[str, str]]:
    return [one for one in json.loads((VECTORS / "index.json").read_text())["vectors"] if one["verdict"] != "accepted"]


def test_every_bundle_that_is_not_accepted_has_a_cause_and_its_code_is_told() -> None:
    for one in vectors():
        policy = load(str(VECTORS / one["policy"]))
        found = record((VECTORS / one["bundle"]).read_bytes(), policy, parse_time(one["at"]))
        checks = [finding for finding in found.findings if finding.kind is Kind.CHECK]
        assert checks, one["name"]
        assert one["code"] in [name for finding in checks for name in (finding.rule, *finding.consequences)], one
