"""Learning curves of few labels: how much 24, 96 or 1,000 of them add to a zero-shot score."""

# Letters: N rows, S splits.
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.results import columns
from lexome.seeds import numpy_generator
from lexome.sequence.mutations import Mutant
from lexome.training.augmented import (
    Floats,
    choose_penalty,
    code_mutants,
    decompose,
    free_columns,
    rank_correlation,
    solve,
    standardise,
)

SIZES = (24, 48, 96, 192, 384, 768, 1000)
NUM_SPLITS = 20
LEAST_HELD_OUT = 0.2  # share of the rows that no training set may touch
ONE_HOT, AUGMENTED, ZERO_SHOT = "one-hot ridge", "augmented ridge", "zero-shot score"
SCHEMA = {
    columns.MODEL: pl.String,
    columns.COUNT: pl.Int64,
    columns.ESTIMATE: pl.Float64,
    columns.LOW: pl.Float64,
    columns.HIGH: pl.Float64,
    columns.HELD_OUT: pl.Int64,
    columns.SPLITS: pl.Int64,
}


class Curve(NamedTuple):
    """The Spearman of each way, size of training set and split."""

    sizes: list[int]
    held_out: int  # rows that are judged, the same for every size of a split
    found: dict[str, NDArray[np.float64]]  # way -> (S, sizes)


def usable_sizes(num_rows: int, asked: Sequence[int] = SIZES) -> list[int]:
    """The sizes asked for that leave a fifth of the rows for judging.

    Raises:
        InputError: none does.

    >>> usable_sizes(500)
    [24, 48, 96, 192, 384]
    """
    most = int(num_rows * (1 - LEAST_HELD_OUT))
    sizes = sorted({size for size in asked if 4 <= size <= most})
    if not sizes:
        raise InputError(
            "learning curve",
            f"{num_rows:,} labelled rows",
            f"at least {int(np.ceil(min(asked) / (1 - LEAST_HELD_OUT)))}",
            "more labels, or a smaller --sizes",
        )
    return sizes


def draw_curve_points(
    mutants: Sequence[Mutant],
    labels: Floats,
    scores: Floats | None,
    sizes: Sequence[int] = SIZES,
    num_splits: int = NUM_SPLITS,
    seed: int = 0,
    advance: Callable[[float], None] = lambda done: None,
) -> Curve:
    """Train on so many rows, judge on the rest, over and over.

    Each split shuffles the rows once: the smaller training sets lie within the larger ones, and all
    of them are judged on the same rows, those that even the largest leaves out. The penalty is
    chosen by cross-validation within the training rows.
    """
    chosen = usable_sizes(len(mutants), sizes)
    rows_NF = code_mutants(mutants).rows_NF
    ways = [ONE_HOT] if scores is None else [ONE_HOT, AUGMENTED, ZERO_SHOT]
    found = {way: np.zeros((num_splits, len(chosen))) for way in ways}
    for split in range(num_splits):
        order = numpy_generator("few-shot split", seed, split).permutation(len(mutants))
        test = order[chosen[-1] :]
        drawn = rows_NF[order[: chosen[-1]]]
        gram_NN = (drawn @ drawn.T).toarray()
        cross_MN = (rows_NF[test] @ drawn.T).toarray()
        for k, size in enumerate(chosen):
            train = order[:size]
            for way in ways:
                if way == ZERO_SHOT:
                    assert scores is not None
                    said = scores[test]
                else:
                    used = scores if way == AUGMENTED else None
                    said = _fit_and_predict(
                        gram_NN[:size, :size], cross_MN[:, :size], labels[train],
                        None if used is None else used[train],
                        None if used is None else used[test], f"{seed}.{split}",
                    )  # fmt: skip
                found[way][split, k] = rank_correlation(labels[test], said)
        advance(1)
    return Curve(chosen, len(mutants) - chosen[-1], found)


def _fit_and_predict(
    gram_NN: Floats,
    cross_MN: Floats,
    label_N: Floats,
    train_score_N: Floats | None,
    test_score_M: Floats | None,
    seed: str,
) -> Floats:
    penalty = choose_penalty(gram_NN, label_N, train_score_N, seed)
    mean, scale = standardise(train_score_N) if train_score_N is not None else (0.0, 1.0)
    free_NP = free_columns(len(label_N), train_score_N, mean, scale)
    free_MP = free_columns(len(cross_MN), test_score_M, mean, scale)
    found = solve(decompose(gram_NN), free_NP, label_N, penalty)
    said: Floats = free_MP @ found.free_P + cross_MN @ found.dual_N
    return said


def summarise(curve: Curve) -> pl.DataFrame:
    """Mean Spearman over the splits, and the 2.5th and 97.5th percentile of single splits.

    The interval is what one draw of so many labels may give; that of the mean is much narrower.
    """
    rows = []
    for way, values in curve.found.items():
        for k, size in enumerate(curve.sizes):
            low, high = np.percentile(values[:, k], [2.5, 97.5])
            mean = float(values[:, k].mean())
            rows.append((way, size, mean, float(low), float(high), curve.held_out, len(values)))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
