"""Fixtures that every test may use."""

import contextlib
import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from collector.nvml import places
from tests import bare_debian
from tests.bare_debian import BareDebian
from tests.fakes import FakeNvml
from tests.processes import Start, running
from tests.standin import StandIn, build, has_compiler


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything that tests need is installed (CI), what is skipped for lack of anything but a GPU has failed."""
    report = yield
    if report.skipped and os.environ.get("CI") and item.get_closest_marker("gpu") is None:
        report.outcome, report.longrepr = "failed", f"skipped, where nothing may be: {report.longrepr}"
    return report


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


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNvml]:
    """Return a healthy fake of the NVIDIA library, in the binding's place until the test ends."""
    monkeypatch.setattr(places, "OTHERS", ())
    installed = FakeNvml().install(monkeypatch)
    yield installed
    installed.heal()


@pytest.fixture
def start(standin: StandIn, tmp_path: Path) -> Iterator[Start]:
    """Return what starts both processes with the settings given."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(standin, tmp_path, **settings))


@pytest.fixture(scope="session")
def debian_tarball(request: pytest.FixtureRequest) -> Path:
    """Return a bare Debian, packed; it is kept in pytest's cache, for making it takes a minute."""
    if (reason := bare_debian.lacking()) is not None:
        pytest.skip(reason)
    tarball = Path(request.config.cache.mkdir("bare_debian"), "debian.tar")
    if not tarball.exists():
        bare_debian.make_tarball(tarball)
    return tarball


@pytest.fixture
def debian(debian_tarball: Path, tmp_path: Path) -> Iterator[BareDebian]:
    """Return a bare Debian of the test's own. A test that takes it may take long: mark its timeout."""
    yield bare_debian.unpack(debian_tarball, tmp_path / "debian")
    shutil.rmtree(tmp_path / "debian")
