"""What is done a few calls at a time: all of it in its turn, and nothing waits for ever."""

from collections.abc import Callable, Iterator

import pytest

from collector.nvml.errand import Errand, go_on
from collector.nvml.library import CallError

TIMEOUT, DRIVER_NOT_LOADED = 10, 9


class Work:
    """So many calls, noted by name; each fails with `fails_with`, unless that is 0."""

    def __init__(self, noted: list[str], name: str, calls: int) -> None:
        self.errand = Errand(self._walk, 60.0)
        self.fails_with = 0
        self._noted, self._name, self._calls = noted, name, calls

    def _walk(self) -> Iterator[None]:
        for _ in range(self._calls):
            self._noted.append(self._name)
            if self.fails_with:
                raise CallError(self.fails_with)
            yield


@pytest.fixture
def noted() -> list[str]:
    """Return the calls that were made."""
    return []


def sampling(noted: list[str], *works: Work) -> Callable[[float, int], str]:
    """Return what takes a sample, at a time and with some room, and tells the calls that it made."""

    def sample(now: float, room: int) -> str:
        noted.clear()
        go_on([work.errand for work in works], now, room)
        return "".join(noted)

    return sample


def test_no_more_calls_are_made_than_there_is_room_for_until_all_are_made(noted: list[str]) -> None:
    sample = sampling(noted, Work(noted, "a", 5))
    assert [sample(now, 2) for now in range(5)] == ["aa", "aa", "a", "", ""]


def test_it_is_begun_anew_so_many_seconds_after_it_was_begun(noted: list[str]) -> None:
    sample = sampling(noted, Work(noted, "a", 3))
    assert [sample(now, 2) for now in (0.0, 30.0, 59.0, 60.0)] == ["aa", "a", "", "aa"]


def test_what_was_due_first_goes_first_and_what_takes_long_keeps_nothing_waiting_for_ever(noted: list[str]) -> None:
    sample = sampling(noted, Work(noted, "a", 9), Work(noted, "b", 3))
    made = "".join(sample(30.0 * number, 2) for number in range(14))
    assert made.startswith("a" * 9 + "bbb" + "a" * 9 + "bbb")


def test_a_failure_ends_it_until_the_next_sample_and_leaves_the_room_to_others(noted: list[str]) -> None:
    failing, other = Work(noted, "a", 3), Work(noted, "b", 2)
    failing.fails_with = TIMEOUT
    sample = sampling(noted, failing, other)
    assert [sample(now, 3) for now in (0.0, 1.0)] == ["abb", "a"]
    assert failing.errand.failure == TIMEOUT
    failing.fails_with = 0
    assert sample(2.0, 9) == "aaa"
    assert failing.errand.failure == 0


def test_an_error_about_the_source_is_the_sources(noted: list[str]) -> None:
    work = Work(noted, "a", 3)
    work.fails_with = DRIVER_NOT_LOADED
    with pytest.raises(CallError):
        sampling(noted, work)(0.0, 3)
