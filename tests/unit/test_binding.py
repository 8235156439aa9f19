"""Which of the packages that install a module `pynvml` is in use."""

import logging

import pytest

from collector.nvml import binding
from common.finding import ok


@pytest.mark.parametrize(
    ("distributions", "names"),
    [
        ({"pynvml": ["nvidia-ml-py3"], "zmq": ["pyzmq"]}, ["nvidia-ml-py3"]),
        ({"pynvml": ["nvidia-ml-py3", "nvidia-ml-py", "nvidia-ml-py3"]}, ["nvidia-ml-py", "nvidia-ml-py3"]),
        ({"pynvml": ["pynvml", "nvidia-ml-py"]}, ["nvidia-ml-py", "pynvml"]),
        ({}, []),
    ],
)
def test_the_packages_that_install_it_are_named_once(distributions: dict[str, list[str]], names: list[str]) -> None:
    assert binding.providers(distributions) == names


def test_the_one_in_use_is_told_and_said_at_the_start_in_the_same_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = binding.found()
    assert found == ok("binding", "NVML's binding is nvidia-ml-py3 7.352.0")
    found.log(logging.getLogger("collector"))
    (record,) = caplog.records
    assert (record.getMessage(), record.levelno) == (found.found, logging.INFO)


def test_several_over_each_other_are_warned_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "packages_distributions", lambda: {"pynvml": ["pyzmq", "nvidia-ml-py3"]})
    binding.found().log(logging.getLogger("collector"))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "nvidia-ml-py3 7.352.0, pyzmq" in record.getMessage()
    assert "uninstall all, then install one" in record.getMessage()


def test_a_binding_of_no_package_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "packages_distributions", dict)
    assert binding.found() == ok("binding", "NVML's binding is a package that does not give its name")
