"""Parts by column, by group and at random: sizes, shares, and every refusal."""

from collections import Counter

import numpy as np
import pytest

from lexome.errors import InputError
from lexome.evaluation.splits import (
    PARTS,
    SplitSettings,
    check_parts,
    parse_split,
    split_by_cluster,
    split_by_column,
    split_random,
    split_rows,
)


def random_groups(num_groups=400, seed=0):
    """Groups of 1 to 30 rows, a fifth of their rows positive, all of a group alike."""
    rng = np.random.default_rng(seed)
    sizes = rng.geometric(0.25, num_groups).clip(1, 30)
    positive = rng.random(num_groups) < 0.2
    return np.repeat(np.arange(num_groups), sizes), np.repeat(positive.astype(int), sizes)


def shares(parts):
    return {part: float((parts == part).mean()) for part in PARTS}


def test_a_column_divides_the_rows_and_leaves_the_rest_unused():
    found = split_by_column(["a", "b", "c", "d", "a"], train=["a"], validation=["b"], test=["c"])
    assert found.tolist() == ["train", "validation", "test", "unused", "train"]


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
def test_the_usual_names_of_a_validation_part_are_known(name):
    parts = split_by_column(["train", name, "test", "other"])
    assert parts.tolist() == ["train", "validation", "test", "unused"]


def test_numbers_are_found_however_they_are_written():
    values = np.array([0.0, 1.0, 2.0])
    assert split_by_column(values, train=[0, "1"], test=["2"]).tolist() == [
        "train",
        "train",
        "test",
    ]


def test_a_column_of_part_names_needs_no_lists():
    assert split_by_column(["train", "test", "x"]).tolist() == ["train", "test", "unused"]


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        (
            {"train": [0], "test": [7]},
            r"--test: saw '7', expected values that occur.*: 0, 1, 2, 10",
        ),
        ({"train": [0, 1], "test": [1]}, "which --train has too"),
        ({"train": [0], "test": []}, "an empty list"),
        ({}, "no lists"),
        ({"test": [0]}, "part train"),
    ],
)
def test_lists_that_make_no_parts_are_refused(lists, words):
    with pytest.raises(InputError, match=words):
        split_by_column([10, 0, 1, 2], **lists)


def test_a_part_of_one_class_is_refused():
    with pytest.raises(InputError, match="2 rows that all have the label 1"):
        split_by_column([0, 0, 1, 1], train=[0], test=[1], labels=[0, 1, 1, 1])
    check_parts(np.array(["train", "train"]), [[0, 1], [0, 0]])  # one of two labels varies: enough


def test_groups_stay_whole_and_parts_have_their_size_and_label_share():
    groups, labels = random_groups()
    parts = split_by_cluster(groups, labels, seed=1)

    assert all(len(set(parts[groups == g])) == 1 for g in set(groups))
    assert shares(parts) == pytest.approx({"train": 0.7, "validation": 0.1, "test": 0.2}, abs=0.005)
    for part in PARTS:
        assert labels[parts == part].mean() == pytest.approx(labels.mean(), abs=0.01)


def test_real_values_and_several_labels_are_balanced_too():
    groups, positive = random_groups()
    rng = np.random.default_rng(2)
    values = positive * 2 + rng.normal(size=len(groups))
    parts = split_by_cluster(groups, values)
    for part in PARTS:
        assert np.median(values[parts == part]) == pytest.approx(np.median(values), abs=0.15)

    several = np.stack([positive, rng.random(len(groups)) < 0.1], axis=1)
    parts = split_by_cluster(groups, several)
    for part in PARTS:
        assert several[parts == part].mean(axis=0) == pytest.approx(several.mean(axis=0), abs=0.01)


def test_a_seed_gives_one_split_and_another_seed_another():
    groups, labels = random_groups()
    first = split_by_cluster(groups, labels, seed=1)
    assert (first == split_by_cluster(groups, labels, seed=1)).all()
    assert (first != split_by_cluster(groups, labels, seed=2)).any()
    assert (split_random(labels, seed=1) != split_random(labels, seed=2)).any()


def test_one_group_cannot_be_split_and_the_error_says_why():
    with pytest.raises(InputError, match="the largest of 1 groups holds 6 of 6 rows"):
        split_by_cluster([0] * 6, [0, 1] * 3)


def test_a_random_split_is_stratified_to_the_row():
    labels = np.array([0] * 900 + [1] * 100)
    parts = split_random(labels, seed=3)
    assert Counter(parts.tolist()) == {"train": 700, "validation": 100, "test": 200}
    assert [int(labels[parts == part].sum()) for part in PARTS] == pytest.approx(
        [70, 10, 20], abs=1
    )
    assert Counter(split_random(labels, (0.8, 0.0, 0.2)).tolist()) == {"train": 800, "test": 200}


def test_random_parts_do_not_follow_the_order_of_the_rows():
    parts = split_random(np.arange(1000) % 2, seed=0)
    assert abs(np.flatnonzero(parts == "test").mean() - 499.5) < 60


def test_fractions_must_add_up():
    nothing = float("nan")
    for fractions in [(0.7, 0.1, 0.1), (1.2, -0.4, 0.2), (0.0, 0.5, 0.5), (nothing, 0.5, 0.5)]:
        with pytest.raises(InputError, match="add up to 1"):
            split_random([0, 1], fractions)


@pytest.mark.parametrize("text", ["column:Partition", "chromosome:chrom", "cluster", "random"])
def test_a_split_is_spelled_as_it_is_read(text):
    assert str(parse_split(text)) == text


@pytest.mark.parametrize(
    "text", ["column", "column:", "chromosome", "random:x", "cluster:", "fold", ""]
)
def test_other_spellings_are_refused(text):
    with pytest.raises(InputError, match="column:NAME, chromosome:NAME, cluster or random"):
        parse_split(text)


def test_chromosomes_stay_whole_with_and_without_lists():
    chromosome = [f"chr{i % 20}" for i in range(2000)]
    labels = np.random.default_rng(0).integers(0, 2, 2000)
    settings = SplitSettings(kind="chromosome", column="chrom")

    parts = split_rows(settings, labels, values=chromosome)
    assert len(set(zip(chromosome, parts.tolist(), strict=True))) == 20
    assert shares(parts) == {"train": 0.7, "validation": 0.1, "test": 0.2}

    listed = split_rows(settings, labels, values=chromosome, train=["chr1"], test=["chr2", "chr3"])
    assert Counter(listed.tolist()) == {"train": 100, "test": 200, "unused": 1700}


def test_one_call_serves_every_kind_of_split():
    labels = np.arange(100) % 2
    groups = np.arange(100) // 4
    by_group = split_rows(parse_split("cluster"), labels, groups=groups, seed=4)
    assert (by_group == split_by_cluster(groups, labels, seed=4)).all()
    at_random = split_rows(parse_split("random"), labels, seed=4)
    assert (at_random == split_random(labels, seed=4)).all()
    with pytest.raises(InputError, match="--split column:NAME with them"):
        split_rows(parse_split("random"), labels, train=[0])
    with pytest.raises(InputError, match="similarity group"):
        split_rows(parse_split("cluster"), labels)
