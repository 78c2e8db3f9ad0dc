"""The pages of a served host in a real browser, over TLS, by a client with a certificate.

Chromium takes the certificate from an NSS database in a home of its own, and gives it without asking because its
profile says so, as it does once somebody has chosen.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import host_sample
from browser.chromium import CHROMIUM, DRIVER, Browser, started
from builders.pki import Identity, leaf, root
from builders.served import Served, served
from modseal.serve import routes

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER and shutil.which("pk12util")), reason="needs chromium, chromedriver and libnss3-tools"
)
pytest.importorskip("selenium", reason="needs selenium")
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402


def with_certificate(home: Path, one: Served, identity: Identity) -> dict[str, Any]:
    """Put a client's certificate and the host's CA into a browser's home; the preferences that give it."""
    database, bundle = home / ".pki/nssdb", home / "client.p12"
    database.mkdir(parents=True)
    certificate, key = one.key_files(identity)
    at = ("-d", f"sql:{database}")
    for command in (
        ("certutil", "-N", *at, "--empty-password"),
        ("certutil", "-A", *at, "-n", "ca", "-t", "C,,", "-i", one.folder / "ca.pem"),
        ("openssl", "pkcs12", "-export", "-in", certificate, "-inkey", key, "-passout", "pass:x", "-out", bundle),
        ("pk12util", *at, "-i", bundle, "-W", "x"),
    ):
        subprocess.run(command, check=True, capture_output=True)
    given = {f"https://127.0.0.1:{one.port},*": {"setting": {"filters": [{}]}}}
    return {"profile": {"content_settings": {"exceptions": {"auto_select_certificate": given}}}}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("shown"), "requests = 100000") as found:
        host_sample.fill(found)
        yield found


@pytest.fixture(scope="module")
def browser(one: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    home = tmp_path_factory.mktemp("home")
    with started(home, with_certificate(home, one, one.clients["operator"])) as driver:
        yield Browser(driver)


@pytest.fixture(scope="module")
def paths(one: Served) -> list[str]:
    """One of each kind of page, and each kind of task."""
    tasks = [each["@odata.id"].rpartition("/")[2] for each in one.ask("GET", routes.TASKS).document["Members"]]
    modules = ["/modules/acme-agent", "/modules/northwind-storage-multipath-service-extended"]
    plain = sorted(path for path in routes.PAGES if "{" not in path)
    return [*plain, *modules, *(f"/tasks/{each}" for each in tasks[::2]), "/tasks/none"]


def test_pages_load_nothing_run_nothing_and_fit_on_every_screen(
    one: Served, browser: Browser, paths: list[str]
) -> None:
    grounds = set()
    for path in paths:
        address = f"https://127.0.0.1:{one.port}{path}"
        browser.load(address)
        assert browser.requests() == [address]
        said = [each["message"] for each in browser.driver.get_log("browser")]
        assert [each for each in said if "404" not in each] == [], path
        assert browser.run("return [__violations, window.__x ?? null]") == [[], None], path
        assert browser.run("return document.querySelectorAll('script, img, iframe, [onerror]').length") == 0, path
        for theme in ("light", "dark"):
            browser.look(theme=theme)
            grounds.add((theme, browser.run("return getComputedStyle(document.body).backgroundColor")))
            for width in (1400, 768, 390, 360):
                browser.resize(width)
                assert browser.wider_than(width) == [], (path, width, theme)
    assert len(grounds) == 2, "each theme has its one ground"


def test_what_is_not_proved_is_seen_on_the_first_screen_of_a_phone(one: Served, browser: Browser) -> None:
    browser.look(width=390)
    browser.load(f"https://127.0.0.1:{one.port}/modules")
    bottom = browser.run("return document.querySelector('tr.bad .pill.rejected').getBoundingClientRect().bottom")
    assert bottom < 800
    assert "acme-agent" in browser.find(".alarm").text


def test_the_keyboard_leads_past_the_links_and_shows_where_it_is(one: Served, browser: Browser) -> None:
    browser.look()
    browser.load(f"https://127.0.0.1:{one.port}/log")
    browser.find("body").send_keys("\ue004")
    focused = "document.activeElement"
    assert browser.run(f"return {focused}.className") == "skip"
    assert browser.run(f"return {focused}.getBoundingClientRect().left") >= 0
    assert browser.run(f"return getComputedStyle({focused}).outlineStyle") == "solid"


def test_a_click_uploads_a_bundle_and_its_page_comes_to_show_the_steps(one: Served, browser: Browser) -> None:
    browser.look()
    browser.load(f"https://127.0.0.1:{one.port}/upload")
    bundle = one.host.bundle("clicked", "1.0", leaf(issuer=root(7)))
    browser.find("#bundles").send_keys(str(bundle))
    browser.find("button").click()
    waiting = WebDriverWait(browser.driver, 30, 0.05, (WebDriverException,))  # the page is loaded again by itself
    waiting.until(lambda _: "refused" in browser.find("h1 + p").text)
    assert browser.find("h1").text == "install clicked-1.0.seal"
    assert "no-path" in browser.find(".alarm").text
    steps = browser.run("return [...document.querySelectorAll('.steps > li')].map((each) => each.className)")
    assert (len(steps), steps[3]) == (10, "failed")
    assert browser.run("return __violations") == []
