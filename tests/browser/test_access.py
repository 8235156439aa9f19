"""Who may see what: the token prompt, and a page that asks nobody but its own API, at whatever address that is."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.keys import Keys

from api.page import WEB
from tests.browser.browser import Browser
from tests.browser.prefix import Prefixed
from tests.processes import Service, eventually, running
from tests.standin import StandIn

ALICE, BOB = "alice-s-secret-0123456789", "bob-s-secret-0123456789"
BOTH = f"alice {ALICE}\nbob {BOB}\n"
FIELD = "#token input"


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.touch(mode=0o600)
    return path


@pytest.fixture(scope="module")
def lasting_closed(standin_library: Path, token_file: Path) -> Iterator[Service]:
    token_file.write_text(BOTH)
    standin = StandIn(standin_library, token_file.parent / "nvml.control")
    with running(standin, token_file.parent, interval_seconds="0.2", api_token_file=str(token_file)) as service:
        yield service


@pytest.fixture
def closed(lasting_closed: Service, token_file: Path, browser: Browser) -> Service:
    """Return a service that asks for a token, and has not been told any by this browser."""
    token_file.write_text(BOTH)
    eventually(lambda: lasting_closed.get(Authorization=f"Bearer {ALICE}").status, lambda status: status == 200)
    browser.open(lasting_closed.port)
    browser.run("sessionStorage.clear()")
    browser.open(lasting_closed.port)
    return lasting_closed


def enter(browser: Browser, token: str) -> None:
    eventually(lambda: browser.one(FIELD).is_displayed())
    browser.one(FIELD).send_keys(token, Keys.ENTER)


@pytest.mark.usefixtures("closed")
def test_a_token_is_asked_for_and_kept_until_the_tab_is_closed(browser: Browser) -> None:
    said = browser.until("#token .why", "a token is needed")
    assert said.startswith("The API says: ")
    assert browser.run("return document.activeElement.name") == "token"
    enter(browser, ALICE)
    browser.until(".card .value", "31 %")
    assert not browser.one("#token").is_displayed()
    browser.driver.refresh()
    browser.until(".card .value", "31 %")
    assert not browser.one("#token").is_displayed()
    assert ALICE not in browser.driver.page_source
    assert [url for url in browser.requested() if ALICE in url] == []
    assert browser.run("return localStorage.length") == 0
    assert browser.run("return document.cookie") == ""


@pytest.mark.usefixtures("closed")
def test_a_token_that_is_none_is_asked_for_again(browser: Browser) -> None:
    enter(browser, "two words")
    browser.until("#token .why", "That cannot be a token")
    browser.one(FIELD).clear()
    enter(browser, "a-token-of-nobody-012345")
    browser.until("#token .why", "no such token, or it was revoked")
    enter(browser, BOB)
    browser.until(".card .value", "31 %")
    assert browser.text("#connection") == "● live"


@pytest.mark.usefixtures("closed")
def test_who_is_not_let_in_any_more_is_asked_for_another_token(browser: Browser, token_file: Path) -> None:
    enter(browser, ALICE)
    browser.until(".card .value", "31 %")
    token_file.write_text(f"bob {BOB}\n")
    browser.until("#token .why", "no such token, or it was revoked")
    enter(browser, BOB)
    eventually(lambda: browser.text("#connection") == "● live" and "31 %" in browser.text(".card .value"))


def test_nobody_but_the_api_is_asked_and_nothing_is_complained_of(service: Service, browser: Browser) -> None:
    browser.open(service.port)
    browser.until(".card .value", "31 %")
    eventually(lambda: browser.all(".line.utilization .stroke[d]"))
    requested = browser.requested()
    assert {urlsplit(url).netloc for url in requested} == {f"127.0.0.1:{service.port}"}
    paths = {urlsplit(url).path for url in requested}
    assert {f"/web/{file.name}" for file in WEB.glob("*.js")} <= paths
    assert {f"/api/v1/monitoring/{name}" for name in ("hosts", "history")} <= paths
    assert browser.complaints() == []


def test_the_policy_forbids_what_was_not_meant(service: Service, browser: Browser) -> None:
    browser.open(service.port)
    browser.until(".card .value", "31 %")
    browser.run("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.evil = 1\">')")
    complaint = eventually(browser.complaints)[0]
    assert "violates the following Content Security Policy directive" in complaint
    assert browser.run("return window.evil ?? null") is None


def test_behind_a_proxy_it_works_below_a_prefix(service: Service, browser: Browser) -> None:
    with Prefixed("/gpus", service.port) as proxy:
        browser.go(f"http://127.0.0.1:{proxy.port}/gpus/")
        browser.until(".card .value", "31 %")
        browser.until("#connection", "● live")
        assert {urlsplit(url).path.split("/")[1] for url in browser.requested()} == {"gpus"}


def test_after_a_cut_the_stream_goes_on_after_the_last_event(service: Service, browser: Browser) -> None:
    with Prefixed("/gpus", service.port) as proxy:
        browser.go(f"http://127.0.0.1:{proxy.port}/gpus/")
        browser.until(".card .value", "31 %")
        proxy.cut()
        streams = eventually(
            lambda: [headers for path, headers in proxy.asked if path.endswith("/stream")], lambda seen: len(seen) == 2
        )
        browser.until("#connection", "● live")
    first, second = (headers.get("Last-Event-ID") for headers in streams)
    assert first is None
    assert re.fullmatch(r"[0-9a-f]+-\d+", second or "")


def test_a_name_that_is_markup_is_shown_as_it_is(service: Service, browser: Browser) -> None:
    service.standin.name(b"<img src=x onerror=alert(1)>")
    service.collector.stop()
    service.collector.start()
    browser.open(service.port)
    browser.until(".card h3", "gpu-0 <img src=x onerror=alert(1)>")
    assert browser.all(".card h3 *") == []
    assert browser.complaints() == []
