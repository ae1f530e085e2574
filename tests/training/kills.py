"""Runs that are killed and started again: what their tests share."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from lexome.training import loop
from lexome.training.run_folder import Run


class Stopped(BaseException):
    """Stands for a kill: nothing on the way catches it."""


def kill_behind_states(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> list[Path]:
    """From now on a state follows every step, and behind these, counted from 1, comes a kill.

    Returns the list to which the path of each state is added.
    """
    put_down, paths = loop._put_down, []

    def put_down_and_stop(*args: Any) -> None:
        put_down(*args)
        paths.append(args[0])
        if len(paths) in numbers:
            raise Stopped

    monkeypatch.setattr(loop, "SECONDS_BETWEEN_STATES", -1.0)
    monkeypatch.setattr(loop, "_put_down", put_down_and_stop)
    return paths


def assert_same_run(whole: Run, killed: Run) -> None:
    """Two seeds' weights and all figures are equal bit for bit."""
    for number in (1, 2):
        one = load_file(whole.directory / f"weights-{number}.safetensors")
        other = load_file(killed.directory / f"weights-{number}.safetensors")
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert whole.metrics == killed.metrics
