"""The sheet that the driver fills in: each call writes where it should, and nothing outlives a sample."""

import ctypes
from typing import Any

import pytest

from collector.nvml.sheet import Sheet
from collector.nvml.table import FIELDS, PCIE_THROUGHPUT_READS, READS, Read

ROWS = (*READS, *PCIE_THROUGHPUT_READS, *(read.instead for read in READS if read.instead))
UINT, ULL = 1, 3


def place(reference: Any) -> Any:
    """Return what a reference is to."""
    return reference._obj


def write(output: Any, number: int) -> None:
    """Do as a driver does: fill in every number of an output, one more in each."""
    for offset, (name, *_) in enumerate(getattr(output, "_fields_", [("value",)])):
        setattr(output, name, number + offset)


def fill(sheet: Sheet, fields: int) -> None:
    for row, outputs in enumerate(sheet.outputs):
        for number, reference in enumerate(outputs):
            write(place(reference), 1000 * row + number)
    for number in range(fields):
        field = sheet.field_outputs[1][number]
        field.value_type, field.value.unsigned = ULL, 10**6 + number


@pytest.mark.parametrize("fields", [0, 1, len(FIELDS)])
@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], ()])
def test_each_number_is_taken_from_where_its_call_wrote_it(rows: tuple[Read, ...], fields: int) -> None:
    sheet = Sheet(rows, FIELDS[:fields])
    fill(sheet, fields)
    expected = [1000 * number + given.place for number, row in enumerate(rows) for given in row.gives]
    assert sheet.values() == expected + [10**6 + number for number in range(fields)]


def test_what_a_driver_leaves_out_is_no_number_of_the_sample_before() -> None:
    sheet = Sheet(ROWS, FIELDS)
    before = sheet.values()
    fill(sheet, len(FIELDS))
    assert sheet.values() != before
    sheet.clear()
    assert sheet.values() == before


def test_what_a_call_must_be_told_in_its_outputs_is_there_before_each_sample() -> None:
    (memory,) = (row for row in ROWS if row.function == "nvmlDeviceGetMemoryInfo_v2")
    sheet = Sheet([memory], FIELDS)
    for _ in range(2):
        assert place(sheet.outputs[0][0]).version == 0x02000028
        asked = [(field.field_id, field.scope_id) for field in sheet.field_outputs[1]]
        assert asked == [(field.number, field.scope) for field in FIELDS]
        fill(sheet, len(FIELDS))
        sheet.clear()


def test_no_call_can_write_into_the_place_of_another_or_where_its_type_may_not_begin() -> None:
    sheet = Sheet(ROWS, FIELDS)
    outputs = [place(reference) for references in sheet.outputs for reference in references]
    ends = 0
    for output in (*outputs, sheet.field_outputs[1]):
        start = ctypes.addressof(output)
        assert start >= ends
        assert start % 8 == 0
        ends = start + ctypes.sizeof(output)


def test_of_a_field_only_the_bytes_of_its_type_count_and_its_error_goes_before_its_value() -> None:
    sheet = Sheet([], FIELDS[:3])
    for field, kind, code in zip(sheet.field_outputs[1], (ULL, UINT, UINT), (0, 0, 3), strict=True):
        field.value_type, field.code, field.value.unsigned = kind, code, 2**40 + 7
    assert sheet.values() == [2**40 + 7, 7, -3]
