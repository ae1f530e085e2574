"""Several tasks at once on the command line: trained, killed, taken up, asked and refused."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.cli.test_resume import EVERY_STEP, kill_until_done
from tests.commands import Finished
from tests.training.test_tasks import task_table

Lexome = Callable[..., Finished]
LABELS = ("--label", "has_w", "--label", "kind", "--label", "amount")
QUICK = ("--split", "column:part", "--seeds", 1, "--epochs", 2, "--dtype", "fp32")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.csv"
    task_table(120).write_csv(path)
    return path


def test_several_labels_become_a_run_that_answers_each(lexome, table, tmp_path):
    run, answers = tmp_path / "run", tmp_path / "answers.csv"
    task = "has_w=binary,kind=multiclass,amount=regression"
    done = lexome("finetune", table, "-o", run, "--task", task, *QUICK)
    assert done.code == 0, done.err
    assert "has_w binary" in done.err
    assert "amount.spearman" in done.err
    done = lexome("predict", run, table, "-o", answers)
    assert done.code == 0, done.err
    columns = pl.read_csv(answers).columns
    assert {"prediction_has_w", "prediction_kind", "prediction_amount"} <= set(columns)
    done = lexome("predict", run, table, *LABELS, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["headline"] == [
        *("has_w.auroc", "kind.accuracy", "amount.spearman")
    ]
    assert lexome("audit", run).code in (0, 4)


def test_a_killed_run_of_several_tasks_gives_the_same_numbers(table, warm, tmp_path):
    command = ("finetune", table, *LABELS, "--task", "multitask", *QUICK)
    whole = warm.run(*command, "-o", tmp_path / "whole")
    assert whole.code == 0, whole.err
    done, killed = kill_until_done(warm, 2.0, 3, *command, "-o", tmp_path / "killed", **EVERY_STEP)
    assert done.code == 0, done.err
    assert killed >= 1
    for name in ("weights-1.safetensors", "metrics.json", "config.json", "baseline.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--label", "has_w", "--task", "multitask"), "two or more different ones"),
        (("--label", "has_w", "--label", "knid", "--task", "multitask"), "no column 'knid'"),
        (("--task", "has_w=binary,amount=number"), "saw 'amount=number'"),
        ((*LABELS, "--task", "part=binary"), "a kind for 'part', which is no label"),
    ],
)
def test_tasks_that_cannot_be_learned_are_refused(options, said, lexome, table, tmp_path):
    done = lexome("finetune", table, "-o", tmp_path / "run", *options)
    assert done.code == 2
    assert said in done.error
    assert not (tmp_path / "run").exists()
