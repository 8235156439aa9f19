"""The linters of what is deployed. They are large, and so not among what all tests need: CI says where it has them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def lint(name: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run one of the commands in the directory that GPU_TEST_LINTERS names; skip the test if it is not there."""
    if not (command := shutil.which(name, path=os.environ.get("GPU_TEST_LINTERS", ""))):
        pytest.skip(f"needs {name}, in the directory that GPU_TEST_LINTERS names")
    return subprocess.run([command, *arguments], capture_output=True, text=True, check=False, timeout=50)
