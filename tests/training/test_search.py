"""A search of hyper-parameters on toys: what trials see, what a kill costs, what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import polars as pl
import pytest

from lexome.errors import EnvironmentProblem, InputError
from lexome.training import finetune as finetuning
from lexome.training import search as module
from lexome.training.finetune import finetune
from lexome.training.run_folder import Run
from lexome.training.tasks import read_tasks
from tests.toys import motif_table, rich_table
from tests.training.conftest import SMALL

LITTLE = {k: v for k, v in SMALL.items() if k != "batch_size"}
QUICK: dict[str, Any] = {"split": "column:part", "seeds": 1, "epochs": 2, "dtype": "fp32", **LITTLE}
TABLE = motif_table(80, scrambled=False, lengths=(10, 20))


@pytest.fixture(autouse=True)
def without_report(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training a toy; one test looks at the page."""
    if "report_shows" not in request.node.name:
        monkeypatch.setattr(finetuning, "write_finetune_report", lambda folder: None)


def searched(folder: Path, count: int = 5, table: Any = TABLE, **more: Any) -> Run:
    return finetune("new:cnn", table, "label", output=folder, search=count, **QUICK | more)


def trials(run: Run) -> pl.DataFrame:
    return pl.read_parquet(run.directory / "search.parquet").drop("trial_seconds")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return searched(tmp_path_factory.mktemp("runs") / "first", 6, seeds=2)


def test_the_best_trial_is_trained_with_all_seeds_and_saved_as_any_run(done: Run) -> None:
    table = trials(done)
    assert table["trial"].to_list() == list(range(6))
    best = table.filter("best")
    assert best.height == 1
    assert best["value"][0] == table.filter(pl.col("state") == "complete")["value"].max()
    settings = done.facts["settings"]
    for name, value in done.facts["search"]["values"].items():
        assert settings[f"recipe.{name}"] == value
        assert best[f"setting_{name}"][0] == value
    config = json.loads((done.directory / "config.json").read_text())
    assert str(settings["recipe.learning_rate"]) in json.dumps(config)
    assert done.facts["seeds"] == [1, 2]
    assert not list(done.directory.glob(".*"))
    # the first trial is what the run would have been without a search
    assert table["setting_learning_rate"][0] == 2.5e-3
    assert table["setting_batch_size"][0] == 64


def test_the_same_search_gives_the_same_trials_and_numbers(done: Run, tmp_path: Path) -> None:
    again = searched(tmp_path / "again", 6, seeds=2)
    assert trials(again).equals(trials(done))
    assert again.metrics == done.metrics
    assert searched(tmp_path / "again", 6, seeds=2).facts["created"] == again.facts["created"]
    with pytest.raises(InputError, match="another run"):
        searched(tmp_path / "again", 4, seeds=2)


def test_trials_are_given_no_test_row(tmp_path: Path, monkeypatch) -> None:
    seen: set[str] = set()
    real = module.make_examples

    def watched(setup, settings, ids, sequences, *others):
        seen.update(sequences)
        return real(setup, settings, ids, sequences, *others)

    monkeypatch.setattr(module, "make_examples", watched)
    first = searched(tmp_path / "one", 3)
    kept = TABLE.filter(pl.col("part") != "test")
    assert seen == set(kept["sequence"])
    # other labels in the test part change nothing but what is said of it
    flipped = TABLE.with_columns(
        pl.when(pl.col("part") == "test")
        .then(1 - pl.col("label"))
        .otherwise("label")
        .alias("label")
    )
    other = searched(tmp_path / "two", 3, flipped)
    assert trials(other).equals(trials(first))
    assert other.figure("auroc", "validation") == first.figure("auroc", "validation")
    assert other.figure("auroc") == pytest.approx(1 - first.figure("auroc"))


def test_a_killed_search_goes_on_without_doing_finished_trials_again(
    done: Run, tmp_path: Path, monkeypatch
) -> None:
    real, begun = module.fit_seeds, []

    def killed(*arguments):
        begun.append(1)
        if len(begun) == 4:
            arguments[7]({"epoch": 1, "auprc": 0.9})  # an epoch is reported, then the end comes
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module, "fit_seeds", killed)
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path / "run", 6, seeds=2)
    journal = tmp_path / ".run.unfinished" / ".search" / "trials.log"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 8, "torn')  # a line that was being written
    run = searched(tmp_path / "run", 6, seeds=2)
    assert len(begun) == 4 + 3
    assert trials(run).equals(trials(done))
    assert run.metrics == done.metrics


def test_bad_trials_are_pruned(tmp_path: Path, monkeypatch) -> None:
    calls: list[int] = []

    def scripted(settings, setup, examples, target, parts, folder, quiet, watch):
        calls.append(0)
        level = 0.2 if len(calls) > 4 else 0.5 + 0.05 * len(calls)
        for epoch in range(1, 6):
            calls[-1] = epoch
            watch({"epoch": epoch, "auprc": level})

    monkeypatch.setattr(module, "fit_seeds", scripted)
    monkeypatch.setattr(finetuning, "_train_and_judge", lambda *others: pytest.skip("enough"))
    folder = tmp_path / ".run.unfinished"
    try:
        searched(tmp_path / "run", 6, epochs=5)
    except pytest.skip.Exception:
        table = pl.read_parquet(folder / "search.parquet")
    assert table["state"].to_list() == ["complete"] * 4 + ["pruned"] * 2
    assert calls == [5, 5, 5, 5, 2, 2]
    assert table["epoch"].to_list() == calls
    assert table["best"].to_list() == [False, False, False, True, False, False]


def test_values_that_are_given_are_not_searched(tmp_path: Path) -> None:
    run = searched(tmp_path / "run", 2, learning_rate=0.004, head_hidden=16)
    names = {name for name in trials(run).columns if name.startswith("setting_")}
    assert names == {"setting_weight_decay", "setting_batch_size", "setting_head_dropout"}
    assert run.facts["settings"]["recipe.learning_rate"] == 0.004
    assert run.facts["settings"]["recipe.head_hidden"] == 16


def test_vectors_of_a_frozen_backbone_are_made_once_for_all_trials(
    esm2: Path, tmp_path: Path, monkeypatch
) -> None:
    from lexome.training import frozen

    real, made = frozen.embed_file, []

    def counted(model, records, path, *others, **more):
        made.append(len(records))
        return real(model, records, path, *others, **more)

    monkeypatch.setattr(frozen, "embed_file", counted)
    run = finetune(
        str(esm2), TABLE, "label", output=tmp_path / "run", method="frozen", search=4, **QUICK
    )
    held = TABLE.filter(pl.col("part") != "test").height
    assert made == [held, TABLE.height]
    assert trials(run).height == 4


def test_the_rank_of_an_adapter_is_searched(esm2: Path, tmp_path: Path) -> None:
    run = finetune(
        str(esm2), rich_table(30), "has_w", output=tmp_path / "run", method="lora", search=3,
        **QUICK | {"epochs": 1},
    )  # fmt: skip
    table = trials(run)
    assert table.select("setting_adapter_rank", "setting_adapter_alpha").row(0) == (8, 16.0)
    best = table.filter("best").row(0, named=True)
    config = json.loads((run.directory / "config.json").read_text())
    assert f'"rank": {best["setting_adapter_rank"]}' in json.dumps(config)


def test_residues_are_taken_with_their_rows() -> None:
    from lexome.training.residue_labels import ResidueLabels
    from lexome.training.target import Target

    labels = ResidueLabels(["001", "1", "10"], np.array([0, 3, 4, 6]))
    whole = Target("binary", ("0", "1"), np.array([0, 0, 1, 1, 1, 0]), False, labels)
    part = module.take_target(whole, np.array([2, 0]))
    assert part.values.tolist() == [1, 0, 0, 0, 1]
    assert part.residues is not None
    assert part.residues.texts == ["10", "001"]
    assert part.residues.bounds_N1.tolist() == [0, 2, 5]


def test_the_report_shows_the_search(tmp_path: Path) -> None:
    run = searched(tmp_path / "run", 3)
    page = run.report.read_text()
    assert "The search" in page
    assert "3 trials of one seed" in page
    assert "weight decay" in page


def test_what_cannot_be_searched_is_refused(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(InputError, match="--search: saw 0, expected at least one trial"):
        searched(tmp_path / "run", 0)
    given = {
        "learning_rate": 1e-3, "weight_decay": 0.1, "batch_size": 8, "head_dropout": 0.1,
        "head_hidden": 8,
    }  # fmt: skip
    with pytest.raises(InputError, match="--search: saw a value given for everything"):
        searched(tmp_path / "run", 2, **given)
    monkeypatch.setattr(module, "import_module", _lacking)
    with pytest.raises(EnvironmentProblem, match=r"pip install 'lexome\[finetune\]'"):
        searched(tmp_path / "run", 2)
    assert not (tmp_path / "run").exists()
    assert optuna.__version__


def _lacking(name: str) -> Any:
    raise ImportError(name)


def test_the_labels_of_several_tasks_are_those_of_the_rows_taken():
    """Trials are judged by them: rows of other parts must not stand in their place."""
    columns = [["a", "b", "", "b", "a", "b"], ["0.5", "1", "2", "", "4", "8"]]
    target = read_tasks(columns, ("kind", "number"), "multitask", None)
    rows = np.array([5, 0, 3])
    taken = module.take_target(target, rows)
    for sub, column in zip(taken.subs, columns, strict=True):
        assert len(sub.values) == len(sub.known) == 3
        assert sub.known.tolist() == [bool(column[i]) for i in rows]
    assert [taken.subs[0].labels[int(v)] for v in taken.subs[0].values] == ["b", "a", "b"]
    assert taken.subs[1].values[:2].tolist() == [8.0, 0.5]
    assert np.array_equal(taken.values, target.values[rows], equal_nan=True)
