"""The audit on six rows one can read, and on the leaks that are known."""

import csv
import gzip

import numpy as np
import pytest

from lexome.errors import InputError
from lexome.evaluation.leakage import audit_parts
from tests.evaluation.test_clusters import deeploc, random_sequences
from tests.shared_data import shared


def test_copies_are_counted_by_pair_of_parts():
    one, two, three = random_sequences(3, 80)
    sequences = [one, two, one, two[:70], three, one]
    parts = ["train", "train", "validation", "test", "unused", "test"]
    audit = audit_parts(sequences, parts, labels=[0, 1, 1, 1, 0, 0], ids=list("abcdef"))

    assert audit.overlaps == [
        ("train", "validation", 1, 0, 1, 1),  # c = a, with another label
        ("train", "test", 1, 1, 0, 2),  # f = a; d is part of b
        ("validation", "test", 1, 0, 1, 2),  # f = c
    ]
    assert audit.pairs[0] == ("train", "a", "validation", "c", 1.0, True, False)
    assert audit.pairs[1] == ("train", "b", "test", "d", 0.999, False, True)


def test_labels_may_be_absent_or_several():
    (one,) = random_sequences(1, 80)
    assert audit_parts([one, one], ["train", "test"]).pairs[0].same_label is None
    several = audit_parts([one, one], ["train", "test"], labels=[[0, 1], [0, 0]])
    assert several.overlaps[0].conflicts == 1
    assert several.pairs[0].id_b == "2"


@pytest.mark.parametrize("odd", [0, 5])
def test_a_copy_with_another_label_is_a_conflict_wherever_it_stands(odd):
    """Only five copies are listed; the sixth may be the one that disagrees."""
    (one,) = random_sequences(1, 80)
    labels = [1] * 7
    labels[odd] = 0
    audit = audit_parts([one] * 7, ["train"] * 6 + ["test"], labels)
    assert audit.overlaps[0].conflicts == 1


def test_an_unknown_label_contradicts_none_and_numbers_are_compared_as_numbers():
    (one,) = random_sequences(1, 80)
    for labels, same in ((["1", None], None), (["1", "1.0"], True), (["a", ""], False)):
        audit = audit_parts([one, one], ["train", "test"], labels)
        assert audit.pairs[0].same_label is same
        assert audit.overlaps[0].conflicts == (same is False)
    missing = audit_parts([one, one], ["train", "test"], [1.5, float("nan")])
    assert missing.overlaps[0].conflicts == 0


def test_columns_of_another_length_are_refused():
    with pytest.raises(InputError, match="1 parts"):
        audit_parts(["MK", "MA"], ["train"])


def test_the_known_leak_of_the_enhancer_benchmark_is_found():
    """100 of its 400 test sequences also stand in the training part."""
    rows = []
    for part in ("train", "test"):
        path = shared(f"data/dna_tasks/enhancers_iEnhancer_layer1/{part}.csv.gz")
        with gzip.open(path, "rt") as lines:
            rows += [(part, row["sequence"], row["label"]) for row in csv.DictReader(lines)]
    parts, sequences, labels = zip(*rows, strict=True)
    (overlap,) = audit_parts(sequences, parts, labels, alphabet="dna").overlaps
    assert overlap == ("train", "test", 100, 5, 2, 400)


def test_the_partitions_of_deeploc_hold_no_exact_copies_but_isoforms():
    """Partitions 3 and 4 alone, to be quick; all three parts take 10 s of one core and find
    61 near copies of train in validation, 51 in test, 31 of validation in test, none exact."""
    rows = [row for row in deeploc() if row["Partition"] in "34"]
    parts = np.where([row["Partition"] == "3" for row in rows], "validation", "test")
    audit = audit_parts(
        [row["Sequence"] for row in rows],
        parts,
        [row["Mitochondrion"] for row in rows],
        [row["ACC"] for row in rows],
    )
    assert audit.overlaps == [("validation", "test", 0, 31, 1, 5462)]
    accessions = [(pair.id_a.split("-")[0], pair.id_b.split("-")[0]) for pair in audit.pairs]
    assert any(a == b for a, b in accessions)  # two isoforms of one gene
