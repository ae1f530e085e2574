"""Similarity groups: what is found at which identity, and that chance joins nothing."""

import csv
import gzip

import numpy as np
import pytest

from lexome.errors import InputError
from lexome.evaluation import kmer_sets
from lexome.evaluation.clusters import similarity_groups
from lexome.evaluation.kmer_sets import SEEDS, read_kmers, shared_counts, sharing_pairs
from tests.shared_data import shared

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def random_sequences(num, length, letters=RESIDUES, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(row) for row in rng.choice(list(letters), (num, length))]


def mutated(sequence, identity, seed, letters=RESIDUES):
    """Exactly a share 1 - identity of the residues replaced by another."""
    rng = np.random.default_rng(seed)
    codes = np.array([letters.index(letter) for letter in sequence])
    places = rng.choice(len(codes), round(len(codes) * (1 - identity)), replace=False)
    codes[places] = (codes[places] + rng.integers(1, len(letters), len(places))) % len(letters)
    return "".join(letters[code] for code in codes)


def deeploc(every=1):
    path = shared("data/protein_localization/deeploc2_swissprot_train_val.csv.gz")
    with gzip.open(path, "rt") as lines:
        return list(csv.DictReader(lines))[::every]


def recall(originals, copies, alphabet="protein"):
    groups = similarity_groups([*originals, *copies], alphabet)
    return float((groups[: len(originals)] == groups[len(originals) :]).mean())


def test_distinct_kmers_are_those_on_paper():
    sets = read_kmers(["ACDEFACDEF", "acdefX", "ACD", ""], SEEDS["protein"])
    assert sets.sizes.tolist() == [5, 1, 0, 0]  # of six windows the first and last are the same
    assert sets.codes[5] == sum(i * 20 ** (4 - i) for i in range(5))  # ACDEF = digits 0 1 2 3 4
    assert sets.positions[0] == 0
    assert shared_counts(sets, np.array([0]), sets, np.array([1])).tolist() == [1]


def test_both_strands_have_the_same_kmers():
    (forward,) = random_sequences(1, 100, "ACGT")
    sets = read_kmers(
        [forward, forward.translate(COMPLEMENT)[::-1], forward.replace("T", "U")], SEEDS["dna"]
    )
    first, second, third = np.split(sets.codes, sets.bounds[1:-1])
    assert (first == second).all()
    assert (first == third).all()


def test_reading_in_chunks_changes_nothing(monkeypatch):
    sequences = [*random_sequences(20, 60), "", "AC\nDE", "ACDEFß"]
    whole = read_kmers(sequences, SEEDS["protein"], 3)
    monkeypatch.setattr(kmer_sets, "CHUNK", 100)
    for one, two in zip(whole, read_kmers(sequences, SEEDS["protein"], 3), strict=True):
        assert np.array_equal(one, two)


def test_the_index_finds_the_pairs_that_comparing_all_finds():
    sequences = random_sequences(12, 40, "ACDE", seed=3)
    sets = read_kmers(sequences, SEEDS["protein"])
    windows = [{s[i : i + 5] for i in range(36)} for s in sequences]
    expected = {
        (i, j)
        for i in range(12)
        for j in range(i)
        if len(windows[i] & windows[j]) >= max(3, 0.1 * min(len(windows[i]), len(windows[j])))
    }
    rows, columns = sharing_pairs(sets, None, 0.1, 3)
    assert 0 < len(expected) < 66
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == expected


def test_copies_are_found_down_to_half_identity():
    """Measured on 1,000 proteins of DeepLoc: 1.00, 1.00, 0.96, 0.75, 0.08; here 150 random ones."""
    originals = random_sequences(150, 400)
    found = {
        identity: recall(originals, [mutated(s, identity, i) for i, s in enumerate(originals)])
        for identity in (0.9, 0.7, 0.6, 0.5, 0.4)
    }
    assert found[0.9] == 1
    assert found[0.7] >= 0.99
    assert found[0.6] >= 0.93
    assert found[0.5] >= 0.6
    assert found[0.4] <= 0.3  # kin as remote is not seen: the docstring says so


def test_insertions_and_deletions_do_not_hide_a_copy():
    originals = random_sequences(100, 300)
    copies = [s[:40] + "GG" + s[40:150] + s[155:220] + "A" + s[220:] for s in originals]
    assert recall(originals, copies) == 1


def test_dna_is_found_on_the_other_strand():
    originals = random_sequences(200, 200, "ACGT")
    copies = [
        mutated(s, 0.9, i, "ACGT").translate(COMPLEMENT)[::-1] for i, s in enumerate(originals)
    ]
    assert recall(originals, copies, "dna") >= 0.99
    assert len(set(similarity_groups(originals, "dna"))) == 200


def test_low_complexity_joins_nothing():
    tails = ["S" * 60, "SP" * 30, "QQQQA" * 12]
    sequences = [s + tails[i % 3] for i, s in enumerate(random_sequences(60, 60))]
    assert len(set(similarity_groups(sequences[::3]))) == 20
    assert len(set(similarity_groups(sequences[1::3]))) == 20
    assert len(set(similarity_groups(sequences[2::3]))) == 20


def test_identical_sequences_are_one_group_however_short():
    assert similarity_groups(["MK", "mk", "MA", "", "M" * 30, "M" * 30]).tolist() == [
        0,
        0,
        1,
        2,
        3,
        3,
    ]
    assert similarity_groups([]).tolist() == []


def test_a_family_of_variants_larger_than_the_index_keeps_is_one_group():
    """300 variants of one protein: each k-mer is in more than the 200 sequences that are met."""
    (wild,) = random_sequences(1, 200)
    family = [mutated(wild, 0.97, i) for i in range(300)]
    groups = similarity_groups([*family, *random_sequences(20, 200, seed=5)])
    assert set(groups[:300]) == {0}
    assert len(set(groups)) == 21


def test_a_weak_bridge_does_not_join_two_large_families():
    """One fusion of two families would join them; the limit leaves one of its two links out."""
    one, two = random_sequences(2, 200)
    families = [mutated(parent, 0.95, i) for parent in (one, two) for i in range(30)]
    bridge = mutated(one, 0.7, 1)[:100] + mutated(two, 0.7, 2)[100:]
    sequences = [*families, bridge, *random_sequences(39, 200, seed=5)]

    free = similarity_groups(sequences, largest=1)
    assert np.bincount(free).max() == 61
    held = similarity_groups(sequences, largest=0.4)
    assert len(set(held[:30])) == len(set(held[30:60])) == 1
    assert held[0] != held[30]
    # near copies stay together even where the group outgrows the limit
    assert np.bincount(similarity_groups(sequences, largest=0.1)).max() >= 25


def test_thinning_keeps_near_copies_together(monkeypatch):
    originals = random_sequences(100, 300)
    copies = [mutated(s, 0.8, i) for i, s in enumerate(originals)]
    monkeypatch.setattr(kmer_sets, "WORK", 20_000)  # about a quarter of the k-mers
    assert recall(originals, copies) >= 0.99


def test_an_identity_that_kmers_cannot_see_is_refused():
    with pytest.raises(InputError, match=r"0\.45 to 1"):
        similarity_groups(["MKT"], identity_hint=0.3)
    with pytest.raises(InputError, match="protein, dna"):
        similarity_groups(["MKT"], alphabet="morse")


def test_real_proteins_group_within_their_homology_partitions_and_chance_adds_next_to_nothing():
    """Every eighth protein of DeepLoc. Shuffled, so without kin, hardly any are joined.

    Of the links across partitions ("<= 30 % identity") a sample of 100 was aligned: all are kin.
    """
    rows = deeploc(every=8)
    sequences = [row["Sequence"] for row in rows]
    partition = np.array([int(row["Partition"]) for row in rows])
    groups = similarity_groups(sequences)

    counts = np.stack([np.bincount(groups, weights=partition == p) for p in range(5)], axis=1)
    grouped = counts[counts.sum(axis=1) > 1]
    away = (grouped.sum(axis=1) - grouped.max(axis=1)).sum() / grouped.sum()
    assert grouped.sum() > 800
    assert away < 0.15
    assert grouped.sum(axis=1).max() < 0.05 * len(rows)

    rng = np.random.default_rng(0)
    shuffled = ["".join(rng.permutation(list(s))) for s in sequences]
    assert len(set(similarity_groups(shuffled))) >= 0.999 * len(rows)
