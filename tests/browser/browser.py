"""Chromium, driven by selenium, and what a test may see of a page."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.processes import eventually

CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")

_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # Chromium refuses to start as root with it
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    # Nothing but this machine can be reached: whatever the page wanted from elsewhere would fail, and be complained of.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
_BLANK = "about:blank"

LAPTOP = (1280, 800)
PHONE = (390, 844)


class Browser:
    """One window. `open` first; what is then asked for is the page's."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, port: int, fragment: str = "") -> None:
        """Open the page of an API on a port of loopback, as a tab that was never open before."""
        self.go(f"http://127.0.0.1:{port}/{fragment}")

    def go(self, url: str) -> None:
        """Open an address, and forget what the pages before had to say."""
        self.driver.get(_BLANK)
        self.complaints()
        self.driver.get(url)

    def all(self, css: str) -> list[WebElement]:
        """Return the elements that a selector finds."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str) -> WebElement:
        """Return the first element that a selector finds, once there is one."""
        return eventually(lambda: self.all(css))[0]

    def text(self, css: str) -> str:
        """Return the text of all that a selector finds, one line each, also of what is folded or out of sight."""
        return "\n".join(self.texts(css))

    def texts(self, css: str) -> list[str]:
        """Return the texts of all that a selector finds, with plain blanks."""
        found = self.run("return [...document.querySelectorAll(arguments[0])].map(one => one.textContent)", css)
        return [text.replace("\u00a0", " ") for text in found]

    def values(self, css: str) -> list[str]:
        """Return what the elements found tell to programs."""
        found = self.run("return [...document.querySelectorAll(arguments[0])].map(one => one.value)", css)
        return [str(value) for value in found]

    def until(self, css: str, text: str) -> str:
        """Wait until what a selector finds has that text in it, and return all its text."""
        return eventually(lambda: self.text(css), lambda seen: text in seen)

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script in the page, and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def wait_for(self, script: str, *arguments: object) -> Any:
        """Run an asynchronous script, the body of a function that may wait, and return what it returns."""
        wrapped = f"const done = arguments[arguments.length - 1]; (async (...args) => {{ {script} }})(...arguments)"
        wrapped += ".then(value => done({ value }), error => done({ error: `${error.stack}` }))"
        told = self.driver.execute_async_script(wrapped, *arguments)
        assert "error" not in told, told["error"]
        return told.get("value")

    def emulate(self, *, size: tuple[int, int] = LAPTOP, scheme: str = "light", scale: float = 1) -> None:
        """Be a screen of that size, whose owner wants "light" or "dark"."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": scale, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)

    def complaints(self, *, with_network: bool = True) -> list[str]:
        """Return what the console has said since `open`; `with_network`: also of requests that failed."""
        said = self.driver.get_log("browser")  # type: ignore[no-untyped-call]  # selenium has forgotten to
        return [entry["message"] for entry in said if with_network or entry["source"] != "network"]

    def requested(self) -> set[str]:
        """Return what addresses the page has asked for and got."""
        return set(self.run("return performance.getEntriesByType('resource').map(one => one.name)"))

    def picture(self, path: Path) -> None:
        """Write what is seen as PNG."""
        assert self.driver.save_screenshot(str(path))


@contextlib.contextmanager
def chromium(directory: Path) -> Iterator[Browser]:
    """Start a browser that keeps what it keeps in a directory."""
    assert CHROMIUM
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*_ARGUMENTS, f"--user-data-dir={directory}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Driver(CHROMEDRIVER, log_output=os.devnull))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
