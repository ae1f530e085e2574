"""The main job where every residue has a label: learned, written down, predicted, judged."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from lexome.errors import InputError
from lexome.evaluation.metrics import measure
from lexome.results.residue_rows import explode_residues
from lexome.sequence.alphabet import ALPHABETS
from lexome.training import finetune as module
from lexome.training.answers import read_answers
from lexome.training.artefact import load_artefact
from lexome.training.baselines.kinds import NEIGHBOURS
from lexome.training.baselines.residues import predict_residue_baseline
from lexome.training.clean import audit_run
from lexome.training.estimators import SequenceClassifier
from lexome.training.finetune import finetune
from lexome.training.fit import Parts
from lexome.training.fitted import predict_mean
from lexome.training.judge_run import judge_run
from lexome.training.judged import Judged
from lexome.training.labelled import clean_labelled
from lexome.training.predict import predict
from lexome.training.raw_table import Columns, read_raw
from lexome.training.recipes import choose_recipe
from lexome.training.record import find_warnings
from lexome.training.residue_labels import ResidueReading
from lexome.training.run_folder import Run
from tests.toy_residues import residue_table
from tests.training.kills import Stopped, assert_same_run, kill_behind_states

QUICK: dict[str, Any] = {
    **{"task": "per-residue", "split": "column:part", "dtype": "fp32", "batch_size": 8},
    **{"average": 0.9, "mask": 0.0},
}
TINY: dict[str, Any] = {**QUICK, "seeds": 1, "epochs": 1}


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return residue_table(60)


@pytest.fixture(scope="module")
def run(table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three states, of which the first residue of each protein has none; two seeds."""
    output = tmp_path_factory.mktemp("runs") / "states"
    options = {**QUICK, "seeds": 2, "epochs": 10, "ignore": "-"}
    return finetune("new:cnn", table, "states", output=output, **options)


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training a toy."""
    monkeypatch.setattr(module, "write_finetune_report", lambda folder: None)


def predictions(run: Run, model: str = "ensemble", part: str = "test") -> pl.DataFrame:
    rows = pl.read_parquet(run.directory / "predictions.parquet")
    return rows.filter(model=model, part=part)


def test_states_of_residues_are_learned_and_judged_with_the_letters_around_beside_them(run):
    assert (run.facts["task"], run.facts["unit"], run.facts["labels"]) == (
        "multiclass",
        "residue",
        ["C", "E", "H"],
    )
    assert run.metrics["headline"] == ["macro_f1", "mcc", "accuracy"]
    assert run.figure("accuracy") > 0.85
    kinds = [m["kind"] for m in run.metrics["models"]]
    assert kinds == ["seed", "seed", "mean", "ensemble", "baseline"]
    plain = run.metrics["models"][-1]
    assert plain["name"] == "letters around (±7) + logistic regression"
    assert plain["parts"]["test"]["accuracy"]["value"] > 0.97  # near a W: what it is made for


def test_the_metrics_are_those_of_the_residues_that_count(run):
    rows = explode_residues(predictions(run), "-")
    labels = run.facts["labels"]
    found = rows.select([f"probability_{label}" for label in labels]).to_numpy()
    truth = [labels.index(label) for label in rows["label"]]
    again = measure("multiclass", truth, found / found.sum(1, keepdims=True)).overall
    entry = next(m for m in run.metrics["models"] if m["name"] == "ensemble")
    for name, value in again.items():
        assert entry["parts"]["test"][name]["value"] == pytest.approx(value, rel=1e-4), name
        low, high = (entry["parts"]["test"][name][end] for end in ("low", "high"))
        assert low <= value + 1e-6
        assert value <= high + 1e-6 or name == "ece"
    assert len(truth) == sum(map(len, predictions(run)["sequence"])) - predictions(run).height


def test_a_row_of_predictions_says_a_letter_and_a_list_for_the_whole_sequence(run, table):
    rows = predictions(run)
    assert rows["sequence"].to_list() == table.filter(part="test")["sequence"].to_list()
    assert rows["label"].to_list() == table.filter(part="test")["states"].to_list()
    for row in rows.iter_rows(named=True):
        shares = np.array([row[f"probability_{label}"] for label in "CEH"])
        assert shares.shape == (3, row["length"])
        assert shares.sum(0) == pytest.approx(1.0, abs=1e-5)
        assert row["prediction"] == "".join("CEH"[k] for k in shares.argmax(0))


def test_the_page_shows_residues_along_sequences(run):
    page = run.report.read_text()
    rows = predictions(run)
    count = sum(map(len, rows["sequence"])) - rows.height
    for words in (
        f"on {count:,} residues of 12 test sequences",
        "Along a few sequences",
        "against",
        "neighbouring letters",
        "one of several classes for each residue; the letters - say nothing",
        "confusion",
    ):
        assert words in page, words
    assert "sequence composition" not in page


def test_prediction_gives_what_the_run_gave_and_does_not_depend_on_company(run, table):
    test = table.filter(part="test")
    found = predict(run.directory, test)
    rows = predictions(run)
    assert found.columns == [
        *("id", "length", "residues_used"),
        *("probability_C", "probability_E", "probability_H", "prediction"),
    ]
    assert found["prediction"].to_list() == rows["prediction"].to_list()
    fitted = load_artefact(run.directory)
    ids, sequences = test["id"].to_list(), test["sequence"].to_list()
    together = predict_mean(fitted, ids, sequences)
    alone = [predict_mean(fitted, [i], [s]) for i, s in zip(ids, sequences, strict=True)]
    assert np.allclose(together, np.concatenate(alone), atol=1e-6)


def test_the_baseline_is_saved_and_answers_again(run):
    baseline = NEIGHBOURS.load(run.directory / "baseline.json")
    rows = predictions(run, "letters around (±7) + logistic regression")
    found = predict_residue_baseline(baseline, rows["sequence"].to_list())
    saved = explode_residues(rows, "").select([f"probability_{c}" for c in "CEH"]).to_numpy()
    assert np.allclose(found, saved, atol=1e-5)
    assert baseline.weights_WAK.shape == (15, 22, 3)


def test_a_further_table_is_judged_by_the_same_labels(run, table):
    again = judge_run(run.directory, table.filter(part="test"), "states")
    for model in run.metrics["models"]:
        other = next(m for m in again["models"] if m["name"] == model["name"])
        for name, estimate in model["parts"]["test"].items():
            assert other["parts"]["test"][name]["value"] == pytest.approx(estimate["value"])
    strange = table.with_columns(pl.col("states").str.replace("C", "X"))
    with pytest.raises(InputError, match=r"'X'.*C, E, H"):
        judge_run(run.directory, strange, "states")


def test_a_run_audits_itself_over_residues(run):
    found = audit_run(run.directory)
    value = found.models[0].metrics.inflated["accuracy"]
    assert value == pytest.approx(run.figure("accuracy"), rel=1e-6)
    assert found.models[0].metrics.leaked == 0


def test_two_labels_are_a_binary_run_with_a_threshold(table, tmp_path):
    options = {**QUICK, "seeds": 1, "epochs": 6, "class_weights": "balanced"}
    run = finetune("new:cnn", table, "site", output=tmp_path / "run", **options)
    assert run.facts["task"] == "binary"
    assert run.figure("auroc") > 0.9
    rows, limit = predictions(run, "seed 1"), run.metrics["models"][0]["threshold"]
    for row in rows.iter_rows(named=True):
        called = "".join("1" if p >= limit else "0" for p in row["probability"])
        assert called == row["prediction"]
    page = run.report.read_text()
    assert "precision-recall" in page
    assert "site residues" in page
    found = predict(run.directory, table.filter(part="test"))
    assert found["probability_site"].to_list() == rows["probability"].to_list()


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("method", ["full", "frozen", "lora", "ia3"])
def test_a_loaded_encoder_reads_long_sequences_in_windows(method, esm2, tmp_path):
    """The toy holds 30 residues; proteins have up to 80."""
    table = residue_table(30, lengths=(20, 80))
    run = finetune(str(esm2), table, "site", output=tmp_path / "r", method=method, **TINY)
    assert run.facts["reloaded"] == "identical"
    rows = predictions(run, "seed 1")
    assert [len(row) for row in rows["probability"]] == rows["length"].to_list()
    found = predict(run.directory, table.filter(part="test"))
    assert found["prediction"].to_list() == rows["prediction"].to_list()
    context = load_artefact(run.directory).setup.context
    windows = [max(1, -(-(n - context) // (context // 2)) + 1) for n in found["length"]]
    assert found["windows"].to_list() == windows
    assert (method == "frozen") == (run.directory / "base.safetensors").exists() or method != "full"


@pytest.mark.usefixtures("without_report")
def test_a_new_encoder_answers_residues(table, tmp_path):
    options = {**TINY, "ignore": "-"}
    run = finetune("new:encoder-small", table, "states", output=tmp_path / "r", **options)
    assert run.figure("accuracy", model="seed 1") > 0.3


@pytest.mark.usefixtures("without_report")
def test_a_killed_run_goes_on_to_the_same_numbers(table, monkeypatch, tmp_path):
    def start(where: Path) -> Run:
        options = {**QUICK, "seeds": 2, "epochs": 2, "ignore": "-", "mask": 0.1}
        return finetune("new:cnn", table, "states", output=where, **options)

    whole = start(tmp_path / "whole")
    kill_behind_states(monkeypatch, 2, 3)
    for _ in range(2):
        with pytest.raises(Stopped):
            start(tmp_path / "killed")
    killed = start(tmp_path / "killed")
    assert_same_run(whole, killed)
    assert predictions(whole).equals(predictions(killed))


@pytest.mark.usefixtures("without_report")
def test_ignored_residues_change_nothing(table, tmp_path):
    """Whatever letter hides a label, and whatever it hides, the weights are the same."""
    hidden = table.with_columns(
        pl.col("states").str.replace("^-", "?"), site=pl.col("states").str.replace_all("C", "-")
    )
    weights = []
    for name, rows, ignore in (("a", table, "-"), ("b", hidden, "?")):
        options = {**TINY, "ignore": ignore}
        run = finetune("new:cnn", rows, "states", output=tmp_path / name, **options)
        weights.append(load_file(run.directory / "weights-1.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    run = finetune("new:cnn", hidden, "site", output=tmp_path / "c", **{**TINY, "ignore": "-"})
    assert run.facts["labels"] == ["E", "H"]
    counts = run.facts["balance"]["test"]
    said = "".join(hidden.filter(part="test")["site"])
    assert counts == {"E": said.count("E"), "H": said.count("H")}


@pytest.mark.usefixtures("without_report")
def test_what_cannot_be_trained_on_is_refused(table, tmp_path):
    def start(rows: pl.DataFrame, label: Any = "states", **options: Any) -> str:
        with pytest.raises(InputError) as problem:
            finetune("new:cnn", rows, label, output=tmp_path / "r", **{**TINY, **options})
        assert not (tmp_path / "r").exists()
        return str(problem.value)

    short = table.with_columns(pl.col("states").str.head(-1))
    assert "for a sequence of" in start(short)
    rare = table.with_columns(
        pl.when(pl.col("part") == "test")
        .then(pl.col("states").str.replace_all("H", "G"))
        .otherwise("states")
    )
    assert "no training sequence has" in start(rare, ignore="-")
    assert "--ignore hides" in start(table, ignore="-CHE")
    assert "one label only" in start(table, ignore="-CE")
    assert "one `--label`" in start(table, ["states", "site"])
    assert "every residue is answered" in start(table, long="crop:5+5")
    assert "per-residue" in start(table, "site", task="binary", ignore="-")


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize("split", ["cluster", "random"])
def test_parts_are_dealt_with_alike_shares_of_the_labels(split, table, tmp_path):
    options = {**TINY, "split": split, "ignore": "-"}
    run = finetune("new:cnn", table, "states", output=tmp_path / "r", **options)
    parts = run.facts["split"]["parts"]
    assert list(parts.values()) == pytest.approx([42, 6, 12], abs=2)
    shares = [
        counts["H"] / sum(counts.values())
        for counts in (run.facts["balance"][part] for part in ("train", "test"))
    ]
    assert shares[0] == pytest.approx(shares[1], abs=0.08)


def test_one_answer_to_every_residue_is_called_a_collapse(table):
    raw = read_raw(table, Columns(label=["states"]))
    data = clean_labelled(raw, ALPHABETS["protein"], residues=ResidueReading("-"))
    rows = np.arange(60)
    parts = Parts(rows[:36], rows[36:48], rows[48:])
    num = data.target.num_answers(parts.test)
    flat, varied = np.tile([0.8, 0.1, 0.1], (num, 1)), np.eye(3)[np.arange(num) % 3]
    judged = [Judged(n, "seed", {"test": f}, None) for n, f in (("a", flat), ("b", varied))]
    recipe = choose_recipe("new:cnn", "full")
    found = find_warnings(data.target, parts, judged, False, recipe)
    assert len(found) == 1
    assert found[0].startswith("a has collapsed: one answer to (nearly) every residue")


def test_what_compares_sequences_refuses_a_run_of_residues(run):
    with pytest.raises(InputError, match="answers residues"):
        read_answers(run.directory)


def test_estimators_refuse_labels_of_residues(table):
    with pytest.raises(InputError, match="per-residue"):
        SequenceClassifier().fit(table["sequence"].to_list(), table["states"].to_list())


def test_intervals_draw_sequences_and_not_residues(run):
    """Twelve proteins of about 35 residues: wider than as many independent residues would be."""
    entry = next(m for m in run.metrics["models"] if m["name"] == "ensemble")
    rows = explode_residues(predictions(run), "-")
    right = (rows["label"] == rows["prediction"]).to_numpy()
    group_N = rows["id"].rank("dense").to_numpy().astype(np.int64) - 1
    found = entry["parts"]["test"]["accuracy"]
    sums = np.stack([np.bincount(group_N, right), np.bincount(group_N)])
    drawn = np.random.default_rng(0).integers(0, 12, (2000, 12))
    hits, totals = sums[0][drawn].sum(1), sums[1][drawn].sum(1)
    low, high = np.percentile(hits / totals, [2.5, 97.5])
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.01)
