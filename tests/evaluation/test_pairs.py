"""Splitting, auditing and drawing pairs: what either sequence shares counts."""

import numpy as np
import pytest

from lexome.errors import InputError
from lexome.evaluation.pair_groups import (
    are_rows_drawn,
    bootstrap_groups,
    content_groups,
    split_groups,
)
from lexome.evaluation.pair_leakage import audit_contents
from lexome.evaluation.uncertainty import BLOCK, bootstrap, draw_weights
from lexome.sequence.pairs import Pair
from tests.toys import random_proteins

A, B, C, D, E, F, G, H = random_proteins(8, seed=3, low=60, high=80)


def near(sequence: str) -> str:
    """The same with one residue in the middle replaced."""
    at = len(sequence) // 2
    return sequence[:at] + ("W" if sequence[at] != "W" else "Y") + sequence[at + 1 :]


def test_pairs_that_share_a_sequence_or_one_like_it_stay_together():
    pairs = [Pair(A, B), Pair(C, D), Pair(near(D), E), Pair(F, G), Pair(H, near(B))]
    assert split_groups(pairs).tolist() == [0, 1, 1, 2, 0]
    assert split_groups([A, near(A), B]).tolist() == [0, 0, 1]


def test_pairs_that_all_hang_together_are_refused_and_never_split_at_random():
    chain = [Pair(A, B), Pair(B, C), Pair(C, D), Pair(D, E), Pair(near(E), F)]
    with pytest.raises(InputError, match=r"5 of 5 pairs that hang together.*`--split column:NAME`"):
        split_groups(chain)


def test_the_audit_counts_either_sequence_and_the_swapped_pair_is_the_same_pair():
    pairs = [Pair(A, B), Pair(C, D), Pair(E, F), Pair(B, A), Pair(near(C), G), Pair(H, G)]
    parts = ["train", "train", "train", "test", "test", "test"]
    audit = audit_contents(pairs, parts, [1, 0, 1, 0, 0, 1], list("abcdef"))
    (overlap,) = audit.overlaps
    assert (overlap.exact, overlap.near, audit.same_pairs) == (1, 1, [1])
    assert (overlap.conflicts, overlap.size_b) == (1, 3)
    listed = [(row.id_a, row.id_b, row.exact, row.same_label) for row in audit.pairs]
    assert listed == [("a", "d", True, False), ("b", "e", False, None)]


def test_the_sixth_copy_of_a_pair_may_be_the_one_that_disagrees():
    pairs = [Pair(A, B)] * 5 + [Pair(B, A), Pair(A, B)]
    parts, names = ["train"] * 6 + ["test"], list("abcdefg")
    assert audit_contents(pairs, parts, [1] * 5 + [0, 1], names).overlaps[0].conflicts == 1
    assert audit_contents(pairs, parts, [1] * 5 + [1.0, 1], names).overlaps[0].conflicts == 0


def test_near_copies_of_both_make_the_same_pair():
    audit = audit_contents(
        [Pair(A, B), Pair(near(B), near(A))], ["train", "test"], [1, 1], ["a", "b"]
    )
    (overlap,) = audit.overlaps
    assert (overlap.exact, overlap.near, overlap.conflicts) == (0, 1, 0)
    assert audit.same_pairs == [1]
    assert audit.pairs[0].same_label is True


def test_one_sequence_in_every_pair_is_drawn_for_all_of_them_at_once():
    """Weights by hand: how often the hub was drawn times how often the other one was."""
    hub = np.array([[0, 1], [0, 2], [0, 3]])
    (weights,) = draw_weights(3, hub, 0, 400)
    (counts,) = draw_weights(4, None, 0, 400)
    by_hand = counts[:, :1] * counts[:, 1:]
    assert np.array_equal(weights, by_hand[by_hand.any(axis=1)])
    (within,) = draw_weights(2, np.array([[0, 0], [1, 1]]), 0, 50)
    assert set(within.sum(axis=1).tolist()) == {2.0}  # a pair within a group counts once


def test_blocks_of_pairs_hold_as_many_rows_as_fit_and_the_draws_stay_the_same():
    groups = np.random.default_rng(0).integers(0, 30, (5000, 2))
    blocks = list(draw_weights(5000, groups, 0, 1000))
    assert max(block.size for block in blocks) <= BLOCK
    (counts,) = draw_weights(30, None, 0, 1000)
    by_hand = counts[:, groups[:, 0]] * counts[:, groups[:, 1]]
    within = groups[:, 0] == groups[:, 1]
    by_hand[:, within] = counts[:, groups[within, 0]]
    assert np.array_equal(np.concatenate(blocks), by_hand[by_hand.any(axis=1)])


def test_pairs_that_hang_together_get_a_wider_interval_than_rows_would():
    generator = np.random.default_rng(0)
    proteins = random_proteins(12, seed=5, low=60, high=80)
    pairs = [Pair(proteins[i], proteins[j]) for i in range(12) for j in range(i)]
    groups = bootstrap_groups(pairs)
    assert groups.shape == (66, 2)
    truth = generator.integers(0, 2, 66)
    found = np.clip(truth * 0.3 + generator.random(66) * 0.7, 0, 1)
    plain = bootstrap("binary", truth, found).overall["auroc"]
    honest = bootstrap("binary", truth, found, groups=groups).overall["auroc"]
    assert honest.value == plain.value
    assert honest.high - honest.low > plain.high - plain.low
    apart = [Pair(*proteins[i : i + 2]) for i in range(0, 12, 2)] * 2
    assert content_groups(apart).shape == (12, 2)
    assert bootstrap_groups([*apart, Pair(A, B)] * 4).shape == (52, 2)


def family(size: int, seed: int, changed: int = 1) -> list[str]:
    """A protein and copies of it, each with other residues at some places."""
    generator = np.random.default_rng(seed)
    first = generator.choice(list("ACDEFGHIKLMNPQRSTVWY"), 120)
    copies = []
    for _ in range(size):
        letters = first.copy()
        places = generator.choice(120, changed, replace=False)
        letters[places] = generator.choice(list("ACDEFGHIKLMNPQRSTVWY"), changed)
        copies.append("".join(letters))
    return copies


def test_a_split_keeps_a_family_whole_however_large():
    """A tenth of the table is the limit of what intervals draw, not of what stays together."""
    families = [family(20, seed, changed=18) for seed in range(5)]
    found = split_groups([one for some in families for one in some])
    assert [len(set(found[i : i + 20].tolist())) for i in range(0, 100, 20)] == [1] * 5
    assert len(set(found.tolist())) == 5


def test_of_variants_of_one_protein_rows_are_drawn_and_said():
    found = bootstrap_groups(family(30, seed=1))
    assert are_rows_drawn(found)
    assert len(set(found.tolist())) == 30
    several = bootstrap_groups([one for seed in range(6) for one in family(4, seed)])
    assert not are_rows_drawn(several)
    assert len(set(several.tolist())) == 6
