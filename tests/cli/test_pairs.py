"""Tables of pairs on the command line: trained, killed, taken up, asked and refused."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.cli.test_resume import EVERY_STEP, kill_until_done
from tests.commands import Finished
from tests.toy_pairs import pair_table

Lexome = Callable[..., Finished]
PAIRS = ("--sequence", "heavy", "--second", "light")
BY_PART = ("--split", "column:part")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    pair_table(120).write_csv(path)
    return path


def test_a_table_of_pairs_becomes_a_run_that_answers_new_pairs(lexome, table, tmp_path):
    run, answers = tmp_path / "run", tmp_path / "answers.csv"
    options = (*PAIRS, *BY_PART, "--symmetric", "--seeds", 1, "--epochs", 2, "--dtype", "fp32")
    done = lexome("finetune", table, "-o", run, *options)
    assert done.code == 0, done.err
    assert "sequence = heavy, second = light" in done.err
    assert "near copies of either sequence" in done.err
    done = lexome("predict", run, table, "-o", answers)
    assert done.code == 0, done.err
    found = pl.read_csv(answers)
    back = pl.read_csv(table).rename({"heavy": "light", "light": "heavy"})
    back.write_csv(tmp_path / "back.csv")
    assert lexome("predict", run, tmp_path / "back.csv", "-o", tmp_path / "b.csv").code == 0
    again = pl.read_csv(tmp_path / "b.csv")
    assert again["probability_label"].to_list() == found["probability_label"].to_list()
    judged = lexome("predict", run, table, "--label", "label", "--json")
    assert json.loads(judged.out)["rows"]["judged"] == 120


def test_a_killed_run_of_pairs_gives_the_same_numbers(table, warm, tmp_path):
    options = (*PAIRS, *BY_PART, "--seeds", 1, "--epochs", 2, "--dtype", "fp32")
    whole = warm.run("finetune", table, "-o", tmp_path / "whole", *options)
    assert whole.code == 0, whole.err
    command = ("finetune", table, "-o", tmp_path / "killed", *options)
    done, killed = kill_until_done(warm, 2.0, 3, *command, **EVERY_STEP)
    assert done.code == 0, done.err
    assert killed >= 1
    for name in ("weights-1.safetensors", "metrics.json", "config.json", "baseline.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


TOY = pair_table(40)
HUB = TOY.with_columns(light=pl.lit(TOY["light"][0]))
BAD = {
    "no such column": (TOY, ("--second", "lihgt"), "saw no column 'lihgt'"),
    "the first again": (TOY, ("--second", "heavy"), "as first and as second sequence"),
    "symmetric alone": (TOY, ("--symmetric",), "saw it without a second sequence column"),
    "no such way": (TOY, ("--second", "light", "--pairs", "apart"), "pairs: saw 'apart'"),
    "one hub": (HUB, ("--second", "light"), "40 of 40 pairs that hang together"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_table_of_pairs_that_cannot_be_used_is_refused(name, lexome, tmp_path):
    frame, options, said = BAD[name]
    frame.write_csv(tmp_path / "t.csv")
    output = tmp_path / "run"
    done = lexome("finetune", tmp_path / "t.csv", "-o", output, "--sequence", "heavy", *options)
    assert done.code == 2
    assert said in done.error
    assert not output.exists()
