"""Groups of similar sequences, found by shared k-mers, so that a split can keep families together.

What it sees was measured. Of 1,000 proteins of DeepLoc 2.0 and copies of them with residues
replaced at random, it joins 100 % at 90 and 70 % identity, 96 % at 60, 75 % at 50 and 8 % at 40;
of random DNA of 200 letters and the reverse complement of its mutated copy, 100 % at 90, 94 % at
85 and 39 % at 80. Evolution conserves stretches, so real kin is seen further: of 200 links drawn
from DeepLoc (100 of them across its "30 % identity" partitions; proteins under 1,500 residues)
all align far better than shuffled sequences do, the median at 34 to 51 % identity over most of
the shorter one. Between its 28,303 proteins shuffled, chance makes 14 links. Kin remoter than
that needs alignment (MMseqs2, GraphPart); splits by these groups are for it still too hopeful.
The 28,303 proteins take 20 s of one core and less than 1 GB.
"""

# Letters: S sequences, E pairs of sequences that are linked.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.evaluation.kmer_sets import (
    Ints32,
    Ints64,
    KmerAlphabet,
    KmerSets,
    read_kmers,
    seeds_of,
    shared_counts,
    shared_positions,
    sharing_pairs,
)

Floats = NDArray[np.float64]
BAND = 8  # residues by which insertions may shift a shared k-mer within one alignment
NEVER_PART = 0.9  # sequences at least this similar are joined however large the group grows


class Linking(NamedTuple):
    """When two sequences of an alphabet are linked."""

    lowest_identity: float  # below it k-mers tell kin from chance no better than a coin
    fewest: int  # k-mers that a pair must share at the least
    on_one_diagonal: bool  # count only those that one alignment can hold
    fewest_letters: int  # k-mers of fewer different letters are not counted


LINKING: dict[KmerAlphabet, Linking] = {
    "protein": Linking(0.45, 6, on_one_diagonal=True, fewest_letters=3),
    "dna": Linking(0.8, 8, on_one_diagonal=False, fewest_letters=3),
}


def similarity_groups(
    sequences: Sequence[str],
    alphabet: KmerAlphabet = "protein",
    identity_hint: float | None = None,
    largest: float = 0.1,
) -> Ints64:
    """The group number of each sequence: similar ones have the same, numbered by first appearance.

    Two sequences are linked when the k-mers they share, as a share c of the smaller set of
    distinct k-mers, are what an identity of at least `identity_hint` would leave under
    independent substitutions: c >= identity ** k (Mash containment: Ondov et al. 2016, Genome
    Biology 17:132). Of proteins (k = 5) only those on one band of diagonals count, 8 residues
    wide, as one alignment would hold them: k-mers shared by chance or by repeats lie scattered.
    DNA (k = 11) is compared on both strands. Linked sequences form groups (single linkage);
    identical ones always do.

    A chain of links can join unrelated families into one giant group. Where a group would hold
    more than `largest` of all sequences, links are therefore made from the strongest to the
    weakest, and one that would join two groups to more than that is left out, unless the two
    sequences are at least 90 % similar. `largest=1` never leaves one out.

    Args:
        sequences: the letters; case does not matter.
        alphabet: "protein" or "dna".
        identity_hint: at least 0.45 for proteins and 0.8 for DNA, which are the defaults.
        largest: share of all sequences that one group may hold.

    >>> similarity_groups(["MKTAYIAKQRQISFVK", "MKTAYIAKQRQISFVR", "GSHMASWLNDEPQRCY"]).tolist()
    [0, 0, 1]
    """
    seeds, linking = seeds_of(alphabet), LINKING[alphabet]
    identity = linking.lowest_identity if identity_hint is None else identity_hint
    if not linking.lowest_identity <= identity <= 1:
        raise InputError(
            "similarity groups",
            f"an identity of {identity:g}",
            f"{linking.lowest_identity:g} to 1 for {alphabet} (k-mers show no kinship below)",
            f"{linking.lowest_identity:g}, or groups made by alignment, with --split column:NAME",
        )
    distinct = {sequence.upper(): None for sequence in sequences}
    places = {sequence: place for place, sequence in enumerate(distinct)}
    place_S = np.array([places[sequence.upper()] for sequence in sequences], np.int64)
    sets = read_kmers(list(distinct), seeds, linking.fewest_letters)
    share = identity**seeds.k
    rows, columns = sharing_pairs(sets, None, share, linking.fewest)
    if linking.on_one_diagonal:
        shared = on_best_diagonal(sets, rows, columns)
    else:
        shared = shared_counts(sets, rows, sets, columns)
    smaller = np.minimum(sets.sizes[rows], sets.sizes[columns])
    linked = (shared >= linking.fewest) & (shared >= share * smaller)
    strength = (shared[linked] / smaller[linked]) ** (1 / seeds.k)
    copies = np.bincount(place_S, minlength=len(distinct))
    groups = _join(rows[linked], columns[linked], strength, copies, largest)
    return _numbered_by_appearance(groups[place_S])


def on_best_diagonal(sets: KmerSets, rows: Ints32, columns: Ints32) -> Ints64:
    """The most shared k-mers of each pair that lie within one band of diagonals."""
    best = np.zeros(len(rows), np.int64)
    for pair, in_row, in_column in shared_positions(sets, rows, columns):
        first = pair[0]
        diagonal = in_row.astype(np.int64) - in_column
        reach = np.int64(2 * (np.abs(diagonal).max() + BAND) + 2)  # keeps the pairs apart
        key = np.sort((pair - first) * reach + diagonal)
        within = np.searchsorted(key, key + BAND, side="right") - np.arange(len(key))
        owner = np.floor_divide(key + reach // 2, reach)
        np.maximum.at(best, owner + first, within)
    return best


def _join(
    rows: Ints32, columns: Ints32, strength_E: Floats, copies: Ints64, largest: float
) -> Ints64:
    """Single linkage; `copies` says how many sequences each member stands for."""
    num = len(copies)
    graph = scipy.sparse.coo_matrix((np.ones(len(rows), bool), (rows, columns)), shape=(num, num))
    groups = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
    limit = largest * float(copies.sum())
    if num == 0 or np.bincount(groups, weights=copies).max() <= limit:
        return np.asarray(groups, np.int64)
    order = np.lexsort((columns, rows, -strength_E))
    parent, size = list(range(num)), copies.tolist()

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j, strength in zip(
        rows[order].tolist(), columns[order].tolist(), strength_E[order].tolist(), strict=True
    ):
        one, two = root(i), root(j)
        if one != two and (strength >= NEVER_PART or size[one] + size[two] <= limit):
            parent[two] = one
            size[one] += size[two]
    return np.array([root(i) for i in range(num)], np.int64)


def _numbered_by_appearance(groups: Ints64) -> Ints64:
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
