"""`lexome finetune --search` from the terminal: its flags, its errors, and kills at any moment."""

import json
from pathlib import Path

import polars as pl

from tests.cli.test_resume import kill_until_done
from tests.commands import WarmStart

QUICK = ("--label", "label", "--split", "column:part", "--seeds", 1, "--epochs", 2)


def test_no_trials_is_one_line(lexome, table, tmp_path) -> None:
    done = lexome("finetune", table, *QUICK, "--search", 0, "-o", tmp_path / "run")
    assert done.code == 2
    assert "--search: saw 0" in done.error
    assert not (tmp_path / "run").exists()


def test_a_search_that_is_killed_goes_on_to_the_same_run(
    warm: WarmStart, table: Path, tmp_path: Path
) -> None:
    asked = ("finetune", table, *QUICK, "--dtype", "fp32", "--search", 3, "--quiet", "-o")
    whole = warm.run(*asked, tmp_path / "whole")
    assert whole.code == 0, whole.err
    done, _ = kill_until_done(warm, 6.0, 4, *asked, tmp_path / "killed")
    assert done.code == 0, done.err
    tables = [
        pl.read_parquet(tmp_path / name / "search.parquet").drop("trial_seconds")
        for name in ("whole", "killed")
    ]
    assert tables[1].equals(tables[0])
    one, other = (
        json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("whole", "killed")
    )
    assert other == one
