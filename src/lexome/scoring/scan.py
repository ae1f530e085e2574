"""`lexome.scan`: every substitution at every position, as a table."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from lexome.errors import InputError
from lexome.inference.dialects import BASES, find_dialect
from lexome.inference.ensemble import Ensemble
from lexome.inference.model import Model
from lexome.io.sources import read_records
from lexome.io.unique_ids import find_place, refuse_repeats
from lexome.results import columns
from lexome.scoring.mutants.rules import make_mutant_scorer
from lexome.scoring.mutants.scorer import MutantScorer, score_mutants
from lexome.sequence.mutations import AMINO_ACIDS, Edit, Mutant
from lexome.sequence.records import Record

SCHEMA = {
    columns.ID: pl.String,
    columns.POSITION: pl.Int64,
    columns.REF: pl.String,
    columns.ALT: pl.String,
    columns.SCORE: pl.Float64,
    columns.RULE: pl.String,
    columns.REASON: pl.String,
}


def scan(
    model: Model | Ensemble,
    source: Any,
    rule: str | None = None,
    long: str = "refuse",
    positions: str | None = None,
) -> pl.DataFrame:
    """The score of every substitution at every position: a row each, in the order of the sequence.

    Columns: id, position (from 1), ref, alt, score, rule, reason. Residues that no rule can score
    (X, for one) keep their rows, with the reason.

    Args:
        model: from `lexome.load` or `lexome.load_ensemble`.
        source: a sequence, a list, a frame, or a path.
        rule: see `lexome.scoring.mutants.rules.PROTEIN_RULES`, of DNA
            `lexome.scoring.pairs.rules.PAIR_RULES`; by default wt-marginal, of causal models
            log-likelihood-difference, of encoders of DNA masked-marginal.
        long: of sequences beyond the context: refuse, whole or window.
        positions: those that are scanned, such as "24-286" or "1-10,40"; all by default.

    Raises:
        InputError: a rule that the model does not have; letters, lengths or positions that do not
            fit; an id that stands twice.
    """
    scorer, letters = make_mutant_scorer(model, rule, long), letters_of(model)
    records = read_records(source, proteins=letters == AMINO_ACIDS)
    unique = refuse_repeats(records, find_place(source))
    tables = [scan_record(scorer, record, positions, letters) for record in unique]
    return pl.concat(tables) if tables else pl.DataFrame(schema=SCHEMA)


def scan_record(
    scorer: MutantScorer, record: Record, positions: str | None = None, letters: str = AMINO_ACIDS
) -> pl.DataFrame:
    """The table of one sequence."""
    sequence = record.sequence
    wanted = parse_positions(positions, len(sequence), record.id)
    pairs = [(p, letter) for p in wanted for letter in letters if letter != sequence[p - 1]]
    mutants = [Mutant((Edit(sequence[p - 1], p, letter),)) for p, letter in pairs]
    outcomes = score_mutants(scorer, sequence, mutants)
    return pl.DataFrame(
        {
            columns.ID: [record.id] * len(pairs),
            columns.POSITION: [p for p, _ in pairs],
            columns.REF: [sequence[p - 1] for p, _ in pairs],
            columns.ALT: [letter for _, letter in pairs],
            columns.SCORE: [outcome.score for outcome in outcomes],
            columns.RULE: [scorer.rule] * len(pairs),
            columns.REASON: [outcome.reason for outcome in outcomes],
        },
        schema=SCHEMA,
    )


def letters_of(model: Model | Ensemble) -> str:
    """What is put at each position: the bases of a model of DNA, else the 20 amino acids."""
    one = model.models[0] if isinstance(model, Ensemble) else model
    is_dna = not one.tokenizer.alphabet.is_protein and find_dialect(one.tokenizer).is_dna
    return BASES if is_dna else AMINO_ACIDS


def parse_positions(text: str | None, length: int, name: str) -> Sequence[int]:
    """Positions (from 1) of a text such as "24-286" or "1-10,40", in order; None: all.

    Raises:
        InputError: no such text, or positions outside the sequence.

    >>> list(parse_positions("8-10,2", 10, "toy"))
    [2, 8, 9, 10]
    """
    if text is None:
        return range(1, length + 1)
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last if dash else first).isdecimal()):
            raise InputError("positions", repr(text), "1-10 or 1-10,40", "`--positions 1-10,40`")
        start, end = int(first), int(last or first)
        if not 1 <= start <= end <= length:
            raise InputError(
                f"positions {text!r}", f"{part.strip()}", f"1 to {length:,} in {name}", "others"
            )
        found.update(range(start, end + 1))
    return sorted(found)


def rank_positions(table: pl.DataFrame, count: int) -> tuple[list[str], list[str]]:
    """The positions ("K63") of the lowest and of the highest mean score, the extreme ones first."""
    scored = table.filter(pl.col(columns.SCORE).is_not_null())
    means = scored.group_by(columns.POSITION, columns.REF).agg(pl.col(columns.SCORE).mean())
    means = means.sort(columns.SCORE, columns.POSITION)
    names = [f"{ref}{position}" for position, ref in means.select("position", "ref").rows()]
    return names[:count], names[-count:][::-1]
