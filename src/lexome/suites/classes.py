"""Many predictors of one yes or no, judged on the same rows: AUROC and AUPRC with intervals."""

# Letters: N rows.
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from lexome.evaluation.ranking import two_class_interval
from lexome.results import columns

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
ALL = "all"
SCHEMA = {
    columns.TASK: pl.String,
    columns.GROUP: pl.String,
    columns.MODEL: pl.String,
    columns.COUNT: pl.Int64,
    columns.UNSCORED: pl.Int64,
    columns.PREVALENCE: pl.Float64,
    "auroc": pl.Float64,
    "low_auroc": pl.Float64,
    "high_auroc": pl.Float64,
    "auprc": pl.Float64,
    "low_auprc": pl.Float64,
    "high_auprc": pl.Float64,
}


class Task(NamedTuple):
    """What is to be told from what, and in which rows."""

    name: str
    is_positive: Bools  # (N,)
    is_asked: Bools  # (N,) rows that are of neither class are left out


def judge_predictors(
    task: Task,
    worse: Mapping[str, Floats],
    groups: Mapping[str, Bools],
    clusters: ArrayLike,
    least: int = 2,
    least_of_a_class: int = 1,
) -> pl.DataFrame:
    """A row for each group of rows and each predictor, the best AUROC of a group first.

    Args:
        task: the classes.
        worse: predictor -> (N,) its score, higher for the positive class; NaN where it has none.
        groups: name -> (N,) which rows; a predictor with too few of them is not shown.
        clusters: (N,) rows that are drawn together in the bootstrap.
        least: rows of a group that a predictor must have scored, and of either class.
    """
    cluster_N = np.asarray(clusters)
    found = []
    for group, member_N in groups.items():
        rows = []
        for name, worse_N in worse.items():
            asked_N = member_N & task.is_asked
            there_N = asked_N & np.isfinite(worse_N)
            yes_N = task.is_positive[there_N]
            smaller = min(int(yes_N.sum()), int((~yes_N).sum()))
            if there_N.sum() < least or smaller < least_of_a_class:
                continue
            auroc, auprc = two_class_interval(
                yes_N.astype(np.int64), worse_N[there_N], cluster_N[there_N]
            )
            facts = (task.name, group, name, int(there_N.sum()))
            unscored = int(asked_N.sum() - there_N.sum())
            rows.append((*facts, unscored, float(yes_N.mean()), *auroc, *auprc))
        found += sorted(rows, key=lambda row: -row[6])
    return pl.DataFrame(found, schema=SCHEMA, orient="row")


def read_numbers(values: pl.Series, sign: int = 1) -> Floats:
    """A column as numbers, times `sign`; NaN where it holds none."""
    numbers = values.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    signed: Floats = numbers * sign
    return signed
