"""Many mutants at once, as text: by a rule's table where it has one, else one after another."""

# Letters: N mutants, E substitutions of all of them.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.scoring.mutants.scorer import FloatArray, MutantScorer, score_mutants
from lexome.sequence.mutations import AMINO_ACIDS, Edit, Mutant, parse_mutant

Ints = NDArray[np.int64]


class Scored(NamedTuple):
    """The scores of some mutants (NaN where there is none), and why some have none."""

    scores: FloatArray  # (N,)
    reasons: dict[int, str]  # row from 0 -> in words


def score_texts(scorer: MutantScorer, sequence: str, texts: Sequence[str]) -> Scored:
    """Score mutants by their texts (`A12G:C45D`), in order; what cannot be scored says why.

    A rule with a table is additive: it is asked once for each single substitution that occurs, and
    multiple ones are summed in arrays, 150,000 mutants in about a second. Everything else
    (insertions, other spellings, a residue that disagrees, a place without a score) takes the plain
    way, `score_texts_plainly`, one by one; a test holds both to each other.
    """
    if scorer.table is None:
        return score_texts_plainly(scorer, sequence, texts)
    row_E, place_E, ref_E, alt_E, is_odd = _read_plain(texts)
    letters = np.frombuffer(sequence.encode("latin-1", "replace"), np.uint8)
    is_right_E = place_E < len(letters)
    is_right_E[is_right_E] = letters[place_E[is_right_E]] == ref_E[is_right_E]
    is_odd[row_E[~is_right_E]] = True
    keys, which = np.unique(place_E * 256 + alt_E, return_inverse=True)
    singles = {int(key): Edit(*_spell(key, sequence)) for key in keys if key // 256 < len(letters)}
    answers = scorer.compute(sequence, [Mutant((edit,)) for edit in singles.values()])
    gain_of = {
        k: np.nan if isinstance(a, str) else a for k, a in zip(singles, answers, strict=True)
    }
    gain_E = np.array([gain_of.get(int(key), np.nan) for key in keys], np.float64)[which]
    is_odd[row_E[np.isnan(gain_E)]] = True
    scores_N = np.bincount(row_E, np.nan_to_num(gain_E), minlength=len(texts)).astype(np.float64)
    odd = np.flatnonzero(is_odd)
    if not len(odd):
        return Scored(scores_N, {})
    rest = score_texts_plainly(scorer, sequence, [texts[int(i)] for i in odd])
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

    Row (from 0), place (from 0) and the bytes of both letters, one a substitution; whether a text
    is anything else (nothing changed and one residue changed twice among it), one a text.
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
    is_plain = (pl.col("place") > 0) & (pl.col("ref") != pl.col("alt"))
    is_twice = pl.struct("row", "place").is_duplicated()
    is_odd = np.zeros(len(texts), bool)
    is_odd[read.filter(~is_plain.fill_null(False) | is_twice)["row"].to_numpy()] = True
    read = read.filter(is_plain)
    return (
        read["row"].to_numpy().astype(np.int64),
        read["place"].to_numpy() - 1,
        _bytes_of(read["ref"]),
        _bytes_of(read["alt"]),
        is_odd,
    )


def _bytes_of(letters: pl.Series) -> Ints:
    return np.frombuffer("".join(letters.to_list()).encode(), np.uint8).astype(np.int64)


def _spell(key: int, sequence: str) -> tuple[str, int, str]:
    place, alt = divmod(int(key), 256)
    return sequence[place], place + 1, chr(alt)
