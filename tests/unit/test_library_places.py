"""Where the NVML library is looked for, on each platform; and on Windows, how many sockets there may be."""

import sys

import pytest

from api import connections, open_files
from collector.nvml import places as library_places

LINUX = (
    "/usr/local/nvidia/lib64/libnvidia-ml.so.1",
    "/run/opengl-driver/lib/libnvidia-ml.so.1",
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
    "/usr/lib64/nvidia/libnvidia-ml.so.1",
)


@pytest.mark.parametrize(
    ("platform", "environment", "places"),
    [
        ("linux", {"SystemRoot": "/nonsense"}, LINUX),
        (
            "win32",
            {},
            (r"C:\Windows\System32\nvml.dll", r"C:\Program Files\NVIDIA Corporation\NVSMI\nvml.dll"),
        ),
        (
            "win32",
            {"SystemRoot": r"D:\WINNT", "ProgramFiles": r"E:\Programme"},
            (r"D:\WINNT\System32\nvml.dll", r"E:\Programme\NVIDIA Corporation\NVSMI\nvml.dll"),
        ),
    ],
)
def test_the_library_is_looked_for_where_drivers_of_that_platform_put_it(
    platform: str, environment: dict[str, str], places: tuple[str, ...]
) -> None:
    assert library_places.others(platform, environment) == places


def test_on_windows_there_are_no_more_connections_than_its_event_loop_can_watch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert open_files.allow(10_000) == open_files.SELECT_SOCKETS
    assert connections.most_connections() == open_files.SELECT_SOCKETS // 2
