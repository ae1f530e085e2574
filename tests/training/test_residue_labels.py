"""Labels with a letter for each residue: how they are read, and what is refused."""

import numpy as np
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.sequence.alphabet import ALPHABETS
from lexome.training.labelled import LabelledTable, clean_labelled
from lexome.training.raw_table import Columns, read_raw
from lexome.training.recipes import choose_recipe, for_task
from lexome.training.residue_labels import IGNORED, ResidueReading, check_part_labels
from lexome.training.settings import FinetuneSettings


def read(rows: list[tuple[str, object]], ignore: str = "", **options: object) -> LabelledTable:
    table = pl.DataFrame(rows, schema=["sequence", "label"], orient="row")
    reading = ResidueReading(ignore, options.pop("known", ()))
    raw = read_raw(table, Columns())
    return clean_labelled(
        raw, ALPHABETS["protein"], task="per-residue", residues=reading, **options
    )


def test_classes_are_letters_in_order_and_ignored_ones_are_none():
    target = read([("MKTA", "HH-E"), ("WY", "C?")], ignore="-?").target
    assert (target.task, target.labels, target.unit) == ("multiclass", ("C", "E", "H"), "residue")
    assert target.values.tolist() == [2, 2, IGNORED, 1, 0, IGNORED]
    assert target.truth(np.array([1, 0])).tolist() == [0, 2, 2, 1]
    found = np.arange(6)[target.residues.places(np.array([1, 0]))]
    assert target.judged(np.array([1, 0]), found)[1].tolist() == [4, 0, 1, 3]
    assert target.per_answer(np.array([1, 0]), np.array([7, 8])).tolist() == [7, 8, 8, 8]
    assert target.strata.tolist() == [[0, 1, 2], [1, 0, 0]]


@pytest.mark.parametrize(
    ("positive", "labels", "values"),
    [(None, ("0", "1"), [0, 1, 1, 0]), ("0", ("1", "0"), [1, 0, 0, 1])],
)
def test_two_labels_are_binary_with_a_positive_one(positive, labels, values):
    target = read([("MKTA", "0110")], positive=positive).target
    assert (target.task, target.labels) == ("binary", labels)
    assert target.values.tolist() == values
    assert target.num_outputs == 1


def test_labels_of_digits_keep_their_zeros(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sequence,label\nMKTA,0010\nWYWY,0001\n")
    columns, reading = Columns(), ResidueReading()
    found = clean_labelled(read_raw(path, columns), ALPHABETS["protein"], residues=reading)
    assert found.target.residues.texts == ["0010", "0001"]


def test_a_blank_is_a_state_where_the_label_is_as_long_as_its_sequence(tmp_path):
    path = tmp_path / "t.csv"
    rows = [
        "MKTA, HE ",
        "WYWY,    ",
        "WWYY,EH  ",
        "YYWW, EH",
        "MM,NA",
        "MMM,",
        "MMMM,NA",
        "LLL,HHE  ",
    ]
    path.write_text("\n".join(["sequence,label", *rows]) + "\n")
    raw = read_raw(path, Columns())
    with pytest.raises(InputError, match="a label of 2 letters for a sequence of 4"):
        clean_labelled(raw, ALPHABETS["protein"], residues=ResidueReading())
    raw.labels[0][3] = "  EH"
    found = clean_labelled(raw, ALPHABETS["protein"], residues=ResidueReading())
    assert found.target.residues.texts == [" HE ", "    ", "EH  ", "  EH", "NA", "HHE"]
    assert found.target.labels == (" ", "A", "E", "H", "N")
    alike = [("MK", " H"), ("MK", "H "), ("WY", "HE")]
    dropped = [c.number for c in read(alike).cleaning if "conflicting" in c.what]
    assert dropped == [2]


def test_a_stop_sign_that_is_removed_takes_its_label_with_it():
    found = read([("MKT*", "HHEC")], unknown="map")
    assert found.sequences == ["MKT"]
    assert found.target.residues.texts == ["HHE"]
    assert found.target.labels == ("E", "H")


def test_equal_rows_are_merged_and_contradicting_ones_left_out():
    found = read([("MKT", "HHE"), ("MKT", "HHE"), ("WY", "HE"), ("WY", "EE"), ("AC", "--")], "-")
    assert found.sequences == ["MKT"]
    counts = {count.what: count.number for count in found.cleaning if count.number}
    assert counts == {
        "repeated rows merged (same sequence, same label)": 1,
        "rows with conflicting labels dropped (same sequence)": 2,
        "rows with ignored labels only dropped": 1,
    }


@pytest.mark.parametrize(
    ("rows", "ignore", "words"),
    [
        ([("MKTA", "HHE"), ("WY", "HE")], "", ("row 1", "3 letters", "of 4")),
        ([("MK", "--"), ("WY", "??")], "-?", ("every row", "--ignore", "'-?'")),
        ([("MK", "HH"), ("WY", "H-")], "-", ("one label only", "'H'", "3 residues")),
    ],
)
def test_labels_that_teach_nothing_are_refused_with_the_reason(rows, ignore, words):
    if "3 residues" in words:
        words = ("one label only", "'H'")
    with pytest.raises(InputError) as problem:
        read(rows, ignore)
    for word in words:
        assert word in str(problem.value)


def test_a_judged_run_keeps_its_labels_and_refuses_others():
    known = ("C", "E", "H")
    target = read([("MK", "HH")], known=known).target
    assert (target.task, target.labels, target.values.tolist()) == ("multiclass", known, [2, 2])
    with pytest.raises(InputError, match=r"row 2.*'X'.*C, E, H"):
        read([("MK", "HH"), ("WY", "HX")], known=known)


def test_a_part_needs_two_labels_that_training_has():
    labels = ("C", "E", "H")
    good = {"train": np.array([0, 1, 1]), "validation": np.array([0, 1]), "test": np.array([])}
    check_part_labels(good, labels, "split")
    with pytest.raises(InputError, match=r"part test.*'H'.*no training sequence"):
        check_part_labels(good | {"test": np.array([0, 2])}, labels, "split")
    with pytest.raises(InputError, match=r"part validation.*all have the label 'C'"):
        check_part_labels(good | {"validation": np.array([0, 0])}, labels, "split")


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"positive_share": 0.25}, "class-weights"),
        ({"composition": True}, "residues are answered"),
        ({"long": "crop:10+10"}, "every residue is answered"),
        ({"both_strands": True}, "without `--strands both`"),
    ],
)
def test_settings_of_whole_sequences_are_refused(asked, word):
    recipe = choose_recipe("new:cnn", "full", **for_task("per-residue", asked))
    with pytest.raises(InputError, match=word):
        FinetuneSettings(task="per-residue", recipe=recipe)


def test_letters_to_ignore_need_residues():
    with pytest.raises(InputError, match="per-residue"):
        FinetuneSettings(task="binary", ignore="-")


def test_the_recipe_of_residues_draws_cuts_and_counts_no_rows():
    recipe = choose_recipe("new:cnn", "full", **for_task("per-residue", {"long": None}))
    assert (recipe.positive_share, recipe.composition, recipe.long) == (0.0, False, "window")
    assert FinetuneSettings(task="per-residue", recipe=recipe).answers_residues
