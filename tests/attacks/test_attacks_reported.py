"""Every failed check reaches its reader: code, evidence and next step are in the text, JSON, SARIF and HTML report.

Here for every published code, and for what cannot be read; the real bundles of the attack tests are audited as those
tests run (conftest.py).
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders.audit_samples import made_of
from builders.audit_samples import result as result_of
from builders.audits import audit_of
from builders.bundles import judge, make
from builders.pki import NOW
from builders.policies import trusting
from builders.told import FORMS, require_told
from modseal.auditing.record import findings_of
from modseal.auditing.run import Audit
from modseal.bundle.values import check_values
from modseal.bundle.verify import Result
from modseal.codes import CODES
from modseal.errors import Failure
from modseal.trust.examination import Examination, failed

OF_STEPS = sorted(name for name, code in CODES.items() if code.step is not None)


def audit_where_everything_fails() -> Audit:
    """A bundle for each code of an examination, whose check of it failed, with values that are nowhere else."""
    findings, results = [], []
    for number, name in enumerate(OF_STEPS):
        evidence = {"member": f"m{number}<&>", "offset": 1000 + number, "pinned": False, "anchor": None}
        check = failed(CODES[name].step or 0, "what", Failure(name, f"detail {number} {{0}} [a](b)", evidence))
        examination = Examination((check,), None, False, None, (), NOW)
        found = Result(f"depot/{number}.seal", "cd" * 32, examination)
        findings += findings_of(found)
        values = {"verdict": str(found.verdict), "checks": [check_values(check)], "module": None, "proven_level": None}
        results.append(result_of(found.bundle, **values))
    return made_of(findings, results)


@pytest.mark.parametrize("form", FORMS)
def test_every_code_is_told_with_evidence_and_next_step(form: str) -> None:
    audit = audit_where_everything_fails()
    findings = list(audit.findings())
    assert [finding.rule for finding in findings] == OF_STEPS
    assert all(finding.next_step == CODES[finding.rule].next_step for finding in findings)
    require_told(audit, OF_STEPS, [form])


@pytest.mark.parametrize("form", FORMS)
def test_what_cannot_be_read_is_told(form: str, tmp_path: Path) -> None:
    (tmp_path / "gone.seal").symlink_to("nowhere")
    (tmp_path / "device.vib").symlink_to("/dev/null")
    audit = audit_of([tmp_path, tmp_path / "absent"], trusting())
    assert audit.doubt
    assert audit.summary.verdicts["undecided"] == audit.summary.bundles == 3
    require_told(audit, ["io-error"], [form])


@pytest.mark.parametrize(
    ("form", "lost"),
    [
        *((form, lost) for form in FORMS for lost in ({"evidence": {}}, {"detail": ""}, {"rule": "another"})),
        ("json", {"next_step": "Do nothing."}),  # the other two take it from the code, once for all its findings
        ("sarif", {"next_step": "Do nothing."}),
    ],
)
def test_what_a_form_leaves_out_is_missed(form: str, lost: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of this folder can fail."""
    audit = audit_where_everything_fails()
    poorer = made_of([replace(finding, **lost) for finding in audit.findings()], _without(audit, lost))
    module = importlib.import_module(f"modseal.report.audit_{form}")
    render = module.render
    monkeypatch.setattr(module, "render", lambda _: render(poorer))
    with pytest.raises(AssertionError, match="does not tell"):
        require_told(audit, OF_STEPS, [form])


def _without(audit: Audit, lost: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The results, where no check has it either."""
    changes = {"code" if name == "rule" else name: value for name, value in lost.items()}
    for one in audit.results():
        (check,) = one["checks"]
        yield {**one, "checks": [{**check, **changes}]}


def test_an_audit_and_an_examination_agree_on_what_failed(tmp_path: Path) -> None:
    bundle = make("vib").unsigned()
    (tmp_path / "b.vib").write_bytes(bundle.data)
    audit = audit_of([tmp_path], trusting())
    found = judge(bundle, trusting())
    first, second = [check for check in found.checks if check.status == "failed"]
    [finding] = [one for one in audit.findings() if one.step is not None]
    assert (finding.step, finding.rule, finding.detail) == (first.step, first.code, first.detail)
    assert second.code in finding.consequences
