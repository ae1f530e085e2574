"""`lexome evaluate deeploc --folds`: killed and gone on with, held by one call, refused."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from lexome.suites.deeploc import LOCATIONS
from lexome.training.run_folder import unfinished_folder
from tests.commands import Finished, WarmStart
from tests.suites.test_folds import proteins

Lexome = Callable[..., Finished]
QUICK = ("--seeds", 1, "--epochs", 1, "--dtype", "fp32", "--device", "cpu")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deeploc") / "proteins.csv"
    proteins(LOCATIONS, 200).write_csv(path)
    return path


def test_a_killed_cross_validation_goes_on_and_no_other_call_enters_its_folder(
    table: Path, warm: WarmStart, lexome: Lexome, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    words = ("evaluate", "deeploc", "-m", "new:cnn", "--tasks", "localization", "--folds")
    words = (*words, "--data", table, "-o", output, *QUICK)
    place = output / "runs" / "localization"
    process = warm.start(*words)
    began = time.monotonic()
    while not unfinished_folder(place / "new-cnn-folds" / "fold-2").is_dir():
        assert time.monotonic() - began < 120
        time.sleep(0.01)
    second = lexome(*words)
    assert "another `lexome evaluate` at work" in second.error
    os.kill(process, signal.SIGKILL)
    assert warm.wait().code == -signal.SIGKILL
    assert not (output / "results.csv").exists()
    first = place / "new-cnn-folds" / "fold-1" / "weights-1.safetensors"
    before = first.stat().st_mtime_ns

    done = lexome(*words, "--json")
    assert done.code == 0, done.err
    assert first.stat().st_mtime_ns == before
    assert sorted(p.name for p in place.iterdir()) == ["new-cnn", "new-cnn-folds"]
    kept = sorted(p.name for p in (place / "new-cnn-folds").iterdir())
    assert kept == ["fold-1", "fold-2", "fold-3", "fold-4", "folds.json"]
    row = json.loads(done.out)["results"][0]
    assert (row["model"], row["metric"]) == ("new:cnn", "macro_f1")
    assert (row["folds"], row["rows_judged"]) == (5, 200)
    assert not row["comparable"]
    assert "200 were judged here, 28,303 there" in row["note"]
    kept = pl.read_csv(output / "results.csv", comment_prefix="#")
    assert kept["sd_over_folds"][0] == pytest.approx(row["sd_over_folds"])
    assert "over 5 folds" in (output / "report.html").read_text()


def test_folds_of_tasks_that_have_none_are_refused_before_anything_is_made(
    table: Path, lexome: Lexome, tmp_path: Path
) -> None:
    words = ("--tasks", "mitochondrion", "--folds", "--data", table, "-o", tmp_path / "out")
    done = lexome("evaluate", "deeploc", "-m", "new:cnn", *words)
    assert done.error == (
        "error: --folds: saw mitochondrion, which have one split each, expected a task with folds: "
        "localization. Try `--tasks localization`."
    )
    assert not (tmp_path / "out").exists()
