"""Which GPUs are wanted, and in what order."""

import math
from typing import Any

import pytest

from api.wanted import EVERYTHING, Bound, Located, Order, Wanted
from common.gpu import Gpu
from tests.builders import make_gpu, make_lost_gpu


def located(*gpus: Gpu) -> list[Located]:
    return [(gpu, "node-1") for gpu in gpus]


def chosen(wanted: Wanted, *gpus: Gpu) -> list[int]:
    return [gpu.index for gpu, _ in wanted.choose(located(*gpus))]


def with_temperatures(*temperatures: Any) -> list[Gpu]:
    return [make_gpu(index, temperature_gpu_celsius=value) for index, value in enumerate(temperatures)]


def test_everything_is_wanted_as_it_is_unless_something_is_asked_for() -> None:
    gpus = located(make_gpu(2), make_lost_gpu(0), make_gpu(1))
    assert EVERYTHING.choose(gpus) == gpus


@pytest.mark.parametrize(
    ("bound", "indexes"),
    [
        (Bound("temperature_gpu_celsius", least=50), [1, 2]),
        (Bound("temperature_gpu_celsius", most=50), [0, 1]),
        (Bound("temperature_gpu_celsius", least=50, most=50), [1]),
        (Bound("temperature_gpu_celsius", least=50.5), [2]),
        (Bound("temperature_gpu_celsius", least=-math.inf), [0, 1, 2]),
    ],
)
def test_a_bound_admits_what_lies_on_it_and_never_what_was_not_taken(bound: Bound, indexes: list[int]) -> None:
    gpus = with_temperatures(40, 50, 60, None, math.nan)
    assert chosen(Wanted((bound,)), *gpus) == indexes


def test_all_bounds_must_hold() -> None:
    bounds = Bound("temperature_gpu_celsius", least=45), Bound("utilization_gpu_percent", most=74)
    assert chosen(Wanted(bounds), *with_temperatures(40, 50)) == []
    assert chosen(Wanted(bounds[:1]), *with_temperatures(40, 50)) == [1]


@pytest.mark.parametrize(("is_descending", "indexes"), [(False, [2, 0, 1, 4, 3, 5]), (True, [4, 0, 1, 2, 3, 5])])
def test_order_keeps_equals_as_they_are_and_what_was_not_taken_last(*, is_descending: bool, indexes: list[int]) -> None:
    gpus = with_temperatures(50, 50, 40, None, 60, math.nan)
    assert chosen(Wanted(order=Order("temperature_gpu_celsius", is_descending)), *gpus) == indexes


def test_a_limit_is_taken_after_the_order() -> None:
    wanted = Wanted(order=Order("temperature_gpu_celsius"), limit=2)
    assert chosen(wanted, *with_temperatures(50, 60, 40)) == [2, 0]


def test_a_state_chooses_the_gpus_in_it() -> None:
    gpus = make_gpu(0), make_lost_gpu(1)
    assert (chosen(Wanted(state="lost"), *gpus), chosen(Wanted(state="ok"), *gpus)) == ([1], [0])
