"""Scores of the windows of a suite by a DNA model, in parts that survive a kill."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from lexome.inference.parts import Answer, Kind, Tally, run_in_parts
from lexome.io.tables import read_table
from lexome.io.unique_ids import Place
from lexome.progress import show_progress
from lexome.results import columns
from lexome.scoring.pairs.pair import Pair, PairScorer
from lexome.suites.regions import ScorePairs

AT_ONCE = 64  # pairs between two looks at the clock, where nothing is kept
WINDOWS: Kind[Pair] = Kind(
    id=lambda pair: pair.name,
    held=lambda pair: len(pair.ref) + len(pair.alt),
    work=lambda pair: len(pair.ref) + len(pair.alt),
    content=lambda pair: [pair.ref, pair.alt],
)
SCHEMA = {columns.ID: pl.String, columns.SCORE: pl.Float64, columns.REASON: pl.String}


def pairs_scorer(
    scorer: PairScorer,
    keep: Path | None = None,
    provenance: Callable[[], Mapping[str, Any]] = dict,
    quiet: bool = True,
) -> ScorePairs:
    """What `score_dna` of a suite asks: a function from windows to scores or reasons.

    With `keep`, a table by its ending gets the score of each variant; killed at any moment, the
    same call goes on where it stopped.
    """

    def score(windows: Sequence[tuple[str, str, str, int]]) -> list[float | str]:
        pairs = [Pair(*window) for window in windows]
        total = sum(WINDOWS.work(pair) for pair in pairs)
        with show_progress("Windows", total, "bases", quiet) as progress:
            if keep is not None:

                def notes(tally: Tally) -> dict[str, object]:
                    return dict(provenance()) | {"rule_definition": scorer.definition}

                run_in_parts(
                    pairs, compute, keep, ["pairs", *scorer.fingerprint], notes, progress, WINDOWS,
                    Place("the suite", "variant"),
                )  # fmt: skip
                return _answers(pl.concat(read_table(keep)))
            found: list[float | str] = []
            for start in range(0, len(pairs), AT_ONCE):
                some = pairs[start : start + AT_ONCE]
                found += scorer.compute(some)
                progress.advance(sum(WINDOWS.work(pair) for pair in some))
            return found

    def compute(pairs: list[Pair]) -> Answer:
        answers = scorer.compute(pairs)
        rows = [
            (pair.name, None, answer) if isinstance(answer, str) else (pair.name, answer, "")
            for pair, answer in zip(pairs, answers, strict=True)
        ]
        return Answer(pl.DataFrame(rows, schema=SCHEMA, orient="row"), {})

    return score


def _answers(table: pl.DataFrame) -> list[float | str]:
    scores = table[columns.SCORE].cast(pl.Float64, strict=False).to_list()
    reasons = table[columns.REASON].fill_null("").to_list()
    return [
        str(reason) if score is None else float(score)
        for score, reason in zip(scores, reasons, strict=True)
    ]
