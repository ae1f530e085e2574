"""Runs that are split into blocks of a genome: what stands where, what is said, what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import lexome
from lexome.errors import InputError
from lexome.sequence.alphabet import ALPHABETS
from lexome.training import finetune as module
from lexome.training.finetune import finetune
from lexome.training.labelled import clean_labelled
from lexome.training.raw_table import Columns, read_raw
from lexome.training.run_folder import Run
from tests.training.kills import Stopped, kill_behind_states

LONG, BLOCK = 60, 300
QUICK: dict[str, Any] = {
    **{"split": "block:chrom,start", "block_size": BLOCK, "seeds": 1, "epochs": 1},
    **{"dtype": "fp32", "batch_size": 32},
}


def windows(num: int = 150) -> pl.DataFrame:
    """Windows of 60 bases, of which each shares half with the next, over two chromosomes."""
    random = np.random.default_rng(0)
    rows = []
    for chrom in ("I", "II"):
        bases = "".join(random.choice(list("ACGT"), 30 * num + LONG))
        for start in range(0, 30 * num, 30):
            text = bases[start : start + LONG]
            rows.append((f"{chrom}:{start}", chrom, start, text, int(text.count("GC") > 3)))
    names = ["id", "chrom", "start", "sequence", "label"]
    return pl.DataFrame(rows, schema=names, orient="row")


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training a toy."""
    monkeypatch.setattr(module, "write_finetune_report", lambda folder: None)


def run(where: Path, table: pl.DataFrame | None = None, **options: Any) -> Run:
    rows = windows() if table is None else table
    return finetune("new:cnn", rows, "label", output=where, **{**QUICK, **options})


def part_of_each(found: Run) -> pl.DataFrame:
    parts = pl.read_parquet(found.directory / "split.parquet")
    return windows().join(parts, on="id", maintain_order="left")


@pytest.mark.usefixtures("without_report")
def test_no_base_of_the_genome_stands_on_two_sides(tmp_path):
    said: dict[str, str] = {}
    found = run(tmp_path / "run", announce=said.__setitem__)
    rows = part_of_each(found)
    used = rows.filter(pl.col("part") != "unused").with_columns(block=pl.col("start") // BLOCK)
    assert used.group_by("chrom", "block").agg(pl.col("part").n_unique())["part"].max() == 1
    for _, chromosome in used.group_by("chrom"):
        seen = [
            {base for start in rows["start"] for base in range(start, start + LONG)}
            for _, rows in chromosome.group_by("part")
        ]
        assert len(seen) > 1
        assert sum(map(len, seen)) == len(set.union(*seen))
    left = rows.filter(pl.col("part") == "unused")
    assert left.height > 0
    assert (left["start"] % BLOCK).max() < LONG
    what = f"between parts a gap of 60 bases, whose {left.height} rows are left out"
    assert what in said["Split"]
    assert what in found.facts["split"]["description"]
    assert found.facts["split"]["parts"]["unused"] == left.height
    judged = pl.read_parquet(found.directory / "predictions.parquet")
    assert not set(judged["id"]) & set(left["id"])


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("gap", [None, 100])
def test_a_run_has_the_parts_that_split_makes(gap, tmp_path):
    found = part_of_each(run(tmp_path / "run", split="block:start", gap=gap))
    made = lexome.split(
        windows(), "block:start", stratify="label", block_size=BLOCK, gap=gap, seed=1
    ).frame
    assert found["part"].to_list() == made["part"].to_list()
    assert set(found["part"]) == {"train", "validation", "test", "unused"}


@pytest.mark.usefixtures("without_report")
def test_a_killed_run_is_not_taken_up_with_other_blocks(monkeypatch, tmp_path):
    output = tmp_path / "run"
    whole = run(tmp_path / "whole")
    kill_behind_states(monkeypatch, 2)
    with pytest.raises(Stopped):
        run(output)
    with pytest.raises(InputError, match=r"unfinished run with .*block_size 300 \(here 600\)"):
        run(output, block_size=600)
    with pytest.raises(InputError, match=r"unfinished run with .*gap 60 \(here 90\)"):
        run(output, gap=90)
    finished = run(output)
    assert finished.metrics == whole.metrics
    same = run(output, gap=LONG)  # what it takes by itself
    assert same.facts["created"] == finished.facts["created"]
    with pytest.raises(InputError, match=r"another run \(gap 60 \(here 59\)"):
        run(output, gap=59)


def test_copies_are_merged_within_a_block_and_stay_in_another():
    rows = pl.DataFrame(
        {
            "sequence": ["ACGTT", "ACGTT", "ACGTT", "GGCAT"],
            "label": [1, 1, 1, 0],
            "start": [5, 95, 105, 210],
        }
    )
    raw = read_raw(rows, Columns(split=["start"], block_size=100))
    table = clean_labelled(raw, ALPHABETS["dna"])
    assert table.rows.tolist() == [1, 3, 4]
    assert table.blocks.group_N.tolist() == [0, 1, 2]
    assert table.blocks.offset_N.tolist() == [5, 5, 10]
    assert "start" not in table.columns.values()


NO_PLACE = windows().with_columns(start=pl.when(pl.col("start") != 60).then("start"))
REFUSED = [
    ({"split": "cluster"}, r"--block-size: saw 300 with --split cluster"),
    ({"split": "column:chrom", "block_size": None, "gap": 5}, r"--gap: saw 5 with --split column"),
    ({"gap": 300}, r"--gap: saw 300, expected 0 or more, below the block size of 300"),
    ({"block_size": 50}, r"--gap: saw 60, expected 0 or more, below the block size of 50"),
    ({"block_size": 0}, r"--block-size: saw 0"),
    ({"table": NO_PLACE}, r"row 3, column 'start': saw None, expected a position"),
    ({"split": "block:start,chrom"}, r"row 1, column 'chrom': saw 'I', expected a position"),
    ({"split": "block:chrom,place"}, r"no column 'place'"),
    ({"split": "block:a,b,c"}, r"block:POSITION or block:CHROMOSOME,POSITION"),
    ({"split": "block:"}, r"block:POSITION or block:CHROMOSOME,POSITION"),
    ({"train": ["I"]}, r"--split block:chrom,start: saw --train"),
    ({"block_size": None}, r"part validation: saw no rows.*a smaller --block-size"),
]


@pytest.mark.parametrize(("options", "told"), REFUSED)
def test_blocks_that_cannot_be_made_are_refused(options, told, tmp_path):
    with pytest.raises(InputError, match=told):
        run(tmp_path / "run", **options)
    assert not list(tmp_path.iterdir())


def test_a_probe_has_no_blocks(tmp_path):
    with pytest.raises(InputError, match="column:NAME, chromosome:NAME, cluster or random"):
        lexome.probe("protein-mini", windows(), output=tmp_path / "probe", split="block:start")
