"""One word for one status, in the text, HTML and JSON of `audit` and `verify`, and on the page that explains them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modseal.auditing.finding import Severity, State
from modseal.auditing.run import Audit
from modseal.bundle.verify import Result
from modseal.report import audit_csv, audit_html, audit_json, audit_text, json_report, text
from modseal.trust.examination import STEPS, Check, Examination, Status, Verdict

PAGE = (Path(__file__).parents[2] / "docs" / "audit-reports.md").read_text("utf-8")
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("of", "words"),
    [("its verdict", Verdict), ("its status", Status), ("its severity", Severity), ("its state", State)],
)
def test_the_page_has_every_word(of: str, words: type[Verdict | Status | Severity | State]) -> None:
    [row] = [line for line in PAGE.splitlines() if line.startswith("| a ") and of in line]
    assert set(re.findall("`([a-z-]+)`", row)) == set(map(str, words))


@pytest.mark.parametrize("status", Status)
def test_verify_has_the_same_word_for_a_check_in_text_and_json(status: Status) -> None:
    check = Check(2, "time.x", status, "a detail", "revoked" if status is not Status.PASSED else None)
    result = Result("b.seal", "ab" * 32, Examination((check,), None, False, None, (), AT))
    [line] = [one for one in text.render(result, verbose=True).splitlines() if " a detail" in one]
    assert line.split()[:3] == ["2", STEPS[2], str(status)]
    [values] = json.loads(json_report.render([result], "policy", AT))["results"]
    assert values["checks"][0]["status"] == str(status)


def test_audit_has_the_same_words_in_every_form(sampled: Audit) -> None:
    document = json.loads(b"".join(audit_json.render(sampled)))
    forms = {
        "text": b"".join(audit_text.render(sampled, verbose=True)).decode(),
        "csv": b"".join(audit_csv.render(sampled)).decode(),
        "html": b"".join(audit_html.render(sampled)).decode(),
    }
    for result in document["results"]:
        name = result["bundle"].rpartition("/")[2]
        if name.isascii() and name.replace(".", "").isalnum():
            assert re.search(rf"^{result['verdict']} .*{re.escape(result['bundle'])}$", forms["text"], re.MULTILINE)
            assert f"bundle,{result['bundle']},{result['sha256'] or ''}" in forms["csv"]
    legend = re.search('id="legend">(.*?)</script>', forms["html"])
    assert legend
    words = json.loads(legend[1])
    assert words["statuses"] == list(map(str, Status))
    assert set(words["verdicts"]) == set(map(str, Verdict))
    assert words["severities"] == list(map(str, Severity))
    script = forms["html"].rpartition("<script>")[2]
    assert "status.replace" not in script
