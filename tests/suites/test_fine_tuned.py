"""Suites of labelled tables on toys in GUE's layout: figures, refusals, and a second call."""

import json

import numpy as np
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.plots.standings import MARKS, TaskRow, draw_standings
from lexome.reports.suite import write_suite_report
from lexome.results.types import Estimate
from lexome.suites import fine_tuned, standings
from lexome.suites.fine_tuned import (
    Contender,
    list_contenders,
    open_tasks,
    train_all,
    write_table_of,
)
from lexome.suites.shared_folder import read_tasks
from tests.training.test_strands import sites

QUICK = {"seeds": 2, "epochs": 1, "dtype": "fp32"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two tasks of GUE, and one whose files are not there."""
    root = tmp_path_factory.mktemp("gue")
    for name in ("gue_mouse_2", "gue_mouse_3"):
        (root / name).mkdir()
        for part, file in (("train", "train"), ("validation", "dev"), ("test", "test")):
            frame = sites().filter(pl.col("part") == part).drop("part")
            frame.write_csv(root / name / f"{file}.csv.gz", compression="gzip")
    return root


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    output = tmp_path_factory.mktemp("suite")
    tasks = open_tasks("gue", None, data)
    contenders = [Contender("new:cnn", "full"), Contender("new:bpnet", "full")]
    return output, list(train_all(tasks, contenders, output, lambda *_: None, **QUICK))


def test_tasks_are_those_whose_files_are_at_hand(data):
    assert [task.name for task in open_tasks("gue", None, data)] == ["mouse_2", "mouse_3"]
    with pytest.raises(InputError, match="no such task"):
        open_tasks("gue", ["mouse_9"], data)
    with pytest.raises(InputError, match="tf_3"):
        open_tasks("gue", ["tf_3", "mouse_2"], data)


def test_a_new_model_is_trained_whole_and_once():
    found = list_contenders(["new:cnn", "a/b"], ["ia3", "lora"])
    assert [one.name for one in found] == ["new:cnn", "b, ia3", "b, lora"]


def test_models_in_folders_of_one_name_are_told_apart():
    found = list_contenders(["runs/one/best", "runs/two/best/", "c"], ["full"])
    assert [one.name for one in found] == ["one/best, full", "two/best, full", "c, full"]
    assert [one.slug for one in found] == ["one-best-full", "two-best-full", "c-full"]
    with pytest.raises(InputError, match=r"a/one/best and b/one/best"):
        list_contenders(["a/one/best", "b/one/best"], ["full"])


def test_figures_are_those_of_the_runs_in_the_unit_of_the_suite(trained):
    _, pairs = trained
    found = standings.tabulate("gue", pairs)
    row = found.table.filter(pl.col("task") == "mouse_2", pl.col("model") == "new:cnn").to_dicts()[
        0
    ]
    run = next(one.run for one in pairs if one.task.name == "mouse_2")
    mean = next(m for m in run.metrics["models"] if m["kind"] == "mean")
    assert row["estimate"] == pytest.approx(100 * mean["parts"]["test"]["mcc"]["value"])
    assert row["clean"] == pytest.approx(100 * run.facts["clean"]["models"][0]["clean"]["mcc"])
    assert row["rows_judged"] == sites().filter(pl.col("part") == "test").height
    models = found.table.filter(pl.col("task") == "mouse_2")["model"].to_list()
    assert models[:3] == ["new:cnn", "new:bpnet", "k-mers + logistic regression"]
    assert "DNABERT-2 (published)" in models
    ours = found.table.filter(pl.col("model") == "new:bpnet")["estimate"]
    mean_of = dict(zip(found.means["model"], found.means["estimate"], strict=True))
    assert mean_of["new:bpnet"] == pytest.approx(ours.mean())
    assert found.ranks is not None
    assert set(found.ranks.methods) == set(models[:3])


def test_a_second_call_trains_nothing_and_gives_the_same(trained, data, monkeypatch):
    output, pairs = trained
    monkeypatch.setattr(fine_tuned, "write_table_of", write_table_of)
    files = {p: p.stat().st_mtime_ns for p in output.rglob("weights-*.safetensors")}
    assert len(files) == 8
    again = list(
        train_all(
            open_tasks("gue", None, data),
            list_contenders(["new:cnn", "new:bpnet"], ["full"]),
            output,
            lambda *_: None,
            **QUICK,
        )
    )
    assert files == {p: p.stat().st_mtime_ns for p in output.rglob("weights-*.safetensors")}
    assert [one.run.metrics for one in again] == [one.run.metrics for one in pairs]


def test_a_model_that_a_task_does_not_fit_is_told_and_the_others_go_on(data, tmp_path):
    contenders = [Contender("protein-tiny-that-is-nowhere", "full"), Contender("new:cnn", "full")]
    pairs = list(
        train_all(
            open_tasks("gue", ["mouse_2"], data), contenders, tmp_path, lambda *_: None, **QUICK
        )
    )
    assert pairs[0].run is None
    assert "protein-tiny-that-is-nowhere" in pairs[0].reason
    assert pairs[1].run is not None
    rows = standings.tabulate("gue", pairs).table
    assert rows["reason"][0]
    assert rows["estimate"][0] is None


def test_a_share_of_training_rows_becomes_the_validation_part(data, tmp_path):
    task = open_tasks("gue", ["mouse_2"], data)[0]
    shared = task._replace(facts=task.facts | {"validation": 0.25})
    table = pl.read_csv(write_table_of(shared, tmp_path))
    counts = dict(table["part"].value_counts().iter_rows())
    train = sites().filter(pl.col("part") == "train").height
    assert counts["train"] + counts["validation"] == train
    assert counts["validation"] == pytest.approx(train / 4, abs=2)


def test_a_table_made_of_other_files_is_not_taken_for_the_tasks_own(data, tmp_path):
    task = open_tasks("gue", ["mouse_2"], data)[0]
    folder = tmp_path / "data" / task.folder.name
    folder.mkdir(parents=True)
    for file in task.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    made = write_table_of(task, tmp_path / "out")
    assert write_table_of(task._replace(folder=folder), tmp_path / "out") == made
    sites().head(9).drop("part").write_csv(folder / "dev.csv.gz", compression="gzip")
    with pytest.raises(InputError, match=r"other files than dev\.csv\.gz.*--output"):
        write_table_of(task._replace(folder=folder), tmp_path / "out")


def test_a_further_table_is_judged_again_where_it_has_changed(trained, data):
    _, pairs = trained
    task = pairs[0].task._replace(facts=pairs[0].task.facts | {"further": {"other": "other.csv"}})
    table, kept = data / "other.csv", pairs[0].run.directory / "further-other.json"
    rows = sites().filter(pl.col("part") == "test").drop("part")
    rows.write_csv(table)
    first = fine_tuned._judge_further(task, pairs[0].run)
    stamp = kept.stat().st_mtime_ns
    assert fine_tuned._judge_further(task, pairs[0].run) == first
    assert kept.stat().st_mtime_ns == stamp
    rows.head(14).write_csv(table)
    again = fine_tuned._judge_further(task, pairs[0].run)
    assert (first["other"]["rows"]["judged"], again["other"]["rows"]["judged"]) == (22, 14)
    table.unlink()
    kept.unlink()


def test_the_verb_writes_table_page_and_means(data, tmp_path, capsys):
    from lexome.cli.evaluate_suite import gue

    gue(
        output=tmp_path / "out", model=["new:cnn"], method=None, tasks=["mouse_2"], seeds=1, seed=1,
        epochs=1, long=None, search=None, set=["batch_size=16"], data=data, dtype="fp32", device="cpu",
        offline=True, quiet=True, json=True,
    )  # fmt: skip
    said = json.loads(capsys.readouterr().out)
    table = pl.read_csv(tmp_path / "out" / "results.csv", comment_prefix="#")
    assert [row["model"] for row in said["results"]] == table["model"].to_list()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "new:cnn" in page
    assert "<svg" in page
    run = json.loads((tmp_path / "out" / "runs" / "mouse_2" / "new-cnn" / "run.json").read_text())
    assert run["settings"]["recipe.batch_size"] == 16
    assert np.isfinite(table["estimate"][0])
    notes = json.loads((tmp_path / "out" / "results.csv.meta.json").read_text())
    traced = notes["runs"][table["run"][0]]
    assert traced["fingerprint"] == run["fingerprint"]
    assert traced["data"] == run["data"]
    assert not said["means"]  # of one task


def test_more_published_figures_than_marks_are_one_kind():
    published = {f"model {i} (published)": 0.3 + 0.05 * i for i in range(len(MARKS) + 1)}
    rows = [TaskRow("mouse_2", {"new:cnn": Estimate(0.5, 0.4, 0.6)}, published)]
    for row, kinds in ((rows[0], 1), (rows[0]._replace(published={"model 1": 0.4, "b": 0.5}), 2)):
        figure = draw_standings([row], "MCC")
        entries = [text.get_text() for text in figure.legends[0].get_texts()]
        assert entries[0] == "new:cnn"
        assert len(entries) == 1 + kinds
        width = figure.get_window_extent().width
        assert figure.legends[0].get_window_extent().x1 <= width


def test_the_page_shows_a_further_table_of_which_no_copies_are_counted(trained, data, tmp_path):
    _, pairs = trained
    one = pairs[0]
    task = one.task._replace(facts=one.task.facts | {"further": {"other": "other.csv"}})
    metrics = {**one.run.metrics, "rows": {"read": 7, "judged": 7}}
    found = standings.tabulate("gue", [one._replace(task=task, further={"other": metrics})])
    assert f"{task.name} on other" in found.table["task"].to_list()
    facts = read_tasks("gue")["suite"]
    page = write_suite_report(tmp_path / "r.html", facts, found, {"command": "x", "created": "y"})
    assert "7 test rows)" in page.read_text()
