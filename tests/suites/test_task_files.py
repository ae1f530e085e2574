"""The task files say what a benchmark asks: they hold together, and fit the data at hand."""

from collections import Counter
from importlib.resources import files
from statistics import fmean
from typing import Any

import polars as pl
import pytest

from lexome.evaluation.metrics import METRICS, TASKS
from lexome.suites.deeploc import LABEL, LOCATIONS, NUM_ROWS
from lexome.suites.shared_folder import read_tasks
from tests.shared_data import shared

TRAINED = ("gue", "nt", "deeploc")  # suites of labelled tables, which a model is trained on
PARTS = ("train", "validation", "test")
GUE = {  # how many tasks of each kind Zhou et al. 2024 have
    "epigenetic marks, yeast": 10,
    "transcription factors, mouse": 5,
    "transcription factors, human": 5,
    "promoters, human": 3,
    "core promoters, human": 3,
    "splice sites, human": 1,
    "variants, SARS-CoV-2": 1,
}
# Printed means of GUE are cut off after two digits, not rounded; the others are rounded to three.
ONE_DIGIT = {"gue": 0.011, "nt": 0.0006, "deeploc": 0.0}

ALL_TASKS = [(suite, name) for suite in TRAINED for name in read_tasks(suite)["tasks"]]
AT_HAND = [(s, n) for s, n in ALL_TASKS if "folder" in read_tasks(s)["tasks"][n]]
PUBLISHED = [(suite, model) for suite in TRAINED for model in read_tasks(suite)["published"]]


def names_of_files() -> list[str]:
    folder = files("lexome.suites").joinpath("tasks")
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir())


def part_files(task: dict[str, Any]) -> set[str]:
    """The parts that the task reads, as their files are called."""
    return {name for part in PARTS if isinstance(task[part], list) for name in task[part]}


@pytest.mark.parametrize("suite", names_of_files())
def test_every_file_names_the_benchmark_its_source_metric_and_folder(suite: str) -> None:
    facts = read_tasks(suite)["suite"]
    for key in ("title", "source", "headline", "folder"):
        assert facts[key].strip(), key


@pytest.mark.parametrize("suite", TRAINED)
def test_a_suite_says_how_its_tasks_become_one_figure(suite: str) -> None:
    facts = read_tasks(suite)["suite"]
    assert facts["mean"] in ("tasks", "categories", "none")
    assert len(facts["aggregation"].split()) > 5
    assert facts["scale"] in (1, 100)


@pytest.mark.parametrize(("suite", "name"), ALL_TASKS)
def test_a_task_is_whole(suite: str, name: str) -> None:
    facts = read_tasks(suite)
    task = facts["tasks"][name]
    assert task["title"]
    assert task["category"]
    assert task["kind"] in TASKS
    assert task.get("metric", facts["suite"]["headline"]) in METRICS[task["kind"]]
    assert ("classes" in task) == (task["kind"] == "multiclass")
    for part in ("train", "test"):
        assert task[part], part
        assert all(isinstance(one, str) for one in task[part])
    share = task["validation"]
    assert isinstance(share, list) or 0 < share < 0.5
    assert not set(task["train"]) & set(task["test"])
    assert isinstance(task["comparable"], bool)
    if not task["comparable"]:
        assert len(task["note"].split()) > 5, "say why it is not comparable"
    if "table" not in task:
        assert task["strands"] in ("both", "as-given")
        assert task["length"] >= 70


def test_gue_has_its_28_tasks() -> None:
    tasks = read_tasks("gue")["tasks"]
    assert Counter(task["category"] for task in tasks.values()) == GUE
    assert len(tasks) == 28
    assert all(set(task["rows"]) == {"train", "dev", "test"} for task in tasks.values())
    others = {name for name, task in tasks.items() if "metric" in task}
    assert others == {"covid"}, "all but that one are judged by MCC"


def test_only_motifs_and_marks_are_read_on_both_strands() -> None:
    """A promoter or a splice site turned round is none."""
    for suite in ("gue", "nt"):
        for name, task in read_tasks(suite)["tasks"].items():
            turned = (
                not name.split("revised_")[-1]
                .split("first_")[-1]
                .startswith(("prom", "splice", "covid"))
            )
            assert task["strands"] == ("both" if turned else "as-given"), name


def test_the_two_sets_of_the_nucleotide_transformer_stay_apart() -> None:
    facts = read_tasks("nt")
    assert facts["suite"]["apart"] == "set"
    assert "mean" not in {key for one in facts["sets"].values() for key in one}
    by_set = {
        which: {n: task["category"] for n, task in facts["tasks"].items() if task["set"] == which}
        for which in facts["sets"]
    }
    assert {which: len(tasks) for which, tasks in by_set.items()} == {"first": 18, "revised": 18}
    assert len(facts["tasks"]) == 36
    for which, tasks in by_set.items():
        counted = Counter(tasks.values())
        assert counted == {"histone marks": 10, "regulatory elements": 5, "splice sites": 3}
        assert all(name.startswith(f"{which}_") for name in tasks)
    for model, said in facts["published"].items():
        named = {*said.get("values", {}), *said.get("otherwise", {})}
        assert named <= set(by_set[said["set"]]), model


def test_what_was_published_as_0_769_is_a_mean_of_categories() -> None:
    """Its category means are printed nowhere, so that they cannot be averaged here."""
    said = read_tasks("nt")["published"]["NT-v2 250M multi-species"]
    assert (said["mean"], said["mean_of"], said["set"]) == (0.769, "categories", "revised")
    assert "values" not in said


@pytest.mark.parametrize(("suite", "model"), PUBLISHED)
def test_published_figures_have_a_source_and_are_of_tasks(suite: str, model: str) -> None:
    facts = read_tasks(suite)
    said, scale = facts["published"][model], facts["suite"]["scale"]
    assert any(year in said["source"] for year in ("2022", "2023", "2024", "2025", "2026"))
    assert "values" in said or "mean" in said
    for name, value in said.get("values", {}).items():
        assert name in facts["tasks"]
        assert 0 < value < scale
    for name, figures in said.get("otherwise", {}).items():
        assert name not in said["values"]
        assert set(figures) <= set(METRICS[facts["tasks"][name]["kind"]])
        assert all(0 < value < 1 for value in figures.values())
    if "mean" in said:
        assert said.get("mean_of", facts["suite"]["mean"]) in ("tasks", "categories", "unknown")


@pytest.mark.parametrize(("suite", "model"), PUBLISHED)
def test_printed_means_are_those_of_the_values(suite: str, model: str) -> None:
    """Of all tasks where all values are known, and of each category of which all are."""
    facts = read_tasks(suite)
    said = facts["published"][model]
    values, one_digit = said.get("values", {}), ONE_DIGIT[suite]
    asked = {n for n, t in facts["tasks"].items() if t.get("set") == said.get("set")}
    kind = said.get("mean_of", facts["suite"]["mean"])
    if "mean" in said and kind == "tasks" and asked == set(values):
        assert fmean(values.values()) == pytest.approx(said["mean"], abs=one_digit)
    for category, mean in said.get("categories", {}).items():
        members = {n for n in asked if facts["tasks"][n]["category"] == category}
        assert members, category
        if members <= set(values):
            assert fmean(values[n] for n in members) == pytest.approx(mean, abs=one_digit)


def test_means_of_three_models_are_taken_again_in_full() -> None:
    """So that the test before this one is not passed by values left out."""
    facts = read_tasks("gue")
    whole = {
        model
        for model, said in facts["published"].items()
        if "mean" in said and set(said["values"]) == set(facts["tasks"])
    }
    assert whole == {"DNABERT-2", "NT-500M-human", "NT-2500M-1000g"}
    assert set(facts["published"]["DNABERT-2"]["categories"]) == set(GUE)


def test_figures_of_dnabert_2_that_are_quoted_most() -> None:
    values = read_tasks("gue")["published"]["DNABERT-2"]["values"]
    quoted = {"tf_3": 58.5, "prom_core_all": 69.4, "prom_core_tata": 74.2, "prom_300_tata": 71.6}
    quoted |= {"mouse_2": 79.3, "mouse_3": 66.5}
    assert {name: round(values[name], 1) for name in quoted} == quoted


@pytest.mark.parametrize(("suite", "name"), AT_HAND)
def test_a_folder_holds_the_parts_and_rows_that_are_named(suite: str, name: str) -> None:
    facts = read_tasks(suite)
    task = facts["tasks"][name]
    folder = shared(facts["suite"]["folder"]) / task["folder"]
    names = {path.name.removesuffix(".csv.gz") for path in folder.iterdir()}
    assert names == part_files(task)
    for part in names:
        frame = pl.read_csv(folder / f"{part}.csv.gz", columns=["sequence", "label"])
        assert frame.height == task["rows"][part], part
        assert set(frame["sequence"].str.len_chars().unique()) == {task["length"]}
        assert set(frame["label"].unique()) == set(range(task.get("classes", 2)))


def test_what_deeploc_asks_is_in_its_tables() -> None:
    facts = read_tasks("deeploc")
    one, ten = facts["tasks"]["mitochondrion"], facts["tasks"]["localization"]
    assert one["label"] == LABEL
    assert set(ten["label"]) == set(LOCATIONS) - {"Membrane"}
    assert len(ten["label"]) == 10
    tables = shared(facts["suite"]["folder"])
    table = pl.read_csv(tables / one["table"], columns=["Partition", *ten["label"]])
    assert table.height == NUM_ROWS[0]
    for parts in (one, ten, *ten["folds"]):
        for part in PARTS:
            rows = table.filter(pl.col("Partition").cast(pl.String).is_in(parts[part])).height
            assert rows == parts["rows"][part]
    further = pl.read_csv(tables / one["further"]["HPA"], columns=[one["label"]])
    assert further.height == NUM_ROWS[1]


def test_each_partition_of_deeploc_is_tested_once() -> None:
    task = read_tasks("deeploc")["tasks"]["localization"]
    every = {"0", "1", "2", "3", "4"}
    assert [fold["test"] for fold in task["folds"]] == [[name] for name in sorted(every)]
    for fold in task["folds"]:
        together = [name for part in PARTS for name in fold[part]]
        assert sorted(together) == sorted(every)
    assert {key: task[key] for key in (*PARTS, "rows")} in task["folds"]
    assert sum(fold["rows"]["test"] for fold in task["folds"]) == NUM_ROWS[0]
    assert task["by_folds"]["comparable"]
    assert len(task["by_folds"]["note"].split()) > 5, "say what still differs"
    assert "further" not in task, "folds are not judged on tables of another source"
