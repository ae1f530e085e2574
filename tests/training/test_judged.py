"""Which models are judged, and that one seed is not shown twice."""

import numpy as np
import polars as pl
import pytest

from lexome.cli.options import figure_lines, verdict
from lexome.training import finetune as module
from lexome.training.artefact import load_artefact
from lexome.training.finetune import finetune
from lexome.training.judge_run import judge_run
from lexome.training.judged import chosen_name, find_judged, list_judged
from tests.toys import motif_table

QUICK = {"split": "column:part", "seeds": 1, "epochs": 2, "dtype": "fp32", "batch_size": 16}


def test_several_seeds_are_judged_apart_and_as_their_mean():
    each = np.array([[0.2, 0.8, 0.4], [0.4, 0.6, 0.0]], np.float32)
    found = list_judged(
        [4, 5],
        each,
        np.array([0.5, 0.5, 0.5]),
        by_part=lambda answers: {"validation": answers[:1], "test": answers[1:]},
        threshold_of=lambda name, answers: {"seed 4": 0.1, "ensemble": 0.3}.get(name, answers[0]),
        plain_name="composition + logistic regression",
    )
    names = ["seed 4", "seed 5", "ensemble", "composition + logistic regression"]
    assert [model.name for model in found] == names
    assert [model.kind for model in found] == ["seed", "seed", "ensemble", "baseline"]
    assert [model.threshold for model in found] == pytest.approx([0.1, 0.4, 0.3, 0.5])
    chosen = find_judged(found, chosen_name([4, 5]))
    assert chosen.answers["test"].tolist() == pytest.approx([0.7, 0.2])


def test_one_seed_is_shown_once_under_its_own_name(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "write_finetune_report", lambda folder: None)  # is slow
    run = finetune("new:cnn", motif_table(60), "label", output=tmp_path / "run", **QUICK)
    names = [m["name"] for m in run.metrics["models"]]
    assert names == ["seed 1", "composition + logistic regression"]
    assert run.metrics["chosen"] == "seed 1"
    assert run.metrics["models"][0]["threshold"] == load_artefact(run.directory).threshold
    predictions = pl.read_parquet(run.directory / "predictions.parquet")
    assert predictions["model"].unique(maintain_order=True).to_list() == names
    assert [what for what, _ in figure_lines(run.metrics)] == ["Test", "Baseline"]
    assert "composition" in verdict(run.metrics)
    again = judge_run(run.directory, motif_table(60).filter(part="test"), "label")
    assert (again["chosen"], [m["name"] for m in again["models"]]) == ("seed 1", names)
    for judged, saved in zip(again["models"], run.metrics["models"], strict=True):
        assert judged["threshold"] == saved["threshold"]
        for key, figure in judged["parts"]["test"].items():
            assert figure["value"] == pytest.approx(saved["parts"]["test"][key]["value"]), key
