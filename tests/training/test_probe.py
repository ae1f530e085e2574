"""The probing atlas on toys: its cells, its folds, what noise looks like, what is used again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import lexome
from lexome.errors import InputError
from lexome.training.probing import cells as probe_cells
from lexome.training.probing import probe as module
from lexome.training.probing.folds import make_folds
from lexome.training.probing.heads import HEADS, probe_cell, standardise
from lexome.training.probing.probe import Probe, probe
from lexome.training.target import Target
from tests.toys import motif_table, rich_table


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than probing a toy."""
    for name in ("write_probe_pictures", "write_probe_report"):
        monkeypatch.setattr(module, name, lambda *others: None)


SOME: dict[str, Any] = {
    "layers": [0, -1],
    "poolings": ["mean", "mean+max"],
    "folds": 3,
    "clusters": "kmers",
}
FAST: dict[str, Any] = SOME | {"heads": ["linear", "knn"]}


@pytest.fixture(scope="module")
def done(esm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Probe:
    folder = tmp_path_factory.mktemp("probes") / "wet"
    settings = FAST | {"layers": None, "poolings": None, "control": True}
    return lexome.probe(str(esm2), rich_table(60), "has_w", output=folder, **settings)


def test_the_atlas_holds_every_layer_pooling_and_head_and_its_baselines(done: Probe) -> None:
    own = done.atlas.filter(pl.col("model") == "esm2-toy")
    places = set(own.select("layer", "pooling", "head").rows())
    poolings = ("mean", "max", "cls", "mean+max")
    assert places == {(n, p, h) for n in (0, 1, 2) for p in poolings for h in ("linear", "knn")}
    assert own["value"].to_list() == sorted(own["value"].to_list(), reverse=True)
    assert own["chosen"].to_list() == [True] + [False] * 23
    assert set(done.atlas["model"]) == {"esm2-toy", "composition", "untrained"}
    assert done.atlas.filter(pl.col("model") == "composition").height == 2
    # richness in W is composition, which any vector made of embeddings tells
    assert own["value"][0] > 0.95
    assert done.best["believed"]["low"] <= done.best["believed"]["value"] <= 1


def test_a_probe_writes_down_table_picture_page_and_facts(done: Probe) -> None:
    names = {path.name for path in done.directory.iterdir()}
    assert names >= {"atlas.csv", "atlas.csv.meta.json", "atlas.svg", "atlas.png", "probe.json"}
    report = done.report.read_text()
    assert "<svg" in report
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert "random weights" in report
    facts = json.loads((done.directory / "probe.json").read_text())
    assert facts["model"]["hash"]
    assert facts["cells"] == 24
    assert sum(facts["split"]["folds"].values()) == 60
    notes = json.loads((done.directory / "atlas.csv.meta.json").read_text())
    assert notes["model"]["hash"] == facts["model"]["hash"]
    read = pl.read_csv(done.directory / "atlas.csv", schema_overrides={"setting": pl.String})
    assert read["value"].to_list() == pytest.approx(done.atlas["value"].to_list())


def test_the_value_is_that_of_all_out_of_fold_answers(done: Probe) -> None:
    """Each row is answered once: by a head that was not trained on its fold."""
    row = done.atlas.row(0, named=True)
    folds = [row[name] for name in done.atlas.columns if name.startswith("fold_")]
    assert len(folds) == 3
    assert min(folds) - 0.1 <= row["value"] <= 1


@pytest.mark.usefixtures("without_report")
def test_vectors_and_cells_are_used_again_and_only_what_is_new_is_made(
    esm2: Path, tmp_path: Path, monkeypatch
) -> None:
    table, made = rich_table(40), []

    def probed(**more: Any) -> Probe:
        return probe(str(esm2), table, "has_w", output=tmp_path / "p", **FAST | more)

    real_write, real_cell = probe_cells.write_layers, probe_cells.probe_cell

    def write(model, records, cells, *others):
        made.append(("vectors", len(cells)))
        return real_write(model, records, cells, *others)

    def cell(head, *others):
        made.append(("head", head.title))
        return real_cell(head, *others)

    monkeypatch.setattr(probe_cells, "write_layers", write)
    monkeypatch.setattr(probe_cells, "probe_cell", cell)
    first = probed(heads=["linear"])
    assert made == [("vectors", 4)] + [("head", "linear")] * 5  # 4 cells and the composition
    made.clear()
    again = probed(heads=["linear"])
    assert made == []
    assert again.atlas.equals(first.atlas)
    probed(heads=["linear", "knn"])
    assert made == [("head", "nearest neighbours")] * 5
    made.clear()
    probed(heads=["linear", "knn"], layers=[0, 1, -1])  # the middle layer is new
    assert made[0] == ("vectors", 2)
    assert len(made) == 1 + 4
    with pytest.raises(InputError, match="probe of another model, other rows"):
        probe(str(esm2), rich_table(30), "has_w", output=tmp_path / "p", **FAST)
    probe(str(esm2), rich_table(30), "has_w", output=tmp_path / "p", overwrite=True, **FAST)


@pytest.mark.usefixtures("without_report")
@pytest.mark.parametrize(
    ("label", "settings", "metric"),
    [
        ("kind", {}, "macro_auroc"),
        ("tags", {"task": "multilabel"}, "macro_auroc"),
        (["has_w", "has_k"], {"heads": ["linear", "knn", "mlp"]}, "macro_auroc"),
        ("amount", {"heads": ["linear", "knn", "mlp"]}, "spearman"),
    ],
)
def test_every_task_is_probed(esm2: Path, tmp_path: Path, label, settings, metric) -> None:
    found = probe(str(esm2), rich_table(48), label, output=tmp_path / "p", **FAST | settings)
    assert set(found.atlas["metric"]) == {metric}
    assert found.atlas["value"][0] > 0.7
    assert np.isfinite(found.best["believed"]["value"])


@pytest.mark.parametrize("metric", ["nonsense", "brier"])
def test_a_metric_that_cannot_rank_cells_is_refused_before_any_vector(esm2, tmp_path, metric):
    with pytest.raises(InputError, match=f"{metric}.*auroc"):
        probe(str(esm2), rich_table(30), "has_w", output=tmp_path / "p", metric=metric, **FAST)
    assert not (tmp_path / "p").exists()


@pytest.mark.usefixtures("without_report")
def test_of_labels_without_meaning_the_best_cell_seems_to_know_and_corrected_does_not(
    esm2: Path, tmp_path: Path
) -> None:
    table = motif_table(90, seed=4).with_columns(
        pl.Series("label", np.random.default_rng(19).permutation(np.arange(90) % 2))
    )
    found = probe(
        str(esm2),
        table,
        "label",
        output=tmp_path / "p",
        heads=["linear", "knn"],
        folds=3,
        seed=2,
        clusters="kmers",
    )
    naive, believed = found.best["naive"], found.best["believed"]
    assert naive["value"] > believed["value"]
    assert naive["value"] > 0.55
    assert believed["low"] < 0.5 < believed["high"]


@pytest.mark.usefixtures("without_report")
def test_the_test_part_has_no_say_in_the_choice(esm2: Path, tmp_path: Path) -> None:
    table = rich_table(100)
    lists = {
        "split": "column:part",
        "train": ["train"],
        "validation": ["validation"],
        "test": ["test"],
    }
    flipped = table.with_columns(
        pl.when(pl.col("part") == "test")
        .then(1 - pl.col("has_w"))
        .otherwise(pl.col("has_w"))
        .alias("has_w")
    )
    one = probe(str(esm2), table, "has_w", output=tmp_path / "one", **FAST | lists)
    other = probe(str(esm2), flipped, "has_w", output=tmp_path / "other", **FAST | lists)
    same = ["layer", "pooling", "head", "value", "low", "high", "setting"]
    assert one.atlas.select(same).equals(other.atlas.select(same))
    assert one.facts["split"]["parts"] == {"train": 60, "validation": 20, "test": 20}
    believed, turned = one.best["believed"]["value"], other.best["believed"]["value"]
    assert believed > 0.9
    assert turned == pytest.approx(1 - believed)


def test_kin_never_stand_on_both_sides_of_a_turn() -> None:
    from lexome.evaluation.splits import parse_split
    from lexome.sequence.alphabet import ALPHABETS
    from lexome.training.labelled import clean_labelled
    from lexome.training.raw_table import Columns, read_raw

    table = rich_table(40)
    twins = table.with_columns(pl.col("id") + "_twin", pl.col("sequence") + "A")
    raw = read_raw(pl.concat([table, twins]), Columns(label=["has_w"]))
    data = clean_labelled(raw, ALPHABETS["protein"])
    folds = make_folds(data, parse_split("cluster"), 4, ((), (), ()), "protein", 0, "kmers")
    assert (folds.fold_N[:40] == folds.fold_N[40:]).all()
    for turn in folds.turns:
        assert not set(folds.group_N[turn.train]) & set(folds.group_N[turn.judged])
        assert not set(folds.group_N[turn.inner]) & set(folds.group_N[turn.choice])
        assert set(turn.train) == set(turn.inner) | set(turn.choice)
    assert sorted(np.concatenate([turn.judged for turn in folds.turns])) == list(range(80))


def test_features_are_standardised_by_the_training_rows_alone() -> None:
    train = np.array([[0.0, 5.0], [2.0, 5.0]], np.float32)
    known, asked = standardise(train, np.array([[4.0, 9.0]], np.float32))
    assert known.tolist() == [[-1, 0], [1, 0]]
    assert asked.tolist() == [[3, 0]]  # what never varied in training says nothing


@pytest.mark.parametrize("name", list(HEADS))
def test_each_head_learns_what_a_line_tells_and_answers_the_same_twice(name: str) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(90, 6)).astype(np.float32)
    values = (features[:, 0] + 0.1 * generator.normal(size=90) > 0).astype(int)
    target = Target("binary", ("0", "1"), values, False)
    rows = np.arange(90)
    turns = [
        probe_cells.Turn(rows[rows % 3 != k], rows[(rows % 3 != k) & (rows % 4 > 0)],
                         rows[(rows % 3 != k) & (rows % 4 == 0)], rows[rows % 3 == k])
        for k in range(3)
    ]  # fmt: skip
    one = probe_cell(HEADS[name], features, target, turns, "auroc", 5)
    two = probe_cell(HEADS[name], features, target, turns, "auroc", 5)
    assert min(one.figures) > 0.85
    assert np.array_equal(one.answers, two.answers)
    assert np.isfinite(one.answers).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layers": [3]}, "layer: saw 3, expected 0 to 2"),
        ({"layers": [-4]}, "layer: saw -4"),
        ({"poolings": ["median"]}, "poolings: saw 'median'"),
        ({"heads": ["forest"]}, "heads: saw 'forest'"),
        ({"metric": "brier"}, "metric: saw 'brier'"),
        ({"folds": 1}, "--folds: saw 1"),
        ({"rows": 1}, "--rows: saw 1"),
        ({"task": "per-residue"}, "task: saw per-residue in a probe"),
        ({"split": "column:part", "folds": 5}, "3 different values"),
        ({"train": ["train"], "validation": ["validation"], "test": ["test"]}, "or a column"),
        ({"split": "column:part", "train": ["train"]}, "some of --train"),
    ],
)
def test_what_cannot_be_is_said(esm2: Path, tmp_path: Path, settings, words) -> None:
    with pytest.raises(InputError, match=words):
        probe(str(esm2), rich_table(20), "has_w", output=tmp_path / "p", **FAST | settings)


def test_labels_that_no_fold_can_judge_are_refused(esm2: Path, tmp_path: Path) -> None:
    table = rich_table(24).with_columns(pl.lit(1).alias("same"))
    rare = table.with_columns(pl.Series("rare", [1, 1] + [0] * 22))
    with pytest.raises(InputError, match="one class only"):
        probe(str(esm2), table, "same", output=tmp_path / "p", **FAST)
    with pytest.raises(InputError, match="label '1': saw 2 rows, expected at least one for each"):
        probe(str(esm2), rare, "rare", output=tmp_path / "p", **FAST)
    # three rows of a class, all in one family: two folds go without
    family = [f"{sequence}{'A' * i}" for i, sequence in enumerate([table["sequence"][0]] * 3)]
    kin = pl.DataFrame(
        {"sequence": family + table["sequence"].to_list()[1:], "label": [1] * 3 + [0] * 23}
    )
    with pytest.raises(InputError, match="no row of the class '1'"):
        probe(str(esm2), kin, "label", output=tmp_path / "p", **FAST)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="files that are no probe"):
        probe(str(esm2), table, "has_w", output=tmp_path / "full", **FAST)


@pytest.mark.usefixtures("without_report")
def test_rows_are_drawn_with_the_share_of_each_class(esm2: Path, tmp_path: Path) -> None:
    found = probe(str(esm2), rich_table(60), "kind", output=tmp_path / "p", rows=30, **FAST)
    assert found.facts["data"]["used"] == 30
    assert found.facts["classes"]["wet"] == 15
    assert sum(found.facts["classes"].values()) == 30
