"""A thousand GPUs, on an imagined feed: searched, sorted, opened, and only what has changed is touched."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from common.gpu import without_readings
from tests.browser.browser import Browser
from tests.browser.imagined import Imagined, imagine_gpu, imagined
from tests.processes import eventually

HOSTS, EACH = 125, 8


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imagined]:
    with imagined(tmp_path_factory.mktemp("crowd")) as one:
        for host in range(HOSTS):
            one.feed.publish(f"node-{host + 1}", [imagine_gpu(i, host, 0.5) for i in range(EACH)])
        one.until_heard(HOSTS)
        yield one


@pytest.fixture
def page(crowd: Imagined, browser: Browser) -> Browser:
    browser.open(crowd.port)
    eventually(lambda: browser.run("return document.querySelectorAll('.tile').length"), lambda seen: seen == 1000)
    return browser


def whos(browser: Browser) -> list[str]:
    """Return host and GPU of the tiles, in the order in which they are shown."""
    shown = "return [...document.querySelectorAll('.tile')].map"
    told: list[str] = browser.run(
        f"{shown}(one => `${{one.querySelector('.host').textContent}} ${{one.querySelector('.who').textContent}}`)"
    )
    return told


def test_a_thousand_gpus_are_tiles_in_their_hosts(page: Browser) -> None:
    assert page.text("#summary") == "1000 GPUs on 125 hosts: 1000 ok"
    assert len(page.texts(".host h2")) == HOSTS
    assert whos(page)[8 * 9] == "node-10 ● gpu-0"
    assert page.texts(".tile .load")[0] == "50 %"
    assert page.all(".card") == []


def test_only_the_tiles_of_a_host_that_speaks_are_touched(crowd: Imagined, page: Browser) -> None:
    page.run(
        "window.touched = new Set(); new MutationObserver(seen => seen.forEach(({ target }) =>"
        " { const tile = target.nodeType === 1 ? target.closest('.tile') : target.parentElement?.closest('.tile');"
        "   if (tile) window.touched.add(tile.dataset.gpu) }))"
        ".observe(document.getElementById('board'), { subtree: true, childList: true, attributes: true })"
    )
    crowd.feed.publish("node-3", [imagine_gpu(i, 2, 0.5 if i else 0.91) for i in range(EACH)])
    page.until(".tile .load", "91 %")
    assert page.run("return [...window.touched]") == [imagine_gpu(0, 2).uuid]
    crowd.feed.publish("node-3", [imagine_gpu(i, 2, 0.5) for i in range(EACH)])


def test_a_search_finds_hosts_gpus_and_states(crowd: Imagined, page: Browser) -> None:
    lost = without_readings(imagine_gpu(3, 6), "lost", "GPU is lost", "error: NVML_ERROR_GPU_IS_LOST")
    crowd.feed.publish("node-7", [lost if i == 3 else imagine_gpu(i, 6, 0.5) for i in range(EACH)])
    page.until(".tile .load", "lost")
    field = page.one("input[type=search]")
    field.send_keys("lost")
    assert eventually(lambda: whos(page), lambda shown: len(shown) == 1) == ["node-7 ✖ gpu-3"]
    assert page.text("#summary") == "1000 GPUs on 125 hosts: 1 lost, 999 ok; 1 shown"
    field.clear()
    field.send_keys("node-99 gpu-2")
    assert eventually(lambda: whos(page), lambda shown: len(shown) == 1) == ["node-99 ● gpu-2"]
    field.clear()
    field.send_keys("nobody has this")
    eventually(lambda: page.text("#empty"), lambda said: said == "No GPU matches the search.")
    crowd.feed.publish("node-7", [imagine_gpu(i, 6, 0.5) for i in range(EACH)])


def test_the_gpu_with_most_free_memory_comes_first_and_the_address_says_what_was_chosen(
    crowd: Imagined, page: Browser
) -> None:
    crowd.feed.publish("node-42", [imagine_gpu(i, 41, 0.0 if i == 5 else 0.5) for i in range(EACH)])
    page.until(".tile .free", "75.5 GiB")
    page.one("option[value='-memory_free_bytes']").click()
    eventually(lambda: whos(page)[0], lambda first: first == "node-42 ● gpu-5")
    assert page.run("return location.hash") == "#sort=-memory_free_bytes"
    page.driver.refresh()
    eventually(lambda: whos(page)[:1], lambda first: first == ["node-42 ● gpu-5"])
    crowd.feed.publish("node-42", [imagine_gpu(i, 41, 0.5) for i in range(EACH)])


def test_a_tile_opens_the_card_of_its_gpu(page: Browser) -> None:
    page.one(".tile").click()
    assert page.until("#panel h3", "gpu-0 NVIDIA H100")
    assert page.text("#panel .where") == f"node-1 · {imagine_gpu(0, 0).uuid}"
    eventually(lambda: page.all("#panel .line.power .stroke[d*=L]"))
    page.one("#panel button").click()
    eventually(lambda: not page.one("#panel").is_displayed())


def test_updates_come_at_most_once_a_second_however_many_snapshots_do(crowd: Imagined, page: Browser) -> None:
    page.run(
        "window.updates = []; new PerformanceObserver(list => window.updates.push(...list.getEntries()"
        ".map(one => one.startTime))).observe({ type: 'measure' })"
    )
    for round_ in range(40):
        for host in range(0, HOSTS, 5):
            crowd.feed.publish(f"node-{host + 1}", [imagine_gpu(i, host, round_ / 50) for i in range(EACH)])
        page.run("return 0")
    page.until(".tile .load", "78 %")
    starts = eventually(lambda: page.run("return window.updates"), lambda seen: len(seen) > 3)
    assert min(later - sooner for sooner, later in pairwise(starts)) > 990


def test_each_update_is_kept_as_one_measure_only(page: Browser) -> None:
    measures: int = eventually(lambda: page.run("return performance.getEntriesByName('update').length"))
    assert measures == 1


def test_cards_can_be_had_all_the_same(crowd: Imagined, browser: Browser, tmp_path: Path) -> None:
    browser.open(crowd.port, "#search=node-5 gpu-1&view=cards")
    eventually(lambda: browser.run("return document.querySelectorAll('.card').length"), lambda seen: 0 < seen < 20)
    assert browser.all(".tile") == []
    assert tmp_path.exists()
