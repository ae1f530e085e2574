"""Runs that can be believed: the same again, collapse told, losses by name, a paired verdict."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file

from lexome.cli.options import verdict
from lexome.errors import InputError
from lexome.evaluation.delong import delong_test
from lexome.evaluation.paired import Side, compare_paired
from lexome.training import finetune as module
from lexome.training.answers import read_answers
from lexome.training.finetune import finetune
from tests.toys import motif_table, rich_table

QUICK: dict[str, Any] = {
    **{"split": "column:part", "seeds": 2, "epochs": 2, "dtype": "fp32", "batch_size": 16},
    "average": 0.9,
}
PROGRAM = """
import sys, torch
torch.set_num_threads(int(sys.argv[2]))
from lexome.training import finetune as module
from tests.toys import motif_table
module.write_finetune_report = lambda folder: None
module.finetune("new:cnn", motif_table(120), "label", output=sys.argv[1], split="column:part",
                seeds=2, epochs=2, dtype="fp32", batch_size=16, device="cpu")
"""


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training a toy."""
    monkeypatch.setattr(module, "write_finetune_report", lambda folder: None)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_command_twice_gives_the_same_numbers(threads, tmp_path):
    """In two processes, so that nothing but the command can carry them over."""
    folders = [tmp_path / "one", tmp_path / "two"]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    for folder in folders:
        subprocess.run(
            [sys.executable, "-c", PROGRAM, str(folder), str(threads)],
            check=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
    one, two = folders
    assert (one / "metrics.json").read_bytes() == (two / "metrics.json").read_bytes()
    for name in ("predictions.parquet", "answers.parquet", "history.parquet"):
        left, right = (pl.read_parquet(folder / name) for folder in folders)
        drop = ["seconds"] if "seconds" in left.columns else []
        assert left.drop(drop).equals(right.drop(drop)), name
    for name in ("weights-1.safetensors", "weights-2.safetensors"):
        left, right = load_file(one / name), load_file(two / name)
        assert all(np.array_equal(left[key], right[key]) for key in left), name
    told = json.loads((one / "run.json").read_text())["determinism"]
    assert told["repeats"] is True
    assert told["not_deterministic"] == []
    assert f"{threads} thread" in told["said"]


def test_a_gpu_is_not_promised_to_repeat_itself(tmp_path):
    from types import SimpleNamespace as Named

    from lexome.training.determinism import describe_determinism

    setup: Any = Named(device=Named(choice="cuda:0"), dtype=Named(choice="bf16"), budget=Named())
    setup.budget.tokens = 8
    told = describe_determinism(setup, 4)
    assert told["repeats"] is False
    assert any("index_add" in name for name in told["not_deterministic"])


def test_a_run_compares_its_model_with_the_baseline_pair_by_pair(motif_run):
    found = motif_run.metrics["comparison"]
    assert (found["part"], found["model"], found["rows"]) == ("test", "ensemble", 48)
    assert found["metrics"]["auroc"]["verdict"] == "better"
    assert found["metrics"]["auroc"]["difference"] == pytest.approx(
        motif_run.figure("auroc")
        - motif_run.figure("auroc", model="composition + logistic regression")
    )
    assert "better than composition: AUROC +" in verdict(motif_run.metrics)

    answers = read_answers(motif_run.directory)
    table = pl.read_parquet(motif_run.directory / "answers.parquet")
    plain = (
        table.filter(pl.col("part") == "test", pl.col("model").str.starts_with("composition"))
        .sort("row")["probability"]
        .to_numpy()
    )
    mean = np.mean(np.stack(answers.side.predictions), axis=0, dtype=np.float64)
    again = delong_test(answers.truth, mean, plain)
    assert found["delong"]["difference"]["difference"] == pytest.approx(again.difference, abs=1e-6)
    limit = next(m for m in motif_run.metrics["models"] if m["kind"] == "baseline")["threshold"]
    seeds = compare_paired(
        "binary", answers.truth, answers.side, Side([plain], [limit]), answers.groups
    )
    for name, value in seeds.items():
        assert found["seeds"][name]["difference"] == pytest.approx(value.difference, abs=1e-6)


def test_the_report_and_predict_tell_the_paired_difference(motif_run):
    from lexome.training.judge_run import judge_run

    page = motif_run.report.read_text()
    assert "minus baseline" in page
    assert "The same command on this machine gives the same numbers" in page
    again = judge_run(motif_run.directory, motif_table(240).filter(part="test"), "label")
    assert again["comparison"]["metrics"]["auroc"]["verdict"] == "better"


@pytest.mark.usefixtures("without_report")
def test_a_model_that_collapses_is_told_for_every_seed(tmp_path):
    """Sequences that say nothing of the label, and steps far too large."""
    letters = [f"M{'A' * (1 + n % 9)}{'K' * (1 + n // 9)}" for n in range(90)]
    table = motif_table(90).with_columns(sequence=pl.Series(letters))
    options = {**QUICK, "learning_rate": 30.0, "composition": False}

    run = finetune("new:cnn", table, "label", output=tmp_path / "run", **options)

    entries = {m["name"]: m["collapsed"]["test"] for m in run.metrics["models"] if "collapsed" in m}
    told = [text for text in run.facts["warnings"] if "has collapsed" in text]
    assert entries["seed 1"] or entries["seed 2"]
    assert {name for name, gone in entries.items() if gone} == {
        text.split(" has collapsed")[0] for text in told
    }


def test_a_model_that_learns_is_not_called_collapsed(motif_run):
    assert not any(
        gone for m in motif_run.metrics["models"] for gone in m.get("collapsed", {}).values()
    )


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize(
    ("column", "task"), [("label", "binary"), ("kind", "multiclass"), ("tags", "multilabel")]
)
def test_focal_loss_and_balanced_weights_train_every_kind_of_class(column, task, tmp_path):
    table = motif_table(90) if task == "binary" else rich_table(90)
    options = {**QUICK, "seeds": 1, "task": task, "class_weights": "balanced"}

    focal = finetune(
        "new:cnn", table, column, output=tmp_path / "f", loss="focal", focal_gamma=1.5, **options
    )
    zero = finetune(
        "new:cnn", table, column, output=tmp_path / "z", loss="focal", focal_gamma=0.0, **options
    )
    plain = finetune("new:cnn", table, column, output=tmp_path / "p", **options)

    assert any("focal loss" in text for text in focal.facts["warnings"])
    assert focal.facts["settings"]["recipe.focal_gamma"] == 1.5
    assert zero.metrics == plain.metrics  # bit for bit, through a whole training
    assert focal.metrics != plain.metrics
    assert not any("focal loss" in text for text in plain.facts["warnings"])
    weighted = any("balanced class weights" in text for text in plain.facts["warnings"])
    assert weighted == (task != "binary")  # there the logit is set right again


def test_a_loss_of_classes_is_refused_for_numbers_before_anything_is_written(tmp_path):
    for options in ({"loss": "focal"}, {"class_weights": "balanced"}):
        with pytest.raises(InputError, match="for a regression"):
            finetune("new:cnn", rich_table(60), "amount", output=tmp_path / "r", task="regression",
                     **options)  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loss": "hinge"}, "hinge"),
        ({"loss": "focal", "focal_gamma": -1.0}, "0 or above"),
        ({"focal_gamma": 3.0}, "with --loss cross-entropy"),
    ],
)
def test_settings_of_the_loss_are_checked(options, said, tmp_path):
    with pytest.raises(InputError, match=said):
        finetune("new:cnn", motif_table(60), "label", output=tmp_path / "r", **options)
