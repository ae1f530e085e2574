"""What stays together where rows are pairs: both sequences' groups, joined over all pairs."""

# Letters: N rows (pairs).
from collections.abc import Sequence

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.evaluation.clusters import similarity_groups
from lexome.evaluation.kmer_sets import KmerAlphabet
from lexome.sequence.pairs import Content, Pair, are_pairs, are_single

Ints = NDArray[np.int64]
MOST_JOINED = 0.8  # of the rows in one group: what is left makes no validation and test part

LARGEST_DRAWN = 0.1  # of the rows in one joined group, for intervals
FEWEST_DRAWN = 5  # groups: of fewer, resamples are too much alike to say anything


ROWS_DRAWN = (
    f"The rows judged are of fewer than {FEWEST_DRAWN} groups of similar sequences: intervals draw "
    "single rows, and say nothing of other families."
)


def or_rows(groups: Ints) -> Ints:
    """The groups, or each row as its own (from -1 down) where there are too few to draw from.

    >>> or_rows(np.array([0, 0, 1])).tolist()
    [-1, -2, -3]
    """
    return groups if len(np.unique(groups)) >= FEWEST_DRAWN else -1 - np.arange(len(groups))


def are_rows_drawn(groups: Ints) -> bool:
    """Whether `or_rows` gave up the groups."""
    return bool((groups < 0).any())


def content_groups(
    contents: Sequence[Content], alphabet: KmerAlphabet = "protein", largest: float = 0.1
) -> Ints:
    """The similarity group of each row: (N,), or of pairs (N, 2), one of each sequence."""
    if are_single(contents):
        return similarity_groups(contents, alphabet, largest=largest)
    pairs = [pair for pair in contents if isinstance(pair, Pair)]
    place: dict[str, int] = {}
    rows = [[place.setdefault(sequence, len(place)) for sequence in pair] for pair in pairs]
    found = similarity_groups(list(place), alphabet, largest=largest)
    return found[np.array(rows, np.int64).reshape(-1, 2)]


def join_pairs(group_N2: Ints) -> Ints:
    """The group of each pair: pairs that are linked through either sequence, over any number of
    others, have the same (connected components).

    >>> join_pairs(np.array([[0, 1], [1, 2], [3, 4]])).tolist()
    [0, 0, 1]
    """
    num = int(group_N2.max()) + 1
    links = (np.ones(len(group_N2), bool), (group_N2[:, 0], group_N2[:, 1]))
    graph = scipy.sparse.coo_matrix(links, shape=(num, num))
    joined = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
    group_N = joined[group_N2[:, 0]]
    return np.unique(group_N, return_inverse=True)[1].astype(np.int64)


def bootstrap_groups(contents: Sequence[Content], alphabet: KmerAlphabet = "protein") -> Ints:
    """What an interval draws: groups (N,), or for pairs that hang together both groups (N, 2).

    Pairs are drawn in their joined groups as long as none of these holds more than a tenth of all;
    else there are too few to draw from, and single groups are drawn (`uncertainty.draw_weights`).
    Where there are fewer than five groups (variants of one protein), rows are drawn one by one:
    each is a group of its own then, numbered from -1 down (`are_rows_drawn`).
    """
    found = or_rows(content_groups(contents, alphabet))
    if not are_pairs(contents) or are_rows_drawn(found):
        return found
    joined = join_pairs(found)
    return joined if np.bincount(joined).max() <= LARGEST_DRAWN * len(joined) else found


def split_groups(contents: Sequence[Content], alphabet: KmerAlphabet = "protein") -> Ints:
    """The groups (N,) that a split keeps together: of single sequences all kin, however many.

    Raises:
        InputError: pairs that hang together so that hardly any can be set apart.
    """
    if not are_pairs(contents):
        return content_groups(contents, alphabet, largest=1.0)
    joined = join_pairs(content_groups(contents, alphabet))
    largest = int(np.bincount(joined).max())
    if largest > MOST_JOINED * len(joined):
        raise InputError(
            "--split cluster",
            f"{largest:,} of {len(joined):,} pairs that hang together, each sharing a sequence, or "
            "one like it, with another",
            f"at most {MOST_JOINED:.0%} of them, so that parts without common sequences are left",
            "`--split column:NAME` with parts of your own, or a table in which fewer pairs share "
            "their sequences",
        )
    return joined
