"""The groups whose rows a split keeps together: similar sequences, or one stretch of a genome."""

# Letters: N rows.
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import scipy.sparse
from numpy.typing import NDArray

from lexome.errors import EnvironmentProblem, InputError
from lexome.evaluation.clusters import LINKING, similarity_groups
from lexome.evaluation.copies import near_pairs, spelling
from lexome.evaluation.kmer_sets import KmerAlphabet
from lexome.io.roles import find_column
from lexome.search.mmseqs import cluster, find_mmseqs, mmseqs_version

Ints = NDArray[np.int64]
METHODS = ("auto", "mmseqs2", "kmers")
BLOCK_SIZE = 1_000_000  # bases
NEAR = 0.9  # copies at least so similar are never parted
IDENTITY, COVERAGE = 0.3, 0.8  # of MMseqs2's clusters; coverage is of both sequences
SHORTEST = 10  # residues; in a table of shorter ones alone MMseqs2 finds no k-mer, and dies


class Grouping(NamedTuple):
    """A group a row, numbered by first appearance, and how the groups were found."""

    group_N: Ints
    how: str
    method: str
    identity: float | None


class Blocks(NamedTuple):
    """The stretch of a genome that each row stands on."""

    group_N: Ints  # counted along the genome: the numbers of neighbours differ by 1
    offset_N: Ints  # bases from the start of the block

    def take(self, rows: Ints) -> "Blocks":
        """Those of some rows."""
        return Blocks(self.group_N[rows], self.offset_N[rows])


def group_similar(
    sequences: Sequence[str],
    alphabet: KmerAlphabet,
    identity: float | None = None,
    method: str = "auto",
) -> Grouping:
    """Groups of similar sequences; equal ones, and for DNA reverse complements, share a group.

    Proteins are clustered by MMseqs2 where it is installed (identity 0.3 unless given) and any of
    them has ten residues, else by shared k-mers (0.45, the lowest that they see). DNA is always
    compared by k-mers, on both strands (0.8): MMseqs2's clustering looks at one strand. No link
    is left out, however large a group grows. What the audit would call near copies (fragments
    too, which coverage leaves apart) is joined besides.

    Raises:
        InputError: an unknown method, an identity that the method cannot see, MMseqs2 for DNA or
            for proteins that are all too short or too poor in letters for it.
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
        long_enough = any(len(sequence) >= SHORTEST for sequence in sequences)
        aligns = alphabet == "protein" and long_enough and shutil.which("mmseqs")
        method = "mmseqs2" if aligns else "kmers"
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


def read_blocks(frame: pl.DataFrame, columns: Sequence[str], size: int, where: str) -> Blocks:
    """The blocks of a table's rows, by its columns POSITION, or CHROMOSOME and POSITION.

    Raises:
        InputError: a column that is not there, a row without a position, a size below 1.
    """
    for name in columns:
        find_column(frame.columns, "id", name, where=where)
    positions = frame[columns[-1]].cast(pl.Float64, strict=False)
    is_place = (positions.is_finite() & (positions >= 0)).fill_null(False)
    if not is_place.all():
        bad = int((~is_place).arg_true()[0])
        raise InputError(
            f"{where}, row {bad + 1}, column {columns[-1]!r}",
            repr(frame[columns[-1]][bad]), "a position, 0 or more", "another column",
        )  # fmt: skip
    if size < 1:
        raise InputError("--block-size", str(size), "at least 1", "--block-size 1000000")
    chromosomes = [""] * frame.height
    if len(columns) == 2:
        named = frame[columns[0]]
        if named.null_count():
            bad = int(named.is_null().arg_true()[0])
            raise InputError(
                f"{where}, row {bad + 1}, column {columns[0]!r}",
                "no chromosome", "its name", "to fill it in or drop the row",
            )  # fmt: skip
        chromosomes = [str(value) for value in named.to_list()]
    return group_blocks(positions.to_numpy(), chromosomes, size)


def group_blocks(positions: NDArray[np.float64], chromosomes: Sequence[str], size: int) -> Blocks:
    """The block of each row: a stretch of `size` bases of its chromosome, numbered from 0.

    Blocks are numbered by chromosome and place.

    >>> groups, offsets = group_blocks(np.array([5.0, 95, 105]), ["1", "1", "1"], 100)
    >>> groups.tolist(), offsets.tolist()
    ([0, 0, 1], [5, 95, 5])
    """
    position_N = positions.astype(np.int64)
    block_N = position_N // size
    chromosome_N = np.unique(np.asarray(chromosomes), return_inverse=True)[1]
    reach = int(block_N.max()) + 2  # so that the last block of one is not beside the next's first
    key_N = chromosome_N.astype(np.int64) * reach + block_N
    return Blocks(key_N - key_N.min(), position_N - block_N * size)


def settle_gap(gap: int | None, sequences: Iterable[str], size: int) -> int:
    """The bases to leave empty between blocks of two parts: the longest sequence unless given.

    Raises:
        InputError: as many as a block has, or more.
    """
    gap = max(map(len, sequences), default=0) if gap is None else gap
    if not 0 <= gap < size:
        raise InputError(
            "--gap", f"{gap:,}", f"0 or more, below the block size of {size:,}",
            "a larger --block-size",
        )  # fmt: skip
    return gap


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
    find_mmseqs()
    group_N = np.arange(len(distinct))
    with tempfile.TemporaryDirectory() as folder:
        fasta = Path(folder) / "distinct.fasta"
        with fasta.open("w", encoding="utf-8") as lines:
            for number, letters in enumerate(distinct):
                lines.write(f">{number}\n{letters.replace('*', 'X').replace('-', '')}\n")
        try:
            for members in cluster(fasta, identity, COVERAGE, Path(folder) / "mmseqs"):
                numbers = [int(member) for member in members]
                group_N[numbers] = min(numbers)
        except EnvironmentProblem as problem:
            if any(map(_is_rich, distinct)):
                raise
            raise InputError(
                "--clusters mmseqs2",
                f"{len(distinct):,} proteins, all short or of few different residues",
                "some from which MMseqs2 can take a k-mer: it stopped",
                "--clusters kmers",
            ) from problem
    return np.unique(group_N, return_inverse=True)[1].astype(np.int64)


def _is_rich(letters: str) -> bool:
    """Whether MMseqs2 surely finds k-mers in it, which it does not in short or masked stretches."""
    return len(letters) >= 2 * SHORTEST and len(set(letters)) > 5
