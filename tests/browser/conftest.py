"""The browser, started once for all tests of the page, and what holds in each of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.browser import CHROMEDRIVER, CHROMIUM, Browser, chromium
from tests.processes import Service, running
from tests.standin import StandIn


@pytest.fixture(scope="package")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return the one window there is."""
    if not (CHROMIUM and CHROMEDRIVER):
        pytest.skip("the page is looked at with chromium and chromedriver (Debian: chromium, chromium-driver)")
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(window: Browser) -> Iterator[Browser]:
    """Return the window, a laptop's with a light scheme; when the test is over, nothing may have complained."""
    window.emulate()
    yield window
    assert window.complaints(with_network=False) == []


@pytest.fixture(scope="module")
def lasting(standin_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service that all tests of a module have, for what starts anew for each takes its time."""
    directory = tmp_path_factory.mktemp("lasting")
    standin = StandIn(standin_library, directory / "nvml.control")
    with running(standin, directory, interval_seconds="0.2", stall_after_seconds="0.5") as service:
        yield service


@pytest.fixture
def service(lasting: Service) -> Service:
    """Return that service, well, whatever the test before has done to it."""
    lasting.standin.heal()
    for process in (lasting.collector, lasting.api):
        if process.popen.poll() is not None:
            process.start()
    lasting.until_status("ok")
    return lasting
