"""Exact and near copies of sequences between two parts, found by shared k-mers."""

# Letters: E candidate pairs.
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from lexome.errors import InputError
from lexome.evaluation.kmer_sets import (
    KmerAlphabet,
    read_kmers,
    seeds_of,
    shared_counts,
    sharing_pairs,
)
from lexome.results.types import NearPair
from lexome.sequence.complement import reverse_complement

LOWEST = 0.7  # below it use similarity_groups: the estimate is too rough to name single pairs
NOT_IDENTICAL = 0.999  # the most that a pair is given which is not letter by letter the same


def near_pairs(
    sequences_a: Sequence[str],
    sequences_b: Sequence[str],
    similarity: float = 0.9,
    alphabet: KmerAlphabet = "protein",
    partners: int = 10,
) -> list[NearPair]:
    """Pairs (row of a, row of b) of the same or nearly the same sequence, by row of b, best first.

    The similarity is c ** (1 / k), where c is the number of distinct k-mers that both have, as
    a share of the smaller set: the identity that would leave this share intact if the residues
    changed independently (Mash containment: Ondov et al. 2016, Genome Biology 17:132; k = 5
    for proteins, 11 for DNA on both strands). It needs no alignment, stands insertions, and a
    fragment of a longer sequence counts as similar to it: that is how test sequences leak.
    On mutated proteins it is within 0.025 of the true identity for nine of ten (tests); it is
    rough below some thirty residues. Identical sequences, and for DNA reverse complements, have
    the similarity 1, others 0.999 at most.

    For each row of b at most `partners` rows of a are named, the most similar first.

    >>> near_pairs(["MKTAYIAKQRQISFVKSHFSRQ", "GSHMASWLNDEPQRCY"], ["mktayiakqrqisfvkshfsrq"])
    [NearPair(first=0, second=0, similarity=1.0)]
    """
    if not LOWEST <= similarity <= 1:
        raise InputError(
            "search for near copies", f"a similarity of {similarity:g}", f"{LOWEST:g} to 1", "0.9"
        )
    seeds = seeds_of(alphabet)
    found = _exact_pairs(sequences_a, sequences_b, alphabet, partners)
    exact = {(pair.first, pair.second) for pair in found}
    sets_a, sets_b = read_kmers(sequences_a, seeds), read_kmers(sequences_b, seeds)
    share = similarity**seeds.k
    # Half the share is asked of candidates, since in large sets the k-mers counted are a sample.
    rows_b, rows_a = sharing_pairs(sets_b, sets_a, share / 2, 1)
    smaller = np.minimum(sets_a.sizes[rows_a], sets_b.sizes[rows_b])
    contained = shared_counts(sets_a, rows_a, sets_b, rows_b) / smaller
    near = contained >= share
    values = np.minimum(contained[near] ** (1 / seeds.k), NOT_IDENTICAL)
    pairs = zip(rows_a[near].tolist(), rows_b[near].tolist(), values.tolist(), strict=True)
    found += [NearPair(a, b, value) for a, b, value in pairs if (a, b) not in exact]
    return _best_partners(found, partners)


def _exact_pairs(
    sequences_a: Sequence[str], sequences_b: Sequence[str], alphabet: KmerAlphabet, partners: int
) -> list[NearPair]:
    """The identical ones; of each row of b the first `partners` in a, for no more can be named."""
    rows = defaultdict(list)
    for i, sequence in enumerate(sequences_a):
        rows[spelling(sequence, alphabet)].append(i)
    return [
        NearPair(i, j, 1.0)
        for j, sequence in enumerate(sequences_b)
        for i in rows.get(spelling(sequence, alphabet), [])[:partners]
    ]


def spelling(sequence: str, alphabet: KmerAlphabet) -> str:
    """The same string for sequences that count as identical."""
    upper = sequence.upper()
    if alphabet != "dna":
        return upper
    upper = upper.replace("U", "T")
    return min(upper, reverse_complement(upper))


def _best_partners(pairs: list[NearPair], partners: int) -> list[NearPair]:
    kept: list[NearPair] = []
    counts: dict[int, int] = defaultdict(int)
    for pair in sorted(pairs, key=lambda pair: (pair.second, -pair.similarity, pair.first)):
        counts[pair.second] += 1
        if counts[pair.second] <= partners:
            kept.append(pair)
    return kept
