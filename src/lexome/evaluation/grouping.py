"""The groups whose rows a split keeps together: similar sequences, or one stretch of a genome."""

# Letters: N rows.
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.evaluation.clusters import LINKING, similarity_groups
from lexome.evaluation.copies import near_pairs, spelling
from lexome.evaluation.kmer_sets import KmerAlphabet
from lexome.search.mmseqs import cluster, mmseqs_version

Ints = NDArray[np.int64]
METHODS = ("auto", "mmseqs2", "kmers")
NEAR = 0.9  # copies at least so similar are never parted
IDENTITY, COVERAGE = 0.3, 0.8  # of MMseqs2's clusters; coverage is of both sequences


class Grouping(NamedTuple):
    """A group a row, numbered by first appearance, and how the groups were found."""

    group_N: Ints
    how: str
    method: str
    identity: float | None


def group_similar(
    sequences: Sequence[str],
    alphabet: KmerAlphabet,
    identity: float | None = None,
    method: str = "auto",
) -> Grouping:
    """Groups of similar sequences; equal ones, and for DNA reverse complements, share a group.

    Proteins are clustered by MMseqs2 where it is installed (identity 0.3 unless given), else by
    shared k-mers (0.45, the lowest that they see). DNA is always compared by k-mers, on both
    strands (0.8): MMseqs2's clustering looks at one strand. No link is left out, however large
    a group grows. What the audit would call near copies (fragments too, which coverage leaves
    apart) is joined besides.

    Raises:
        InputError: an unknown method, an identity that the method cannot see, MMseqs2 for DNA.
        EnvironmentProblem: MMseqs2 is asked for and not installed.
    """
    if method not in METHODS:
        raise InputError("--clusters", repr(method), f"one of {', '.join(METHODS)}", "auto")
    if method == "mmseqs2" and alphabet == "dna":
        raise InputError(
            "--clusters mmseqs2",
            "DNA",
            "proteins: MMseqs2's clustering misses reverse complements",
            "--clusters kmers, which looks at both strands",
        )
    if method == "auto":
        method = "mmseqs2" if alphabet == "protein" and shutil.which("mmseqs") else "kmers"
    spelled = [spelling(sequence, alphabet) for sequence in sequences]
    distinct = list(dict.fromkeys(spelled))
    place = {letters: number for number, letters in enumerate(distinct)}
    if method == "mmseqs2":
        asked = IDENTITY if identity is None else identity
        found = _by_mmseqs(distinct, asked)
        how = f"MMseqs2 {mmseqs_version()}, {asked:.0%} identity over {COVERAGE:.0%} of both"
    else:
        asked = LINKING[alphabet].lowest_identity if identity is None else identity
        found = similarity_groups(distinct, alphabet, asked, largest=1.0)
        strands = ", both strands" if alphabet == "dna" else ""
        how = f"shared k-mers (built in), as {asked:.0%} identity leaves{strands}"
    found = _join_copies(found, distinct, alphabet, asked)
    return Grouping(found[[place[letters] for letters in spelled]], how, method, asked)


def group_blocks(
    positions: NDArray[np.float64], chromosomes: Sequence[str], size: int
) -> tuple[Ints, Ints]:
    """The block of each row: a stretch of `size` bases of its chromosome, numbered from 0.

    Returns the groups, numbered by chromosome and place, and for each row the distance from the
    start of its block.

    >>> groups, offsets = group_blocks(np.array([5.0, 95, 105]), ["1", "1", "1"], 100)
    >>> groups.tolist(), offsets.tolist()
    ([0, 0, 1], [5, 95, 5])
    """
    position_N = positions.astype(np.int64)
    block_N = position_N // size
    chromosome_N = np.unique(np.asarray(chromosomes), return_inverse=True)[1]
    reach = int(block_N.max()) + 2  # so that the last block of one is not beside the next's first
    key_N = chromosome_N.astype(np.int64) * reach + block_N
    return key_N - key_N.min(), position_N - block_N * size


def in_gap(block_N: Ints, offset_N: Ints, part_N: Ints, gap: int) -> NDArray[np.bool_]:
    """Rows within `gap` bases of the start of a block that follows one of another part.

    `block_N` counts blocks along the genome: neighbours differ by 1. What is left of two parts
    lies more than `gap` bases apart.
    """
    part_of = dict(zip(block_N.tolist(), part_N.tolist(), strict=True))
    before_N = np.array([part_of.get(block - 1, -1) for block in block_N.tolist()])
    near: NDArray[np.bool_] = (offset_N < gap) & (before_N >= 0) & (before_N != part_N)
    return near


def _join_copies(
    group_N: Ints, distinct: Sequence[str], alphabet: KmerAlphabet, identity: float
) -> Ints:
    """Groups that hold near copies of each other become one."""
    pairs = near_pairs(distinct, distinct, max(NEAR, identity), alphabet, len(distinct))
    ends = np.array([(pair.first, pair.second) for pair in pairs], np.int64).reshape(-1, 2)
    num = int(group_N.max()) + 1
    links = (np.ones(len(ends), bool), (group_N[ends[:, 0]], group_N[ends[:, 1]]))
    graph = scipy.sparse.coo_matrix(links, shape=(num, num))
    joined = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
    return np.asarray(joined[group_N], np.int64)


def _by_mmseqs(distinct: Sequence[str], identity: float) -> Ints:
    if not 0 < identity <= 1:
        raise InputError("--identity", f"{identity:g}", "above 0, at most 1", "--identity 0.3")
    group_N = np.arange(len(distinct))
    with tempfile.TemporaryDirectory() as folder:
        fasta = Path(folder) / "distinct.fasta"
        with fasta.open("w", encoding="utf-8") as lines:
            for number, letters in enumerate(distinct):
                lines.write(f">{number}\n{letters.replace('*', 'X').replace('-', '')}\n")
        for members in cluster(fasta, identity, COVERAGE, Path(folder) / "mmseqs"):
            numbers = [int(member) for member in members]
            group_N[numbers] = min(numbers)
    return np.unique(group_N, return_inverse=True)[1].astype(np.int64)
