"""Cross-validation of a suite's task on a made table of five partitions."""

from statistics import fmean, stdev

import numpy as np
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.evaluation.metrics import measure
from lexome.reports.suite import write_suite_report
from lexome.suites import standings
from lexome.suites.fine_tuned import Contender, Task, by_folds, train_all
from lexome.suites.folds import pool_folds
from lexome.suites.shared_folder import read_tasks
from lexome.training.answers import read_answers
from lexome.training.finetune import finetune

QUICK = {"seeds": 2, "epochs": 1, "dtype": "fp32", "device": "cpu"}
LABELS = ("Cytoplasm", "Nucleus", "Golgi apparatus")
MOTIFS = ("KKKR", "WWHW", "DEDE")
CNN = Contender("new:cnn", "full")
FACTS = {
    "kind": "multilabel",
    "metric": "macro_f1",
    "label": list(LABELS),
    "split": "Partition",
    "train": ["0", "1", "2"],
    "validation": ["3"],
    "test": ["4"],
    "table": "made",
    "comparable": False,
    "note": "one split",
    "by_folds": {"comparable": True, "note": "as published"},
    "published": {"somebody": {"source": "2022", "values": {"localization": 0.6}}},
    "folds": [
        {
            "train": [str((k + i) % 5) for i in (1, 2, 3)],
            "validation": [str((k + 4) % 5)],
            "test": [str(k)],
            "rows": {"test": 24},
        }
        for k in range(4)
    ]
    + [{"train": ["0", "1", "2"], "validation": ["3"], "test": ["4"], "rows": {"test": 24}}],
}


def proteins(labels=LABELS, num: int = 120) -> pl.DataFrame:
    """Random proteins in DeepLoc's layout; a motif for each label, one row of kin in all folds."""
    generator = np.random.default_rng(0)
    columns = {name: [] for name in ("ACC", "Partition", "Sequence", *labels)}
    kin = "".join(generator.choice(list("ACDEFGHIKLMNPQRSTVWY"), 60))
    for i in range(num):
        letters = list(generator.choice(list("ACDEFGHIKLMNPQRSTVWY"), 60))
        if i < 5:
            letters = [*kin[:59], "ACDEF"[i]]
        for k, name in enumerate(labels):
            holds = int((i // 5 + k) % 3 == 0 or generator.random() < 0.1)
            columns[name].append(holds)
            if holds:
                letters[20 * (k % 3) : 20 * (k % 3) + 4] = MOTIFS[k % 3]
        columns["ACC"].append(f"P{i:05d}")
        columns["Partition"].append(i % 5)
        columns["Sequence"].append("".join(letters))
    return pl.DataFrame(columns)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "proteins.csv"
    proteins().write_csv(path)
    return by_folds([Task("deeploc", "localization", FACTS, path)])[0]


@pytest.fixture(scope="module")
def trained(task, tmp_path_factory):
    output, said = tmp_path_factory.mktemp("folds"), []
    pairs = list(train_all([task], [CNN], output, lambda *told: said.append(told), **QUICK))
    return output, pairs, said


def folds_of(run):
    return [read_answers(one["run"]) for one in run.facts["folds"]]


def test_every_fold_is_a_run_and_the_one_that_is_the_split_is_trained_once(trained, task):
    output, pairs, said = trained
    runs = [one["run"] for one in pairs[0].run.facts["folds"]]
    place = output / "runs" / "localization"
    assert runs == [
        *(str(place / "new-cnn-folds" / f"fold-{k}") for k in (1, 2, 3, 4)),
        str(place / "new-cnn"),
    ]
    assert [text for what, text in said if what == "Fold"] == [f"{k} of 5" for k in range(1, 6)]
    plain = task._replace(folds=())
    files = {p: p.stat().st_mtime_ns for p in output.rglob("*.safetensors")}
    again = next(train_all([plain], [CNN], output, lambda *_: None, **QUICK))
    assert again.run.facts["fingerprint"] == pairs[0].run.facts["folds"][-1]["fingerprint"]
    assert files == {p: p.stat().st_mtime_ns for p in output.rglob("*.safetensors")}


def test_each_row_is_tested_once_and_chooses_nothing_of_its_own_fold(trained, task):
    run = trained[1][0].run
    tested = []
    for fold, answers in zip(task.folds, folds_of(run), strict=True):
        tested += answers.rows.tolist()
        split = pl.read_parquet(answers.run.directory / "split.parquet")
        partition = proteins()["Partition"].cast(pl.String)
        for part in ("train", "validation", "test"):
            rows = split.filter(pl.col("part") == part)["row"].to_numpy() - 1
            assert set(partition[rows]) == set(fold[part])
    assert sorted(tested) == list(range(1, 121))


def test_the_estimate_is_the_mean_over_folds_of_the_mean_over_seeds(trained):
    _, pairs, _ = trained
    run = pairs[0].run
    each = []
    for fold in folds_of(run):
        found = zip(fold.side.predictions, fold.side.thresholds, strict=True)
        each.append(
            fmean(measure("multilabel", fold.truth, p, t).overall["macro_f1"] for p, t in found)
        )
        mean = next(m for m in fold.run.metrics["models"] if m["kind"] == "mean")
        assert each[-1] == pytest.approx(mean["parts"]["test"]["macro_f1"]["value"])
    row = standings.tabulate("deeploc", pairs).table.row(0, named=True)
    assert row["estimate"] == pytest.approx(fmean(each))
    assert row["sd_over_folds"] == pytest.approx(stdev(each))
    assert (row["folds"], row["seeds"], row["rows_judged"]) == (5, 2, 120)
    assert row["low"] < row["estimate"] < row["high"]


def test_the_pooled_figure_decides_each_row_by_its_own_folds_thresholds(trained):
    run = trained[1][0].run
    called, truth = [], []
    for fold in folds_of(run):
        table = pl.read_parquet(fold.run.directory / "predictions.parquet")
        rows = table.filter(pl.col("part") == "test", pl.col("model") == "ensemble").sort("row")
        cells = rows["prediction"].to_list()
        called += [[float(name in (cell or "").split(";")) for name in LABELS] for cell in cells]
        truth += fold.truth.tolist()
    expected = measure("multilabel", truth, called).overall
    row = standings.tabulate("deeploc", trained[1]).table.row(0, named=True)
    assert row["ensemble"] == pytest.approx(expected["macro_f1"])
    pooled = next(m for m in run.metrics["models"] if m["kind"] == "ensemble")
    assert pooled["parts"]["test"]["exact_match"]["value"] == pytest.approx(expected["exact_match"])


def test_kin_in_several_folds_is_drawn_together(trained):
    assert trained[1][0].run.facts["groups"] == 120 - 4


def test_copies_in_training_are_left_out_of_the_clean_figure(trained):
    found = trained[1][0].run.facts["clean"]
    assert (found["rows"], found["leaked"]) == (120, 5)  # the kin are 59 of 60 letters the same
    assert 0 <= found["models"][0]["clean"]["macro_f1"] <= 1


def test_the_baseline_has_its_row_over_the_same_folds(trained):
    table = standings.tabulate("deeploc", trained[1]).table
    row = table.filter(pl.col("verdict") == "baseline").to_dicts()[0]
    each = []
    for one in trained[1][0].run.facts["folds"]:
        fold = read_answers(one["run"], kind="baseline")
        found = (fold.side.predictions[0], fold.side.thresholds[0])
        each.append(measure("multilabel", fold.truth, *found).overall["macro_f1"])
    assert row["estimate"] == pytest.approx(fmean(each))
    assert (row["folds"], row["rows_judged"]) == (5, 120)


def test_of_one_fold_figures_and_interval_are_those_of_the_run(trained, task, tmp_path):
    answers = folds_of(trained[1][0].run)[0]
    pooled = pool_folds([answers.run], task.folder, LABELS, tmp_path)
    theirs = {m["kind"]: m["parts"]["test"] for m in answers.run.metrics["models"]}
    for one in pooled.metrics["models"]:
        kind = one["kind"].removeprefix("pooled ")
        for name, figure in one["parts"]["test"].items():
            assert figure == pytest.approx(theirs[kind][name], nan_ok=True), (kind, name)
    for name, one in answers.run.metrics["comparison"]["metrics"].items():
        ours = pooled.metrics["comparison"]["metrics"][name]
        assert ours.pop("verdict") == one["verdict"]
        one = {key: value for key, value in one.items() if key != "verdict"}
        assert ours == pytest.approx(one, rel=1e-4, abs=1e-6)  # the baseline is in float32
    with pytest.raises(InputError, match="tested by two folds"):
        pool_folds([answers.run, answers.run], task.folder, LABELS, tmp_path / "twice")


def test_two_classes_are_decided_by_their_folds_thresholds_too(task, tmp_path):
    runs = [
        finetune(
            "new:cnn", task.folder, "Nucleus", output=tmp_path / name, split="column:Partition",
            train=fold["train"], validation=fold["validation"], test=fold["test"],
            **QUICK | {"seeds": 1},
        )
        for name, fold in (("a", task.folds[0]), ("b", task.folds[1]))
    ]  # fmt: skip
    pooled = pool_folds(runs, task.folder, ["Nucleus"], tmp_path)
    right = sum(24 * run.figure("accuracy") for run in runs)
    both = next(m for m in pooled.metrics["models"] if m["kind"] == "ensemble")
    assert both["parts"]["test"]["accuracy"]["value"] == pytest.approx(right / 48)


def test_comparable_once_all_folds_are_run_on_the_rows_published(trained, tmp_path):
    _, pairs, _ = trained
    found = standings.tabulate("deeploc", pairs)
    assert found.table["comparable"].all()
    assert set(found.table["note"]) == {"as published"}
    page = write_suite_report(
        tmp_path / "report.html",
        read_tasks("deeploc")["suite"],
        found,
        {"command": "-", "created": "-"},
    ).read_text()
    assert "not comparable" not in page
    assert "over 5 folds" in page
    fewer = [{**fold, "rows": {"test": 23}} for fold in FACTS["folds"]]
    other = pairs[0]._replace(task=pairs[0].task._replace(folds=tuple(fewer)))
    table = standings.tabulate("deeploc", [other]).table
    assert not table["comparable"].any()
    assert "120 were judged here, 115 there" in table["note"][0]


def test_a_task_without_folds_is_run_as_it_is_and_none_with_any_is_refused(task):
    bare = {key: value for key, value in FACTS.items() if key != "folds"}
    other = Task("deeploc", "mitochondrion", bare, task.folder)
    both = by_folds([other, task._replace(folds=())])
    assert [len(one.folds) for one in both] == [0, 5]
    assert not both[0].facts["comparable"]
    with pytest.raises(InputError, match=r"mitochondrion, which have one split.*localization"):
        by_folds([other])
    with pytest.raises(InputError, match="gue has none"):
        by_folds([Task("gue", "tf_3", {}, task.folder)])


def test_a_fold_that_cannot_be_trained_refuses_the_contender_and_names_it(task, tmp_path):
    place = tmp_path / "runs" / "localization" / "new-cnn-folds" / "fold-1"
    place.mkdir(parents=True)
    (place / "mine.txt").write_text("not a run")
    found = next(train_all([task], [CNN], tmp_path, lambda *_: None, **QUICK))
    assert found.run is None
    assert "fold-1" in found.reason
    assert standings.tabulate("deeploc", [found]).table["estimate"][0] is None


def test_a_second_call_reads_what_the_first_found(trained, task, monkeypatch):
    output, pairs, _ = trained

    def never(*_):
        raise AssertionError("judged again")

    monkeypatch.setattr("lexome.suites.folds.read_answers", never)
    again = next(train_all([task], [CNN], output, lambda *_: None, **QUICK))
    assert again.run == pairs[0].run
