"""The main job on toys: what is learned, what is written down, what the test rows may not touch."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from lexome.errors import InputError, ReloadMismatch
from lexome.evaluation.metrics import measure
from lexome.inference import embed_file as embedding
from lexome.training import finetune as module
from lexome.training import frozen
from lexome.training.artefact import load_artefact
from lexome.training.finetune import finetune
from lexome.training.run_folder import Run, unfinished_folder
from tests.shared_data import shared
from tests.toys import motif_table, rich_table
from tests.training.conftest import SMALL

QUICK: dict[str, Any] = {
    **{"split": "column:part", "seeds": 1, "epochs": 2, "dtype": "fp32", "batch_size": 16},
    "average": 0.9,
}


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training a toy."""
    monkeypatch.setattr(module, "write_finetune_report", lambda folder: None)


def values(run: Run, part: str = "test", model: str | None = None) -> pl.DataFrame:
    table, model = (
        pl.read_parquet(run.directory / "predictions.parquet"),
        model or run.metrics["chosen"],
    )
    return table.filter(pl.col("model") == model, pl.col("part") == part)


def weights(run: Run, number: int = 1) -> dict[str, torch.Tensor]:
    return load_file(run.directory / f"weights-{number}.safetensors")


def test_a_convolutional_network_finds_a_motif_that_composition_cannot_see(motif_run):
    assert motif_run.figure("auroc") > 0.9
    assert motif_run.figure("auroc", model="composition + logistic regression") < 0.75


@pytest.mark.usefixtures("without_report")
def test_an_encoder_finds_a_motif(tmp_path):
    table = motif_table(120, scrambled=False, lengths=(10, 20))
    options = {**QUICK, **SMALL, "epochs": 6, "composition": False}
    run = finetune("new:encoder-small", table, "label", output=tmp_path / "run", **options)
    assert run.figure("auroc") > 0.9


def test_a_run_writes_down_all_that_the_report_and_prediction_need(motif_run):
    names = {path.name for path in motif_run.directory.iterdir()}
    assert names >= {
        *("config.json", "weights-1.safetensors", "weights-2.safetensors", "run.json"),
        *("metrics.json", "predictions.parquet", "split.parquet", "history.parquet"),
        *("audit.csv", "report.html", "log.jsonl"),
    }
    assert not any(name.startswith((".", "state", "fingerprint")) for name in names)
    report = (motif_run.directory / "report.html").read_text()
    assert "<svg" in report
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert motif_run.facts["reloaded"] == "identical"
    assert motif_run.facts["split"]["parts"] == {"train": 144, "validation": 48, "test": 48}
    log = map(json.loads, (motif_run.directory / "log.jsonl").read_text().splitlines())
    assert {entry["seed"] for entry in log} == {1, 2}
    split = pl.read_parquet(motif_run.directory / "split.parquet")
    assert split["part"].to_list() == motif_table(240)["part"].to_list()


def test_the_metrics_are_those_of_the_predictions_that_were_written(motif_run):
    table = values(motif_run)
    entry = next(m for m in motif_run.metrics["models"] if m["name"] == "ensemble")
    truth, probability = table["label"].cast(pl.Int64).to_numpy(), table["probability"].to_numpy()
    again = measure("binary", truth, probability, entry["threshold"]).overall
    for name, value in again.items():
        assert entry["parts"]["test"][name]["value"] == pytest.approx(value, rel=1e-5), name
    called = np.where(probability >= entry["threshold"], "1", "0")
    assert table["prediction"].to_list() == called.tolist()


def test_several_seeds_are_shown_apart_as_a_mean_and_as_an_ensemble(motif_run):
    names = [m["name"] for m in motif_run.metrics["models"]]
    assert names == [
        *("seed 1", "seed 2", "mean of 2 seeds", "ensemble"),
        "composition + logistic regression",
    ]
    figures = [motif_run.figure("auprc", model=name) for name in names[:3]]
    assert figures[2] == pytest.approx(sum(figures[:2]) / 2)
    assert not torch.equal(
        weights(motif_run, 1)["answer.layers.2.weight"],
        weights(motif_run, 2)["answer.layers.2.weight"],
    )


def test_classes_labels_and_numbers_run_from_end_to_end(tmp_path):
    table = rich_table(120)
    expected = {
        "kind": ("multiclass", ["probability_charged", "probability_plain", "probability_wet"]),
        "tags": ("multilabel", ["probability_charged", "probability_plain", "probability_wet"]),
        "amount": ("regression", ["value"]),
    }
    for column, (task, columns) in expected.items():
        options = {**QUICK, "epochs": 5, "task": task}
        run = finetune("new:cnn", table, column, output=tmp_path / column, **options)
        assert run.facts["task"] == task
        found = values(run)
        assert found.height == 24
        assert [c for c in found.columns if c.startswith(("prob", "value"))] == columns
        assert "<svg" in run.report.read_text()
        if task == "multiclass":
            assert found.select(pl.sum_horizontal(columns)).to_series().to_list() == pytest.approx(
                [1.0] * 24, abs=5e-6
            )
            assert run.figure("macro_auroc") > 0.9
            best = [columns[k] for k in found.select(columns).to_numpy().argmax(1)]
            assert [f"probability_{name}" for name in found["prediction"]] == best
        if task == "multilabel":
            assert run.figure("macro_auroc") > 0.9
            assert set(run.metrics["models"][0]["threshold"]) == {"charged", "plain", "wet"}
        if task == "regression":
            assert run.figure("spearman") > 0.8
            assert abs(found["value"].mean() - table["amount"].mean()) < 0.05


@pytest.mark.usefixtures("without_report")
def test_several_label_columns_are_one_run_of_several_labels(tmp_path):
    options = {**QUICK, "epochs": 5}
    run = finetune("new:cnn", rich_table(120), ["has_w", "has_k"], output=tmp_path / "r", **options)
    assert (run.facts["task"], run.facts["labels"]) == ("multilabel", ["has_w", "has_k"])
    assert run.figure("macro_auroc") > 0.9


@pytest.mark.usefixtures("without_report")
def test_a_loaded_model_is_trained_as_a_whole(esm2, tmp_path):
    options = {**QUICK, "epochs": 6, "learning_rate": 1e-2}
    run = finetune(str(esm2), rich_table(120), "kind", output=tmp_path / "run", **options)
    assert run.figure("macro_auroc") > 0.9
    assert run.facts["model"]["hash"] is not None
    before = load_file(esm2 / "model.safetensors")
    name = "encoder.layer.1.attention.self.query.weight"
    assert not torch.equal(
        weights(run)["backbone.blocks.1.attention.query.weight"], before[f"esm.{name}"]
    )


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("model", ["toy", "fixture"])
def test_a_frozen_model_makes_its_vectors_once_and_only_the_head_is_trained(
    model, esm2, monkeypatch, tmp_path
):
    directory = esm2 if model == "toy" else shared("reference/fixtures/esm2-hf-tiny")
    made: list[int] = []
    plain = embedding.embed_records

    def embed_records(model: Any, records: Any, *args: Any) -> Any:
        made.append(len(records))
        return plain(model, records, *args)

    for way in (embedding, frozen):  # by a file, and in memory
        monkeypatch.setattr(way, "embed_records", embed_records)
    options = {**QUICK, "seeds": 2, "epochs": 10, "method": "frozen"}
    run = finetune(str(directory), rich_table(120), "kind", output=tmp_path / "run", **options)
    assert sum(made) == 120  # once for two seeds of ten epochs, for judging and for comparing
    assert run.figure("macro_auroc") > 0.6
    assert all(not name.startswith("backbone") for name in weights(run))
    assert (run.directory / "base.safetensors").exists()
    assert not list(run.directory.glob("*features*"))


@pytest.mark.usefixtures("without_report")
def test_vectors_in_bf16_are_asked_for_and_predicted_with_again(esm2, tmp_path):
    options, table = {**QUICK, "epochs": 3, "method": "frozen"}, rich_table(60)
    runs = {
        dtype: finetune(
            str(esm2), table, "kind", output=tmp_path / dtype, **options | {"dtype": dtype}
        )
        for dtype in ("auto", "bf16")
    }
    assert [run.facts["dtype"] for run in runs.values()] == ["fp32", "bf16"]
    assert [load_artefact(run.directory).setup.dtype.choice for run in runs.values()] == [
        *("fp32", "bf16")
    ]  # and `finetune` held that what was loaded again answers alike
    found = [pl.read_parquet(run.directory / "predictions.parquet") for run in runs.values()]
    number = next(name for name in found[0].columns if name.startswith("probability"))
    assert not found[0][number].equals(found[1][number])
    assert np.allclose(found[0][number], found[1][number], atol=0.1)


@pytest.mark.usefixtures("without_report")
def test_the_test_labels_touch_neither_weights_nor_threshold(tmp_path):
    table = motif_table(60, seed=3)
    poisoned = table.with_columns(
        label=pl.when(pl.col("part") == "test").then(1 - pl.col("label")).otherwise("label")
    )
    runs = [
        finetune("new:cnn", t, "label", output=tmp_path / name, **QUICK)
        for name, t in (("clean", table), ("poisoned", poisoned))
    ]
    models = [run.metrics["models"] for run in runs]
    assert [m["threshold"] for m in models[0]] == [m["threshold"] for m in models[1]]
    assert [m["parts"]["validation"] for m in models[0]] == [
        m["parts"]["validation"] for m in models[1]
    ]
    for name, tensor in weights(runs[0]).items():
        assert torch.equal(tensor, weights(runs[1])[name]), name
    assert runs[0].figure("auroc") == pytest.approx(1 - runs[1].figure("auroc"))


@pytest.mark.usefixtures("without_report")
def test_the_validation_labels_do_decide_the_threshold(tmp_path):
    """The counter-proof to the test above: it would notice."""
    table = motif_table(60, seed=3)
    poisoned = table.with_columns(
        label=pl.when(pl.col("part") == "validation").then(1 - pl.col("label")).otherwise("label")
    )
    thresholds = [
        finetune("new:cnn", t, "label", output=tmp_path / name, **QUICK).metrics["models"][0][
            "threshold"
        ]
        for name, t in (("clean", table), ("poisoned", poisoned))
    ]
    assert thresholds[0] != thresholds[1]


@pytest.mark.usefixtures("without_report")
def test_a_saved_run_that_predicts_otherwise_is_a_failure_and_not_a_run(monkeypatch, tmp_path):
    plain = module.save_artefact

    def save_and_spoil(fitted: Any, directory: Path) -> None:
        plain(fitted, directory)
        path = directory / "weights-1.safetensors"
        tensors = load_file(path)
        tensors["answer.layers.5.bias"] += 1e-3
        save_file(tensors, path)

    monkeypatch.setattr(module, "save_artefact", save_and_spoil)
    with pytest.raises(ReloadMismatch, match="weights that differ"):
        finetune("new:cnn", motif_table(60), "label", output=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("without_report")
def test_a_frozen_base_that_is_saved_otherwise_is_noticed_though_vectors_are_kept(
    esm2, monkeypatch, tmp_path
):
    plain = module.save_artefact

    def save_and_spoil(fitted: Any, directory: Path) -> None:
        plain(fitted, directory)
        path = directory / "base.safetensors"
        tensors = load_file(path)
        tensors["final_norm.weight"] *= 1.5
        save_file(tensors, path)

    monkeypatch.setattr(module, "save_artefact", save_and_spoil)
    options = {**QUICK, "method": "frozen"}
    with pytest.raises(ReloadMismatch, match="predictions that differ by up to"):
        finetune(str(esm2), rich_table(40), "kind", output=tmp_path / "run", **options)


@pytest.mark.usefixtures("without_report")
def test_balanced_class_weights_train_and_leave_the_probabilities_at_the_true_share(tmp_path):
    """The weight is taken off the logit again: probabilities are for the data as they are."""
    table = motif_table(120, share=0.15)
    means = {}
    for weighting in ("none", "balanced"):
        options = {**QUICK, "class_weights": weighting, "positive_share": 0.0}
        run = finetune("new:cnn", table, "label", output=tmp_path / weighting, **options)
        assert run.facts["settings"]["recipe.class_weights"] == weighting
        means[weighting] = float(values(run)["probability"].mean())
    assert means["none"] < 0.3
    assert means["balanced"] > 1.5 * means["none"]


@pytest.mark.usefixtures("without_report")
def test_positives_drawn_more_often_leave_the_probabilities_those_of_the_data(tmp_path):
    table = motif_table(300, share=0.1, seed=5)
    options = {**QUICK, **SMALL, "epochs": 4, "positive_share": 0.5}
    run = finetune("new:cnn", table, "label", output=tmp_path / "run", **options)
    assert float(values(run)["probability"].mean()) == pytest.approx(0.1, abs=0.08)


@pytest.mark.usefixtures("without_report")
def test_the_default_split_keeps_similar_sequences_together_and_a_random_one_is_marked(tmp_path):
    table = motif_table(60, lengths=(40, 60)).drop("part")
    kin = table.with_columns(
        pl.col("id") + "_kin", pl.col("sequence").str.replace("^.", "M"), label=pl.col("label")
    )
    both = pl.concat([table, kin]).filter(~pl.col("sequence").is_duplicated())
    options = {key: value for key, value in QUICK.items() if key != "split"}
    run = finetune("new:cnn", both, "label", output=tmp_path / "cluster", **options)
    parts = pl.read_parquet(run.directory / "split.parquet")
    family = parts.with_columns(pl.col("id").str.strip_suffix("_kin")).group_by("id")
    assert family.agg(pl.col("part").n_unique())["part"].max() == 1
    assert run.facts["warnings"] == [w for w in run.facts["warnings"] if "random" not in w]
    assert sum(run.facts["audit"]["near"].values()) == 0
    run = finetune("new:cnn", both, "label", output=tmp_path / "random", split="random", **options)
    assert any("split is random" in warning for warning in run.facts["warnings"])
    assert sum(run.facts["audit"]["near"].values()) > 0
    audit = pl.read_csv(run.directory / "audit.csv")
    assert all(
        a.removesuffix("_kin") == b.removesuffix("_kin") for a, b in audit["id_a", "id_b"].rows()
    )


@pytest.mark.usefixtures("without_report")
def test_the_same_call_finds_its_run_and_computes_nothing(monkeypatch, tmp_path):
    table = motif_table(60)
    first = finetune("new:cnn", table, "label", output=tmp_path / "run", **QUICK)
    monkeypatch.setattr(module, "fit_seeds", None)
    for same in ({}, {"offline": True}, {"quiet": False}, {"device": "cpu"}):
        again = finetune("new:cnn", table, "label", output=tmp_path / "run", **QUICK, **same)
        assert again.facts["created"] == first.facts["created"]
    others = (
        (table, {"epochs": 3}, r"epochs 2 \(here 3\)"),
        (table, {"seeds": 2}, r"seeds 1 \(here 2\)"),
        (table.with_columns(label=1 - pl.col("label")), {}, "other labels"),
        (table.reverse(), {}, "other rows"),
    )
    for changed, options, told in others:
        with pytest.raises(InputError, match=rf"saw another run \(.*{told}"):
            finetune("new:cnn", changed, "label", output=tmp_path / "run", **{**QUICK, **options})


@pytest.mark.usefixtures("without_report")
def test_other_weights_at_the_same_place_make_another_run(tmp_path):
    from tests.toys import write_esm2

    table, model = rich_table(40), tmp_path / "model"
    options = {**QUICK, "method": "frozen"}
    write_esm2(model, seed=0)
    finetune(str(model), table, "has_w", output=tmp_path / "run", **options)
    write_esm2(model, seed=1)
    with pytest.raises(InputError, match="saw another run"):
        finetune(str(model), table, "has_w", output=tmp_path / "run", **options)


@pytest.mark.usefixtures("without_report")
def test_an_unfinished_run_is_taken_up_given_up_or_kept(tmp_path):
    table, output = motif_table(60), tmp_path / "run"
    folder = unfinished_folder(output)
    folder.mkdir()
    (folder / "fingerprint.txt").write_text("of another run")
    with pytest.raises(InputError, match="saw an unfinished run with other data"):
        finetune("new:cnn", table, "label", output=output, **QUICK)
    finetune("new:cnn", table, "label", output=output, overwrite=True, **QUICK)
    assert output.exists()
    assert not folder.exists()


@pytest.mark.usefixtures("without_report")
def test_everything_that_a_run_did_is_announced(tmp_path):
    told: dict[str, str] = {}
    table = motif_table(60).with_columns(
        sequence=pl.when(pl.col("id") == "p7").then(pl.lit("")).otherwise("sequence")
    )
    finetune(
        "new:cnn",
        table,
        output=tmp_path / "run",
        announce=lambda what, text: told.setdefault(what, text),
        **QUICK,
    )
    assert "60 rows; sequence = sequence (guessed), id = id (guessed), label" in told["Reading"]
    assert "binary, positive '1'" in told["Reading"]
    assert told["Cleaning"].startswith("1 empty sequences dropped")
    assert told["Split"].startswith("column:part")
    assert "fp32 (asked for) on cpu" in told["Plan"]
    assert "copies" in told["Audit"]
