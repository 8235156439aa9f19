"""What goes wrong is told, in words, and so is that it is over: on the real processes."""

import re

import pytest

from tests.browser.browser import Browser
from tests.processes import Service, Start, eventually


@pytest.fixture
def page(service: Service, browser: Browser) -> Browser:
    browser.open(service.port)
    browser.until(".card .value", "31 %")
    return browser


def title(browser: Browser) -> str:
    return browser.driver.title


def icon(browser: Browser) -> str:
    href: str = browser.run("return document.querySelector('link[rel=icon]').getAttribute('href')")
    return href


def shows_no_value(browser: Browser) -> bool:
    return {*browser.texts(".line .value")} == {"—"} and {*browser.values(".line .value")} == {""}


def test_a_lost_gpu_is_told_and_so_is_its_return(service: Service, page: Browser) -> None:
    assert (title(page), icon(page)) == ("GPU metrics", "web/state-ok.svg")
    service.standin.lose(1)
    page.until(".card .state", "✖ lost")
    lost = ".card[data-state=lost]"
    said = page.text(f"{lost} .wrong")
    assert re.match(
        r"This GPU no longer answers, or has vanished\. Lost since \d\d:\d\d:\d\d.*\. NVML_ERROR_GPU_IS", said
    )
    assert page.texts(f"{lost} .value") == ["—"] * 4
    assert page.texts(".card[data-state=ok] .value")[0] == "31 %"
    assert page.text(".host > header .state") == "▲ degraded"
    assert page.text(".host > .wrong") == "Not all is well: gpu-1 is lost"
    assert page.text("#summary") == "2 GPUs on 1 host: 1 lost, 1 ok"
    assert (title(page), icon(page)) == ("✖ 1 lost · GPU metrics", "web/state-bad.svg")
    service.standin.restore(1)
    eventually(lambda: page.texts(".card .state"), lambda states: states == ["● ok", "● ok"])
    eventually(lambda: title(page), lambda shown: shown == "GPU metrics")


def test_a_driver_that_is_stuck_is_told_with_the_call(service: Service, page: Browser) -> None:
    service.standin.hang("nvmlDeviceGetPowerUsage", 0)
    said = page.until(".host > .wrong", "nvmlDeviceGetPowerUsage")
    assert "The NVIDIA driver is stuck in a call and does not answer." in said
    assert page.text(".host > header .state") == "✖ stalled"
    eventually(lambda: shows_no_value(page))
    assert page.texts(".card .state") == ["○ unknown", "○ unknown"]
    assert title(page) == "✖ 1 stalled · GPU metrics"
    service.standin.heal()
    page.until(".card .value", "31 %")


def test_a_host_without_a_driver_says_what_is_missing(start: Start, browser: Browser) -> None:
    service = start(interval_seconds="0.2", nvml_library="/nowhere/libnvidia-ml.so.1")
    service.until_status("placeholder")
    browser.open(service.port)
    said = browser.until(".host > .wrong", "No NVIDIA driver answers on this host.")
    assert "/nowhere/libnvidia-ml.so.1" in said
    assert browser.text(".host > header .state") == "✖ unavailable"
    assert browser.text("#empty") == "No GPU is known yet."
    assert browser.all(".card") == []


def test_a_collector_that_has_stopped_leaves_no_number_and_its_age_ticks(service: Service, page: Browser) -> None:
    service.collector.stop()
    page.until(".host > header .state", "✖ stale")
    assert shows_no_value(page)
    assert page.texts(".card .state") == ["✖ stale", "✖ stale"]
    assert "is its collector stopped" in page.text(".host > .wrong")
    assert page.text("#connection") == "● live"
    assert title(page) == "✖ 1 stale · GPU metrics"
    page.open(service.port)
    eventually(lambda: page.texts(".card .state"), lambda states: states == ["✖ stale", "✖ stale"])
    assert shows_no_value(page)
    before = page.text(".age")
    eventually(lambda: page.text(".age"), lambda age: age != before)
    service.collector.start()
    page.until(".card .value", "31 %")
    assert page.text(".host > header .state") == "● ok"


def test_an_api_that_was_restarted_is_found_again(service: Service, page: Browser) -> None:
    service.api.stop()
    said = page.until("#connection", "not connected")
    assert "trying again" in said
    page.until(".card .state", "○ unreachable")
    assert shows_no_value(page)
    assert (title(page), icon(page)) == ("○ not connected · GPU metrics", "web/state-off.svg")
    assert page.text("#announced") == "Not connected, trying again."
    service.api.start()
    page.until("#connection", "● live")
    page.until(".card .value", "31 %")
    assert page.text("#announced") == "Connected."


def test_an_endpoint_that_is_silent_is_shown(start: Start, browser: Browser) -> None:
    service = start(interval_seconds="0.2", feed_connect="tcp://127.0.0.1:9")
    eventually(lambda: service.get("/healthz").status, lambda status: status == 200)
    browser.open(service.port)
    browser.until(".host h2", "tcp://127.0.0.1:9")
    browser.until(".host > .wrong", "nobody listens there")
    assert browser.text(".host > header .state") == "○ unheard"
