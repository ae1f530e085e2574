"""The audit on rows one can read, and on the leaks that are known in the shared data."""

import polars as pl
import pytest

import lexome
from lexome.errors import InputError
from lexome.evaluation.audit import audit
from tests.evaluation.test_split_table import COMPLEMENT, dna
from tests.shared_data import shared

KNOWN = [  # set, training file, distinct sequences of test in it, rows that hold them
    ("enhancers_iEnhancer_layer1", "train", 100, 100),
    ("gue_prom_core_all", "train", 42, 43),
    ("gue_prom_core_tata", "train", 16, 16),
    ("gue_prom_300_tata", "train", 6, 6),
    ("gue_tf_3", "train", 1, 1),
    ("gue_splice_reconstructed", "dev", 30, 32),
    ("gue_mouse_2", "train", 0, 0),
    ("gue_mouse_3", "train", 0, 0),
]


@pytest.mark.parametrize(("name", "train", "distinct", "rows"), KNOWN)
def test_the_leaks_known_in_published_sets_are_found(name, train, distinct, rows) -> None:
    folder = shared("data/dna_tasks") / name
    files = {"train": folder / f"{train}.csv.gz", "test": folder / "test.csv.gz"}
    (found,) = audit(**files, clusters="none").overlaps
    assert (found.distinct, found.exact, found.reverse_complement) == (distinct, rows, 0)


def test_every_kind_of_leak_is_told_apart() -> None:
    one, two, three, four = dna(4)
    table = pl.DataFrame(
        {
            "id": list("abcdefg"),
            "sequence": [
                *(one, two, three),
                *(one, two.translate(COMPLEMENT)[::-1], three[:-1] + "A", four),
            ],
            "label": [0, 1, 0, 1, 1, 0, 0],
            "part": ["train"] * 3 + ["test"] * 4,
        }
    )
    found = lexome.audit(table, split="column:part")
    assert found.overlaps == [("train", "test", 4, 1, 1, 1, 2, 1, 3, 3)]
    assert found.pairs["leak"].to_list() == ["exact", "reverse complement", "near"]
    assert found.pairs["id_a"].to_list() == ["a", "b", "c"]
    assert found.pairs["row_b"].to_list() == [4, 5, 6]
    assert found.pairs["same_label"].to_list() == [False, True, True]
    assert found.has_leaks


def test_rows_in_no_part_are_left_out_and_folds_are_parts() -> None:
    one, two = dna(2)
    table = pl.DataFrame({"sequence": [one, two, one, one], "fold": [0, 1, 2, None]})
    found = audit(table, split="column:fold", clusters="kmers")
    assert [(o.part_a, o.part_b, o.exact) for o in found.overlaps] == [
        *(("0", "1", 0), ("0", "2", 1), ("1", "2", 0))
    ]


def test_a_clustered_split_has_nothing_to_find() -> None:
    from tests.evaluation.test_split_table import families

    made = lexome.split(families(), "cluster")
    found = lexome.audit(made.frame, split="column:part")
    assert not found.has_leaks
    assert [o.clusters for o in found.overlaps] == [0, 0, 0]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"train": ["MKT"]}, "1 parts"),
        ({"table": pl.DataFrame({"sequence": ["MKTAY"]})}, "a table without --split"),
        ({"train": ["MKTAYIAKQR"], "test": ["ACGTACGTAC"]}, "protein in train, dna in test"),
        ({"train": ["MKTAYIAK"], "test": ["MKTAYIAK"], "label": "y"}, "a table"),
        ({"train": ["MKTAYIAK"], "test": ["MKTAYIAK"], "similarity": 0.5}, "0.7 to 1"),
        (
            {"table": pl.DataFrame({"sequence": ["MKTAY"], "p": ["a"]}), "split": "column:p"},
            "the one part 'a'",
        ),
    ],
)
def test_what_cannot_be_audited_is_refused(asked: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        audit(**asked)


def test_a_row_without_a_label_contradicts_none_of_its_copies() -> None:
    (one,) = dna(1)
    known = pl.DataFrame({"sequence": [one], "label": [1]})
    for label, conflicts in (("", 0), (" ", 0), ("1.0", 0), ("0", 1)):
        asked = pl.DataFrame({"sequence": [one], "label": [label]})
        found = audit(train=known, test=asked, clusters="none")
        assert found.overlaps[0].conflicts == conflicts
        assert found.pairs["same_label"][0] is (None if not label.strip() else not conflicts)
