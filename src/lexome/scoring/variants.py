"""`lexome.score_variants`: a score, or a reason, for every row of a table of mutations."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import polars as pl

from lexome.errors import InputError
from lexome.inference.ensemble import Ensemble
from lexome.inference.model import Model
from lexome.io.sources import is_path
from lexome.results import columns
from lexome.scoring.mutants.rules import make_mutant_scorer
from lexome.scoring.mutants.scorer import MutantScorer, Outcome, score_mutants
from lexome.scoring.variant_rows import (
    VariantRow,
    VariantTable,
    open_variants,
    read_mutant,
    read_references,
)
from lexome.sequence.mutations import Mutant, find_mismatch, find_offset

SURVEYED = 2_000  # rows by which the numbering is judged before the work
WRONG, RIGHT = 0.5, 0.9  # shares that disagree as numbered, and that agree when shifted
CARRIED = "input_"  # in front of the name of a column that is carried along


class Asked(NamedTuple):
    """What scoring a table needs besides its rows."""

    scorer: MutantScorer
    references: dict[str, str]
    offset: int = 0


def score_variants(
    model: Model | Ensemble | MutantScorer,
    variants: Any,
    reference: Any,
    rule: str | None = None,
    long: str = "refuse",
    mutant: str | None = None,
    reference_column: str | None = None,
    offset: int = 0,
) -> pl.DataFrame:
    """One row an input row, in its order: a score, or the reason why there is none.

    Columns: row (from 1), id (of the reference), mutant, score, rule, reason, and the table's other
    columns as input_<name>.

    Args:
        model: from `lexome.load` or `lexome.load_ensemble`, or a rule made ready.
        variants: a table (a path, a frame) with a column of changes (A12G, A12G:C45D, p.Ala12Gly,
            A12del, ...) or of mutated sequences; or a list of changes.
        reference: a protein, a FASTA file, or sequences by name.
        rule: see `lexome.scoring.mutants.rules.PROTEIN_RULES`.
        long: of proteins beyond the context: refuse, whole or window.
        mutant: the column of changes; guessed without.
        reference_column: the column that names each row's reference, where there are several.
        offset: added to every position before anything else.

    Raises:
        InputError: a numbering that fits with another offset, which is named.
    """
    if isinstance(model, MutantScorer):
        scorer = model
    else:
        scorer = make_mutant_scorer(model, rule, long)
    asked = Asked(scorer, read_references(reference), offset)
    if isinstance(variants, str) and not is_path(variants):
        variants = [variants]
    if isinstance(variants, Iterator):
        variants = list(variants)  # it is read twice
    many = len(asked.references) > 1
    first = open_variants(variants, mutant, reference_column, many)
    check_numbering(first, asked)
    table = open_variants(variants, mutant, reference_column, many)
    return variant_table(asked, list(table.rows), table.schema)


def check_numbering(table: VariantTable, asked: Asked) -> None:
    """Refuse a table whose positions fit its references with another offset.

    Raises:
        InputError: naming the offset.
    """
    by_reference: dict[str, list[Mutant]] = {}
    for row in islice(table.rows, SURVEYED):
        name, sequence = _reference_of(row, asked.references)
        found = read_mutant(row._replace(mutated=""), sequence, asked.offset) if sequence else ""
        if isinstance(found, Mutant) and found.edits and row.mutant:
            by_reference.setdefault(name, []).append(found)
    for name, mutants in by_reference.items():
        sequence = asked.references[name]
        wrong = sum(bool(find_mismatch(mutant, sequence)) for mutant in mutants)
        if wrong <= WRONG * len(mutants):
            continue
        shift, share = find_offset(mutants, sequence)
        if share >= RIGHT and shift:
            total = asked.offset + shift
            raise InputError(
                f"{table.where}, reference {name}",
                f"residues that disagree in {wrong:,} of {len(mutants):,} rows",
                f"positions counted from its first residue; with {total:+d} added to them "
                f"{share:.1%} agree",
                f"`--offset {total}`",
            )


def variant_table(
    asked: Asked, rows: Sequence[VariantRow], schema: dict[str, pl.DataType]
) -> pl.DataFrame:
    """The answer to some rows; those of one reference are scored together."""
    outcomes: dict[int, Outcome] = {}
    texts: dict[int, str] = {}
    names: dict[int, str] = {}
    waiting: dict[str, list[tuple[int, Mutant]]] = {}
    for row in rows:
        name, sequence = _reference_of(row, asked.references)
        names[row.number], texts[row.number] = name, row.mutant
        found: Mutant | str = f"no reference is called {row.reference!r}"
        if sequence:
            found = read_mutant(row, sequence, asked.offset)
        if isinstance(found, str):
            outcomes[row.number] = Outcome(None, found)
        else:
            texts[row.number] = str(found)
            waiting.setdefault(name, []).append((row.number, found))
    for name, pairs in waiting.items():
        scored = score_mutants(asked.scorer, asked.references[name], [m for _, m in pairs])
        outcomes.update(zip([number for number, _ in pairs], scored, strict=True))
    numbers = [row.number for row in rows]
    carried = {
        f"{CARRIED}{name}": pl.Series([row.others[name] for row in rows], dtype=kind)
        for name, kind in schema.items()
    }
    return pl.DataFrame(
        {
            columns.ROW: pl.Series(numbers, dtype=pl.Int64),
            columns.ID: pl.Series([names[n] for n in numbers], dtype=pl.String),
            columns.MUTANT: pl.Series([texts[n] for n in numbers], dtype=pl.String),
            columns.SCORE: pl.Series([outcomes[n].score for n in numbers], dtype=pl.Float64),
            columns.RULE: pl.Series([asked.scorer.rule] * len(rows), dtype=pl.String),
            columns.REASON: pl.Series([outcomes[n].reason for n in numbers], dtype=pl.String),
            **carried,
        }
    )


def _reference_of(row: VariantRow, references: dict[str, str]) -> tuple[str, str]:
    """Name and sequence of a row's reference; an empty sequence where there is none of its name."""
    if len(references) == 1 and not row.reference:
        return next(iter(references.items()))
    return row.reference, references.get(row.reference, "")
