"""Several label columns of different kinds, learned by one network at once."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from lexome.errors import InputError
from lexome.evaluation.metrics import measure
from lexome.training.artefact import load_artefact
from lexome.training.clean import audit_run
from lexome.training.finetune import finetune
from lexome.training.fitted import predict_mean
from lexome.training.judge_run import judge_run
from lexome.training.objectives import loss_sum, make_objective
from lexome.training.predict import predict
from lexome.training.run_folder import Run
from lexome.training.tasks import label_columns, read_tasks
from tests.toys import rich_table

QUICK: dict[str, Any] = {
    **{"split": "column:part", "seeds": 1, "epochs": 2, "dtype": "fp32", "batch_size": 16},
    **{"average": 0.9, "task": "multitask", "mask": 0.0, "substitute": 0.0},
}
TASKS = ["has_w", "kind", "amount"]


def task_table(num: int = 160, seed: int = 0) -> pl.DataFrame:
    """`rich_table` in which some rows lack the label of some tasks."""
    table = rich_table(num, seed)
    drawn = np.random.default_rng(seed + 1).random((num, 3)) < 0.3
    columns = []
    for k, name in enumerate(TASKS):
        values = table[name].to_list()
        columns.append(
            pl.Series(
                name, [None if hide else v for hide, v in zip(drawn[:, k], values, strict=True)]
            )
        )
    return table.with_columns(columns)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    options = QUICK | {"epochs": 10, "seeds": 2}
    output = tmp_path_factory.mktemp("runs") / "tasks"
    return finetune("new:cnn", task_table(240), TASKS, output=output, **options)


def test_one_network_learns_a_class_two_classes_and_a_number(run):
    assert run.facts["task"] == "multitask"
    kinds = [(task["name"], task["task"]) for task in run.facts["tasks"]]
    assert kinds == [("has_w", "binary"), ("kind", "multiclass"), ("amount", "regression")]
    assert run.metrics["headline"] == ["has_w.auroc", "kind.accuracy", "amount.spearman"]
    assert run.figure("has_w.auroc") > 0.9
    assert run.figure("kind.macro_auroc") > 0.9
    assert run.figure("amount.spearman") > 0.7
    config = load_artefact(run.directory).networks[0].config
    assert config.num_outputs == 1 + 3 + 1


def test_rows_without_a_label_are_neither_learned_nor_judged(run):
    table = task_table(240)
    dropped = table.filter(pl.all_horizontal(pl.col(TASKS).is_null())).height
    assert dropped > 0
    counts = {line["what"]: line["count"] for line in run.facts["cleaning"]}
    assert counts["rows without a label dropped"] == dropped
    written = pl.read_parquet(run.directory / "predictions.parquet")
    rows = written.filter(pl.col("part") == "test", pl.col("model") == "ensemble")
    for name in TASKS:
        labelled = table.filter(pl.col("part") == "test", pl.col(name).is_not_null())
        assert rows.filter(pl.col("task") == name)["id"].to_list() == labelled["id"].to_list()
    amount = rows.filter(pl.col("task") == "amount")
    truth, found = amount["label"].cast(pl.Float64), amount["value"]
    again = measure("regression", truth.to_numpy(), found.to_numpy()).overall["spearman"]
    assert run.figure("amount.spearman") == pytest.approx(again, rel=1e-4)


def test_the_report_shows_each_task_with_its_baseline(run):
    page = run.report.read_text()
    for words in ("3 things at once", "has_w: ", "kind: ", "amount: ", "composition + linear"):
        assert words in page
    ids = [part.split('"')[0] for part in page.split(' id="')[1:]]
    assert len(ids) == len(set(ids))
    plain = "composition + linear regressions"
    assert run.figure("amount.spearman", model=plain) > 0.5
    assert set(run.metrics["comparison"]["metrics"]) >= set(run.metrics["headline"])
    clean = audit_run(run.directory).models[0].metrics
    assert clean.leaked == 0
    assert clean.clean["has_w.auroc"] == pytest.approx(run.figure("has_w.auroc"), rel=1e-4)


def test_predict_writes_columns_for_each_task(run):
    table = task_table(240).filter(pl.col("part") == "test")
    found = predict(run.directory, table)
    assert found.columns == [
        *("id", "length", "residues_used", "probability_has_w", "threshold_has_w"),
        *("prediction_has_w", "probability_kind_charged", "probability_kind_plain"),
        *("probability_kind_wet", "prediction_kind", "prediction_amount"),
    ]
    chosen = next(m for m in run.metrics["models"] if m["name"] == "ensemble")
    assert found["threshold_has_w"][0] == pytest.approx(chosen["threshold"]["has_w"], rel=1e-5)
    fitted = load_artefact(run.directory)
    names, proteins = table["id"].to_list(), table["sequence"].to_list()
    together = predict_mean(fitted, names, proteins)
    alone = [predict_mean(fitted, [n], [p])[0] for n, p in zip(names, proteins, strict=True)]
    assert np.array(alone) == pytest.approx(together, rel=1e-5, abs=1e-7)


def test_a_run_is_judged_on_another_table_that_lacks_labels_too(run):
    judged = judge_run(run.directory, task_table(80, seed=7), TASKS)
    model = next(m for m in judged["models"] if m["name"] == "ensemble")
    assert model["parts"]["test"]["has_w.auroc"]["value"] > 0.9
    assert model["tasks"]["kind"]["parts"]["test"]["accuracy"]["value"] > 0.6
    with pytest.raises(InputError, match="no `--label amount`"):
        judge_run(run.directory, task_table(80, seed=7), TASKS[:2])
    strange = task_table(80, seed=7).with_columns(
        kind=pl.when(pl.col("id") == "p1").then(pl.lit("odd")).otherwise(pl.col("kind"))
    )
    with pytest.raises(InputError, match="task 'kind': saw the label 'odd'"):
        judge_run(run.directory, strange, TASKS)


def test_the_loss_is_the_sum_of_each_tasks_mean_over_its_labelled_rows():
    target = read_tasks(
        [["1", "0", "", "1"], ["", "2", "4", ""]], ["a", "b"], "a=auto,b=regression", None
    )
    objective = make_objective(target, np.arange(4), 0.0, "none", 0.25)
    outputs = torch.tensor([[0.5, 9.0], [-1.0, 0.2], [9.0, -0.3], [2.0, 9.0]])
    found = loss_sum(objective, outputs, target.values) / 4
    truth = np.array([1, 0, 1])
    probability = 1 / (1 + np.exp(-np.array([0.5, -1.0, 2.0])))
    entropy = -np.log(np.where(truth == 1, probability, 1 - probability)).mean()
    square = np.square(np.array([0.2, -0.3]) - np.array([-1.0, 1.0])).mean()
    assert float(found) == pytest.approx(entropy + square, rel=1e-5)


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no column": (["has_w", "amuont"], {}, "no column 'amuont'"),
    "one task": (["has_w"], {}, "two or more different ones"),
    "kind of no label": (["has_w", "kind"], {"task": "amount=regression"}, "which is no label"),
    "no such kind": (None, {"task": "has_w=yes,kind=multiclass"}, "saw 'has_w=yes'"),
    "kind of no column": (None, {"task": "has_w=binary,amuont=regression"}, "no column 'amuont'"),
    "positive": (["has_w", "kind"], {"positive": "1"}, "each binary task has its own"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tasks_cost_one_clear_error(name, tmp_path):
    labels, options, said = BAD[name]
    with pytest.raises(InputError) as problem:
        finetune("new:cnn", task_table(60), labels, output=tmp_path / "r", **(QUICK | options))
    assert said in str(problem.value)
    assert not (tmp_path / "r").exists()


def test_tasks_that_would_overwrite_each_others_answers_are_refused(tmp_path):
    table = task_table(60).rename({"kind": "site", "has_w": "site_wet"})
    with pytest.raises(InputError) as problem:
        finetune("new:cnn", table, ["site", "site_wet"], output=tmp_path / "r", **QUICK)
    said = "'site' and 'site_wet', whose answers would both be 'probability_site_wet'"
    assert said in str(problem.value)
    assert not (tmp_path / "r").exists()


def test_a_constant_task_and_a_class_that_training_lacks_are_named(tmp_path: Path):
    table = task_table(80)
    constant = table.with_columns(amount=pl.lit(0.5))
    with pytest.raises(InputError, match="label column 'amount': saw one"):
        finetune("new:cnn", constant, TASKS, output=tmp_path / "r", **QUICK)
    rare = table.with_columns(
        kind=pl.when((pl.col("part") == "train") & (pl.col("kind") == "wet"))
        .then(None)
        .otherwise(pl.col("kind"))
    )
    said = "split, part train, task 'kind': saw no row of the class 'wet'"
    with pytest.raises(InputError, match=said):
        finetune("new:cnn", rare, TASKS, output=tmp_path / "r", **QUICK)


def test_copies_of_a_sequence_tell_each_other_their_labels(tmp_path):
    table = task_table(60)
    first = table.filter(pl.col("has_w").is_not_null(), pl.col("amount").is_not_null())[0]
    halves = pl.concat(
        [
            first.with_columns(amount=pl.lit(None, pl.Float64), id=pl.lit("one")),
            first.with_columns(has_w=pl.lit(None, pl.Int64), id=pl.lit("two")),
        ]
    )
    rest = table.filter(pl.col("id") != first["id"][0])
    options = QUICK | {"epochs": 1}
    both = finetune("new:cnn", pl.concat([halves, rest]), TASKS, output=tmp_path / "a", **options)
    once = finetune("new:cnn", table, TASKS, output=tmp_path / "b", **options)
    assert [t["labelled"] for t in both.facts["tasks"]] == [
        t["labelled"] for t in once.facts["tasks"]
    ]


@pytest.mark.parametrize("method", ["full", "lora", "frozen"])
def test_every_method_learns_several_tasks(method, esm2, tmp_path):
    task = "has_w=binary,amount=regression"
    options = QUICK | {"method": method, "task": task, "epochs": 1}
    run = finetune(str(esm2), task_table(80), output=tmp_path / "run", **options)
    assert run.facts["reloaded"] == "identical"
    assert [t["name"] for t in run.facts["tasks"]] == ["has_w", "amount"]


@pytest.mark.parametrize(
    ("names", "task", "said"),
    [
        (["m1", "m1"], "auto", "'m1' twice"),
        (["a", "a"], "multitask", "'a' twice"),
        (["a,b", "c"], "multitask", "'a,b'"),
        (["a=b", "c"], "multitask", "'a=b'"),
    ],
)
def test_columns_that_cannot_be_told_apart_are_refused_at_once(names, task, said):
    with pytest.raises(InputError, match=said):
        label_columns(names, task)


def test_numbers_far_from_0_among_several_tasks_are_written_whole(tmp_path):
    table = rich_table(80).with_columns(far=pl.col("amount") + 1e6)
    options = QUICK | {"epochs": 3}
    run = finetune("new:cnn", table, ["kind", "far"], output=tmp_path / "run", **options)
    found = predict(run.directory, table)["prediction_far"]
    assert found.n_unique() > 40  # six digits of a million are one number
