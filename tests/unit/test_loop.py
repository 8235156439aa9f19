"""When the next tick is."""

import pytest

from collector.loop import next_due


@pytest.mark.parametrize(
    ("due", "interval", "now", "expected"),
    [
        (100, 30, 100, 130),
        (100, 30, 100.5, 130),
        (100, 30, 129.9, 130),
        (100, 30, 130, 160),
        (100, 30, 130.5, 160),
        (100, 30, 1000, 1030),
        (100, 0.5, 101.2, 101.5),
    ],
)
def test_missed_ticks_are_skipped_and_the_phase_is_kept(
    due: float, interval: float, now: float, expected: float
) -> None:
    assert next_due(due, interval, now) == pytest.approx(expected)


def test_the_next_tick_always_lies_ahead() -> None:
    for step in range(1000):
        now = 100 + step * 0.0499
        assert 0 < next_due(100, 0.05, now) - now <= 0.05 + 1e-9
