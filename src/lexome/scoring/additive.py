"""Many mutants at once, as text: by a rule's table where it has one, else one after another."""

# Letters: N mutants, E substitutions of all of them.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.scoring.mutants import FloatArray, MutantScorer, score_mutants
from lexome.sequence.mutations import AMINO_ACIDS, Mutant, parse_mutant

Ints = NDArray[np.int64]


class Scored(NamedTuple):
    """The scores of some mutants (NaN where there is none), and why some have none."""

    scores: FloatArray  # (N,)
    reasons: dict[int, str]  # row from 0 -> in words


def score_texts(scorer: MutantScorer, sequence: str, texts: Sequence[str]) -> Scored:
    """Score mutants by their texts (`A12G:C45D`), in order; what cannot be scored says why.

    A rule with a table is asked once, and all plain substitutions are summed from it in arrays:
    150,000 mutants in about a second. Everything else (insertions, other spellings, a residue that
    disagrees, a place without a score) takes the plain way, `score_texts_plainly`, one by one; a
    test holds both to each other.
    """
    if scorer.table is None:
        return score_texts_plainly(scorer, sequence, texts)
    row_E, place_E, ref_E, alt_E, is_odd = _read_plain(texts)
    letters = np.frombuffer(sequence.encode("latin-1", "replace"), np.uint8)
    inside_E = (place_E >= 0) & (place_E < len(letters))
    is_odd[row_E[~inside_E]] = True
    at_E = np.where(inside_E, place_E, 0)
    if len(letters):
        is_odd[row_E[letters[at_E] != ref_E]] = True
    value_E = scorer.table(sequence)[at_E, alt_E] if len(letters) else np.zeros(len(row_E))
    is_odd[row_E[np.isnan(value_E)]] = True
    scores_N = np.bincount(row_E, np.nan_to_num(value_E), minlength=len(texts)).astype(np.float64)
    odd = np.flatnonzero(is_odd)
    if not len(odd):
        return Scored(scores_N, {})
    rest = score_texts_plainly(scorer, sequence, [texts[i] for i in odd])
    scores_N[odd] = rest.scores
    return Scored(scores_N, {int(odd[i]): reason for i, reason in rest.reasons.items()})


def score_texts_plainly(scorer: MutantScorer, sequence: str, texts: Sequence[str]) -> Scored:
    """The slow twin: every text parsed, every mutant handed to the rule."""
    mutants: list[Mutant] = []
    rows: list[int] = []
    reasons: dict[int, str] = {}
    for i, text in enumerate(texts):
        try:
            mutants.append(parse_mutant(text))
            rows.append(i)
        except InputError as error:
            reasons[i] = f"{error.seen} is not {error.expected}"
    scores_N = np.full(len(texts), np.nan)
    for i, outcome in zip(rows, score_mutants(scorer, sequence, mutants), strict=True):
        if outcome.score is None:
            reasons[i] = outcome.reason
        else:
            scores_N[i] = outcome.score
    return Scored(scores_N, dict(sorted(reasons.items())))


def _read_plain(texts: Sequence[str]) -> tuple[Ints, Ints, Ints, Ints, NDArray[np.bool_]]:
    """The substitutions of all texts that are spelled `A12G:C45D`, and which texts are not.

    Row (from 0), place (from 0), the reference's letter as its byte, and the alternative as its
    column among AMINO_ACIDS, one a substitution; whether a text is anything else, one a text.
    """
    frame = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)}).with_row_index("row")
    parts = frame.with_columns(pl.col("text").str.split(":")).explode("text")
    pattern = rf"^([{AMINO_ACIDS}])([0-9]{{1,9}})([{AMINO_ACIDS}])$"
    read = parts.select(
        "row",
        pl.col("text").str.extract(pattern, 1).alias("ref"),
        pl.col("text").str.extract(pattern, 2).cast(pl.Int64).alias("place"),
        pl.col("text").str.extract(pattern, 3).alias("alt"),
    )
    is_odd = np.zeros(len(texts), bool)
    is_odd[read.filter(pl.col("place").is_null())["row"].to_numpy()] = True
    twice = read.filter(pl.struct("row", "place").is_duplicated())["row"].unique()
    is_odd[twice.to_numpy()] = True
    read = read.drop_nulls()
    column_of = np.zeros(256, np.int64)
    column_of[[ord(letter) for letter in AMINO_ACIDS]] = np.arange(len(AMINO_ACIDS))
    return (
        read["row"].to_numpy().astype(np.int64),
        read["place"].to_numpy() - 1,
        _bytes_of(read["ref"]),
        column_of[_bytes_of(read["alt"])],
        is_odd,
    )


def _bytes_of(letters: pl.Series) -> Ints:
    return np.frombuffer("".join(letters.to_list()).encode(), np.uint8).astype(np.int64)
