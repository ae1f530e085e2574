"""Finds programs that are no Python packages."""

import os
import shutil

import pytest


def need_program(name: str, package: str) -> None:
    """Skip the test visibly where a program is not installed; in CI fail."""
    if shutil.which(name) is None:
        message = f"no `{name}` on the PATH (`apt-get install {package}`)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
