"""A headless Chromium, driven by tests."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # containers have little of it
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)
WATCH = """
window.__violations = [];
document.addEventListener("securitypolicyviolation", (event) => __violations.push(event.violatedDirective));
"""
"""Run before a page's own script: collects what its Content-Security-Policy refused."""


class Browser:
    """A browser that shows one page at a time."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def look(self, *, width: int = 1280, theme: str = "light") -> None:
        """Be a window or a telephone of this width, of somebody who likes this theme."""
        self.resize(width)
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def resize(self, width: int) -> None:
        """Be a window or a telephone of this width."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
        )

    def load(self, address: str) -> None:
        """Load a page, and forget what others have left in the logs."""
        for log in ("browser", "performance"):
            self.driver.get_log(log)
        self.driver.get(address)

    def command(self, name: str, /, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(name, parameters)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def requests(self) -> list[str]:
        """The addresses that anything was asked of."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

    def eventually(self, script: str) -> None:
        """Wait until a script's value is true."""
        self.driver.set_script_timeout(10)
        self.driver.execute_async_script(
            f"const done = arguments[0]; const look = () => (({script})) ? done() : setTimeout(look, 10); look();"
        )

    def wider_than(self, width: int) -> list[str]:
        """What reaches beyond the right edge of a page of this width."""
        return list(
            self.run(
                "return [...document.querySelectorAll('body *')]"
                ".filter((each) => !each.closest('.scroll') && each.getBoundingClientRect().right > arguments[0] + 0.5)"
                ".map((each) => each.outerHTML.slice(0, 80))",
                width,
            )
        )


@contextmanager
def started(folder: Path, preferences: Mapping[str, Any] = {}) -> Iterator[Any]:
    """Its driver, with a home of its own below a folder."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", dict(preferences))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(DRIVER, env={**os.environ, "HOME": str(folder)})
    driver = webdriver.Chrome(options=options, service=service)
    try:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        yield driver
    finally:
        driver.quit()
