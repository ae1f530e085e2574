"""The report says what the run saved, for each task, and nothing that a user wrote becomes markup."""

import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from lexome.errors import InputError
from lexome.reports import headline, tables
from lexome.reports.finetune import write_finetune_report
from lexome.reports.metric_names import metric
from lexome.reports.numbers import decimal
from lexome.reports.run_files import read_run
from tests.reports.toy_run import LOCATIONS, change, write_toy_run

TASKS = ["binary", "multiclass", "multilabel", "regression"]
SMALL = {"train": 60, "validation": 60, "test": 150}
ATTACK = "<script>alert('x')</script><img src=http://evil.example/x onerror=\"y\">"


class Reader(HTMLParser):
    """Collects tags and attributes, and complains of tags that do not close."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(key, value or "") for key, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(key, value or "") for key, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    made = {task: write_toy_run(folder / task, task, parts=SMALL) for task in TASKS}
    for run in made.values():
        write_finetune_report(run)
    return made


def page_of(run: Path) -> str:
    return (run / "report.html").read_text(encoding="utf-8")


def words_of(page: str) -> str:
    return " ".join(unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S)).split())


@pytest.mark.parametrize("task", TASKS)
def test_every_figure_of_metrics_json_stands_in_the_page_with_its_interval(runs, task):
    page = page_of(runs[task])
    saved = json.loads((runs[task] / "metrics.json").read_text())

    for model in saved["models"]:
        for part in model["parts"].values():
            for key, figure in part.items():
                has_unit = metric(key).has_unit
                value = (
                    f'<data value="{figure["value"]!r}">{decimal(figure["value"], has_unit)}</data>'
                )
                ends = f"[{decimal(figure['low'], has_unit)}, {decimal(figure['high'], has_unit)}]"
                assert f"{value}<small>{ends}</small>" in page


@pytest.mark.parametrize("task", TASKS)
def test_the_page_needs_nothing_from_outside(runs, task):
    page = page_of(runs[task])
    reader = read(page)

    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(reader.tags)
    for key, value in reader.attributes:
        assert not key.startswith("on")
        if key in {"href", "xlink:href", "src", "srcset", "action", "data"}:
            assert value.startswith("#")
        for inside in re.findall(r"url\(([^)]*)", value):
            assert inside.startswith("#")
    css = page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in css
    assert "@import" not in css
    assert "prefers-color-scheme: dark" in css
    assert "@media print" in css
    assert len(page.encode()) < 1_500_000


@pytest.mark.parametrize("task", TASKS)
def test_ids_are_unique_and_every_link_in_the_page_arrives(runs, task):
    reader = read(page_of(runs[task]))

    ids = [value for key, value in reader.attributes if key == "id"]
    links = {value[1:] for key, value in reader.attributes if key in {"href", "xlink:href"}}
    assert len(ids) == len(set(ids))
    assert links <= set(ids)


def test_the_same_run_gives_the_same_bytes(runs):
    run = runs["binary"]
    before = (run / "report.html").read_bytes()

    assert write_finetune_report(run) == run / "report.html"
    assert (run / "report.html").read_bytes() == before


@pytest.mark.parametrize(
    ("task", "shown", "absent"),
    [
        ("binary", ["curves", "confusion", "calibration", "balance"], ["labels", "scatter"]),
        ("multiclass", ["curves", "confusion", "calibration", "labels"], ["scatter"]),
        ("multilabel", ["curves", "calibration", "labels"], ["confusion", "scatter"]),
        ("regression", ["scatter", "balance"], ["curves", "confusion", "calibration", "labels"]),
    ],
)
def test_a_task_gets_the_sections_that_make_sense_for_it(runs, task, shown, absent):
    sections = re.findall(r'<section id="(\w+)">', page_of(runs[task]))

    assert set(shown) <= set(sections)
    assert not set(absent) & set(sections)
    assert sections[0] == "data"
    assert sections[-3:] == ["examples", "use", "provenance"]


def test_the_first_sentence_answers_the_question(runs):
    saved = json.loads((runs["binary"] / "metrics.json").read_text())["models"]
    ours, baseline = (
        next(model for model in saved if model["name"] == name)["parts"]["test"]["auroc"]
        for name in ("ensemble", "baseline")
    )

    answer = re.search(r'<p class="answer">(.*?)</p>', page_of(runs["binary"]))
    assert answer
    assert unescape(re.sub(r"<[^>]+>", "", answer[1])) == (
        f"Finds Mitochondrion: AUROC {ours['value']:.3f} [{ours['low']:.3f}, {ours['high']:.3f}] "
        f"on 150 test sequences it never saw, against {baseline['value']:.3f} for "
        "composition alone."
    )


@pytest.mark.parametrize(
    ("task", "above", "tie", "below", "unknown"),
    [
        (
            "binary",
            "Finds Mitochondrion: AUROC",
            "Not shown to find Mitochondrion better than composition alone does: AUROC",
            "Finds Mitochondrion less well than composition alone does: AUROC",
            "Trained to find Mitochondrion: AUROC",
        ),
        (
            "multiclass",
            "Tells 8 classes of Location apart: Macro AUROC",
            "Not shown to tell 8 classes of Location apart better than composition alone does",
            "Tells 8 classes of Location apart less well than composition alone does: Macro AUROC",
            "Trained to tell 8 classes of Location apart: Macro AUROC",
        ),
    ],
)
def test_the_first_sentence_claims_no_more_than_the_verdict(
    task, above, tie, below, unknown, tmp_path
):
    run = write_toy_run(tmp_path / "run", task, parts=SMALL)
    saved = json.loads((run / "metrics.json").read_text())
    key = saved["headline"][0]
    for words, verdict in (
        (above, "better"),
        (tie, "tie"),
        (below, "worse"),
        (unknown, "undefined"),
    ):
        saved["comparison"]["metrics"][key]["verdict"] = verdict
        change(run, "metrics.json", **saved)
        assert words in top_of(run)


def test_the_counts_under_the_matrix_are_those_of_the_predictions(runs):
    rows = pl.read_parquet(runs["binary"] / "predictions.parquet").filter(
        model="ensemble", part="test"
    )
    positives = rows.filter(label="1").height
    called = rows.filter(prediction="1").height
    hits = rows.filter(label="1", prediction="1").height

    words = words_of(page_of(runs["binary"]))
    assert f"the model finds {hits} of the {positives} Mitochondrion sequences" in words
    assert f"of its {called} positive calls {hits} are right" in words
    assert "At the threshold 0.41, chosen on the validation part and never on the test" in words


def test_twelve_rows_are_shown_half_of_them_positive_as_predicted(runs):
    rows = pl.read_parquet(runs["binary"] / "predictions.parquet").filter(
        model="ensemble", part="test"
    )
    shown_in = (
        page_of(runs["binary"]).partition('<section id="examples">')[2].partition("</section")[0]
    )
    shown = re.findall(r'<th scope="row">([^<]+)</th>', shown_in)

    assert len(shown) == 12
    drawn = rows.filter(pl.col("id").is_in(shown))
    assert drawn["label"].to_list().count("1") == 6
    assert shown_in.count("✓") == drawn.filter(pl.col("label") == pl.col("prediction")).height
    for probability in drawn["probability"]:
        assert f'<data value="{probability!r}">' in shown_in


def test_every_label_has_its_row_with_hits_counted(runs):
    rows = pl.read_parquet(runs["multilabel"] / "predictions.parquet").filter(
        model="ensemble", part="test"
    )
    page = page_of(runs["multilabel"])

    for label in LOCATIONS:
        pairs = list(zip(rows["label"], rows["prediction"], strict=True))
        true = sum(label in truth.split(";") for truth, _ in pairs)
        found = sum(label in t.split(";") and label in p.split(";") for t, p in pairs)
        cells = f'<th scope="row">{label}</th><td class="number">{true}</td><td class="number">{found}</td>'
        assert cells in page


def test_what_a_user_wrote_never_becomes_markup(tmp_path):
    for task in ("binary", "multiclass"):
        run = write_toy_run(tmp_path / task, task, parts=SMALL)
        change(
            run, "run.json", title=ATTACK, label_column=ATTACK, warnings=[ATTACK], command=ATTACK,
            long_policy=ATTACK, settings={ATTACK: ATTACK}, data={"path": ATTACK, "rows": 5},
            cleaning=[{"what": ATTACK, "count": 2}], model={"name": ATTACK},
            split={"spelling": ATTACK, "description": ATTACK, "parts": SMALL},
        )  # fmt: skip
        predictions = pl.read_parquet(run / "predictions.parquet")
        changed = predictions.with_columns(id=pl.lit(ATTACK))
        if task == "multiclass":
            labels = [*LOCATIONS[:-1], ATTACK]
            change(run, "run.json", labels=labels)
            changed = changed.with_columns(
                pl.col("label", "prediction").replace(LOCATIONS[-1], ATTACK)
            ).rename({f"probability_{LOCATIONS[-1]}": f"probability_{ATTACK}"})
        changed.write_parquet(run / "predictions.parquet")
        pl.DataFrame(
            {"part_a": [ATTACK], "id_a": [ATTACK], "part_b": [ATTACK], "id_b": [ATTACK],
             "similarity": [0.95], "same_label": [None]}
        ).write_csv(run / "audit.csv")  # fmt: skip

        reader = read(page_of_written(run))

        assert not {"script", "img"} & set(reader.tags)
        assert not [key for key, _ in reader.attributes if key.startswith("on")]
        assert sum("<script>alert(" in words for words in reader.words) >= 10


def page_of_written(run: Path) -> str:
    return write_finetune_report(run).read_text(encoding="utf-8")


def top_of(run: Path) -> str:
    """The words above the first section."""
    read_back = read_run(run)
    return words_of(headline.heading(read_back) + headline.remarks(read_back))


def test_what_could_mislead_is_said_at_the_top(tmp_path):
    run = write_toy_run(tmp_path / "run", "binary", parts=SMALL)
    facts = json.loads((run / "run.json").read_text())
    facts["split"] |= {"random": True, "spelling": "random"}
    facts["audit"] |= {"exact": {"train-test": 12}, "near": {"train-test": 40}}
    change(run, "run.json", **{**facts, "warnings": ["seed 2 hit the epoch limit"]})
    predictions = pl.read_parquet(run / "predictions.parquet")
    predictions.with_columns(prediction=pl.lit("0")).write_parquet(run / "predictions.parquet")

    top = top_of(run)

    assert "Random split." in top
    assert "Leakage found. 12 exact copies between train and test." in top
    assert "40 near copies between train and test, at least 90 % alike" in top
    assert "Collapsed to one class. The model says “not Mitochondrion” of every sequence" in top
    assert "seed 2 hit the epoch limit" in top
    assert "it never saw" not in top


def test_a_tie_is_declared_and_a_better_baseline_is_told(tmp_path):
    run = write_toy_run(tmp_path / "run", "binary", parts=SMALL)
    saved = json.loads((run / "metrics.json").read_text())
    for key, verdict in (("auroc", "tie"), ("auprc", "worse"), ("mcc", "better")):
        saved["comparison"]["metrics"][key]["verdict"] = verdict
    change(run, "metrics.json", **saved)

    words = top_of(run)

    assert "On the same rows the model is better than the baseline in MCC." in words
    assert "In AUPRC the composition baseline is better than the model." in words
    assert "A tie in AUROC: the 95 % interval of the difference holds 0." in words
    assert "Composition alone does better." in words


def test_the_paired_differences_stand_in_a_table_with_delongs_interval(runs):
    saved = json.loads((runs["binary"] / "metrics.json").read_text())["comparison"]
    words = words_of(page_of(runs["binary"]))

    found = saved["metrics"]["auroc"]
    ends = f"{found['low']:+.3f} to {found['high']:+.3f}"
    assert f"AUROC ensemble {found['difference']:+.3f} {ends}" in words
    assert f"Paired on the same 150 rows, in {saved['groups']} groups" in words
    shown = saved["delong"]["model"]
    assert f"DeLong's 95 % interval of AUROC: {shown['low']:.3f} to {shown['high']:.3f}" in words
    assert "takes the rows as independent" in words


def test_a_run_that_compared_nothing_declares_no_winner(tmp_path):
    run = write_toy_run(tmp_path / "run", "binary", parts=SMALL)
    change(run, "metrics.json", comparison=None)

    assert "were not compared, so no winner is declared" in top_of(run)


def test_an_undefined_metric_is_a_dash_and_a_test_without_positives_is_told(tmp_path):
    run = write_toy_run(tmp_path / "run", "binary", parts=SMALL)
    saved = json.loads((run / "metrics.json").read_text())
    for model in saved["models"]:
        for key in ("auroc", "auprc"):
            model["parts"]["test"][key] = {"value": None, "low": None, "high": None}
    change(run, "metrics.json", **saved)
    predictions = pl.read_parquet(run / "predictions.parquet")
    predictions.with_columns(label=pl.lit("0")).write_parquet(run / "predictions.parquet")

    page = page_of_written(run)

    assert '<span class="nothing" title="not defined here">–</span>' in page
    assert "The test part has no “Mitochondrion”" in page
    assert '<section id="curves">' not in page
    assert "nan" not in words_of(page).lower().split()


def test_a_run_with_one_seed_no_baseline_no_history_and_no_audit_has_no_empty_boxes(tmp_path):
    run = write_toy_run(tmp_path / "run", "binary", parts=SMALL)
    saved = json.loads((run / "metrics.json").read_text())
    change(run, "metrics.json", models=saved["models"][:1], chosen="seed 1")
    change(run, "run.json", audit={}, seeds=[1])
    rows = pl.read_parquet(run / "predictions.parquet").filter(model="ensemble")
    rows.with_columns(model=pl.lit("seed 1")).write_parquet(run / "predictions.parquet")
    (run / "history.parquet").unlink()
    (run / "audit.csv").write_text("")

    page = page_of_written(run)

    assert '<section id="learning">' not in page
    assert "The parts were not compared with one another." in page
    assert "No baseline was fitted" in page
    assert 'class="beside"' not in page


def test_many_seeds_do_not_push_the_chosen_model_off_the_page(runs):
    saved = json.loads((runs["binary"] / "metrics.json").read_text())
    seeds = [{**saved["models"][0], "name": f"seed {number}"} for number in range(1, 15)]
    run = read_run(runs["binary"])
    models = [*seeds, *saved["models"][3:]]
    made = tables.metrics_tables(run._replace(models={model["name"]: model for model in models}))

    heads = re.findall(r"<thead><tr>(.*?)</tr>", made)
    columns = [re.findall(r">([^<>]+)</th>", head)[1:] for head in heads]
    assert columns[0] == ["mean", "ensemble", "baseline"]
    assert [len(names) for names in columns[1:4]] == [6, 6, 2]


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda run: (run / "run.json").unlink(), "no such file"),
        (lambda run: (run / "metrics.json").write_text("{"), "unreadable"),
        (lambda run: (run / "metrics.json").write_text("{}"), "no entry 'models'"),
        (lambda run: change(run, "run.json", task="clustering"), "the task 'clustering'"),
        (lambda run: (run / "predictions.parquet").write_bytes(b"PAR1"), "unreadable"),
        (
            lambda run: pl.DataFrame({"model": ["x"]}).write_parquet(run / "predictions.parquet"),
            "no column 'row'",
        ),
    ],
)
def test_a_broken_run_is_one_clear_error_and_leaves_no_report(tmp_path, break_it, words):
    run = write_toy_run(tmp_path / "run", "binary", parts=SMALL)
    break_it(run)

    with pytest.raises(InputError, match=re.escape(words)):
        write_finetune_report(run)
    assert not (run / "report.html").exists()


def test_clean_figures_stand_beside_the_inflated_ones(tmp_path):
    run = write_toy_run(tmp_path / "run", parts=SMALL)
    assert "clean ones" not in write_finetune_report(run).read_text()
    clean = {"rows": 150, "leaked": 30, "models": []}
    clean["models"].append(
        {"name": "ensemble", "inflated": {"auroc": 0.913}, "clean": {"auroc": None}}
    )
    facts = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(facts | {"clean": clean}))
    page = write_finetune_report(run).read_text()
    words = " ".join(read(page).words)
    assert "all 150 test rows" in words
    assert "120 clean ones" in words
    assert "30 test rows" in words
    assert "0.913" in words
