"""`lexome probe` from the terminal: the table, the JSON, errors, and a kill at any moment."""

import json
from pathlib import Path

import polars as pl

from tests.cli.test_resume import kill_until_done
from tests.commands import WarmStart

QUICK = ("--clusters", "kmers", "--folds", "3", "--heads", "linear,knn")


def test_the_table_goes_to_stdout_and_the_rest_to_stderr(lexome, table, esm2, tmp_path) -> None:
    asked = ("probe", table, "--label", "label", "-m", esm2, "-o", tmp_path / "p", *QUICK)
    done = lexome(*asked, "--layers", "0,-1", "--poolings", "mean,mean+max")
    assert done.code == 0, done.err
    shown = pl.read_csv(done.out.encode())
    assert shown.height == 2 * 2 * 2 + 2
    assert shown["value"][0] == shown.filter(pl.col("model") == "esm2-toy")["value"].max()
    assert "corrected for having been chosen" in done.err
    assert "Composition" in done.err

    again = lexome(*asked, "--layers", "0,-1", "--poolings", "mean,mean+max", "--json")
    facts = json.loads(again.out)
    assert facts["cells"] == 8
    assert set(facts["best"]) >= {"layer", "pooling", "head", "naive", "believed", "chosen"}
    assert Path(facts["report"]).is_file()


def test_a_layer_that_does_not_exist_is_one_line(lexome, table, esm2, tmp_path) -> None:
    asked = ("probe", table, "--label", "label", "-m", esm2, "-o", tmp_path / "p", *QUICK)
    done = lexome(*asked, "--layers", "0,9")
    assert done.code == 2
    assert "layer: saw 9, expected 0 to 2, or -3 to -1" in done.error
    assert "--layers: saw 'all'" in lexome(*asked, "--layers", "all").error
    assert not (tmp_path / "p").exists()


def test_a_probe_that_is_killed_goes_on_to_the_same_atlas(
    warm: WarmStart, table: Path, esm2: Path, tmp_path: Path
) -> None:
    asked = ("probe", table, "--label", "label", "-m", esm2, *QUICK, "--quiet", "-o")
    whole = warm.run(*asked, tmp_path / "whole")
    assert whole.code == 0, whole.err
    parts = {"inference__parts__PART_RECORDS": 10}
    done, _ = kill_until_done(warm, 4.0, 4, *asked, tmp_path / "killed", **parts)
    assert done.code == 0, done.err
    one, other = (pl.read_csv(tmp_path / name / "atlas.csv") for name in ("whole", "killed"))
    assert other.equals(one)
    assert not list((tmp_path / "killed" / "vectors").glob(".*"))
