"""Guesses which column of a table plays which part: sequence, id or label."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

import polars as pl

from lexome.errors import InputError
from lexome.results.types import ColumnChoice

NAMES = {  # in order of trust: the first that a table has is taken
    "sequence": [
        *("sequence", "seq", "sequences", "protein_sequence", "aa_sequence", "aa_seq", "aaseq"),
        *("amino_acid_sequence", "mutated_sequence", "mutant_sequence", "dna_sequence", "dna_seq"),
        *("rna_sequence", "rna_seq", "nucleotide_sequence", "cds", "primary", "residues", "fasta"),
        *("protein", "peptide", "dna", "rna"),
    ],
    "id": [
        *("id", "ids", "acc", "accession", "sid", "entry", "uniprot", "uniprot_id", "uniprot_ac"),
        *("uniprotkb", "protein_id", "sequence_id", "seq_id", "seqid", "gene_id", "transcript_id"),
        *("identifier", "name", "entry_name", "protein_name", "gene", "header", "mutant"),
    ],
    "label": ["label", "labels", "y", "target", "targets", "class", "classes", "category"],
}
OPTIONS = {"sequence": "--sequence COLUMN", "id": "--id COLUMN", "label": "--label COLUMN"}

VAGUE = {"fasta", "protein", "peptide", "dna", "rna", "cds", "primary"}  # may hold names instead
RESIDUES = re.compile(r"[ABCDEFGHIKLMNPQRSTUVWXYZ*.-]+|[abcdefghiklmnpqrstuvwxyz*.-]+")
SHORTEST_NAMED, SHORTEST_UNNAMED = 5, 15  # letters; an unnamed column must not be of words
NEEDED_NAMED, NEEDED_UNNAMED = 0.5, 0.95  # share of the values


def guess_column(
    columns: Sequence[str],
    role: str,
    asked: str | None = None,
    *,
    sample: pl.DataFrame | None = None,
    where: str = "table",
) -> ColumnChoice | None:
    """The column for a role ("sequence", "id" or "label"), and whether it was guessed.

    A column asked for is taken, or InputError names the closest there are; "" asks for no column
    of ids, so that rows are numbered. Otherwise the names that people use decide, whatever their
    case; then, for sequences and with a sample of the rows, the only text column that holds long
    words of residue letters. None: nothing fits.

    >>> guess_column(["ACC", "Kingdom", "Sequence"], "sequence")
    ColumnChoice(name='Sequence', is_guessed=True)
    """
    if asked == "" and role == "id":
        return None
    if asked is not None:
        if asked not in columns:
            raise _no_such_column(columns, asked, where)
        return ColumnChoice(asked, False)
    known = NAMES[role]
    fitting = [column for column in columns if _plain_name(column) in known]
    fitting.sort(key=lambda column: known.index(_plain_name(column)))
    if role == "sequence" and sample is not None:
        fitting = [name for name in fitting if not _holds_words(name, sample[name])]
        if not fitting:
            held = [
                name
                for name in columns
                if _share_of_sequences(sample[name], SHORTEST_UNNAMED) > NEEDED_UNNAMED
            ]
            fitting = held if len(held) == 1 else []
    if not fitting:
        return None
    if len(fitting) > 1 and _plain_name(fitting[0]) == _plain_name(fitting[1]):
        raise InputError(
            where,
            f"the columns {fitting[0]!r} and {fitting[1]!r}",
            f"one for the {role}",
            f"to choose with {OPTIONS[role]}",
        )
    return ColumnChoice(fitting[0], True)


def find_column(
    columns: Sequence[str],
    role: str,
    asked: str | None = None,
    *,
    sample: pl.DataFrame | None = None,
    where: str = "table",
) -> ColumnChoice:
    """As `guess_column`, but InputError with the columns there are when nothing fits."""
    choice = guess_column(columns, role, asked, sample=sample, where=where)
    if choice is None:
        raise InputError(
            where,
            f"the columns {', '.join(columns[:20])}{', ...' if len(columns) > 20 else ''}",
            f"one that holds the {role}",
            f"to name it with {OPTIONS[role]}",
        )
    return choice


def _plain_name(column: str) -> str:
    """A column name without case, and with one sign between its words."""
    return re.sub(r"[\s.-]+", "_", column.strip()).lower()


def _no_such_column(columns: Sequence[str], asked: str, where: str) -> InputError:
    by_lower = {column.lower(): column for column in columns}
    near = [by_lower[name] for name in get_close_matches(asked.lower(), by_lower, n=3, cutoff=0.5)]
    return InputError(
        where,
        f"no column {asked!r}",
        f"one of {', '.join(columns[:20])}{', ...' if len(columns) > 20 else ''}",
        " or ".join(repr(column) for column in near) if near else "one of these",
    )


def _holds_words(column: str, values: pl.Series) -> bool:
    """Whether a column of a vague name ("protein") holds something else than sequences."""
    if _plain_name(column) not in VAGUE:
        return False
    return _share_of_sequences(values, SHORTEST_NAMED) < NEEDED_NAMED


def _share_of_sequences(values: pl.Series, shortest: int) -> float:
    """How many of the values present are words of residue letters, in one case, and long enough."""
    if values.dtype != pl.String:
        return 0.0
    present = [value.strip() for value in values.to_list() if value and value.strip()]
    fitting = [
        len(value) >= shortest and RESIDUES.fullmatch(value) is not None for value in present
    ]
    return sum(fitting) / max(len(fitting), 1)
