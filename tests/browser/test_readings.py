"""The page says what the API says, of real processes on the stand-in for the NVIDIA library."""

import json
from typing import Any

import pytest
from selenium.webdriver.common.keys import Keys

from common.gpu import READINGS
from tests.browser.browser import Browser
from tests.processes import Service, Start, eventually
from tests.standin import StandIn

GPUS = "/api/v1/monitoring/gpus"
POINTED = ".card .pointed"


@pytest.fixture
def page(service: Service, browser: Browser) -> Browser:
    browser.open(service.port)
    browser.until(".card .value", "31 %")
    return browser


def gpus(service: Service) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = service.get(GPUS).body["gpus"]
    return found


def as_told(value: object) -> str:
    """Return a value as the page tells it to programs."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, separators=(",", ":"))


def test_a_card_shows_what_the_api_says_of_its_gpu(service: Service, page: Browser) -> None:
    for gpu in gpus(service):
        card = f".card[data-gpu='{gpu['uuid']}']"
        assert page.text(f"{card} h3") == f"gpu-{gpu['index']} {gpu['name']}"
        for reading in ("utilization_gpu_percent", "memory_used_bytes", "temperature_gpu_celsius", "power_draw_watts"):
            assert page.values(f"{card} .line[data-reading={reading}] .value") == [str(gpu[reading])]
    assert page.texts(".line .value")[:4] == ["31 %", "4.68 GiB", "40 °C", "76.5 W"]
    remarks = page.texts(".line .remark")
    assert remarks[1:4] == [
        "of 24.0 GiB · 19.0 GiB free · 330 MiB reserved",
        "slows at 98 °C · off at 102 °C",
        "of 340 W, its limit",
    ]
    assert page.texts(".facts dd")[:3] == ["1815 of 2619 MHz", "1805 of 2607 MHz", "9501 of 10503 MHz"]
    assert page.texts(".facts dd")[6] == "power limit reached"


def test_an_opened_card_has_every_reading_of_the_catalogue_with_its_value_or_why_there_is_none(
    service: Service, page: Browser
) -> None:
    page.one("details.all summary").click()
    eventually(lambda: len(page.all("details.all [data-reading]")), lambda count: count > len(READINGS))
    (gpu, _), titles = gpus(service), page.texts("details.all th")
    shown = dict(
        zip(
            page.run("return [...document.querySelectorAll('.all td')].map(one => one.dataset.reading)"),
            zip(page.values(".all td data"), page.texts(".all td data"), strict=True),
            strict=True,
        )
    )
    assert {name: told for name, (told, _) in shown.items()} == {name: as_told(gpu[name]) for name in shown}
    assert set(READINGS) <= set(shown)
    assert {reading.title for reading in READINGS.values()} <= set(titles)
    assert shown["processes"][1] == "not collected: a setting of the collector must ask for it"


def test_a_reading_that_is_missing_says_why(service: Service, page: Browser) -> None:
    service.standin.fail("nvmlDeviceGetPowerUsage", 3)
    service.standin.fail("nvmlDeviceGetTemperature", 4)
    service.standin.fail("nvmlDeviceGetUtilizationRates", 999, gpu=0)
    page.until(".line.power .remark", "not supported by this GPU or its driver")
    page.until(".line.temperature .remark", "the collector has no permission to read it")
    page.until(".line.utilization .remark", "failed: NVML_ERROR_UNKNOWN")
    assert page.texts(".line.power .value") == ["—", "—"]
    assert page.values(".line.power .value") == ["", ""]
    assert page.texts(".state") == ["● ok"] * 3
    assert {gpu["power_draw_watts"] for gpu in gpus(service)} == {None}


def test_what_changes_is_shown_without_a_reload(service: Service, page: Browser) -> None:
    node = page.one(".card")
    service.standin.value("utilization_gpu_percent", 97, gpu=0)
    service.standin.value("clock_event_reasons", 0x40 | 0x4, gpu=0)
    page.until(".line.utilization .value", "97 %")
    facts = page.until(".facts dd", "too hot, the hardware slows it down")
    assert "power limit reached; too hot" in facts
    assert node.is_displayed()
    assert gpus(service)[0]["utilization_gpu_percent"] == 97
    service.standin.value("utilization_gpu_percent", None, gpu=0)
    service.standin.value("clock_event_reasons", None, gpu=0)
    page.until(".line.utilization .value", "31 %")


def test_the_last_hour_tells_the_value_that_is_pointed_at(page: Browser) -> None:
    eventually(lambda: page.all(".line.utilization .stroke[d]"))
    pointer = page.one(".pointer")
    pointer.send_keys(Keys.END)
    assert page.texts(POINTED)[1:4] == ["4.68 GiB", "40 °C", "76.5 W"]
    assert "4.68 GiB, 40 °C" in str(pointer.get_attribute("aria-valuetext")).replace("\u00a0", " ")
    pointer.send_keys(Keys.HOME)
    assert page.texts(POINTED)[:4] == ["no value"] * 4
    pointer.send_keys(Keys.ESCAPE)
    assert not page.one(POINTED).is_displayed()


def test_the_last_hour_begins_with_what_the_api_remembers(service: Service, page: Browser) -> None:
    begins = "const { Past } = await import('/web/past.js'); const { Api } = await import('/web/api.js');"
    begins += "const past = new Past(new Api({ value: null }), () => told());"
    begins += "let told; const filled = new Promise(done => (told = done));"
    begins += "const rings = past.of({ key: `node-1/${args[0]}`, host: { name: 'node-1', sampledAt: null },"
    begins += " gpu: { uuid: args[0] } }); await filled;"
    begins += "return rings.get('memory_used_bytes').until(Math.floor(Date.now() / 15000)).filter(one => one !== null)"
    remembered = page.wait_for(begins, gpus(service)[0]["uuid"])
    assert set(remembered) == {gpus(service)[0]["memory_used_bytes"]}


def test_processes_are_listed_where_they_are_collected(standin: StandIn, start: Start, browser: Browser) -> None:
    standin.processes(0, (1, 3 * 2**30))
    service = start(interval_seconds="0.2", processes="true")
    service.until_status("ok")
    browser.open(service.port)
    browser.until("details.processes summary", "Processes: 1")
    browser.one("details.processes summary").click()
    browser.until(".processes td[data-of=memory_used_bytes]", "3.00 GiB")
    assert browser.text(".processes td[data-of=pid]") == "1"
