"""`python -m tests.browser.screenshots DIRECTORY`: pictures of the page in each state, light, dark and on a phone."""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from selenium.webdriver.common.keys import Keys

from common.gpu import Process as GpuProcess
from common.gpu import Xid, XidErrors, without_readings
from tests.browser.browser import LAPTOP, PHONE, Browser, chromium
from tests.browser.imagined import GIB, Imagined, busy, imagine_gpu, imagined
from tests.builders import make_missing_source, make_stalled_source
from tests.processes import eventually

GONE = "NVML_ERROR_GPU_IS_LOST: the GPU has fallen off the bus or cannot be reached; check dmesg"
HOUR = 3600
EVERY = 15
TOKEN = "a-token-that-is-only-for-pictures"  # noqa: S105 -- it opens nothing


class Look(NamedTuple):
    """How the page is looked at."""

    name: str
    size: tuple[int, int]
    scheme: str


LOOKS = (Look("light", LAPTOP, "light"), Look("dark", LAPTOP, "dark"), Look("phone", PHONE, "light"))


def past(one: Imagined, host: str, number: int, gpus: int) -> None:
    """Let a host have had an hour."""
    for ago in range(HOUR, 0, -EVERY):
        at = time.time() - ago
        one.feed.publish(host, [imagine_gpu(i, number, busy(at, number, i)) for i in range(gpus)], ago)


def healthy(one: Imagined) -> None:
    """Two hosts that work, one with processes."""
    past(one, "node-1", 1, 4)
    past(one, "node-2", 2, 2)
    jobs = [
        GpuProcess(pid=4711, kind="compute", memory_used_bytes=61 * GIB, utilization_sm_percent=83, name="python3",
                   user="alice", command="python3 train.py"),
        GpuProcess(pid=4733, kind="compute", memory_used_bytes=3 * GIB, utilization_sm_percent=6, name="python3",
                   user="bob", command="python3 serve.py"),
    ]  # fmt: skip
    at = time.time()
    first = imagine_gpu(0, 1, busy(at, 1, 0), processes=jobs, unavailable={"fan_speed_percent": "unsupported"})
    one.feed.publish("node-1", [first, *(imagine_gpu(i, 1, busy(at, 1, i)) for i in range(1, 4))])
    one.feed.publish("node-2", [imagine_gpu(i, 2, busy(at, 2, i)) for i in range(2)])


def ill(one: Imagined) -> None:
    """A host of which one GPU is lost, one is too hot, and one does not tell all."""
    past(one, "node-1", 1, 3)
    lost = without_readings(imagine_gpu(1, 1), "lost", GONE, "error: NVML_ERROR_GPU_IS_LOST", time.time_ns())
    heard = Xid(code=79, heard_at_ns=time.time_ns(), text="GPU has fallen off the bus")
    hot = imagine_gpu(
        2,
        1,
        0.97,
        temperature_gpu_celsius=88,
        clock_event_reasons=["hw_thermal_slowdown", "sw_power_cap"],
        clock_graphics_megahertz=1110,
        xid_errors=XidErrors(counts={"79": 1}, last=heard),
        remapped_rows_pending=True,
    )
    poor = imagine_gpu(
        0,
        1,
        0.4,
        power_draw_watts=None,
        temperature_gpu_celsius=None,
        unavailable={
            "power_draw_watts": "no_permission",
            "temperature_gpu_celsius": "error: NVML_ERROR_UNKNOWN",
            "fan_speed_percent": "unsupported",
            "processes": "not_collected",
        },
    )
    one.feed.publish("node-1", [poor, lost, hot])


def troubled(one: Imagined) -> None:
    """Hosts in every state: degraded, stalled, without a driver, stale."""
    ill(one)
    past(one, "node-2", 2, 2)
    unknown = [
        without_readings(imagine_gpu(i, 2), "unknown", "the driver is stuck", "error: stalled") for i in range(2)
    ]
    one.feed.publish("node-2", unknown, source=make_stalled_source())
    one.feed.publish("node-3", [], source=make_missing_source())
    one.feed.publish("node-4", [imagine_gpu(i, 4) for i in range(2)], held_seconds=3725.0)


def many(one: Imagined) -> None:
    """A thousand GPUs."""
    at = time.time()
    for host in range(125):
        gpus = [imagine_gpu(i, host, busy(at, host, i)) for i in range(8)]
        if host == 2:
            gpus[5] = without_readings(gpus[5], "lost", "GPU is lost", "error: NVML_ERROR_GPU_IS_LOST")
        one.feed.publish(f"node-{host + 1}", gpus, held_seconds=3725.0 if host == 3 else 0.0)


SCENES = {"healthy": (healthy, 2), "troubled": (troubled, 4), "many": (many, 125)}


@contextlib.contextmanager
def scene(name: str, directory: Path) -> Iterator[Imagined]:
    """Let a scene be played to the end, before anybody looks."""
    play, hosts = SCENES[name]
    with imagined(directory) as one:
        play(one)
        one.until_heard(hosts)
        yield one


def settled(browser: Browser) -> None:
    """Wait until the page is connected, shows something, and has drawn it."""
    browser.until("#connection", "live")
    eventually(lambda: browser.all("[data-gpu], [data-host]"))
    drawn = (
        "return [...document.querySelectorAll('.card .stroke')].filter(one => one.getBoundingClientRect().top < 600)"
    )
    eventually(lambda: browser.run(f"{drawn}.every(one => one.hasAttribute('d'))"))
    # Two frames, so that what was last changed is painted.
    browser.wait_for("for (const _ of [1, 2]) await new Promise(next => requestAnimationFrame(next))")


def take_all(directory: Path) -> None:
    """Take the pictures."""
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as browser:
        for look in LOOKS:
            browser.emulate(size=look.size, scheme=look.scheme)
            for name in SCENES:
                with tempfile.TemporaryDirectory() as logs, scene(name, Path(logs)) as one:
                    browser.open(one.port)
                    settled(browser)
                    browser.picture(directory / f"{name}-{look.name}.png")
                    _and_more(browser, name, look, directory, one)
            _take_token(browser, look, directory)


def _and_more(browser: Browser, name: str, look: Look, directory: Path, one: Imagined) -> None:
    if name == "many":
        browser.open(one.port, "#sort=-memory_free_bytes")
        settled(browser)
        browser.picture(directory / f"sorted-{look.name}.png")
        browser.one(".tile").click()
        settled(browser)
        browser.picture(directory / f"panel-{look.name}.png")
    if name == "troubled":
        browser.run("document.querySelector('[data-host=node-2]').scrollIntoView()")
        browser.picture(directory / f"stalled-{look.name}.png")
    if name == "healthy":
        browser.one("details.processes summary").click()
        browser.one("details.all summary").click()
        browser.one(".pointer").send_keys(Keys.ARROW_LEFT, *[Keys.PAGE_DOWN] * 4)
        browser.picture(directory / f"opened-{look.name}.png")
        one.api.kill()
        browser.until(".state", "unreachable")
        browser.run("scrollTo(0, 0)")
        browser.picture(directory / f"parted-{look.name}.png")


def _take_token(browser: Browser, look: Look, directory: Path) -> None:
    with tempfile.TemporaryDirectory() as logs:
        tokens = Path(logs) / "tokens"
        tokens.touch(mode=0o600)
        tokens.write_text(f"somebody {TOKEN}\n")
        with imagined(Path(logs), api_token_file=str(tokens)) as one:
            browser.open(one.port)
            browser.until("#token .why", "token")
            browser.picture(directory / f"token-{look.name}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots", description=__doc__)
    parser.add_argument("directory", type=Path)
    chosen = parser.parse_args().directory
    chosen.mkdir(parents=True, exist_ok=True)
    take_all(chosen)
