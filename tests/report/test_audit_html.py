"""The HTML report of an audit, read as HTML: what it says, and that nothing in it is anything but text.

tests/browser has what only a browser can tell.
"""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import re
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from importlib import resources
from itertools import product
from pathlib import Path

import pytest

from browser import hostile, sample
from browser.hostile import TEXTS, audit, finding, result
from builders import bundles, depots
from builders.audits import audit_of
from builders.html_page import HtmlPage
from builders.policies import trusting
from modseal import limits
from modseal.auditing import rules, spool
from modseal.auditing.finding import Kind, Severity, State
from modseal.auditing.run import Audit
from modseal.codes import CODES
from modseal.report import audit_html
from modseal.report.audit_html.signers import SignerRow, expiry
from modseal.report.html import data, element, escaped, prose, shown

TAGS = """
html head meta title style body svg defs pattern rect line text desc a header div p b nav button main section h1 h2 h3
dl dt dd figure figcaption details summary table thead tbody tr th td form label input select option bdi code span time
ol ul li noscript footer script
"""
CSS = resources.files(audit_html).joinpath("report.css").read_text("ascii")
JS = resources.files(audit_html).joinpath("report.js").read_text("ascii")


class Page(HtmlPage):
    def rows(self) -> list[list[str]]:
        """The cells of the table of bundles."""
        cells = [
            "".join(text) for tag, attributes, text in self.elements if tag == "td" and "data-column" in attributes
        ]
        return [cells[start : start + 7] for start in range(0, len(cells), 7)]


def html(of: Audit) -> str:
    return b"".join(audit_html.render(of)).decode()


def page(of: Audit) -> Page:
    return Page(html(of))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    folder = tmp_path_factory.mktemp("sample")
    sample.write(folder)
    return sample.audit(folder)


# Nothing but text.


@pytest.mark.parametrize("make", ["hostile", "real"])
def test_the_page_has_the_elements_that_we_write_and_no_others(make: str, real: Audit) -> None:
    found = page(hostile.hostile() if make == "hostile" else real)
    assert {tag for tag, _, _ in found.elements} <= set(TAGS.split())
    assert found.comments == []
    for _, attributes, _ in found.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset", "srcdoc")
        ]
        assert (attributes.get("href") or "#").startswith("#")
    kinds = [attributes.get("type") for tag, attributes, _ in found.elements if tag == "script"]
    assert kinds.count(None) == 1
    assert set(kinds) == {None, "application/json"}


@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_text_is_shown_as_it_is_or_as_its_escapes(text: str) -> None:
    found = page(audit([result(text, text)], [finding(text, text)]))
    assert shown(text) in found.all("bdi")
    [row] = json.loads(found.by_id("data"))
    assert row[0] == row[1] == row[2] == row[12] == shown(text)
    steps = json.loads(found.by_id("steps-0"))
    assert steps["signers"][0]["subject"] == steps["checks"][0]["detail"] == shown(text)
    assert steps["checks"][0]["evidence"] == [[shown(text).replace("_", " "), shown(text)]]


def test_no_text_reaches_the_page_with_what_cannot_be_seen() -> None:
    source = html(hostile.hostile())
    assert all(character.isprintable() or character == "\n" for character in source)
    assert "\\u202egnp" in source
    assert "\\x1b[31m" in source


def test_a_long_text_is_cut_and_says_so() -> None:
    source = html(audit([result("n" * 10_000)]))
    assert "n" * limits.HTML_TEXT + " … (8,000 more characters)" in source
    assert "n" * (limits.HTML_TEXT + 1) not in source


def test_our_own_words_are_short_enough_not_to_be_cut() -> None:
    for rule in rules.RULES:
        assert max(map(len, (rule.what, rule.why, rule.remedy))) < limits.HTML_TEXT


def test_data_for_the_script_cannot_end_it() -> None:
    for value in (*TEXTS, {text: [text, 1, None, True] for text in TEXTS}):
        text = data(value)
        assert text.isascii()
        assert not set(text) & set("<>&\n")
        json.loads(text)


def test_the_escaping_function_leaves_no_character_that_html_knows() -> None:
    assert escaped("<a href=\"x\" id='y'>&") == "&lt;a href=&quot;x&quot; id=&#x27;y&#x27;&gt;&amp;"
    made = element("a", "<b>", element("i", "&"), None, class_="\"><'", aria_label=None, hidden=True)
    assert made == '<a class="&quot;&gt;&lt;&#x27;" hidden>&lt;b&gt;<i>&amp;</i></a>'


# No other place.


def test_only_this_style_and_this_script_may_run_and_nothing_may_be_loaded() -> None:
    found = page(audit([result("a.seal")]))
    [policy] = [values["content"] for tag, values, _ in found.elements if tag == "meta" and "http-equiv" in values]
    directives = dict(part.strip().split(" ", 1) for part in (policy or "").split(";"))
    scripts = [text for tag, values, text in found.elements if tag == "script" and not values.get("type")]
    assert directives == {
        "default-src": "'none'",
        "style-src": digest(found.all("style")[0]),
        "script-src": digest("".join(scripts[0])),
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    position = [tag for tag, _, _ in found.elements].index
    assert position("meta") < position("style") < position("script")


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_style_and_script_name_no_other_place() -> None:
    assert set(re.findall(r"url\((.*?)\)", CSS)) == {"#hatch"}
    assert "@import" not in CSS
    for word in ("http:", "https:", "//cdn", "fetch(", "XMLHttpRequest", "import(", "innerHTML", "outerHTML", "eval("):
        assert word not in CSS + JS
    for word in ("insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment", "</"):
        assert word not in CSS + JS


def test_every_file_of_the_page_is_part_of_the_package() -> None:
    files = {file.name for file in resources.files(audit_html).iterdir() if not file.name.endswith((".py", "__"))}
    assert files == {"report.css", "report.html", "report.js"}


# What it says.


def test_the_same_audit_gives_the_same_bytes(real: Audit) -> None:
    assert html(real) == html(real)


def test_the_summary_says_policy_time_verdicts_and_findings(real: Audit) -> None:
    found = page(real)
    assert found.all("p", "lead") == ["45 of 57 bundles accepted; 12 rejected."]
    pairs = dict(zip(found.all("dt"), found.all("dd"), strict=True))
    assert pairs["Policy"] == "/etc/modseal/policy.toml"
    assert pairs["Minimum level"] == "community"
    assert pairs["Judged at"] == "2026-02-15 00:00:00 UTC"
    assert pairs["Audit"] == "complete"
    for severity in Severity:
        assert pairs[str(severity)] == f"{real.summary.findings[str(severity)]:,}"


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ([], "0 of 0 bundles accepted."),
        (["accepted"], "The one bundle is accepted."),
        (["accepted"] * 2, "All 2 bundles are accepted."),
        (["rejected"], "0 of 1 bundle accepted; 1 rejected."),
        (["accepted", "undecided", "rejected"], "1 of 3 bundles accepted; 1 rejected; 1 undecided."),
    ],
)
def test_the_first_sentence_says_what_came_of_it(verdicts: list[str], sentence: str) -> None:
    found = page(audit(result(f"{number}.seal", verdict=one) for number, one in enumerate(verdicts)))
    assert found.all("p", "lead") == [sentence]


def test_an_interrupted_audit_says_so_first() -> None:
    assert page(audit([result("a.seal")])).all("p", "warning") == []
    found = page(audit([result("a.seal")], complete=False))
    [warning] = found.all("p", "warning")
    assert warning.startswith("This audit was interrupted.")
    assert "interrupted" in found.all("dd")


def test_what_nobody_proved_is_marked() -> None:
    unproved = result("b.seal", module={"vendor": "V", "name": "n", "version": "1", "proved": False}, proven_level=None)
    rows = {row[0]: row for row in page(audit([result("a.seal"), unproved])).rows()}
    assert rows["a.seal"][1:4] == ["plain plainplain ", "accepted", "partner"]
    assert rows["b.seal"][1:4] == ["n 1V unproved", "accepted", "noneclaims partner unproved"]


def test_a_signer_whom_nobody_trusts_is_marked_in_the_charts() -> None:
    stranger = {**result("a.seal")["signers"][0], "trusted": False, "anchor": None, "subject": "CN=Stranger\\, Inc,O=X"}
    found = page(audit([result("a.seal", signers=[stranger])]))
    assert "Stranger\\, Inc · not trusted" in found.all("text")
    assert "CN=Stranger\\, Inc,O=X, not trusted, unproved" in found.all("th")


def test_a_bundle_that_could_not_be_read_is_a_row_too() -> None:
    values = {"module": None, "sha256": None, "claimed_level": None, "signers": [], "checks": [], "format": None}
    error = {"code": "io-error", "detail": "gone"}
    found = page(audit([result("a.seal", verdict="undecided", **{**values, "proven_level": None}, error=error)]))
    assert found.rows() == [["a.seal", "not readable", "undecided", "none", "none", "nobody", "1.2 kB"]]
    assert json.loads(found.by_id("steps-0"))["error"] == {"code": "io-error", "detail": "gone"}


def test_the_worst_bundles_come_first() -> None:
    names = ["fine", "low", "high", "known", "rejected", "many"]
    results = [result(name, verdict="rejected" if name == "rejected" else "accepted") for name in names]
    findings = [
        finding("low", severity=Severity.LOW),
        finding("high"),
        finding("known", state=State.KNOWN),
        finding("many"),
        finding("many"),
    ]
    rows = page(audit(results, findings)).rows()
    assert [row[0] for row in rows] == ["rejected", "many", "high", "low", "fine", "known"]
    assert [row[4] for row in rows] == ["none", "high · 2", "high · 1", "low · 1", "none", "1 set aside"]


def test_a_rule_says_what_why_and_what_to_do() -> None:
    rule = rules.BY_ID["claim-above-proven"]
    found = page(audit([result("a.seal")], [finding("a.seal")]))
    text = found.by_id("rule-0")
    for words in (rule.title, rule.id, rule.what, rule.why, rule.remedy, "a.seal", "a detail", "1 finding"):
        assert words.replace("`", "") in text


def test_what_stands_between_backticks_is_code_in_our_own_sentences_alone() -> None:
    rule = rules.BY_ID["claim-above-proven"]
    [command] = re.findall("`(esxcli.*?)`", rule.why)
    found = page(audit([result("`a`.seal")], [finding("`a`.seal", "`a detail`", next_step="Run `modseal x` now.")]))
    assert {command, "modseal x"} <= set(found.all("code"))
    assert not {"a", "a detail", ".seal"} & set(found.all("code"))
    assert prose("a ` alone") == "a ` alone"
    assert prose("`<b>` and `&`") == "<code>&lt;b&gt;</code> and <code>&amp;</code>"


def test_what_follows_from_a_finding_is_named_with_it() -> None:
    made = audit([result("a.seal")], [finding("a.seal", consequences=("level-not-granted", "no-such"))])
    assert "From this follows: level-not-granted, no-such" in page(made).by_id("rule-0")


def test_the_first_screen_names_what_is_not_accepted_and_why() -> None:
    results = [result(f"d/{n}.seal", verdict="rejected" if n < 12 else "undecided") for n in range(13)]
    check = {"kind": Kind.CHECK, "step": 5, "related": ()}
    findings = [finding(f"d/{n}.seal", rule="revoked", **check) for n in range(12)]
    findings += [finding("d/12.seal", rule="crl-stale", undecided=True, **check)]
    found = page(audit(results, findings))
    [card] = found.all("div", "bad")
    assert "12 rejected" in card
    assert card.count("A certificate of the chain is revoked") == 10
    assert "and 2 more" in card
    assert "1 undecided" in card
    assert "12.seald/" in card
    assert page(audit([result("a.seal")])).all("div", "bad") == []


def test_every_count_leads_to_the_bundles_that_it_counts(real: Audit) -> None:
    found = page(real)
    links = {(attributes["href"] or "#")[1:]: "".join(text) for tag, attributes, text in found.elements if tag == "a"}
    assert links["only-verdict-accepted"] == "45"
    assert links["only-severity-high"] == str(real.summary.findings["high"])
    assert links["only-level-none"] == "7"
    assert all(found.has(one) for one in links if one)
    assert "only-verdict-undecided" not in links


def test_without_a_policy_the_page_says_so_first(real: Audit) -> None:
    assert page(real).all("p", "warning") == []
    [warning] = page(replace(real, by_default=True)).all("p", "warning")
    assert warning.startswith("No policy was named")


def test_a_rule_says_in_how_many_bundles_it_found_something() -> None:
    findings = [finding("a.seal"), finding("a.seal", "again"), finding("b.seal")]
    found = page(audit([result("a.seal"), result("b.seal")], findings))
    assert "3 findings in 2 bundles" in found.by_id("rule-0")
    assert found.all("div", "where") == ["a.seal", "b.seal"]


def test_a_check_says_its_meaning_its_step_and_what_to_do() -> None:
    one = finding("a.seal", rule="revoked", kind=Kind.CHECK, step=5, next_step=CODES["revoked"].next_step, related=())
    text = page(audit([result("a.seal")], [one])).by_id("rule-0")
    for words in ("A certificate of the chain is revoked", "Step 5, revocation.", CODES["revoked"].next_step):
        assert words in text
    assert text.count(CODES["revoked"].next_step) == 1


def test_findings_that_are_undecided_or_set_aside_say_so() -> None:
    known = finding("a.seal", state=State.KNOWN, reason="the baseline has it")
    doubt = finding("a.seal", rule="crl-stale", kind=Kind.CHECK, step=5, undecided=True)
    found = page(audit([result("a.seal")], [known, doubt]))
    assert "undecided" in found.by_id("rule-0")
    assert "none counts, 1 set aside" in found.by_id("rule-1")
    assert "known: the baseline has it" in found.by_id("rule-1")
    assert "Set aside, and not counted: 1 known." in found.all("p")


def test_a_finding_about_several_bundles_marks_its_row() -> None:
    late = finding("a.seal", rule="same-id-other-content", related=("b.seal",))
    found = page(audit([result("a.seal"), result("b.seal")], [finding("b.seal", severity=Severity.LOW), late]))
    rows = {row[0]: row[4] for row in found.rows()}
    assert rows == {"a.seal": "high · 1", "b.seal": "low · 1"}
    assert [note["detail"] for note in json.loads(found.by_id("steps-0"))["notes"]] == ["a detail"]
    assert "also b.seal" in found.by_id("rule-0")


def test_a_finding_about_a_depot_takes_none_from_the_bundles_after_it(tmp_path: Path) -> None:
    depots.make().with_file("extra.txt", b"x").write(tmp_path / "a.zip")
    (tmp_path / "b.seal").write_bytes(bundles.make("seal").data[:-1])
    made = audit_of([tmp_path], trusting())
    assert {one.rule for one in made.late_findings()} >= {"depot-file-unlisted"}
    fields, rows = (json.loads(page(made).by_id(id_)) for id_ in ("legend", "data"))
    worst = [row[fields["fields"].index("worst")] for row in rows]
    assert worst[-1] == fields["severities"].index("high")


def test_every_bundle_is_in_the_data_with_its_own_findings(real: Audit) -> None:
    found = page(real)
    fields = json.loads(found.by_id("legend"))["fields"]
    rows = [dict(zip(fields, row, strict=True)) for row in json.loads(found.by_id("data"))]
    wanted = {each["bundle"]: 0 for each in real.results()}
    for each in real.findings():
        wanted[each.bundle] += 1
    assert {row["file"]: row["counted"] for row in rows} == wanted
    assert all(found.has(f"steps-{place}") for place in range(len(rows)))


def test_a_chart_says_its_numbers_in_words_too(real: Audit) -> None:
    found = page(real)
    assert "certified: 18; accepted: 15; partner: 8; community: 9; none: 7" in found.all("desc")
    for tag, attributes, _ in found.elements:
        if attributes.get("role") == "img":
            named = (attributes["aria-labelledby"] or "").split()
            assert tag == "svg"
            assert all(found.by_id(one) for one in named)


# Expiry.


def dated(*times: tuple[int, int, int]) -> list[SignerRow]:
    return [SignerRow("CN=x", "anchor", datetime(*time, tzinfo=UTC)) for time in times]


def test_certificates_are_counted_in_the_quarter_in_which_they_end() -> None:
    at = datetime(2026, 2, 15, tzinfo=UTC)
    times = [(2026, 2, 14), (2026, 2, 15), (2026, 3, 31), (2026, 4, 1), (2028, 12, 31), (2029, 1, 1), (9999, 12, 31)]
    periods = expiry(dated(*times), at)
    counted = {f"{period.year} {period.name}".strip(): period.all for period in periods if period.all}
    assert counted == {"past": 1, "2026 Q1": 2, "2026 Q2": 1, "2028 Q4": 1, "later": 2}
    assert len(periods) == 14


def test_trusted_and_other_signers_are_counted_apart() -> None:
    [one] = dated((2026, 5, 1))
    periods = expiry([one, SignerRow("CN=y", None, one.not_after)], datetime(2026, 1, 1, tzinfo=UTC))
    assert (periods[2].trusted, periods[2].untrusted) == (1, 1)


def test_a_signer_is_one_certificate_however_many_bundles_it_signed() -> None:
    found = page(audit(result(f"{number}.seal") for number in range(3)))
    assert "plain: 3" in " ".join(found.all("desc"))
    assert "later: 1" in found.all("desc")


# Colours.


def colours() -> dict[str, tuple[str, str]]:
    return {name: (light, dark) for name, light, dark in re.findall(r"--([a-z-]+): light-dark\((#\w+), (#\w+)\)", CSS)}


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


GROUNDS = ("ground", "surface", "sunken")
READ = [*product(("text", "dim", "link"), GROUNDS), *product(("good", "bad", "doubt", "calm"), ("ground", "surface"))]
READ += [(name, f"{name}-ground") for name in ("good", "bad", "doubt", "calm")]
SEEN = [*product(("bar", "bar-soon", "bar-due", "hatch", "edge", "good", "bad", "doubt", "calm"), ("surface",))]


def test_the_measure_of_contrast_is_right() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_and_graphics_have_enough_contrast(theme: int) -> None:
    palette = {name: both[theme] for name, both in colours().items()}
    assert len(palette) == CSS.count("light-dark(#")
    assert [(one, on) for one, on in READ if contrast(palette[one], palette[on]) < 4.5] == []
    assert [(one, on) for one, on in SEEN if contrast(palette[one], palette[on]) < 3] == []


# Size.


def test_memory_does_not_grow_with_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTML_ROWS", 20)
    monkeypatch.setattr(limits, "HTML_STEPS", 20)
    monkeypatch.setattr(spool, "_IN_MEMORY", 1000)
    monkeypatch.setattr(spool, "_BLOCK", 1000)  # what is read at once would hide a growth of less than that
    rendered(audit([result("a.seal")]))  # what is loaded once
    assert peak(1500) < peak(300) + 30_000


def peak(count: int) -> int:
    made = audit(
        (result(f"{number:06}.seal") for number in range(count)), (finding(f"{n:06}.seal") for n in range(count))
    )
    gc.collect()
    tracemalloc.start()
    try:
        rendered(made)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def rendered(of: Audit) -> int:
    return sum(map(len, audit_html.render(of)))
