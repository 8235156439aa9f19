"""How queries are read, and how what is wrong with one is said."""

import contextlib
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import parameters
from api.answer import Refusal
from api.parameters import Parameter
from api.routes import ROUTES
from api.wanted import Bound, Order, Wanted
from common.gpu import NUMERIC

KNOWN = {
    one.name: one
    for one in (
        parameters.HOST,
        parameters.MAX_AGE,
        parameters.GPU,
        parameters.READING,
        parameters.SINCE,
        parameters.UNTIL,
        parameters.STEP,
        parameters.DIALECT,
        parameters.STATE,
        parameters.SORT,
        parameters.LIMIT,
        *parameters.BOUNDS,
    )
}


def refused(query: str) -> str:
    with pytest.raises(Refusal) as refusal:
        parameters.read(query, KNOWN)
    assert refusal.value.answer.status == 400
    error = msgspec.json.decode(refusal.value.answer.body)["error"]
    assert error["code"] == "bad_parameter"
    return str(error["message"])


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", {}),
        ("host=node-1&max_age=2.5", {"host": "node-1", "max_age": 2.5}),
        ("max_age=.5&since=0&until=1741129370.", {"max_age": 0.5, "since": 0.0, "until": 1741129370.0}),
        ("step=60&max_age=1e3", {"step": 60.0, "max_age": 1000.0}),
        ("state=lost&limit=3", {"state": "lost", "limit": 3}),
        ("sort=power_draw_watts", {"sort": Order("power_draw_watts")}),
        ("sort=-power_draw_watts", {"sort": Order("power_draw_watts", is_descending=True)}),
        ("gpu=GPU-a,GPU-b,GPU-a", {"gpu": ("GPU-a", "GPU-b")}),
        ("reading=power_draw_watts,energy_joules", {"reading": ("power_draw_watts", "energy_joules")}),
        ("memory_free_bytes_min=8e9", {"memory_free_bytes_min": 8e9}),
        ("temperature_gpu_celsius_max=-1.5", {"temperature_gpu_celsius_max": -1.5}),
    ],
)
def test_a_query_is_read_into_values(query: str, values: dict[str, Any]) -> None:
    assert parameters.read(query, KNOWN) == values


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("max_age=nan", "max_age: must be seconds, 0 or more"),
        ("max_age=-1", "max_age: must be seconds"),
        ("max_age=+1", "max_age: must be seconds"),
        ("max_age=1e999", "max_age: must be seconds"),
        ("max_age=\N{ARABIC-INDIC DIGIT ONE}", "max_age: must be seconds"),
        (f"max_age={'9' * 400}", "max_age: must be seconds"),
        ("step=0", "step: must be seconds, from 0.05 to 1000000000"),
        ("state=fine", "state: must be one of ok, lost, error, unknown"),
        ("dialect=prometheus", "dialect: must be dcgm, or not given at all"),
        ("limit=0", "limit: must be a whole number from 1 to"),
        ("limit=1.5", "limit: must be a whole number"),
        ("limit=99999999", "limit: must be a whole number"),
        ("sort=name", "sort: must be the name of a numeric reading"),
        ("sort=--power_draw_watts", "sort: must be the name"),
        ("gpu=", "gpu: must be names separated by commas"),
        ("reading=power_draw_watts,,", "reading: must be names"),
        ("reading=ecc_enabled", "reading: must be names of numeric readings"),
        ("memory_free_bytes_min=8GB", "memory_free_bytes_min: must be a number"),
        ("memory_free_bytes_min=1e999", "memory_free_bytes_min: must be a number"),
        ("memory_free_bytes_min=", "memory_free_bytes_min: must be a number"),
        ("name_min=1", "name_min: no such parameter; known here: host, max_age"),
        ("ecc_enabled_max=1", "ecc_enabled_max: no such parameter"),
        ("limit=1&limit=1", "limit: given more than once"),
    ],
)
def test_what_is_wrong_with_a_query_is_said_by_name_with_what_would_be_right(query: str, said: str) -> None:
    assert refused(query).startswith(said)


def test_who_is_told_what_is_known_is_not_told_each_bound() -> None:
    said = refused("x=1")
    assert said.endswith("limit, and a reading's name with _min or _max")
    assert "_bytes_min" not in said


def test_the_values_of_a_query_say_which_gpus_are_wanted() -> None:
    query = "host=a&memory_free_bytes_min=8&utilization_gpu_percent_max=5&sort=-memory_free_bytes&limit=2&state=ok"
    assert parameters.wanted(parameters.read(query, KNOWN)) == Wanted(
        (Bound("memory_free_bytes", least=8.0), Bound("utilization_gpu_percent", most=5.0)),
        "ok",
        Order("memory_free_bytes", is_descending=True),
        2,
    )


def test_every_numeric_reading_has_both_its_bounds() -> None:
    assert sorted(one.name for one in parameters.BOUNDS) == sorted(
        name + end for name in NUMERIC for end in ("_min", "_max")
    )


@given(st.sampled_from([one for route in ROUTES for one in route.parameters]), st.text())
def test_no_text_is_read_as_a_number_that_is_none(parameter: Parameter, text: str) -> None:
    value: object = None
    with contextlib.suppress(ValueError):
        value = parameter.read(text)
    assert not isinstance(value, float) or math.isfinite(value)
