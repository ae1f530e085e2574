"""The atlas as a table, a row a cell, and what is to be known of it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lexome.evaluation.choice import Choice
from lexome.results import columns
from lexome.results.types import Estimate
from lexome.training.labelled import LabelledTable
from lexome.training.probing.cells import Place
from lexome.training.probing.folds import Folds, class_counts
from lexome.training.probing.heads import HEADS, Head, Probed

MOST_CHOICES = 8


class Judgement(NamedTuple):
    """The best cell of one model."""

    places: list[Place]  # what was chosen among, in the order of `choice.each`
    best: Place
    choice: Choice
    believed: Estimate  # corrected for the choice, or of the test rows


def atlas_of(
    found: Mapping[Place, Probed],
    judged: Mapping[str, Judgement],
    folds: Folds,
    metric: str,
) -> pl.DataFrame:
    """A row a cell, the best first within each model.

    The value is of all rows that cells are chosen on (each answered by the fold that had not seen
    it); `low` and `high` know nothing of the choice.
    """
    rows: list[dict[str, object]] = []
    for model, judgement in judged.items():
        for place, estimate, share in zip(
            judgement.places, judgement.choice.each, judgement.choice.chosen_C.tolist(), strict=True
        ):
            probed = found[place]
            row: dict[str, object] = {
                columns.MODEL: model,
                columns.LAYER: place.layer,
                columns.POOLING: place.pooling,
                columns.HEAD: place.head,
                columns.METRIC: metric,
                columns.VALUE: estimate.value,
                columns.LOW: estimate.low,
                columns.HIGH: estimate.high,
                columns.CHOSEN: place == judgement.best,
                columns.CHOSEN_SHARE: share,
            }
            if not len(folds.test):
                row |= {f"fold_{n}": v for n, v in zip(folds.names, probed.figures, strict=True)}
            row[columns.SETTING] = " ".join(f"{value:g}" for value in probed.settings)
            rows.append(row)
    table = pl.DataFrame(rows, schema_overrides={columns.LAYER: pl.Int64})
    order = pl.col(columns.MODEL).replace_strict({name: i for i, name in enumerate(judged)})
    return table.sort(
        order,
        pl.col(columns.VALUE).fill_nan(-np.inf),
        descending=[False, True],
        maintain_order=True,
    )


def describe(
    found: Mapping[Place, Probed],
    judged: Mapping[str, Judgement],
    folds: Folds,
    data: LabelledTable,
    metric: str,
    heads: Mapping[str, Head],
    source: Mapping[str, Any],
    **facts: Any,
) -> dict[str, Any]:
    """What goes into probe.json: best cells and their figures, the split, and `facts`."""
    told = {model: _told(judgement) for model, judgement in judged.items()}
    first = next(iter(told))
    is_folds = not len(folds.test)
    sizes = [len(turn.judged) for turn in folds.turns]
    parts = {
        "train": len(folds.turns[0].train),
        "validation": len(folds.chosen_on),
        "test": len(folds.test),
    }
    return facts | {
        "data": source,
        "task": data.target.task,
        "labels": list(data.target.labels),
        "classes": class_counts(data.target),
        "metric": metric,
        "cells": len(judged[first].places),
        "best": told[first],
        "beside": {name: one for name, one in told.items() if name != first},
        "believed_by": "bootstrap (BBC-CV)" if is_folds else "test rows",
        "split": {
            "folds": dict(zip(folds.names, sizes, strict=True)) if is_folds else None,
            "parts": None if is_folds else parts,
            "groups": len(np.unique(folds.group_N)),
            "how": folds.how,
        },
        "heads": {name: {"title": h.title, "chosen among": list(h.settings), "number": h.setting}
                  for name, h in heads.items()},
        "cleaning": [{"what": count.what, "count": count.number} for count in data.cleaning],
    }  # fmt: skip


def _told(judgement: Judgement) -> dict[str, Any]:
    choice, best = judgement.choice, judgement.best
    order = np.argsort(-choice.chosen_C, kind="stable")[:MOST_CHOICES]
    return {
        "layer": best.layer,
        "pooling": best.pooling,
        "head": best.head,
        "head_title": HEADS[best.head].title,
        "naive": choice.each[choice.best]._asdict(),
        "believed": judgement.believed._asdict(),
        "chosen": [
            {
                "layer": p.layer,
                "pooling": p.pooling,
                "head": p.head,
                "share": float(choice.chosen_C[i]),
            }
            for i in order.tolist()
            if choice.chosen_C[i] > 0
            for p in [judgement.places[i]]
        ],
    }
