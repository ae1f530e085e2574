"""The clean figures of a run: those of its own files, without the rows that its audit names."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.evaluation.clean_metrics import clean_metrics
from lexome.evaluation.metrics import measure
from lexome.training.clean import _answers, audit_run
from lexome.training.finetune import finetune
from lexome.training.judge_run import judge_run
from lexome.training.predict import predict
from lexome.training.run_folder import Run
from tests.commands import call_main
from tests.toys import rich_table


@pytest.fixture
def leaking(motif_run: Run, tmp_path: Path) -> Path:
    """The run, with an audit that names every second test row."""
    folder = tmp_path / "run"
    shutil.copytree(motif_run.directory, folder)
    rows = pl.read_parquet(folder / "predictions.parquet").filter(pl.col("part") == "test")
    ids = rows["id"].unique(maintain_order=True).gather_every(2)
    named = [("train", "t1", "test", name, 0.95, True) for name in ids]
    columns = ["part_a", "id_a", "part_b", "id_b", "similarity", "same_label"]
    pl.DataFrame(named, schema=columns, orient="row").write_csv(folder / "audit.csv")
    return folder


def test_the_inflated_figures_are_the_runs_own(motif_run: Run, leaking: Path) -> None:
    found = audit_run(leaking)
    chosen, baseline = found.models
    assert chosen.model == motif_run.metrics["chosen"]
    for judged in (chosen, baseline):
        for name in ("auroc", "mcc", "accuracy"):
            own = motif_run.figure(name, model=judged.model)
            assert judged.metrics.inflated[name] == pytest.approx(own, abs=1e-5)
    rows = pl.read_parquet(leaking / "predictions.parquet")
    rows = rows.filter((pl.col("part") == "test") & (pl.col("model") == chosen.model))
    assert chosen.metrics.rows == rows.height
    assert chosen.metrics.leaked == -(-rows.height // 2)
    kept = rows.gather_every(2, offset=1)
    same = (kept["label"].cast(pl.String) == kept["prediction"].cast(pl.String)).mean()
    assert chosen.metrics.clean["accuracy"] == pytest.approx(same)


def test_the_command_prints_both_and_ends_with_4(leaking: Path, capsys, monkeypatch) -> None:
    done = call_main(capsys, monkeypatch, "audit", leaking)
    assert done.code == 4
    assert "on all" in done.err
    assert "without" in done.err


def test_a_run_without_leaks_ends_well(motif_run: Run, capsys, monkeypatch) -> None:
    done = call_main(capsys, monkeypatch, "audit", motif_run.directory)
    assert motif_run.facts["clean"]["leaked"] == 0
    chosen = motif_run.facts["clean"]["models"][0]
    assert chosen["inflated"] == chosen["clean"]
    assert done.code == 0, done.err


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished run"):
        audit_run(tmp_path)


def test_where_all_rows_leak_nothing_clean_is_claimed() -> None:
    found = clean_metrics("regression", [1.0, 2.0, 3.0], [1.0, 2.0, 2.5], [True] * 3)
    assert np.isnan(list(found.clean.values())).all()
    with pytest.raises(InputError, match="one for each of the 3 rows"):
        clean_metrics("regression", [1.0, 2.0, 3.0], [1.0, 2.0, 2.5], [True])


def test_classes_and_several_labels_are_read_back() -> None:
    three = {"label": ["a", "c"], "prediction": ["a", "b"], "probability_a": [0.8, 0.1]}
    three |= {"probability_b": [0.1, 0.5], "probability_c": [0.1, 0.4]}
    found = measure("multiclass", *_answers("multiclass", ("a", "b", "c"), pl.DataFrame(three)))
    assert found.overall["accuracy"] == 0.5
    two = {"label": ["a;b", ""], "prediction": ["a", "b"], "probability_a": [0.3, 0.1]}
    two |= {"probability_b": [0.1, 0.5]}
    truth, answers, limits = _answers("multilabel", ("a", "b"), pl.DataFrame(two))
    assert truth.tolist() == [[1, 1], [0, 0]]
    assert limits.tolist() == [0.3, 0.5]
    assert measure("multilabel", truth, answers, limits).overall["exact_match"] == 0.0


def test_numbers_that_lie_far_from_0_are_written_and_judged_as_the_run_judged_them(tmp_path):
    table = rich_table(60).with_columns(amount=1e9 + 10 * pl.col("amount"))
    options = {"split": "column:part", "seeds": 2, "epochs": 2, "dtype": "fp32", "batch_size": 16}
    run = finetune("new:cnn", table, "amount", output=tmp_path / "run", **options)

    chosen, baseline = audit_run(run.directory).models
    for judged in (chosen, baseline):
        for name in ("spearman", "pearson", "r2", "rmse"):
            own = run.figure(name, model=judged.model)
            assert judged.metrics.inflated[name] == pytest.approx(own, rel=1e-6)
    assert not any(any(m["collapsed"].values()) for m in run.metrics["models"] if "collapsed" in m)
    test = table.filter(part="test")
    values = predict(run.directory, test)["value"]
    assert values.n_unique() == test.height
    again = judge_run(run.directory, test, "amount")["models"]
    for judged, saved in zip(again, run.metrics["models"], strict=True):
        figures = saved["parts"]["test"]
        assert judged["parts"]["test"]["rmse"]["value"] == pytest.approx(figures["rmse"]["value"])
    kept = pl.read_parquet(run.directory / "answers.parquet").filter(part="test", model="seed 1")
    assert kept["value"].n_unique() == test.height
