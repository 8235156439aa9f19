"""The page can be used by all: axe-core finds nothing, in each state, in light and dark; and the keyboard is enough.

axe-core is no package of PyPI. `.ci/run` takes it out of one that carries it, and names the file in GPU_TEST_AXE.
"""

import os
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.browser import PHONE, Browser
from tests.browser.imagined import Imagined, imagine_gpu
from tests.browser.screenshots import SCENES, scene, settled
from tests.processes import Start, eventually

AXE = os.environ.get("GPU_TEST_AXE", "")
ALL = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ONE_LOST = "#search=node-3 " + str(imagine_gpu(0, 2).uuid)[:12]
"""Of very many GPUs, those of one host: axe cannot measure what is not laid out because it is out of sight."""


def violations(browser: Browser, rules: list[str] = ALL) -> list[str]:
    """Return what axe-core finds: the rule, and where."""
    if not browser.run("return 'axe' in window"):
        browser.run(Path(AXE).read_text())
    found = browser.wait_for(
        "const { violations } = await axe.run(document, { runOnly: args[0], resultTypes: ['violations'] });"
        "return violations.flatMap(one => one.nodes.map(node => `${one.id}: ${node.target}: ${node.failureSummary}`))",
        rules,
    )
    return [str(one) for one in found][:5]


@pytest.mark.skipif(not AXE, reason="GPU_TEST_AXE names no axe.min.js: see .ci/run, which gets one")
@pytest.mark.parametrize("name", SCENES)
def test_axe_finds_nothing(tmp_path: Path, browser: Browser, name: str) -> None:
    with scene(name, tmp_path) as one:
        browser.open(one.port, ONE_LOST if name == "many" else "")
        settled(browser)
        for summary in browser.all("details summary")[:2]:
            summary.click()
        assert violations(browser) == []
        browser.emulate(scheme="dark")
        assert violations(browser, ["color-contrast"]) == []
        browser.emulate(size=PHONE)
        assert violations(browser, ["target-size"]) == []
        assert browser.run("return document.documentElement.scrollWidth - innerWidth") == 0


@pytest.mark.skipif(not AXE, reason="GPU_TEST_AXE names no axe.min.js: see .ci/run, which gets one")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_token_prompt(tmp_path: Path, start: Start, browser: Browser, scheme: str) -> None:
    tokens = tmp_path / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text("somebody a-token-0123456789abcdef\n")
    service = start(api_token_file=str(tokens))
    eventually(lambda: service.get("/healthz").status, lambda status: status == 200)
    browser.emulate(scheme=scheme)
    browser.open(service.port)
    browser.until("#token .why", "a token is needed")
    assert violations(browser) == []


def test_the_keyboard_is_enough_and_nothing_moves_when_values_change(tmp_path: Path, browser: Browser) -> None:
    with scene("healthy", tmp_path) as one:
        browser.open(one.port)
        settled(browser)
        focused = "const at = document.activeElement; return `${at.tagName} ${at.name || at.role || at.textContent}`"
        seen = []
        for _ in range(6):
            browser.driver.switch_to.active_element.send_keys(Keys.TAB)
            seen.append(browser.run(focused))
        assert seen == [
            "INPUT search",
            "SELECT sort",
            "SELECT view",
            "P slider",
            "SUMMARY Processes: 2",
            "SUMMARY All readings",
        ]
        browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
        eventually(lambda: browser.one("details.all").get_attribute("open") is not None)
        outline = browser.run("return getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        _nothing_moves(browser, one)


def _nothing_moves(browser: Browser, one: Imagined) -> None:
    browser.run(
        "window.shifts = []; new PerformanceObserver(list => window.shifts.push(...list.getEntries()"
        ".flatMap(one => one.sources.map(({ node }) => node?.parentElement?.outerHTML ?? ''))))"
        ".observe({ type: 'layout-shift' })"
    )
    before = browser.texts(".line .value")
    for number in (1, 2):
        one.feed.publish(f"node-{number}", [imagine_gpu(i, number, i / 4) for i in range(4 if number == 1 else 2)])
    eventually(lambda: browser.texts(".line .value"), lambda after: after != before)
    assert browser.run("return window.shifts") == []
