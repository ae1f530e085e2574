"""Reading a table of labels: every row left out is counted."""

import polars as pl
import pytest

from lexome.batches.windows import parse_long
from lexome.errors import InputError
from lexome.sequence.alphabet import ALPHABETS
from lexome.training.labelled import check_lengths, clean_labelled, describe_source
from lexome.training.raw_table import Columns, read_raw

PROTEIN = ALPHABETS["protein"]
COLUMNS = Columns(label=["label"])


def frame(rows):
    return pl.DataFrame(rows, schema=["id", "sequence", "label"], orient="row")


def read(rows, columns=COLUMNS, unknown="refuse"):
    return clean_labelled(read_raw(rows, columns), PROTEIN, unknown)


def counted(table):
    return {count.what.split(" (")[0]: count.number for count in table.cleaning if count.number}


def test_rows_that_cannot_be_used_are_dropped_and_counted_by_reason():
    table = read(
        frame(
            [
                ("a", "MKT", "1"),
                ("b", "", "1"),  # empty
                ("c", "MKV", None),  # no label
                ("d", "MKT", "1"),  # a repeat of a
                ("e", "MKL", "0"),
                ("f", "GAV", "0"),  # conflict
                ("g", "GAV", "1"),  # conflict
                ("h", "WWW", "nan"),  # no label
            ]
        )
    )
    assert table.ids == ["a", "e"]
    assert table.rows.tolist() == [1, 5]
    assert table.num_read == 8
    assert counted(table) == {
        "empty sequences dropped": 1,
        "rows without a label dropped": 2,
        "repeated rows merged": 1,
        "rows with conflicting labels dropped": 2,
    }
    assert 8 - len(table.ids) == sum(counted(table).values())


def test_letters_are_mapped_and_counted_only_when_asked_for():
    rows = [("a", "MKJ*", "1"), ("b", "mkt", "0"), ("c", "GAV", "0"), ("d", "*", "1")]
    with pytest.raises(
        InputError, match="row 1 \\(a\\): saw the letter 'J' at position 3 and 1 more"
    ):
        read(frame(rows))
    table = read(frame(rows), unknown="map")
    assert table.sequences == ["MKX", "MKT", "GAV"]
    assert counted(table)["empty sequences dropped"] == 1  # nothing is left of a lone stop
    assert counted(table)["letters mapped in 3 rows"] == 6


def test_mapping_may_make_two_rows_alike():
    rows = [("a", "MKJ", "1"), ("b", "MKX", "1"), ("c", "GAV", "0")]
    table = read(frame(rows), unknown="map")
    assert table.ids == ["a", "c"]


def test_columns_are_guessed_and_said_to_be():
    rows = pl.DataFrame({"ACC": ["a", "b"], "Sequence": ["MKT", "GAV"], "Label": [0, 1]})
    table = read(rows, Columns())
    assert table.columns == {"sequence": "Sequence", "id": "ACC", "label": "Label"}
    assert sorted(table.guessed) == ["id", "label", "sequence"]
    assert table.ids == ["a", "b"]


def test_rows_without_an_id_column_are_named_by_their_number():
    rows = pl.DataFrame({"sequence": ["MKT", "", "GAV"], "label": [0, 0, 1]})
    assert read(rows, Columns()).ids == ["row_1", "row_3"]


def test_the_split_column_follows_the_rows_that_stay():
    rows = pl.DataFrame(
        {"sequence": ["MKT", "", "GAV"], "label": [0, 0, 1], "fold": [0.0, 1.0, 2.0]}
    )
    table = read(rows, Columns(split=["fold"]))
    assert table.split_values == ["0", "2"]


def test_an_id_that_stands_twice_is_refused():
    rows = [("a", "MKT", "1"), ("a", "GAV", "0")]
    with pytest.raises(InputError, match="saw the id 'a', which row 1 has too"):
        read(frame(rows))


class Four:
    """A model that takes four residues."""

    context, is_per_letter = 4, True

    def num_tokens(self, sequence, id):
        return len(sequence)


@pytest.mark.parametrize(
    ("policy", "number"), [("crop:2+1", 2), ("whole", 1), ("window", 1), ("crop:2+2", 1)]
)
def test_long_sequences_are_counted_under_every_policy(policy, number):
    rows = [("a", "MKTA", "1"), ("b", "GAVLI", "0"), ("c", "MK", "0")]
    table = read(frame(rows))
    count = check_lengths(table, parse_long(policy), Four())
    assert count is not None
    assert count.number == number


def test_a_long_sequence_is_refused_by_row_and_id():
    table = read(frame([("a", "MKTA", "1"), ("b", "GAVLI", "0")]))
    with pytest.raises(InputError, match="row 2 \\(b\\): saw 5 residues, expected at most 4"):
        check_lengths(table, parse_long("refuse"), Four())


def test_a_crop_that_keeps_more_than_the_context_is_refused():
    table = read(frame([("a", "MKTA", "1"), ("b", "GAVLI", "0")]))
    with pytest.raises(InputError, match="saw a crop that keeps 5 residues, expected at most 4"):
        check_lengths(table, parse_long("crop:3+2"), Four())


def test_a_file_is_described_by_its_hash(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    assert describe_source(path) == {"path": str(path), "sha256": expected}
    assert describe_source(frame([]))["sha256"] is None


def test_a_copy_in_another_part_stays_for_the_audit_to_see():
    """Merged is only what stands twice in one value of the split column."""
    table = pl.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "sequence": ["MKTA", "MKTA", "MKTA", "GAVL"],
            "label": ["1", "1", "1", "0"],
            "part": ["0", "0", "4", "4"],
        }
    )
    found = read(table, Columns("sequence", ["label"], None, ["part"]))
    assert found.ids == ["a", "c", "d"]


def test_a_guessed_id_column_that_repeats_is_no_id_and_one_called_id_is_refused():
    rows = {"sequence": ["MKTA", "GAVL"], "label": ["1", "0"]}
    assert read(pl.DataFrame(rows | {"gene": ["x", "x"]}), Columns()).ids == [
        "row_1",
        "row_2",
    ]
    with pytest.raises(InputError, match="which row 1 has too"):
        read(pl.DataFrame(rows | {"id": ["x", "x"]}), Columns())


def test_lists_of_labels_are_what_they_are_as_text(tmp_path):
    rows = {"id": list("abcdef"), "sequence": ["MKT", "GAV", "WWW", "LLL", "KKK", "AAA"]}
    lists = [["x", "y"], ["y"], [None, "z"], [], None, [None]]
    path = tmp_path / "lists.parquet"
    pl.DataFrame(rows | {"y": lists}).write_parquet(path)
    texts = pl.DataFrame(rows | {"y": ["x;y", "y", "z", None, None, None]})
    columns = COLUMNS._replace(label=["y"])
    for source in (path, texts):
        table = clean_labelled(read_raw(source, columns), PROTEIN, "refuse", "multilabel")
        assert (table.ids, table.target.labels) == (["a", "b", "c"], ("x", "y", "z"))
        assert table.target.values.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
        assert counted(table) == {"rows without a label dropped": 3}


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ([["x;z"], ["x", "y"]], "column 'y', row 1: saw the label 'x;z' in a list"),
        ([["x"], ["x, y"]], "column 'y', row 2: saw the label 'x, y' in a list"),
        ([[["x"]], [["y"]]], "saw List(List(String))"),
        ([{"x": 1}, {"x": 0}], "saw Struct"),
    ],
)
def test_lists_that_cannot_be_labels_are_refused(cells, said):
    table = pl.DataFrame({"id": ["a", "b"], "sequence": ["MKT", "GAV"], "y": cells})
    with pytest.raises(InputError) as caught:
        read_raw(table, COLUMNS._replace(label=["y"]))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("task", "one", "other", "rest"),
    [
        ("regression", "0.5", "0.500", "1.25"),
        ("auto", "0.5", "0.500", "1.25"),
        ("multilabel", "x;y", "y; x", "x"),
        ("binary", "1", "1.0", "0"),
    ],
)
def test_copies_with_one_label_in_two_spellings_are_repeats(task, one, other, rest):
    rows = frame([("a", "MKT", one), ("b", "MKT", other), ("c", "GAV", rest), ("d", "WWW", one)])
    rows = pl.concat([rows, frame([("e", "LLL", "2.75")])]) if task == "auto" else rows
    table = clean_labelled(read_raw(rows, COLUMNS), PROTEIN, "refuse", task)
    assert table.ids[:3] == ["a", "c", "d"]
    assert counted(table) == {"repeated rows merged": 1}


def test_copies_tell_each_other_their_labels_of_several_tasks_in_any_spelling():
    columns = {"y": ["0.50", "0.5", "1.5", "2"], "z": ["1", None, "0.0", "0"]}
    rows = pl.DataFrame({"id": list("abcd"), "sequence": ["MKT", "MKT", "GAV", "WWW"]} | columns)
    raw = read_raw(rows, COLUMNS._replace(label=["y", "z"]))
    table = clean_labelled(raw, PROTEIN, "refuse", "y=regression,z=binary")
    assert table.ids == ["a", "c", "d"]
    assert table.target.values.tolist() == [[0.5, 1], [1.5, 0], [2, 0]]
    assert counted(table) == {"repeated rows merged": 1}


def test_whole_numbers_of_one_column_are_the_same_classes_in_any_spelling():
    rows = [("a", "MKT", "0"), ("b", "GAV", "1.0"), ("c", "WWW", "0.0"), ("d", "LLL", "1")]
    target = read(frame(rows)).target
    assert (target.task, target.labels) == ("binary", ("0", "1"))
    assert target.values.tolist() == [0, 1, 0, 1]
    rows = [("a", "MKT", "0"), ("b", "GAV", "1.0"), ("c", "WWW", "0.0"), ("d", "LLL", "2.0")]
    assert read(frame(rows)).target.labels == ("0", "1", "2")
    rows = [("a", "MKT", "0.0"), ("b", "GAV", "1.0"), ("c", "WWW", "01")]
    assert read(frame(rows)).target.labels == ("0.0", "01", "1.0")  # one spelling each: as it was
