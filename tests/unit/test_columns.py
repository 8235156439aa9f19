"""Rows of which only the changes are kept: they come back as they were put in."""

import math
import tracemalloc
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from api.history.columns import Columns, whole_bytes, whole_of
from api.history.runs import MOST_ROWS
from common.gpu import Gpu, Xid, XidErrors
from tests.builders import make_gpu, make_lost_gpu, make_snapshot


class Everything(Struct, frozen=True, kw_only=True):
    """A field of each kind that a reading may be of."""

    count: int
    whole: int | None = None
    fraction: float | None = None
    flag: bool | None = None
    text: str | None = None
    names: list[str] | None = None
    reasons: dict[str, str] = {}
    errors: XidErrors | None = None


NAMES = Everything.__struct_fields__
BOUNDARIES = [sign * 2**bits + off for bits in (7, 15, 31, 63, 64, 70) for sign in (1, -1) for off in (-1, 0, 1)]
integers = st.integers() | st.sampled_from(BOUNDARIES)
fractions = (
    st.floats(allow_nan=False)
    | st.integers(-(2**31) - 2, 2**31 + 2).map(lambda thousandths: thousandths / 1000)
    | st.sampled_from([2147483.647, -2147483.648, 76.543, 5e-324, 1e308])
)
errors = st.builds(XidErrors, counts=st.dictionaries(st.text(), st.integers(0, 9)), last=st.none())
everything = st.builds(
    Everything,
    count=integers,
    whole=st.none() | integers,
    fraction=st.none() | fractions,
    flag=st.none() | st.booleans(),
    text=st.none() | st.text(),
    names=st.none() | st.lists(st.text(max_size=3), max_size=3),
    reasons=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
    errors=st.none() | errors,
)
FULL = make_gpu(xid_errors=XidErrors(counts={"79": 1}, last=Xid(code=79, heard_at_ns=2**63, text=None)))


def filled(rows: Sequence[Any], whole: tuple[Any, ...] | None = None) -> Columns[Any]:
    columns = Columns(type(rows[0]), whole)
    for row in rows:
        columns.append(row)
    return columns


@given(rows=st.lists(everything, min_size=1, max_size=30), repeats=st.integers(1, 4))
@settings(deadline=None, max_examples=50)
def test_rows_come_back_as_they_were_put_in_whatever_they_are(rows: list[Everything], repeats: int) -> None:
    rows = [row for row in rows for _ in range(repeats)]
    columns = filled(rows)
    for kept in (columns, columns.sealed()):
        again = [kept.row(number) for number in range(len(rows))]
        assert again == rows
        assert [[type(cell) for cell in msgspec.structs.astuple(row)] for row in again] == [
            [type(cell) for cell in msgspec.structs.astuple(row)] for row in rows
        ]


@given(rows=st.lists(everything, min_size=1, max_size=30), data=st.data())
@settings(deadline=None, max_examples=50)
def test_any_stretch_of_a_column_is_what_its_rows_have(rows: list[Everything], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    columns = filled(rows)
    for kept in (columns, columns.sealed()):
        for name in NAMES:
            assert kept.column(name, start, stop) == [getattr(row, name) for row in rows[start:stop]]


@given(earlier=everything, rows=st.lists(everything, min_size=1, max_size=5))
@settings(deadline=None, max_examples=50)
def test_rows_may_be_compared_with_one_that_is_not_among_them(earlier: Everything, rows: list[Everything]) -> None:
    columns = filled(rows, whole_of(earlier))
    assert [columns.row(number) for number in range(len(columns))] == rows
    assert [columns.sealed().row(number) for number in range(len(columns))] == rows


def test_an_integer_stays_an_integer_a_fraction_a_fraction_and_a_flag_a_flag() -> None:
    rows = [Everything(count=75, fraction=75.0, flag=True), Everything(count=1, fraction=1.0, flag=False)]
    for kept in (filled(rows), filled(rows).sealed()):
        assert repr(kept.column("count", 0, 2)) == "[75, 1]"
        assert repr(kept.column("fraction", 0, 2)) == "[75.0, 1.0]"
        assert repr(kept.column("flag", 0, 2)) == "[True, False]"


@pytest.mark.parametrize("odd", [2**63, -(2**63), 2**64 - 1, 2**100])
def test_an_integer_beyond_64_bits_stands_among_others_and_none(odd: int) -> None:
    values = [1, 2, None, odd, 3, None, odd, 4]
    columns = filled([Everything(count=0, whole=value) for value in values])
    assert columns.column("whole", 0, 8) == columns.sealed().column("whole", 0, 8) == values


@pytest.mark.parametrize("values", [[1.5, math.nan, 2.5], [math.nan, 1.5, math.nan], [math.nan, math.nan]])
def test_what_is_not_a_number_is_no_reading(values: list[float]) -> None:
    columns = filled([Everything(count=0, fraction=value) for value in values])
    expected = [None if math.isnan(value) else value for value in values]
    assert columns.column("fraction", 0, len(values)) == expected
    assert [columns.sealed().row(number).fraction for number in range(len(values))] == expected


def test_infinity_is_kept() -> None:
    rows = [Everything(count=0, fraction=value) for value in (1.0, math.inf, -math.inf)]
    assert filled(rows).sealed().column("fraction", 0, 3) == [1.0, math.inf, -math.inf]


def test_a_gpu_that_is_lost_and_returns_comes_back_whole() -> None:
    rows = [FULL, make_lost_gpu(), FULL, make_gpu(utilization_gpu_percent=None)]
    columns = filled(rows)
    for kept in (columns, columns.sealed()):
        assert [kept.row(number) for number in range(4)] == rows


def test_an_envelope_is_a_row_too() -> None:
    rows = [make_snapshot(sequence=sequence, gpus=[], sampled_at_ns=2**63 + sequence) for sequence in range(3)]
    columns = filled(rows)
    for kept in (columns, columns.sealed()):
        assert [kept.row(number) for number in range(3)] == rows


def test_as_many_rows_fit_as_a_byte_can_number() -> None:
    rows = [Everything(count=number, whole=number // 100) for number in range(MOST_ROWS)]
    columns = filled(rows)
    assert len(columns) == MOST_ROWS
    assert columns.sealed().column("count", 0, MOST_ROWS) == list(range(MOST_ROWS))
    assert columns.sealed().column("whole", 99, 101) == [0, 1]
    with pytest.raises(ValueError, match="no more rows"):
        columns.append(rows[0])


def test_nothing_is_added_to_what_is_sealed() -> None:
    with pytest.raises(ValueError, match="no more rows"):
        filled([FULL]).sealed().append(FULL)


def test_what_is_sealed_leaves_the_open_columns_to_their_reader() -> None:
    columns = filled([Everything(count=1), Everything(count=2)])
    sealed = columns.sealed()
    columns.append(Everything(count=2**64))
    assert (len(sealed), sealed.column("count", 0, 2)) == (2, [1, 2])
    assert columns.column("count", 0, 3) == [1, 2, 2**64]


def test_what_does_not_change_takes_no_memory() -> None:
    columns = filled([FULL])
    before = columns.size_bytes
    for _ in range(50):
        columns.append(FULL)
    assert columns.size_bytes == before


def test_what_two_rows_share_is_in_memory_once() -> None:
    first = whole_of(make_gpu(0))
    second = whole_of(msgspec.json.decode(msgspec.json.encode(make_gpu(1)), type=Gpu), first)
    assert second == msgspec.structs.astuple(make_gpu(1))
    assert whole_bytes(second, first) < whole_bytes(second)
    shared = [one is other for one, other in zip(first, second, strict=True)]
    assert shared.count(False) == len({"index", "uuid", "pci_bus_id"})


def busy(number: int) -> Gpu:
    return make_gpu(
        utilization_gpu_percent=number % 101,
        memory_used_bytes=number * 10**7,
        memory_free_bytes=10**11 - number * 10**7,
        power_draw_watts=number * 1.25,
        energy_joules=number / 7,
        clock_event_reasons=[f"reason_{number}"],
    )


@pytest.mark.parametrize("is_sealed", [False, True])
def test_the_size_that_is_told_is_about_what_they_take(*, is_sealed: bool) -> None:
    whole = whole_of(busy(0))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = []
        for _ in range(20):
            columns = filled([busy(number) for number in range(64)], whole)
            kept.append(columns.sealed() if is_sealed else columns)
        del columns
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert taken / 2 < sum(columns.size_bytes for columns in kept) < taken * 2
