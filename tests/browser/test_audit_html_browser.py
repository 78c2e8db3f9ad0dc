"""The HTML report in a real browser: it loads nothing, runs nothing of a bundle's, and can be used.

One headless Chromium for all tests; each page is loaded once for each test that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import chdir
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from browser import hostile, sample
from browser.chromium import CHROMIUM, DRIVER, Browser, started
from modseal import limits
from modseal.auditing.run import Audit
from modseal.report import audit_html

pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver")
pytest.importorskip("selenium.webdriver", reason="needs selenium")


class Reports(Browser):
    """A browser that shows one report at a time."""

    def __init__(self, folder: Path, driver: Any) -> None:
        super().__init__(driver)
        self._folder = folder

    def write(self, name: str, audit: Audit) -> None:
        (self._folder / name).write_bytes(b"".join(audit_html.render(audit)))

    def source(self, name: str) -> str:
        return (self._folder / name).read_text("utf-8")

    def show(self, name: str, *, width: int = 1280, theme: str = "light") -> Reports:
        self.look(width=width, theme=theme)
        self.load((self._folder / name).as_uri())
        return self

    def files(self) -> list[str]:
        """The files of the rows that are shown, in their order."""
        return list(self.run("return [...document.querySelectorAll('td .file')].map((each) => each.textContent)"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reports]:
    folder = tmp_path_factory.mktemp("browser")
    with started(folder) as driver:
        made = Reports(folder, driver)
        with chdir(folder):
            Path("depot").mkdir()
            sample.write(Path("depot"))
            real = sample.audit(Path("depot"))
        made.write("real.html", real)
        made.write("many.html", sample.repeated(real, 120))
        made.write("hostile.html", hostile.hostile())
        yield made


class Cells(HTMLParser):
    """The text of the table's cells, as they are without a script."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self._inside = False
        self.feed(source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "td" and "data-column" in dict(attributes):
            self._inside = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "td"

    def handle_data(self, text: str) -> None:
        if self._inside:
            self.cells[-1] += text


OPEN_ALL = """
document.querySelectorAll("button.open[aria-expanded=false]").forEach((each) => each.click());
document.querySelectorAll("details").forEach((each) => { each.open = true; });
"""


# Nothing but the page.


@pytest.mark.parametrize("name", ["real.html", "hostile.html"])
def test_a_page_asks_for_nothing_and_has_nothing_to_complain_of(browser: Reports, name: str) -> None:
    browser.show(name).run(OPEN_ALL)
    assert browser.run("return __violations") == []
    assert browser.driver.get_log("browser") == []
    assert browser.requests() == [browser.driver.current_url]


def test_hostile_text_runs_nothing(browser: Reports) -> None:
    browser.show("hostile.html").run(OPEN_ALL)
    for selector in ("#theme", "p.filter button", "#table th button"):
        browser.find(selector).click()
    assert browser.run("return [window.__x ?? null, document.title]") == [None, "Audit of signed modules"]
    assert len(browser.run("return document.querySelectorAll('tr.details')")) == len(hostile.TEXTS)
    foreign = "script:not([type]):not(:last-of-type), img, iframe, object, [onerror], [onload], a:not([href^='#'])"
    assert browser.run("return document.querySelectorAll(arguments[0]).length", foreign) == 0
    browser.run("localStorage.clear()")


def test_the_policy_of_the_page_refuses_what_it_did_not_write(browser: Reports) -> None:
    refused = browser.show("real.html").run("""
        const made = document.createElement("script");
        let refused = 0;
        for (const act of [() => { made.text = "window.__x = 1"; }, () => { document.body.innerHTML = "<b>x</b>"; }]) {
            try { act(); } catch { refused += 1; }
        }
        document.body.append(made);
        return [refused, window.__x ?? null];
    """)
    assert refused == [2, None]
    browser.driver.get_log("browser")


# The table.


def test_script_and_page_write_the_same_rows(browser: Reports) -> None:
    static = Cells(browser.source("many.html")).cells
    assert len(static) == 120 * 7 < limits.HTML_ROWS * 7
    browser.show("many.html")
    shown = browser.run("return [...document.querySelectorAll('td[data-column]')].map((each) => each.textContent)")
    assert shown == static[: len(shown)]
    assert len(shown) == 50 * 7


def test_searching_narrows_the_rows(browser: Reports) -> None:
    browser.show("real.html").find("#search").send_keys("GLOBEX-VSWITCH 1.8")
    browser.eventually("document.querySelectorAll('td .file').length === 1")
    assert browser.files() == ["globex-vswitch-1.8.0-1.seal"]
    assert browser.find("#shown").text == "1 of 57 bundles"
    browser.find("#search").send_keys(" nothing like it")
    browser.eventually("document.querySelector('tr.empty') !== null")
    browser.find("#filters button[type=reset]").click()
    browser.eventually("document.querySelectorAll('td .file').length === 50")


@pytest.mark.parametrize(
    ("field", "choice", "count"), [("verdict", "rejected", 12), ("level", "none", 7), ("rule", "revoked", 1)]
)
def test_filters_narrow_the_rows(browser: Reports, field: str, choice: str, count: int) -> None:
    browser.show("real.html").find(f"#{field}").send_keys(choice)
    browser.eventually(f"document.querySelectorAll('td .file').length === {count}")


def test_severity_is_a_filter_too(browser: Reports) -> None:
    browser.show("real.html").find("#severity").send_keys("high")
    browser.eventually("document.querySelector('#shown').textContent.includes(' of ')")
    pills = browser.run(
        "return [...document.querySelectorAll('[data-column=Findings] .pill')].map((e) => e.textContent)"
    )
    assert pills
    assert all(pill.startswith("high") for pill in pills)


@pytest.mark.parametrize("how", ["click", "keyboard"])
def test_sorting(browser: Reports, how: str) -> None:
    browser.show("real.html")
    header = browser.find("#table th:nth-child(7)")
    assert browser.find("#table th:nth-child(3)").get_attribute("aria-sort") == "descending"
    press: Callable[[], None] = (
        header.find_element("tag name", "button").click
        if how == "click"
        else lambda: header.find_element("tag name", "button").send_keys("\ue007")
    )
    sizes = "return [...document.querySelectorAll('td[data-column=Size]')].map((each) => each.textContent)"
    press()
    assert header.get_attribute("aria-sort") == "ascending"
    assert browser.find("#table th:nth-child(3)").get_attribute("aria-sort") == "none"
    assert browser.run(sizes)[0] == "17 B"
    press()
    assert header.get_attribute("aria-sort") == "descending"
    assert browser.run(sizes)[0] == "28.0 kB"


def test_pages_are_turned(browser: Reports) -> None:
    browser.show("many.html")
    first = browser.files()
    assert (len(first), browser.find("#page").text) == (50, "Page 1 of 3")
    for _ in range(2):
        browser.find("#next").click()
    assert (len(browser.files()), browser.find("#page").text) == (20, "Page 3 of 3")
    assert not browser.find("#next").is_enabled()
    browser.find("#previous").click()
    browser.find("#previous").click()
    assert browser.files() == first


def test_a_row_opens_its_steps_by_keyboard(browser: Reports) -> None:
    browser.show("real.html").find("#search").send_keys("acme-agent-3.0.0-1")
    browser.eventually("document.querySelectorAll('td .file').length === 1")
    button = browser.find("button.open")
    assert button.get_attribute("aria-expanded") == "false"
    button.send_keys(" ")
    assert button.get_attribute("aria-expanded") == "true"
    steps = browser.run("return [...document.querySelectorAll('.steps > li')].map((each) => each.className)")
    assert steps == ["passed"] * 7 + ["failed", "inconclusive", "passed"]
    failed = browser.find(".steps > li.failed").text
    for words in ("payload-digest-mismatch", "payload:", "Next:"):
        assert words in failed
    button.send_keys(" ")
    assert browser.run("return document.querySelectorAll('tr.details').length") == 0


def test_the_steps_of_an_unproved_manifest_say_so(browser: Reports) -> None:
    browser.show("real.html").find("#search").send_keys("acme-agent-3.0.1-1")
    browser.eventually("document.querySelectorAll('td .file').length === 1")
    browser.find("button.open").click()
    assert "No signer whom the policy trusts stands for this manifest" in browser.find("tr.details").text


def test_a_bundle_without_steps_says_where_they_are(browser: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HTML_STEPS", 0)
    browser.write("bare.html", hostile.audit([hostile.result("a.seal")]))
    browser.show("bare.html").find("button.open").click()
    assert "the JSON report has them" in browser.find("tr.details").text


def test_a_rule_shows_its_bundles_in_the_table(browser: Reports) -> None:
    browser.show("real.html")
    browser.run(
        "[...document.querySelectorAll('details.rule')].find((e) => e.textContent.includes('revoked')).open = true"
    )
    browser.find("details[open] p.filter button").click()
    assert browser.files() == ["globex-vswitch-1.9.0-1.seal"]


# How it looks.


def test_the_theme_is_the_system_s_until_somebody_chooses(browser: Reports) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    light = browser.show("real.html").run(ground)
    dark = browser.show("real.html", theme="dark").run(ground)
    assert light != dark
    browser.find("#theme").click()
    assert browser.run(ground) == light
    assert browser.show("real.html", theme="dark").run(ground) == light
    browser.find("#theme").click()
    assert browser.run(ground) == dark
    browser.run("localStorage.clear()")


VIEWS = [(width, theme) for width in (1400, 768, 390, 360) for theme in ("light", "dark")]
CLIPPED = """
return [...document.querySelectorAll('body *')].filter((each) => {
    const style = getComputedStyle(each);
    return [style.overflowX, style.overflowY].some((one) => one === 'hidden' || one === 'clip')
        && (each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 1);
}).map((each) => each.outerHTML.slice(0, 80))
"""
OVERLAPPING = """
const shown = (each) => each.getClientRects().length && each.textContent;
const meet = (one, other) => one.left < other.right - 0.5 && other.left < one.right - 0.5
    && one.top < other.bottom - 0.5 && other.top < one.bottom - 0.5;
const found = [];
for (const chart of document.querySelectorAll('.chart')) {
    const labels = [...chart.querySelectorAll('svg text')].filter(shown);
    labels.forEach((one, index) => labels.slice(index + 1).forEach((other) => {
        if (meet(one.getBoundingClientRect(), other.getBoundingClientRect()))
            found.push(`${one.textContent} and ${other.textContent}`);
    }));
    const card = chart.getBoundingClientRect();
    labels.forEach((one) => {
        const box = one.getBoundingClientRect();
        if (box.left < card.left || box.right > card.right) found.push(`${one.textContent} leaves its chart`);
    });
}
return found;
"""


@pytest.mark.parametrize("name", ["real.html", "hostile.html"])
@pytest.mark.parametrize(("width", "theme"), VIEWS)
def test_nothing_scrolls_sideways_is_clipped_or_overlaps(browser: Reports, name: str, width: int, theme: str) -> None:
    browser.show(name, width=width, theme=theme)
    for script in ("", OPEN_ALL):  # as it is, and with all that can be opened
        browser.run(script)
        assert browser.wider_than(width) == []
        page = "document.documentElement"
        assert browser.run(f"return [innerWidth, {page}.scrollWidth - {page}.clientWidth]") == [width, 0]
        assert browser.run(CLIPPED) == []
        assert browser.run(OVERLAPPING) == []


@pytest.mark.parametrize("width", [390, 768])
def test_a_bundle_is_three_lines_on_a_small_screen(browser: Reports, width: int) -> None:
    browser.show("real.html", width=width)
    lines = browser.run("""
        return [...document.querySelectorAll('#table tbody tr')].map((row) => {
            const tops = [...row.cells].flatMap((cell) => {
                const range = document.createRange();
                range.selectNodeContents(cell);
                return [...range.getClientRects()].filter((one) => one.width).map((one) => one.top + one.height / 2);
            }).sort((one, other) => one - other);
            return tops.filter((top, place) => !place || top - tops[place - 1] > 9).length;
        });
    """)
    assert len(lines) == 50
    assert set(lines) <= {2, 3}  # two where no module could be read


@pytest.mark.parametrize("width", [1400, 390])
def test_the_first_screen_names_rejected_bundles(browser: Reports, width: int) -> None:
    browser.show("real.html", width=width)
    seen = browser.run("""
        const seen = (each) => each.getBoundingClientRect().bottom <= innerHeight;
        return [...document.querySelectorAll('.bad li .file')].filter(seen).map((each) => each.textContent);
    """)
    assert len(seen) >= 5
    assert "acme-agent-3.0.0-1.seal" in seen


def test_rows_of_a_wide_screen_have_two_lines_each(browser: Reports) -> None:
    browser.show("real.html", width=1400)
    heights = set(browser.run("return [...document.querySelectorAll('#table tbody tr')].map((e) => e.offsetHeight)"))
    assert max(heights) - min(heights) <= 8


@pytest.mark.parametrize(
    ("link", "count"), [("only-verdict-rejected", 12), ("only-severity-medium", 8), ("only-level-none", 7)]
)
@pytest.mark.parametrize("scripted", [True, False])
def test_a_count_leads_to_its_bundles_with_and_without_the_script(
    browser: Reports, link: str, count: int, scripted: bool
) -> None:
    browser.command("Emulation.setScriptExecutionDisabled", value=not scripted)
    try:
        browser.show("real.html")
        for _ in range(2):  # the same link again, too
            browser.driver.get(browser.driver.current_url.partition("#")[0] + f"#{link}")
            rows = browser.driver.find_elements("css selector", "#table tbody tr")
            assert sum(row.is_displayed() for row in rows) == count
        assert browser.find(f"#{link}").is_displayed() == (not scripted)
        if scripted:
            assert browser.find("#shown").text == f"{count} of 57 bundles"
        else:
            browser.find(f"#{link} a").click()
            assert sum(row.is_displayed() for row in rows) == 57
    finally:
        browser.command("Emulation.setScriptExecutionDisabled", value=False)


def test_a_link_that_is_followed_again_narrows_again(browser: Reports) -> None:
    browser.show("real.html")
    press = "document.querySelector('.numbers-row a[href=\"#only-verdict-rejected\"]').click()"
    browser.run(press)
    browser.eventually("document.querySelectorAll('td .file').length === 12")
    browser.find("#filters button[type=reset]").click()
    browser.eventually("document.querySelectorAll('td .file').length === 50")
    browser.run(press)
    browser.eventually("document.querySelectorAll('td .file').length === 12")


def test_the_name_of_a_rejected_bundle_leads_to_its_row_and_opens_it(browser: Reports) -> None:
    browser.show("real.html", width=390)
    browser.run("document.querySelector('.bad li a.file').click()")
    browser.eventually("document.querySelectorAll('tr.details').length === 1")
    row = browser.find("tr.details").text
    assert "depot/incoming/acme-agent-3.0.0-1.seal" in row
    assert browser.run("return document.activeElement.matches('button.open[aria-expanded=true]')")


def test_a_next_step_shows_commands_as_code(browser: Reports) -> None:
    browser.show("real.html").run(OPEN_ALL)
    text = browser.run("return document.querySelector('main').innerText")
    assert "`" not in text


def test_the_table_is_there_without_the_script(browser: Reports) -> None:
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.show("real.html")
        assert len(browser.driver.find_elements("css selector", "td .file")) == 57
        assert not browser.find("#filters").is_displayed()
        assert browser.find("noscript p").is_displayed()
    finally:
        browser.command("Emulation.setScriptExecutionDisabled", value=False)


def test_it_prints(browser: Reports) -> None:
    printed = browser.show("many.html").command("Page.printToPDF")["data"]
    assert len(printed) > 10_000
    assert len(browser.files()) == 50
