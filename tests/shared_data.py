"""Finds the shared material: real data and fixtures that are never committed."""

import os
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def shared(path: str) -> Path:
    """The path of a shared file; skips the test visibly where shared/ is absent, fails in CI."""
    root = Path(os.environ.get("LEXOME_SHARED") or PROJECT.parent / "shared")
    found = root / path
    if not found.exists():
        message = f"{found} is not on this machine (set LEXOME_SHARED)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found
