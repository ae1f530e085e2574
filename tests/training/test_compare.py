"""Runs beside each other: the same rows, paired differences, ties declared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.evaluation.metrics import METRICS, measure
from lexome.evaluation.multiplicity import holm
from lexome.evaluation.paired import compare_paired
from lexome.training import finetune as module
from lexome.training.answers import read_answers
from lexome.training.compare import compare
from lexome.training.finetune import finetune
from tests.toys import motif_table, rich_table

QUICK: dict[str, Any] = {
    **{"split": "column:part", "dtype": "fp32", "batch_size": 16, "composition": False},
    **{"average": 0.9, "mask": 0.0, "substitute": 0.0},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    table = motif_table(240)
    written, module.write_finetune_report = module.write_finetune_report, lambda path: path
    try:
        made = {
            "long": finetune("new:cnn", table, "label", output=folder / "long", seeds=2, epochs=6,
                             **QUICK),
            "again": finetune("new:cnn", table, "label", output=folder / "again", seeds=2, seed=7,
                              epochs=6, **QUICK),
            "short": finetune("new:cnn", table, "label", output=folder / "short", seeds=1,
                              epochs=1, learning_rate=1e-6, **QUICK),
            "fewer": finetune("new:cnn", table.head(180), "label", output=folder / "fewer",
                              seeds=1, epochs=1, **QUICK),
            "kinds": finetune("new:cnn", rich_table(90), "kind", output=folder / "kinds", seeds=1,
                              epochs=1, **QUICK),
        }  # fmt: skip
    finally:
        module.write_finetune_report = written
    return {name: run.directory for name, run in made.items()}


def row(found, run, metric="auroc"):
    return found.table.filter(run=run, metric=metric).row(0, named=True)


def test_runs_are_compared_pair_by_pair_on_the_same_rows(runs):
    found = compare([runs["long"], runs["again"], runs["short"]])

    assert (found.rows, found.reference, found.task) == (48, "long", "binary")
    assert row(found, "short")["verdict"] == "worse"
    assert row(found, "again")["verdict"] == "tie"
    assert row(found, "long")["against"] is None
    one, other = read_answers(runs["again"]), read_answers(runs["long"])
    again = compare_paired("binary", one.truth, one.side, other.side, one.groups)
    for metric in METRICS["binary"]:
        if metric == "prevalence":
            continue
        line = row(found, "again", metric)
        assert line["difference"] == pytest.approx(again[metric].difference)
        assert line["p"] == pytest.approx(again[metric].p)
        pair = [line["p"], row(found, "short", metric)["p"]]
        assert line["p_holm"] == pytest.approx(holm(pair)[0])
    figures = [
        measure("binary", one.truth, p, t).overall["auroc"]
        for p, t in zip(one.side.predictions, one.side.thresholds, strict=True)
    ]
    assert row(found, "again")["estimate"] == pytest.approx(np.mean(figures))
    assert any("fewer than three seeds" in note for note in found.notes)


def test_answers_are_kept_unrounded_and_make_the_saved_figures(runs):
    answers = read_answers(runs["long"])
    saved = answers.run.metrics
    for number, (found, limit) in enumerate(
        zip(answers.side.predictions, answers.side.thresholds, strict=True)
    ):
        values = measure("binary", answers.truth, found, limit).overall
        for name, value in values.items():
            assert value == saved["models"][number]["parts"]["test"][name]["value"], name


def test_another_run_can_be_the_reference_and_names_can_be_given(runs):
    found = compare([runs["long"], runs["short"]], labels=["six epochs", "one"], reference="one")
    assert row(found, "six epochs")["verdict"] == "better"
    assert (
        row(found, "six epochs")["difference"]
        == -row(compare([runs["long"], runs["short"]]), "short")["difference"]
    )


def test_other_test_rows_are_refused_unless_the_shared_ones_are_asked_for(runs):
    with pytest.raises(InputError, match="48 test rows, of which 36 are in every run"):
        compare([runs["long"], runs["fewer"]])

    found = compare([runs["long"], runs["fewer"]], shared=True)

    assert found.rows == 36
    assert found.left_out == {"long": 12, "fewer": 0}
    answers = read_answers(runs["long"])
    kept = [number for number, (name, _) in enumerate(answers.keys) if int(name[1:]) < 180]
    truth = answers.truth[kept]
    figures = [
        measure("binary", truth, p[kept], t).overall["auroc"]
        for p, t in zip(answers.side.predictions, answers.side.thresholds, strict=True)
    ]
    assert row(found, "long")["estimate"] == pytest.approx(np.mean(figures))


def test_the_same_ids_with_other_sequences_are_other_rows(runs, tmp_path):
    import shutil

    copy = shutil.copytree(runs["short"], tmp_path / "copy")
    table = pl.read_parquet(copy / "answers.parquet")
    table.with_columns(digest=pl.lit("0" * 16)).write_parquet(copy / "answers.parquet")
    with pytest.raises(InputError, match="of which 0 are in every run"):
        compare([runs["long"], copy], shared=True)
    swapped = table.with_columns(
        label=pl.when(pl.col("label") == "1").then(pl.lit("0")).otherwise(pl.lit("1"))
    )
    swapped.write_parquet(copy / "answers.parquet")
    with pytest.raises(InputError, match="another label for"):
        compare([runs["long"], copy])


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        (["long"], {}, "at least two"),
        (["long", "kinds"], {}, "the task multiclass"),
        (["long", "short"], {"labels": ["a"]}, "1 labels for 2 runs"),
        (["long", "short"], {"labels": ["a", "a"]}, "'a' twice"),
        (["long", "short"], {"reference": "best"}, "'best'"),
    ],
)
def test_what_cannot_be_compared_is_refused(names, options, said, runs):
    with pytest.raises(InputError, match=said):
        compare([runs[name] for name in names], **options)


def test_a_folder_that_is_no_run_and_a_run_without_answers_are_refused(runs, tmp_path):
    import shutil

    with pytest.raises(InputError, match="no finished run"):
        compare([runs["long"], tmp_path])
    old = shutil.copytree(runs["short"], tmp_path / "old")
    (old / "answers.parquet").unlink()
    with pytest.raises(InputError, match="training the run again"):
        compare([runs["long"], old])


@pytest.mark.parametrize("ending", ["html", "md", "csv", "parquet", "jsonl"])
def test_the_command_writes_a_page_a_table_or_text(ending, runs, tmp_path, capsys, monkeypatch):
    from tests.commands import call_main

    output = tmp_path / f"found.{ending}"
    done = call_main(
        capsys, monkeypatch, "compare", runs["long"], runs["short"], "-o", output, "--json"
    )
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["rows"] == 48
    if ending in ("html", "md"):
        text = output.read_text()
        assert "worse" in text
        assert ("<svg" in text) == (ending == "html")
    else:
        reader = {"csv": pl.read_csv, "parquet": pl.read_parquet, "jsonl": pl.read_ndjson}[ending]
        assert set(reader(output)["run"]) == {"long", "short"}


def test_the_command_prints_figures_and_verdicts(runs, capsys, monkeypatch):
    from tests.commands import call_main

    done = call_main(capsys, monkeypatch, "compare", runs["long"], runs["short"])
    assert done.code == 0
    assert "worse" in done.out
    assert "48 test rows in" in done.err
    assert (
        call_main(capsys, monkeypatch, "compare", runs["long"], runs["short"], "-o", "x.doc").code
        == 2
    )
