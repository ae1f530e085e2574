"""What the parts of a split of pairs share: the same pair in either order, and single sequences."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexome.evaluation.contradictions import Known, agree, comparable_labels, is_contradicted
from lexome.evaluation.copies import near_pairs
from lexome.evaluation.kmer_sets import KmerAlphabet
from lexome.evaluation.leakage import PARTNERS, audit_parts, parts_in_order
from lexome.results.types import Audit, LeakRow, PartOverlap
from lexome.sequence.pairs import Content, Pair, are_single

Matches = dict[str, dict[str, float]]  # sequence -> its copies in the other part, best first


class _Shared(NamedTuple):
    row: int
    similarity: float
    is_pair: bool  # both sequences have copies in one row, in either order


def audit_contents(
    contents: Sequence[Content],
    parts: Sequence[str] | NDArray[np.str_],
    labels: ArrayLike,
    ids: Sequence[str],
    similarity: float = 0.9,
    alphabet: KmerAlphabet = "protein",
) -> Audit:
    """As `audit_parts`, of sequences or of pairs.

    A pair counts by its more similar sequence: exact where one of its two stands in the other part
    letter by letter, near where one has a near copy there. `same_pairs` of them have copies of both
    in one row, in either order; only such can be conflicts, listed or not. A listed row that shares
    both comes before one that shares one.
    """
    if are_single(contents):
        return audit_parts(contents, parts, labels, ids, similarity, alphabet)
    pairs = [pair for pair in contents if isinstance(pair, Pair)]
    part_N, label_N = np.asarray(parts, dtype=str), comparable_labels(labels)
    overlaps, listed, same_pairs = [], [], []
    for part_a, part_b in combinations(parts_in_order(part_N), 2):
        rows_a = np.flatnonzero(part_N == part_a).tolist()
        rows_b = np.flatnonzero(part_N == part_b).tolist()
        matches = _matches(pairs, rows_a, rows_b, similarity, alphabet)
        exact, near, num_same = 0, 0, 0
        conflicts = _count_contradicted(pairs, label_N, rows_a, rows_b, matches)
        for row, shared in _shared_rows(pairs, rows_a, rows_b, matches):
            best = max(max(matches[s].values(), default=0.0) for s in pairs[row])
            exact, near = exact + (best == 1), near + (best < 1)
            num_same += shared[0].is_pair
            for one in shared:
                named = (part_a, ids[one.row], part_b, ids[row], one.similarity)
                same_label = agree(label_N[one.row], label_N[row]) if one.is_pair else None
                listed.append(LeakRow(*named, one.similarity == 1, same_label))
        overlaps.append(PartOverlap(part_a, part_b, exact, near, conflicts, len(rows_b)))
        same_pairs.append(num_same)
    return Audit(overlaps, listed, similarity, same_pairs)


def _matches(
    pairs: Sequence[Pair],
    rows_a: Sequence[int],
    rows_b: Sequence[int],
    similarity: float,
    alphabet: KmerAlphabet,
) -> Matches:
    """The copies that sequences of part b have among those of part a."""
    there = list(dict.fromkeys(s for row in rows_a for s in pairs[row]))
    here = list(dict.fromkeys(s for row in rows_b for s in pairs[row]))
    found: Matches = {sequence: {} for sequence in here}
    for one in near_pairs(there, here, similarity, alphabet):
        found[here[one.second]][there[one.first]] = one.similarity
    return found


def _count_contradicted(
    pairs: Sequence[Pair],
    label_N: Sequence[Known],
    rows_a: Sequence[int],
    rows_b: Sequence[int],
    matches: Matches,
) -> int:
    """Rows of part b whose pair, or one like it, stands in part a with another label."""
    labels_of: dict[frozenset[str], set[Known]] = defaultdict(set)
    for row in rows_a:
        labels_of[frozenset(pairs[row])].add(label_N[row])
    found = 0
    for row in rows_b:
        kin = (frozenset(two) for two in product(*(matches[sequence] for sequence in pairs[row])))
        found += any(is_contradicted(label_N[row], labels_of.get(two, ())) for two in kin)
    return found


def _shared_rows(
    pairs: Sequence[Pair], rows_a: Sequence[int], rows_b: Sequence[int], matches: Matches
) -> Iterator[tuple[int, list[_Shared]]]:
    """Each row of part b that shares something with part a, with the rows it shares that with."""
    with_pair, with_one = defaultdict(list), defaultdict(list)
    for row in rows_a:
        with_pair[frozenset(pairs[row])].append(row)
        for sequence in set(pairs[row]):
            with_one[sequence].append(row)
    for row in rows_b:
        found: dict[int, _Shared] = {}
        first, second = (matches[sequence] for sequence in pairs[row])
        for (one, a), (other, b) in product(first.items(), second.items()):
            for there in with_pair.get(frozenset((one, other)), [])[:PARTNERS]:
                found.setdefault(there, _Shared(there, min(a, b), True))
        both = sorted(found.values(), key=lambda shared: -shared.similarity)
        for copy, alike in sorted({**first, **second}.items(), key=lambda item: -item[1]):
            for there in with_one[copy][:PARTNERS]:
                if there not in found:
                    found[there] = _Shared(there, alike, False)
        others = [shared for shared in found.values() if not shared.is_pair]
        if found:
            yield row, [*both, *others][:PARTNERS]
