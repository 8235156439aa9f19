"""The rules of the test suite itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT

SUITE = """
import pytest

def test_that_is_skipped():
    pytest.skip("for some reason")

@pytest.mark.gpu
def test_that_needs_a_gpu():
    pytest.skip("no GPU")
"""


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 failed, 1 skipped"), ("", "2 skipped")])
def test_in_ci_a_skipped_test_has_failed_unless_it_needs_a_gpu(tmp_path: Path, ci: str, outcome: str) -> None:
    suite = tmp_path / "test_suite_of_two.py"
    suite.write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml"), str(suite)]
    ran = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False, timeout=50
    )
    assert outcome in ran.stdout
