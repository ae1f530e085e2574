"""Leakage between files, or between the parts of a table: copies, kin, and labels that disagree."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lexome.errors import InputError
from lexome.evaluation.copies import spelling
from lexome.evaluation.grouping import Ints, group_similar
from lexome.evaluation.kmer_sets import KmerAlphabet
from lexome.evaluation.leakage import audit_parts
from lexome.evaluation.sequence_rows import SequenceRows, find_alphabet, read_rows
from lexome.evaluation.splits import PARTS, UNUSED
from lexome.io.roles import find_column

LEAKS = ("exact", "reverse complement", "near")
SCHEMA = {
    "leak": pl.String,
    "part_a": pl.String,
    "row_a": pl.Int64,
    "id_a": pl.String,
    "part_b": pl.String,
    "row_b": pl.Int64,
    "id_b": pl.String,
    "similarity": pl.Float64,
    "same_label": pl.Boolean,
    "label_a": pl.String,
    "label_b": pl.String,
}


class Overlap(NamedTuple):
    """How much of `part_b` stands in `part_a` too; rows are counted once, by their closest copy."""

    part_a: str
    part_b: str
    size_b: int
    exact: int  # rows of part_b with the very sequence in part_a
    reverse_complement: int  # rows with its reverse complement there, and no exact copy
    near: int  # rows with a near copy only
    distinct: int  # different sequences among the exact and reverse complement ones
    conflicts: int  # rows with a copy of any kind that has another label
    clusters: int | None  # clusters with rows in both; None where none were made
    clustered: int | None  # rows of part_b in these


class AuditResult(NamedTuple):
    """What an audit found."""

    overlaps: list[Overlap]  # one for each two parts, also where nothing was found
    pairs: pl.DataFrame  # the pairs of copies; of each row of part_b the 5 closest
    alphabet: str
    similarity: float
    how: str | None  # how clusters were made
    label: str | None  # the column of labels that were compared

    @property
    def has_leaks(self) -> bool:
        """Whether there is any copy, exact or near; remoter kin alone is told, and no leak."""
        return self.pairs.height > 0


def audit(
    table: Any = None,
    *,
    train: Any = None,
    validation: Any = None,
    test: Any = None,
    split: str | None = None,
    sequence: str | None = None,
    id: str | None = None,
    label: str | None = None,
    similarity: float = 0.9,
    identity: float | None = None,
    clusters: str = "kmers",
    alphabet: str = "auto",
) -> AuditResult:
    """Copies, kin and contradictory labels between parts: of a table, or of a file each.

    Args:
        table, split: a table and the column that says the part of each row: `column:part`
            (rows of the part "unused", and without one, are left out; any other names are parts).
        train, validation, test: instead, a source for each part, two at least: tables or FASTA.
        sequence, id, label: columns; guessed where not given.
        similarity: from which on two sequences are near copies, 0.7 to 1 (see `near_pairs`).
        identity, clusters, alphabet: as `group_similar` has them; "none" makes no clusters, and
            "mmseqs2" sees remoter kin of proteins than k-mers and takes minutes.

    Raises:
        InputError: fewer than two parts, a column that is not there, proteins beside DNA.

    >>> known, asked = ["MKTAYIAKQRQISFVK"], ["GSHMASWLNDEPQRCY", "mktayiakqrqisfvk"]
    >>> found = audit(train=known, test=asked, clusters="kmers")
    >>> found.overlaps[0].exact, found.pairs["row_b"].to_list()
    (1, [2])
    """
    named = {"train": train, "validation": validation, "test": test}
    files = {part: source for part, source in named.items() if source is not None}
    if table is not None:
        if files or split is None:
            raise InputError(
                "audit",
                "a table and files" if files else "a table without --split",
                "a table with the column of its parts, or a file for each part",
                "--split column:part, or --train A --test B",
            )
        rows, parts, numbers = _parts_of_table(table, split, sequence, id, label)
    else:
        if len(files) < 2:
            raise InputError(
                "audit",
                f"{len(files)} parts",
                "two at least",
                "--train A --test B, or a table with --split column:part",
            )
        rows, parts, numbers = _parts_of_files(files, sequence, id, label, alphabet)
    kind = find_alphabet(rows.sequences, alphabet)
    labels = None if rows.labels is None else [text.strip() or None for text in rows.labels]
    names = list(map(str, range(len(parts))))
    found = audit_parts(
        rows.sequences,
        parts,
        None if labels is None else np.array(labels, dtype=object),  # None: not known
        names,
        similarity,
        kind,
    )
    groups, how = None, None
    if clusters != "none":
        grouping = group_similar(rows.sequences, kind, identity, clusters)
        groups, how = grouping.group_N, grouping.how
    pairs = pl.DataFrame(
        [
            {
                "leak": _kind(rows.sequences[int(pair.id_a)], rows.sequences[int(pair.id_b)])
                if pair.exact
                else "near",
                "part_a": pair.part_a,
                "row_a": numbers[int(pair.id_a)],
                "id_a": rows.ids[int(pair.id_a)],
                "part_b": pair.part_b,
                "row_b": numbers[int(pair.id_b)],
                "id_b": rows.ids[int(pair.id_b)],
                "similarity": pair.similarity,
                "same_label": pair.same_label,
                "label_a": rows.labels[int(pair.id_a)] if rows.labels else None,
                "label_b": rows.labels[int(pair.id_b)] if rows.labels else None,
            }
            for pair in found.pairs
        ],
        schema=SCHEMA,
    )
    conflicts = {(o.part_a, o.part_b): o.conflicts for o in found.overlaps}
    overlaps = [
        _overlap(a, b, rows, np.array(parts), pairs, conflicts[a, b], groups, kind)
        for a, b in combinations(_ordered(set(parts) - {UNUSED}), 2)
    ]
    return AuditResult(overlaps, pairs, kind, similarity, how, rows.label_column)


def _kind(a: str, b: str) -> str:
    """Whether two sequences that count as identical are so letter by letter, or turned round."""
    same = a.upper().replace("U", "T") == b.upper().replace("U", "T")
    return "exact" if same else "reverse complement"


def _overlap(
    part_a: str,
    part_b: str,
    rows: SequenceRows,
    part_N: np.ndarray[Any, np.dtype[np.str_]],
    pairs: pl.DataFrame,
    conflicts: int,
    group_N: Ints | None,
    alphabet: KmerAlphabet,
) -> Overlap:
    between = pairs.filter((pl.col("part_a") == part_a) & (pl.col("part_b") == part_b))
    rows_of = {leak: set(between.filter(pl.col("leak") == leak)["row_b"]) for leak in LEAKS}
    exact, turned = rows_of["exact"], rows_of["reverse complement"] - rows_of["exact"]
    in_a, in_b = part_N == part_a, part_N == part_b
    here = {spelling(rows.sequences[i], alphabet) for i in np.flatnonzero(in_b)}
    there = {spelling(rows.sequences[i], alphabet) for i in np.flatnonzero(in_a)}
    clusters = clustered = None
    if group_N is not None:
        both = np.intersect1d(group_N[in_a], group_N[in_b])
        clusters, clustered = len(both), int(np.isin(group_N[in_b], both).sum())
    return Overlap(
        part_a,
        part_b,
        int(in_b.sum()),
        len(exact),
        len(turned),
        len(rows_of["near"] - exact - turned),
        len(here & there),
        conflicts,
        clusters,
        clustered,
    )


def _parts_of_files(
    files: dict[str, Any], sequence: str | None, id: str | None, label: str | None, alphabet: str
) -> tuple[SequenceRows, list[str], list[int]]:
    read = {part: read_rows(source, sequence, id, label) for part, source in files.items()}
    has_labels = all(rows.labels is not None for rows in read.values())
    kinds = {part: find_alphabet(rows.sequences, alphabet) for part, rows in read.items()}
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{kind} in {part}" for part, kind in kinds.items())
        raise InputError("audit", told, "one alphabet in all files", "checking the files")
    joined = SequenceRows(
        "the files",
        [name for rows in read.values() for name in rows.ids],
        [letters for rows in read.values() for letters in rows.sequences],
        [text for rows in read.values() for text in rows.labels or []] if has_labels else None,
        next(iter(read.values())).label_column if has_labels else None,
        None,
    )
    parts = [part for part, rows in read.items() for _ in rows.ids]
    numbers = [row for rows in read.values() for row in range(1, len(rows.ids) + 1)]
    return joined, parts, numbers


def _parts_of_table(
    table: Any, split: str, sequence: str | None, id: str | None, label: str | None
) -> tuple[SequenceRows, list[str], list[int]]:
    kind, _, column = split.partition(":")
    if kind != "column" or not column:
        raise InputError("--split", repr(split), "column:NAME", "--split column:part")
    rows = read_rows(table, sequence, id, label)
    if rows.frame is None:
        raise InputError(
            rows.where, "no table", "one with the column of the parts", "--train A --test B"
        )
    find_column(rows.frame.columns, "id", column, where=rows.where)
    values = rows.frame[column].cast(pl.String).fill_null(UNUSED).to_list()
    kept = [i for i, value in enumerate(values) if value.strip() and value != UNUSED]
    if len({values[i] for i in kept}) < 2:
        raise InputError(
            f"{rows.where}, column {column!r}",
            f"the one part {values[kept[0]]!r}" if kept else "no parts",
            "two at least",
            "another --split column:NAME",
        )
    chosen = SequenceRows(
        rows.where,
        [rows.ids[i] for i in kept],
        [rows.sequences[i] for i in kept],
        None if rows.labels is None else [rows.labels[i] for i in kept],
        rows.label_column,
        None,
    )
    return chosen, [values[i] for i in kept], [i + 1 for i in kept]


def _ordered(names: Sequence[str] | set[str]) -> list[str]:
    return [part for part in PARTS if part in names] + sorted(set(names) - set(PARTS))
