"""Fixtures that every test may use."""

from pathlib import Path

import pytest

from tests.standin import StandIn, build, has_compiler


@pytest.fixture(scope="session")
def standin_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of the C stand-in for the NVIDIA library, compiled once."""
    if not has_compiler():
        pytest.skip("the NVML stand-in needs a C compiler named cc")
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def standin(standin_library: Path, tmp_path: Path) -> StandIn:
    """Return a stand-in of two healthy GPUs with a control file of its own."""
    return StandIn(standin_library, tmp_path / "nvml.control")
