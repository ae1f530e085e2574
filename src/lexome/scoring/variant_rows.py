"""Rows of a table of mutations: which columns play which part, and what each row asks."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import polars as pl

from lexome.errors import InputError
from lexome.inference.parts import Kind
from lexome.io.sources import read_records
from lexome.io.tables import open_table
from lexome.sequence.mutations import Mutant, apply_mutant, find_mismatch, find_mutant, parse_mutant

MUTANT_NAMES = (  # in order of trust
    *("mutant", "mutation", "mutations", "variant", "substitution", "aa_change", "hgvs_pro"),
    *("hgvsp", "hgvs_p", "protein_variant", "protein_change", "mutant_name"),
)
MUTATED_NAMES = ("mutated_sequence", "mutant_sequence", "mut_sequence", "mutated_seq")
REFERENCE_NAMES = ("reference", "protein", "protein_id", "target", "wt_name", "uniprot_id")


class Columns(NamedTuple):
    """The columns that were found or asked for."""

    mutant: str | None
    mutated: str | None  # the whole mutated sequence
    reference: str | None  # the name of the row's reference; None: there is one for all


class VariantRow(NamedTuple):
    """What one row asks, as its table wrote it."""

    number: int  # from 1
    mutant: str
    mutated: str  # empty where the table has no such column
    reference: str
    others: dict[str, Any]  # carried along


class VariantTable(NamedTuple):
    """A table of mutations that is open."""

    where: str
    columns: Columns
    rows: Iterator[VariantRow]
    schema: dict[str, pl.DataType]  # of the columns carried along


ROWS: Kind[VariantRow] = Kind(
    id=lambda row: str(row.number),
    held=lambda row: len(row.mutant) + len(row.mutated),
    work=lambda row: 1,
    content=lambda row: [
        *(row.mutant, row.mutated, row.reference),
        json.dumps(row.others, default=str),
    ],
)


def open_variants(
    source: Any,
    mutant: str | None = None,
    reference: str | None = None,
    many_references: bool = False,
) -> VariantTable:
    """The rows of a table (a path, a frame), or of a list of texts such as A12G.

    Args:
        mutant: the column of changes; else guessed, or made of a column of mutated sequences.
        reference: the column that names each row's reference; else guessed where there are many.

    Raises:
        InputError: no column of changes; no column of references where there are many.
    """
    if isinstance(source, list | tuple):
        rows = (VariantRow(i, str(text), "", "", {}) for i, text in enumerate(source, start=1))
        return VariantTable("the list of mutants", Columns("mutant", None, None), rows, {})
    table = open_table(source)
    first = next(table.batches)
    columns = _choose(table.columns, mutant, reference, many_references, table.where)
    used = {columns.mutant, columns.mutated, columns.reference} - {None}
    schema = {name: first.schema[name] for name in table.columns if name not in used}
    return VariantTable(table.where, columns, _rows(chain([first], table.batches), columns), schema)


def _choose(
    names: list[str], mutant: str | None, reference: str | None, many: bool, where: str
) -> Columns:
    for asked in (mutant, reference):
        if asked is not None and asked not in names:
            raise InputError(where, f"no column {asked!r}", ", ".join(names[:20]), "one of these")
    by_plain = {name.strip().lower().replace(" ", "_"): name for name in reversed(names)}

    def guess(known: Iterable[str]) -> str | None:
        return next((by_plain[name] for name in known if name in by_plain), None)

    changes, mutated = mutant or guess(MUTANT_NAMES), guess(MUTATED_NAMES)
    if changes is None and mutated is None:
        raise InputError(
            where,
            f"the columns {', '.join(names[:20])}",
            "one of changes such as A12G, or of mutated sequences (mutated_sequence)",
            "to name it with --mutant COLUMN",
        )
    place = reference or (guess(REFERENCE_NAMES) if many else None)
    if many and place is None:
        raise InputError(
            where,
            f"several references and the columns {', '.join(names[:20])}",
            "a column that names each row's reference",
            "to name it with --reference COLUMN, or a FASTA of one sequence",
        )
    return Columns(changes, mutated, place)


def _rows(batches: Iterable[pl.DataFrame], columns: Columns) -> Iterator[VariantRow]:
    number = 0
    for batch in batches:
        texts = [
            batch[name].cast(pl.String).str.strip_chars().fill_null("").to_list()
            if name
            else [""] * batch.height
            for name in columns
        ]
        used = [name for name in columns if name]
        for i, others in enumerate(batch.drop(used).iter_rows(named=True)):
            number += 1
            yield VariantRow(number, texts[0][i], texts[1][i], texts[2][i], others)


def read_references(source: Any) -> dict[str, str]:
    """References by name, from a protein, a FASTA file, a table or a dictionary.

    Raises:
        InputError: none, or two of one name.
    """
    found: dict[str, str] = {}
    pairs = source.items() if isinstance(source, Mapping) else None
    for name, sequence in pairs or (
        (r.id, r.sequence) for r in read_records(source, proteins=True)
    ):
        if name in found:
            raise InputError("references", f"{name!r} twice", "a name once", "another name")
        found[name] = sequence
    if not found:
        raise InputError("references", "no sequence", "at least one", "a FASTA file")
    return found


def read_mutant(row: VariantRow, sequence: str, offset: int = 0) -> Mutant | str:
    """The mutant of a row, or in words why there is none.

    Where a row has a change and a mutated sequence, the two must agree.
    """
    if not row.mutant and not row.mutated:
        return "the row has no mutant"
    if not row.mutant:
        return find_mutant(sequence, row.mutated)
    try:
        mutant = parse_mutant(row.mutant).shift(offset)
    except InputError as problem:
        return f"{row.mutant!r}: saw {problem.seen}, expected {problem.expected}"
    if row.mutated and not find_mismatch(mutant, sequence):
        made = apply_mutant(mutant, sequence)
        if made != row.mutated:
            return (
                f"{mutant}: the mutated sequence of the row is not the reference with this change"
            )
    return mutant
