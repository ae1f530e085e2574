"""The distinct k-mers of many sequences in one sorted table, and which sequences share many."""

# Letters: S sequences, M k-mers (distinct within a sequence) over all sequences.
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from lexome.errors import InputError

KmerAlphabet = Literal["protein", "dna"]
Ints32 = NDArray[np.int32]
Ints64 = NDArray[np.int64]
Sparse = Any  # scipy.sparse has no types of its own

CHUNK = 2_000_000  # residues coded at a time: bounds the memory of sorting
BLOCK_WORK = 8_000_000  # shared k-mers counted at a time
COMMON = 200  # a k-mer in more sequences is compared with the first 200 of them only
WORK = 600_000_000  # shared k-mers counted in all; above it k-mers are thinned evenly


class Seeds(NamedTuple):
    """How k-mers are read from a kind of sequence."""

    k: int
    letters: str  # letter i has the code i; other letters end a k-mer
    both_strands: bool  # a k-mer and its reverse complement are one


SEEDS: dict[KmerAlphabet, Seeds] = {
    "protein": Seeds(5, "ACDEFGHIKLMNPQRSTVWY", both_strands=False),
    "dna": Seeds(11, "ACGT", both_strands=True),
}


class KmerSets(NamedTuple):
    """Distinct k-mers of each sequence: of i they are codes[bounds[i]:bounds[i + 1]], ascending."""

    bounds: NDArray[np.int64]  # (S + 1,)
    codes: Ints32  # (M,)
    positions: Ints32  # (M,) of the first occurrence, from 0
    sizes: Ints32  # (S,)
    num_codes: int


def seeds_of(alphabet: str) -> Seeds:
    """The line of `SEEDS`, or an error that names those that exist."""
    for name, seeds in SEEDS.items():
        if name == alphabet:
            return seeds
    raise InputError(
        "similarity search", f"the alphabet {alphabet!r}", f"one of {', '.join(SEEDS)}", "protein"
    )


def read_kmers(sequences: Sequence[str], seeds: Seeds, fewest_letters: int = 1) -> KmerSets:
    """The distinct k-mers of every sequence; lower case counts as upper case, U as T in DNA.

    Args:
        sequences: any strings; one shorter than k has no k-mers.
        seeds: a line of `SEEDS`.
        fewest_letters: k-mers of fewer different letters are left out (SSSSS, CACACA...), for
            they are shared by sequences that have nothing else in common.
    """
    codes, positions, sizes = [np.empty(0, np.int32)], [np.empty(0, np.int32)], []
    num_codes = len(seeds.letters) ** seeds.k
    rich = _has_letters(seeds, fewest_letters) if fewest_letters > 1 else None
    for start, stop in _chunks(sequences):
        found = _read_chunk(sequences[start:stop], seeds, rich)
        codes.append(found[0])
        positions.append(found[1])
        sizes.append(found[2])
    size_S = np.concatenate([np.empty(0, np.int32), *sizes])
    bounds = np.concatenate([[0], np.cumsum(size_S, dtype=np.int64)])
    return KmerSets(bounds, np.concatenate(codes), np.concatenate(positions), size_S, num_codes)


def _chunks(sequences: Sequence[str]) -> Iterator[tuple[int, int]]:
    start = residues = 0
    for i, sequence in enumerate(sequences):
        if residues + len(sequence) > CHUNK and i > start:
            yield start, i
            start, residues = i, 0
        residues += len(sequence)
    if start < len(sequences):
        yield start, len(sequences)


def _read_chunk(
    sequences: Sequence[str], seeds: Seeds, rich: NDArray[np.bool_] | None
) -> tuple[Ints32, Ints32, Ints32]:
    k, base = seeds.k, len(seeds.letters)
    text = "\n".join(sequences).upper()
    if text.count("\n") != len(sequences) - 1:  # a sequence with a line break in it
        text = "\n".join(sequence.replace("\n", " ") for sequence in sequences).upper()
    if seeds.both_strands:
        text = text.replace("U", "T")
    letters = np.frombuffer(text.encode("latin-1", "replace"), np.uint8)
    table = np.full(256, 255, np.uint8)
    table[np.frombuffer(seeds.letters.encode(), np.uint8)] = np.arange(base)
    residues = table[letters]
    num = max(len(letters) - k + 1, 0)
    code = np.zeros(num, np.int32)
    for i in range(k):
        code = code * base + residues[i : i + num]
    if seeds.both_strands:  # letters are in the order in which the complement of i is base - 1 - i
        reverse = np.zeros(num, np.int32)
        for i in reversed(range(k)):
            reverse = reverse * base + (base - 1 - residues[i : i + num])
        code = np.minimum(code, reverse)
    broken = np.concatenate([[0], np.cumsum(residues == 255)])
    whole = broken[k : k + num] == broken[:num]
    if rich is not None:
        whole &= rich[np.where(whole, code, 0)]
    ends = letters == ord("\n")
    place = np.flatnonzero(whole)
    owner = np.cumsum(ends)[place]
    key = owner * base**k + code[place]
    order = np.argsort(key, kind="stable")
    first = np.ones(len(key), bool)
    first[1:] = np.diff(key[order]) > 0
    kept = order[first]
    starts = np.concatenate([[0], np.flatnonzero(ends) + 1])
    position = place[kept] - starts[owner[kept]]
    sizes = np.bincount(owner[kept], minlength=len(sequences))
    return code[place[kept]], position.astype(np.int32), sizes.astype(np.int32)


def _has_letters(seeds: Seeds, fewest: int) -> NDArray[np.bool_]:
    """Which codes stand for k-mers of at least `fewest` different letters."""
    base = len(seeds.letters)
    code = np.arange(base**seeds.k, dtype=np.int32)
    seen = np.zeros(len(code), np.int32)
    for _ in range(seeds.k):
        seen |= np.int32(1) << (code % base)
        code //= base
    return np.bitwise_count(seen) >= fewest


def sharing_pairs(
    a: KmerSets, b: KmerSets | None, least_share: float, fewest: int
) -> tuple[Ints32, Ints32]:
    """Pairs (row of a, row of b) that share enough k-mers: candidates for a closer look.

    A pair is named if the k-mers that both have number at least `fewest` and at least
    `least_share` of the smaller set. It is an inverted index (k-mer -> sequences), so that
    sequences without a common k-mer never meet. With `b=None` pairs within `a` come back, the
    later row first. Two bounds keep the work linear in large or repetitive sets: of a k-mer
    that more than `COMMON` sequences have, only the first `COMMON` are met by the others, and
    above `WORK` an even, fixed thinning of the k-mers is counted instead of all. A pair that met
    is given those common k-mers that it may share unmet, so that no share is taken for too small.
    """
    other = a if b is None else b
    counts_a = np.bincount(a.codes, minlength=a.num_codes)
    counts_b = counts_a if b is None else np.bincount(b.codes, minlength=a.num_codes)
    work = float((counts_a * np.minimum(counts_b, COMMON)).sum())
    rate = min(1.0, WORK / max(work, 1.0))
    met = (counts_a > 0) & (counts_b > 0) if b is not None else counts_a > 1
    if rate < 1:
        met &= _scattered(a.num_codes) < rate
    matrix_a = _matrix(a, met)
    whole_b = matrix_a if b is None else _matrix(b, met)
    matrix_b = _first_rows(whole_b)
    common_a = matrix_a @ (counts_b > COMMON).astype(np.int32)
    unmet_b = np.diff(whole_b.indptr) - np.bincount(matrix_b.indices, minlength=len(other.sizes))
    del whole_b
    rows_found, columns_found = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    at_least = max(2.0, 0.5 * rate * fewest) if rate < 1 else float(fewest)
    share = least_share * (0.5 * rate if rate < 1 else 1.0)  # half: thinned counts scatter
    for start, stop in _blocks(matrix_a, np.diff(matrix_b.indptr)):
        product = matrix_a[start:stop] @ matrix_b
        hit = np.flatnonzero(product.data >= at_least)
        rows = np.searchsorted(product.indptr, hit, side="right") - 1 + start
        columns = product.indices[hit]
        at_most = product.data[hit] + np.minimum(common_a[rows], unmet_b[columns])
        enough = at_most >= share * np.minimum(a.sizes[rows], other.sizes[columns])
        if b is None:
            enough &= columns < rows
        rows_found.append(rows[enough].astype(np.int32))
        columns_found.append(columns[enough])
    return np.concatenate(rows_found), np.concatenate(columns_found)


def _scattered(num_codes: int) -> NDArray[np.float64]:
    """A fixed number in [0, 1) for each k-mer code, even over codes (Fibonacci hashing)."""
    product = np.arange(num_codes, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (product >> np.uint64(40)) / 2.0**24


def _matrix(sets: KmerSets, met: NDArray[np.bool_]) -> Sparse:
    """Sequences x k-mers, 1 where the sequence has the k-mer, for the k-mers that can meet."""
    kept = met[sets.codes]
    running = np.concatenate([np.zeros(1, np.int32), np.cumsum(kept, dtype=np.int32)])
    codes = sets.codes[kept]
    shape = (len(sets.sizes), sets.num_codes)
    return scipy.sparse.csr_matrix(
        (np.ones(len(codes), np.int32), codes, running[sets.bounds]), shape=shape
    )


def _first_rows(matrix: Sparse) -> Sparse:
    """The transposed matrix, k-mers x sequences, with the first `COMMON` sequences of each."""
    flipped = matrix.T.tocsr()
    flipped.sort_indices()
    counts = np.diff(flipped.indptr)
    if counts.max(initial=0) <= COMMON:
        return flipped
    place = np.arange(flipped.nnz, dtype=np.int32)
    kept = place < np.repeat(flipped.indptr[:-1] + np.int32(COMMON), counts)
    running = np.concatenate([np.zeros(1, np.int32), np.cumsum(kept, dtype=np.int32)])
    return scipy.sparse.csr_matrix(
        (flipped.data[kept], flipped.indices[kept], running[flipped.indptr]), shape=flipped.shape
    )


def _blocks(matrix: Sparse, costs: NDArray[np.generic]) -> Iterator[tuple[int, int]]:
    """Ranges of rows of about `BLOCK_WORK` steps each."""
    steps = np.concatenate([[0], np.cumsum(matrix @ costs.astype(np.int64))])
    start, num = 0, matrix.shape[0]
    while start < num:
        stop = int(np.searchsorted(steps, steps[start] + BLOCK_WORK, side="right")) - 1
        stop = min(max(stop, start + 1), num)
        yield start, stop
        start = stop


def shared_positions(
    sets: KmerSets, rows: Ints32, columns: Ints32
) -> Iterator[tuple[Ints64, Ints32, Ints32]]:
    """Blocks of (pair number, position in the row's, in the column's sequence) by shared k-mer.

    Exact: every k-mer that the two sequences of a pair share is named once.
    """
    ones, places = _with(sets, np.ones_like(sets.codes)), _with(sets, sets.positions + 1)
    for start, stop in _pair_blocks(sets.sizes[rows], sets.sizes[columns]):
        i, j = rows[start:stop], columns[start:stop]
        # places times ones is the place where both have the k-mer, and nothing elsewhere
        in_row, in_column = places[i].multiply(ones[j]).tocsr(), ones[i].multiply(places[j]).tocsr()
        pair = np.repeat(np.arange(start, stop), np.diff(in_row.indptr))
        yield pair, in_row.data - 1, in_column.data - 1


def shared_counts(a: KmerSets, rows: Ints32, b: KmerSets, columns: Ints32) -> Ints64:
    """How many distinct k-mers each pair (row of a, row of b) shares, exactly."""
    ones_a, ones_b = _with(a, np.ones_like(a.codes)), _with(b, np.ones_like(b.codes))
    counts = np.zeros(len(rows), np.int64)
    for start, stop in _pair_blocks(a.sizes[rows], b.sizes[columns]):
        both = ones_a[rows[start:stop]].multiply(ones_b[columns[start:stop]])
        counts[start:stop] = np.diff(both.tocsr().indptr)
    return counts


def _pair_blocks(sizes_a: Ints32, sizes_b: Ints32) -> Iterator[tuple[int, int]]:
    """Ranges of pairs whose sets together hold about `BLOCK_WORK` k-mers."""
    steps = np.concatenate([[0], np.cumsum(sizes_a.astype(np.int64) + sizes_b)])
    start = 0
    while start < len(sizes_a):
        stop = int(np.searchsorted(steps, steps[start] + BLOCK_WORK, side="right")) - 1
        stop = min(max(stop, start + 1), len(sizes_a))
        yield start, stop
        start = stop


def _with(sets: KmerSets, data: Ints32) -> Sparse:
    shape = (len(sets.sizes), sets.num_codes)
    return scipy.sparse.csr_matrix((data, sets.codes, sets.bounds), shape=shape)
