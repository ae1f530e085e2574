"""What the parts of a split share: exact copies, near copies, and copies with another label."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexome.errors import InputError
from lexome.evaluation.contradictions import Known, agree, comparable_labels, is_contradicted
from lexome.evaluation.copies import near_pairs, spelling
from lexome.evaluation.kmer_sets import KmerAlphabet
from lexome.evaluation.splits import PARTS, UNUSED
from lexome.results.types import Audit, LeakRow, PartOverlap

PARTNERS = 5  # copies listed of one row; a family of thousands of variants fills no disk


def audit_parts(
    sequences: Sequence[str],
    parts: Sequence[str] | NDArray[np.str_],
    labels: ArrayLike | None = None,
    ids: Sequence[str] | None = None,
    similarity: float = 0.9,
    alphabet: KmerAlphabet = "protein",
) -> Audit:
    """Count and list what each pair of parts shares, at `similarity` or above (see `near_pairs`).

    Rows of the part "unused" are left out. Of each row of the later part at most 5 copies in
    the earlier one are listed, the most similar first. Conflicts are looked for among all exact
    copies and among the listed near ones.

    Args:
        sequences: all rows.
        parts: the part of each row, as the functions in `splits` name them.
        labels: (N,) or, of several labels, (N, K); copies with unequal labels are conflicts, as
            `agree` has it: 1 and 1.0 are equal, and None or NaN contradicts none.
        ids: names for the rows of the list; row numbers from 1 without them.

    >>> audit = audit_parts(["MKTAYIAK", "GSHMASWL", "MKTAYIAK"], ["train", "train", "test"])
    >>> audit.overlaps
    [PartOverlap(part_a='train', part_b='test', exact=1, near=0, conflicts=0, size_b=1)]
    """
    num = len(sequences)
    label_N = None if labels is None else comparable_labels(labels)
    names = [str(i + 1) for i in range(num)] if ids is None else list(ids)
    for what, size in (
        ("parts", len(parts)),
        ("ids", len(names)),
        ("labels", num if label_N is None else len(label_N)),
    ):
        if size != num:
            raise InputError(
                "leakage audit", f"{size} {what}", f"{num}, one a sequence", "passing whole columns"
            )
    part_N = np.asarray(parts, dtype=str)
    overlaps, rows = [], []
    for part_a, part_b in combinations(parts_in_order(part_N), 2):
        rows_a = np.flatnonzero(part_N == part_a).tolist()
        rows_b = np.flatnonzero(part_N == part_b).tolist()
        found = near_pairs(
            [sequences[i] for i in rows_a],
            [sequences[i] for i in rows_b],
            similarity,
            alphabet,
            PARTNERS,
        )
        exact: set[int] = set()
        near: set[int] = set()
        conflicts: set[int] = set()
        if label_N is not None:
            spelled = [spelling(sequence, alphabet) for sequence in sequences]
            conflicts = _contradicted(spelled, label_N, rows_a, rows_b)
        for pair in found:
            i, j = rows_a[pair.first], rows_b[pair.second]
            same = None if label_N is None else agree(label_N[i], label_N[j])
            identical = pair.similarity == 1
            (exact if identical else near).add(j)
            if same is False:
                conflicts.add(j)
            rows.append(
                LeakRow(part_a, names[i], part_b, names[j], pair.similarity, identical, same)
            )
        overlaps.append(
            PartOverlap(part_a, part_b, len(exact), len(near - exact), len(conflicts), len(rows_b))
        )
    return Audit(overlaps, rows, similarity)


def _contradicted(
    spelled: Sequence[str], label_N: Sequence[Known], rows_a: Sequence[int], rows_b: Sequence[int]
) -> set[int]:
    """The rows of part b with an exact copy in part a, listed or not, that has another label."""
    labels_of: dict[str, set[Known]] = defaultdict(set)
    for row in rows_a:
        labels_of[spelled[row]].add(label_N[row])
    return {row for row in rows_b if is_contradicted(label_N[row], labels_of.get(spelled[row], ()))}


def parts_in_order(part_N: NDArray[np.str_]) -> list[str]:
    """train, validation, test, then others by name; "unused" is none."""
    names = set(part_N.tolist()) - {UNUSED}
    return [part for part in PARTS if part in names] + sorted(names - set(PARTS))
