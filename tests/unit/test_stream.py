"""The stream's events: what is told, in which order, and what a listener is told that was slow or away."""

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import msgspec
import pytest

from api.history.store import History
from api.stream import LATE_GPUS, LATE_SNAPSHOTS, Event, Lost, Message, Stream
from common.snapshot import Snapshot
from tests.builders import ENDPOINT, ask, make_answers, make_cache, make_gpu, make_snapshot

GPUS = "/api/v1/monitoring/gpus"


class Told:
    """A stream over a cache and a history of its own, to which snapshots are given."""

    def __init__(self, history: History | None = None) -> None:
        self.cache = make_cache()
        self.stream = Stream(self.cache, history or History(3600.0, 64.0))
        self.cache.listeners.append(self.stream.add)

    def hear(self, *sequences: int, host: str = "a", now: float = 0.0, **overrides: Any) -> None:
        for sequence in sequences:
            self.cache.accept(ENDPOINT, make_snapshot(host=host, sequence=sequence, **overrides), now)

    def listen(self, after: str | None = None, host: str | None = None, now: float = 0.0) -> Iterator[Message | None]:
        return self.stream.read(after, host, now)


def told(messages: Iterator[Message | None]) -> list[str]:
    """Return what there is at the moment: `host-sequence` of each event, or how many were lost."""
    return [_brief(message) for message in takewhile(lambda one: one is not None, messages) if message is not None]


def _brief(message: Message) -> str:
    if isinstance(message, Event):
        snapshot = message.chosen.snapshot
        return f"{snapshot.host}-{snapshot.sequence}"
    return message.plain.decode().partition("data: ")[2].strip()


def event_id(snapshot: Snapshot) -> str:
    return f"{snapshot.run_id}-{snapshot.sequence}"


def test_a_message_is_what_gpus_says_of_that_host_and_names_its_snapshot() -> None:
    snapshot = make_snapshot(sequence=7)
    told_ = Told()
    told_.cache.accept(ENDPOINT, snapshot, 0.0)
    message = next(told_.listen())
    assert message is not None
    head, _, data = message.plain.partition(b"data: ")
    assert head == b"id: 0123456789abcdef-7\nevent: snapshot\n"
    assert data == ask(make_answers(make_cache(snapshot)), f"{GPUS}?host=node-1").body + b"\n\n"
    assert message.chunk == b"%x\r\n%b\r\n" % (len(message.plain), message.plain)


def test_a_message_is_written_once_however_many_listen() -> None:
    told_ = Told()
    told_.hear(0)
    first, second = next(told_.listen()), next(told_.listen())
    assert first is not None
    assert first is second
    assert first.chunk is first.chunk


@pytest.mark.parametrize("run_id", ["a\nevent: x", "a b", "\N{SNOWMAN}", "", "a-1", "%2d"])
def test_a_run_id_of_any_text_is_one_line_and_is_found_again(run_id: str) -> None:
    told_ = Told()
    told_.hear(0, 1, run_id=run_id)
    message = next(told_.listen())
    assert message is not None
    first = message.plain.decode().splitlines()
    assert (first[0][:4], first[1], first[0][-2:]) == ("id: ", "event: snapshot", "-1")
    told_.hear(2, run_id=run_id)
    assert told(told_.listen(after=first[0].removeprefix("id: "))) == ["a-2"]


def test_one_begins_with_the_latest_of_each_fresh_host_and_then_hears_all_news() -> None:
    told_ = Told()
    told_.hear(0, 1, host="a", interval_seconds=1.0)
    told_.hear(0, host="b", now=10.0)
    told_.hear(0, host="c", now=10.0)
    messages = told_.listen(now=10.0)
    assert told(messages) == ["b-0", "c-0"]
    assert told(messages) == []
    told_.hear(2, 3, host="a", now=10.0)
    told_.hear(1, host="b", now=10.0)
    assert told(messages) == ["a-2", "a-3", "b-1"]


def test_one_host_can_be_listened_to_alone() -> None:
    told_ = Told()
    told_.hear(0, host="a")
    told_.hear(0, host="b")
    messages = told_.listen(host="b")
    told_.hear(1, host="a")
    told_.hear(1, host="b")
    assert told(messages) == ["b-0", "b-1"]


def test_repeats_are_no_news() -> None:
    told_ = Told()
    told_.hear(0)
    messages = told_.listen()
    told_.hear(0, 0)
    assert told(messages) == ["a-0"]


def test_who_was_away_is_told_what_came_meanwhile_of_all_hosts_in_the_order_of_its_arrival() -> None:
    told_ = Told()
    told_.hear(0, 1, host="a")
    told_.hear(0, host="b")
    told_.hear(2, host="a")
    messages = told_.listen(after=event_id(make_snapshot(sequence=0)))
    assert told(messages) == ["a-1", "b-0", "a-2"]
    told_.hear(3, host="a")
    assert told(messages) == ["a-3"]


def test_what_is_told_again_is_what_was_told_first() -> None:
    told_ = Told()
    told_.hear(0)
    messages = told_.listen()
    next(messages)
    told_.hear(*range(1, 3 * LATE_SNAPSHOTS), gpus=[make_gpu(clock_event_reasons=["gpu_idle"])])
    first = Event(2, next(told_.listen()).chosen)  # type: ignore[union-attr]
    again = next(told_.listen(after=event_id(make_snapshot(sequence=3 * LATE_SNAPSHOTS - 2))))
    assert again is not None
    assert again.plain == first.plain


def test_the_history_goes_back_further_than_what_is_kept_for_the_slow() -> None:
    told_ = Told()
    told_.hear(*range(5 * LATE_SNAPSHOTS))
    expected = [f"a-{number}" for number in range(1, 5 * LATE_SNAPSHOTS)]
    assert told(told_.listen(after=event_id(make_snapshot(sequence=0)))) == expected


def test_who_is_told_again_and_is_too_slow_for_the_history_learns_how_much_it_missed() -> None:
    told_ = Told(History(10.0, 64.0))
    told_.hear(0, now=0.0)
    messages = told_.listen(after=event_id(make_snapshot(sequence=0)))
    for sequence in range(1, 2000):
        told_.hear(sequence, now=float(sequence))
    lost, *events = told(messages)
    missed = msgspec.json.decode(lost)["snapshots"]
    assert events == [f"a-{number}" for number in range(missed + 1, 2000)]


@pytest.mark.parametrize("after", ["", "x", "0123456789abcdef-99", "other-0", "0123456789abcdef-", "a" * 9000 + "-1"])
def test_an_unknown_id_begins_with_the_latest_of_each_host(after: str) -> None:
    told_ = Told()
    told_.hear(0, 1)
    assert told(told_.listen(after=after)) == ["a-1"]


def test_who_is_too_slow_is_told_how_much_was_lost_and_goes_on_with_the_newest() -> None:
    told_ = Told()
    told_.hear(0)
    messages = told_.listen()
    assert told(messages) == ["a-0"]
    told_.hear(*range(1, LATE_SNAPSHOTS + 2))
    assert told(messages) == [f'{{"snapshots":{LATE_SNAPSHOTS}}}', f"a-{LATE_SNAPSHOTS + 1}"]
    told_.hear(LATE_SNAPSHOTS + 2)
    assert told(messages) == [f"a-{LATE_SNAPSHOTS + 2}"]


def test_who_is_just_not_too_slow_loses_nothing() -> None:
    told_ = Told()
    told_.hear(0)
    messages = told_.listen()
    next(messages)
    told_.hear(*range(1, LATE_SNAPSHOTS + 1))
    assert told(messages) == [f"a-{number}" for number in range(1, LATE_SNAPSHOTS + 1)]


def test_what_is_kept_for_the_slow_is_bounded_in_gpus_too() -> None:
    told_ = Told(History(0.0, 1.0))
    gpus = [make_gpu(index) for index in range(256)]
    for number in range(200):
        told_.hear(0, host=f"node-{number}", gpus=gpus)
    assert LATE_GPUS - 256 <= sum(len(event.chosen.snapshot.gpus) for event in told_.stream._late) <= LATE_GPUS


def test_a_host_whose_endpoint_was_left_is_not_begun_with_any_more() -> None:
    one = Told()
    one.hear(0, host="a")
    one.cache.follow(())
    one.cache.accept(ENDPOINT, make_snapshot(host="b"), 0.0)
    assert told(one.listen()) == ["b-0"]


def test_news_wakes_who_waits_for_it_once_it_can_be_read() -> None:
    told_ = Told()
    messages = told_.listen()
    seen: list[list[str]] = []
    told_.stream.wake = lambda: seen.append(told(messages))
    told_.hear(0)
    told_.hear(0)
    told_.hear(1)
    assert seen == [["a-0"], ["a-1"]]


def test_a_lost_message_has_no_id_so_that_one_resumes_from_the_last_event() -> None:
    assert Lost(3).plain == b'event: lost\ndata: {"snapshots":3}\n\n'


def test_without_any_history_one_is_told_what_comes() -> None:
    told_ = Told(History(0.0, 1.0))
    told_.hear(0)
    messages = told_.listen(after=event_id(make_snapshot(sequence=5)))
    told_.hear(1)
    assert told(messages) == ["a-0", "a-1"]


def test_a_listener_of_one_host_learns_what_it_lost_of_that_and_nothing_of_others() -> None:
    told_ = Told()
    told_.hear(0, host="a")
    told_.hear(0, host="quiet")
    messages = told_.listen(host="quiet")
    assert told(messages) == ["quiet-0"]
    told_.hear(*range(1, 5 * LATE_SNAPSHOTS), host="a")
    assert told(messages) == []
    told_.hear(1, 4, host="quiet")
    assert told(messages) == ["quiet-1", '{"snapshots":2}', "quiet-4"]


def test_one_host_s_past_is_told_without_reading_that_of_others() -> None:
    told_ = Told()
    told_.hear(0, 1, 2, host="quiet", run_id="quiet")
    told_.hear(*range(5 * LATE_SNAPSHOTS), host="a")
    hosts = {kept.snapshot.host for kept in told_.stream._history.after(1, "quiet")}
    assert hosts == {"quiet"}
    assert told(told_.listen(after="quiet-0", host="quiet")) == ["quiet-1", "quiet-2"]
    told_.hear(3, host="quiet", run_id="quiet")
    assert told(told_.listen(after="quiet-1", host="quiet")) == ["quiet-2", "quiet-3"]


def test_what_comes_too_late_to_be_shown_is_not_told() -> None:
    told_ = Told()
    messages = told_.listen()
    told_.hear(0, interval_seconds=1.0, held_seconds=100.0)
    assert told(messages) == told(told_.listen()) == []
    told_.hear(1, interval_seconds=1.0)
    assert told(messages) == ["a-1"]


def test_what_has_waited_for_us_until_it_was_old_is_not_told() -> None:
    told_ = Told()
    listening = told_.listen()
    for sequence in (0, 1):
        snapshot = make_snapshot(host="a", sequence=sequence, interval_seconds=0.2)
        # It may have come right after we were stopped, and is read when we go on.
        told_.cache.accept(ENDPOINT, snapshot, arrived=0.0, now=2.1)
    assert told(listening) == []
    told_.hear(2, now=2.2)
    assert told(listening) == ["a-2"]
