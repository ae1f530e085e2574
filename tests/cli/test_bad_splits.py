"""Splits that cannot be believed or learned from: each is refused with its reason, or told."""

import json

import polars as pl
import pytest

from tests.toys import motif_table, random_proteins, rich_table

TOY = motif_table(60, lengths=(12, 20))
COLUMN = ("--split", "column:part")


@pytest.fixture
def refused(lexome, tmp_path):
    """Runs `finetune` on a table that must be refused; gives its error line."""

    def check(frame: pl.DataFrame, *options: object) -> str:
        frame.write_csv(tmp_path / "t.csv")
        done = lexome("finetune", tmp_path / "t.csv", "-o", tmp_path / "run", *options)
        assert done.code == 2, done.err
        assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
        return done.error

    return check


def relabelled(frame: pl.DataFrame, column: str, part: str, value: object) -> pl.DataFrame:
    """The table with one value in a column wherever it is a part's."""
    other = pl.when(pl.col("part") == part).then(pl.lit(value)).otherwise(pl.col(column))
    return frame.with_columns(other.alias(column))


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_part_with_one_class_is_refused(part, refused):
    said = refused(relabelled(TOY, "label", part, 0), *COLUMN)
    assert f"split, part {part}: saw" in said
    assert "all have the label 0" in said


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_an_empty_part_is_refused(part, refused):
    said = refused(TOY.filter(pl.col("part") != part), *COLUMN)
    assert part in said


def test_a_class_that_training_lacks_is_refused(refused):
    frame = rich_table(90).filter((pl.col("part") != "train") | (pl.col("kind") != "wet"))
    said = refused(frame, "--label", "kind", *COLUMN)
    assert "part train: saw no row of 'wet'" in said


def test_a_label_of_several_that_training_never_shows_is_refused(refused):
    frame = TOY.with_columns(a=pl.col("label"), b=pl.col("label").reverse())
    for value in (0, 1):
        said = refused(
            relabelled(frame, "b", "train", value), "--label", "a", "--label", "b", *COLUMN
        )
        assert "the label 'b' always or never given" in said


def test_numbers_that_are_constant_in_training_are_refused(refused):
    frame = relabelled(rich_table(90), "amount", "train", 1.5)
    said = refused(frame, "--label", "amount", "--task", "regression", *COLUMN)
    assert "all have the label 1.5" in said


def test_one_cluster_larger_than_the_parts_is_refused_with_its_size(refused):
    """Nearly all rows are kin of each other, so no part but one can have any."""
    stem = random_proteins(1, low=100, high=101)[0]
    kin = [stem[:n] + ("A" if stem[n] != "A" else "C") + stem[n + 1 :] for n in range(60)]
    said = refused(TOY.with_columns(sequence=pl.Series(kin)))
    assert "the largest of 1 groups holds 60 of 60 rows" in said


def test_blocks_without_a_split_into_them_are_refused(refused):
    said = refused(TOY, "--block-size", 500)
    assert "--block-size: saw 500 with --split cluster" in said
    assert "--split block:CHROMOSOME,POSITION" in said
    assert "column 'id'" in refused(TOY, "--split", "block:id", "--gap", 5)


def test_parts_that_leak_by_construction_are_told_with_clean_figures(lexome, tmp_path):
    """The user's own column sends copies to both sides: trained on request, and said loudly."""
    test = TOY.filter(part="test")
    copies = test.with_columns(part=pl.lit("train"), id=pl.concat_str(pl.lit("copy"), "id"))
    pl.concat([TOY, copies]).write_csv(tmp_path / "t.csv")
    done = lexome(
        *("finetune", tmp_path / "t.csv", "-o", tmp_path / "run", *COLUMN),
        *("--seeds", 1, "--epochs", 1, "--dtype", "fp32"),
    )
    assert done.code == 0, done.err
    assert f"{test.height} exact" in done.err
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["clean"]["leaked"] == test.height
    assert "Leakage found." in (tmp_path / "run" / "report.html").read_text()


def test_a_run_that_is_resumed_with_changed_data_is_refused(lexome, tmp_path):
    options = (*COLUMN, "--seeds", 1, "--epochs", 1, "--dtype", "fp32", "--quiet")
    command = ("finetune", tmp_path / "t.csv", "-o", tmp_path / "run", *options)
    TOY.write_csv(tmp_path / "t.csv")
    assert lexome(*command).code == 0
    before = (tmp_path / "run" / "metrics.json").read_bytes()

    for column, changed, said in (
        ("sequence", TOY["sequence"][0] + "W", "other rows"),
        ("label", 1 - TOY["label"][0], "other labels"),
        ("part", "validation" if TOY["part"][0] != "validation" else "train", "other parts"),
    ):
        first = pl.int_range(pl.len()) == 0
        frame = TOY.with_columns(
            pl.when(first).then(pl.lit(changed)).otherwise(column).alias(column)
        )
        frame.write_csv(tmp_path / "t.csv")
        done = lexome(*command)
        assert done.code == 2
        assert said in done.error
        assert (tmp_path / "run" / "metrics.json").read_bytes() == before


def test_a_killed_run_is_not_resumed_with_changed_data(lexome, tmp_path, monkeypatch):
    from lexome.training import finetune as module

    options = (*COLUMN, "--seeds", 1, "--epochs", 1, "--dtype", "fp32", "--quiet")
    command = ("finetune", tmp_path / "t.csv", "-o", tmp_path / "run", *options)
    TOY.write_csv(tmp_path / "t.csv")
    with monkeypatch.context() as patch:
        patch.setattr(module, "save_artefact", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        assert lexome(*command).code != 0
    TOY.head(50).write_csv(tmp_path / "t.csv")
    done = lexome(*command)
    assert done.code == 2
    assert "an unfinished run with other rows" in done.error
