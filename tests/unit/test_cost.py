"""What a process costs, as the operating system tells."""

import os
from pathlib import Path

import pytest

from common import cost


def test_a_process_takes_memory_and_time_and_where_memory_is_not_told_it_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cost.own_cpu_seconds() > 0
    assert (cost.own_resident_bytes() or 0) > 2**20
    (tmp_path / "statm").write_text("9000 7000 500 1 0 900 0\n")
    monkeypatch.setattr(cost, "_STATM", tmp_path / "statm")
    assert cost.own_resident_bytes() == 7000 * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(cost, "_STATM", tmp_path / "none")
    assert cost.own_resident_bytes() is None
