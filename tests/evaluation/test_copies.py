"""Near copies between two parts: identities on paper, and the leak that is known."""

import numpy as np
import pytest

from lexome.errors import InputError
from lexome.evaluation.copies import _exact_pairs, near_pairs
from tests.evaluation.test_clusters import COMPLEMENT, mutated, random_sequences


def test_a_single_change_in_the_middle_costs_five_kmers():
    (wild,) = random_sequences(1, 100)
    changed = wild[:50] + ("A" if wild[50] != "A" else "C") + wild[51:]
    (pair,) = near_pairs([wild], [changed])
    assert pair == (0, 0, pytest.approx((91 / 96) ** (1 / 5)))


def test_identical_sequences_have_similarity_one_and_others_never():
    (wild,) = random_sequences(1, 100)
    assert near_pairs([wild], [wild.lower()]) == [(0, 0, 1.0)]
    assert near_pairs([wild], [wild[20:80]]) == [(0, 0, 0.999)]  # a fragment leaks too
    assert near_pairs(["MK"], ["MK", "MA"]) == [(0, 0, 1.0)]  # shorter than a k-mer
    assert near_pairs([], ["MK"]) == near_pairs(["MK"], []) == []


def test_the_reverse_complement_is_a_copy_of_dna_alone():
    (one,) = random_sequences(1, 100, "ACGT")
    other = one.translate(COMPLEMENT)[::-1]
    assert near_pairs([one], [other], alphabet="dna") == [(0, 0, 1.0)]
    assert near_pairs([one], [other], alphabet="protein") == []
    assert near_pairs([one], [other[:-3] + "AAA"], alphabet="dna")[0].similarity > 0.95


@pytest.mark.parametrize("identity", [0.95, 0.9, 0.8])
def test_the_similarity_is_the_identity_of_mutated_copies(identity):
    originals = random_sequences(200, 300)
    copies = [mutated(s, identity, i) for i, s in enumerate(originals)]
    found = near_pairs(originals, copies, similarity=0.7)
    assert [(pair.first, pair.second) for pair in found] == [(i, i) for i in range(200)]
    values = np.array([pair.similarity for pair in found])
    assert abs(np.median(values) - identity) < 0.01
    assert np.quantile(abs(values - identity), 0.9) < 0.025


def test_the_best_partners_come_first_and_not_all_are_named():
    (wild,) = random_sequences(1, 100)
    many = [mutated(wild, 0.95, i) for i in range(30)]
    found = near_pairs([*many, wild], [wild], partners=3)
    assert (found[0].first, found[0].similarity) == (30, 1.0)
    assert [pair.second for pair in found] == [0, 0, 0]
    assert found[1].similarity >= found[2].similarity


def test_a_large_family_of_variants_is_answered_quickly_and_for_every_row():
    (wild,) = random_sequences(1, 200)
    train, test = ([mutated(wild, 0.98, i) for i in r] for r in (range(400), range(400, 600)))
    found = near_pairs(train, test, partners=2)
    assert {pair.second for pair in found} == set(range(200))
    assert len(found) == 400


def test_a_similarity_that_cannot_be_estimated_is_refused():
    with pytest.raises(InputError, match=r"0\.7 to 1"):
        near_pairs(["MK"], ["MK"], similarity=0.2)


def test_a_near_copy_on_a_scaffold_that_hundreds_share_is_found():
    (scaffold,) = random_sequences(1, 140)
    loops = random_sequences(301, 60, seed=1)
    rows = [scaffold + loop for loop in loops]
    changed = rows[300][:-1] + ("A" if rows[300][-1] != "A" else "C")
    (best, *_) = near_pairs(rows, [changed], similarity=0.97)
    assert best == near_pairs(rows[300:], [changed], similarity=0.97)[0]._replace(first=300)


def test_of_many_identical_rows_no_more_pairs_are_built_than_are_named():
    (one,) = random_sequences(1, 30)
    assert len(_exact_pairs([one] * 300, [one] * 40, "protein", 5)) == 200
    assert [pair.first for pair in near_pairs([one] * 300, [one], partners=3)] == [0, 1, 2]
