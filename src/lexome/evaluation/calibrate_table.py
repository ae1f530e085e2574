"""Calibration, end to end: a labelled table in; a saved function from score to probability out."""

# Letters: N rows.
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.evaluation.calibration import reliability_bins
from lexome.evaluation.score_calibration import (
    Calibration,
    Calibrator,
    calibrate,
    fit_calibration,
    shift_prior,
)
from lexome.io.tables import find_column, read_table
from lexome.plots.calibration import Reliability, draw_calibration, wilson
from lexome.plots.style import PAPER, svg_of
from lexome.results import columns
from lexome.results.files import atomic_path, translate_disk_errors, write_json, write_text
from lexome.results.tables import write_table

SETTINGS, FORMAT = "calibration.json", "lexome calibration 1"
YES = {"1": 1, "1.0": 1, "true": 1, "yes": 1, "0": 0, "0.0": 0, "false": 0, "no": 0}


class Rows(NamedTuple):
    """The rows that a calibration is fitted to, and why others are not."""

    truth: NDArray[np.int64]  # (N,)
    scores: NDArray[np.float64]  # (N,)
    groups: NDArray[np.str_] | None  # (N,)
    left_out: dict[str, int]  # reason -> rows


class Saved(NamedTuple):
    """A calibration as it was saved."""

    calibrator: Calibrator
    prevalence: float | None  # that the probabilities are for, where it is not that of the rows
    facts: dict[str, Any]  # all of the file


def read_rows(
    source: Any, score: str, label: str, group: str | None = None, positive: str | None = None
) -> Rows:
    """The labelled, scored rows of a table.

    Args:
        source: a table.
        score: the column of the score.
        label: the column of the truth: 0 and 1 (yes and no, true and false), or two names.
        group: the column of what must not stand on both sides, such as the gene.
        positive: which of two names is the positive class.

    Raises:
        InputError: a column that lacks, or labels that are no two classes.
    """
    table = pl.concat(read_table(source), how="vertical_relaxed")
    where = str(source) if isinstance(source, str | Path) else "table"
    for name in (score, label, *([group] if group else [])):
        find_column(table.columns, "label", name, where=where)
    labels = [None if v is None else str(v).strip() for v in table[label].to_list()]
    truth = _read_classes(labels, positive, f"{where}, column {label!r}")
    values = table[score].cast(pl.Float64, strict=False).to_list()
    groups = table[group].cast(pl.String).to_list() if group else None
    left_out: Counter[str] = Counter()
    kept = []
    for i, (one, value) in enumerate(zip(truth, values, strict=True)):
        if one is None:
            left_out["no label"] += 1
        elif value is None or not np.isfinite(value):
            left_out["no score"] += 1
        elif groups is not None and not groups[i]:
            left_out["no group"] += 1
        else:
            kept.append(i)
    if not kept:
        raise InputError(
            where, "no row with a label and a score", "some", "checking --score and --label"
        )
    return Rows(
        np.array([truth[i] for i in kept], np.int64),
        np.array([values[i] for i in kept], np.float64),
        np.array([groups[i] for i in kept], dtype=str) if groups is not None else None,
        dict(left_out),
    )


def _read_classes(labels: list[str | None], positive: str | None, where: str) -> list[int | None]:
    names = sorted({name for name in labels if name})
    if positive is not None:
        if positive not in names:
            raise InputError(where, f"no {positive!r}", f"one of {', '.join(names[:6])}",
                             f"--positive {names[0] if names else 'NAME'}")  # fmt: skip
        return [int(name == positive) if name else None for name in labels]
    if all(name.lower() in YES for name in names):
        return [YES[name.lower()] if name else None for name in labels]
    raise InputError(
        where,
        f"labels such as {', '.join(names[:3])}",
        "0 and 1, or the name of the positive class",
        f"--positive {names[-1]}",
    )


def calibrate_table(
    rows: Rows,
    output: Path,
    provenance: Mapping[str, Any],
    about: str = "",
    prevalence: float | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> tuple[Calibration, list[str]]:
    """Fit, judge and save; the calibration, and the limits of it in words.

    The folder gets calibration.json (the function, its figures and its limits), held_out.csv and
    reliability.csv (with a picture): all from rows that the fit in question had not seen.

    Raises:
        InputError: a folder that stands there already, or too few rows.
    """
    if output.exists() and not overwrite:
        raise InputError(
            str(output), "something there", "a new folder", "another -o or --overwrite"
        )
    if prevalence is not None:
        shift_prior([0.5], 0.5, prevalence)  # its error, before the work
    found = fit_calibration(rows.truth, rows.scores, rows.groups, seed)
    limits = tell_limits(found, rows, about, prevalence)
    folder = output.parent / f".{output.name}.unfinished"
    with translate_disk_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    notes = dict(provenance) | {"left_out": rows.left_out}
    _write_rows(found, rows, folder, notes)
    facts = {
        "format": FORMAT,
        "calibrator": found.calibrator._asdict(),
        "prevalence": prevalence,
        "methods_of_folds": found.methods,
        "figures": {name: value._asdict() for name, value in found.figures.items()},
        "groups": found.num_groups if rows.groups is not None else None,
        "limits": limits,
        "about": about,
        "provenance": notes,
    }
    write_json(folder / SETTINGS, facts)
    if load_calibration(folder).calibrator != found.calibrator:
        raise AssertionError("a saved calibration that reads back otherwise")
    if output.exists():
        shutil.rmtree(output)
    folder.rename(output)
    return found, limits


def _write_rows(found: Calibration, rows: Rows, folder: Path, notes: Mapping[str, Any]) -> None:
    held_out: dict[str, Any] = {
        columns.LABEL: rows.truth, columns.SCORE: rows.scores, columns.PROBABILITY: found.held_out
    }  # fmt: skip
    if rows.groups is not None:
        held_out[columns.GROUP] = rows.groups
    write_table(pl.DataFrame(held_out), folder / "held_out.csv", notes)
    bins = reliability_bins(rows.truth, found.held_out, 10, "mass")
    seen = np.array([b.observed for b in bins])
    count = np.array([b.num_rows for b in bins])
    low, high = wilson(seen, count)
    said = np.array([b.mean_probability for b in bins])
    table = {
        columns.PROBABILITY: said,
        columns.OBSERVED: seen,
        columns.LOW: low,
        columns.HIGH: high,
        columns.COUNT: count,
    }
    write_table(pl.DataFrame(table), folder / "reliability.csv", notes)
    points = Reliability(said, seen, low, high, count)
    figure = draw_calibration(
        rows.truth, found.held_out, across="held-out probability", points=points
    )
    write_text(folder / "reliability.svg", svg_of(figure, "calibration", "reliability") + "\n")
    with atomic_path(folder / "reliability.png") as temporary:
        figure.savefig(temporary, dpi=144, facecolor=PAPER)


def tell_limits(
    found: Calibration, rows: Rows, about: str = "", prevalence: float | None = None
) -> list[str]:
    """Where the probabilities do not apply, a sentence each."""
    one, figures = found.calibrator, found.figures
    told = [
        f"Scores below {one.low:.6g} or above {one.high:.6g} get no probability: none was seen.",
        f"{one.rows:,} rows made it, {one.prevalence:.1%} of them positive; where the share of"
        " positives is another one, so are the probabilities (--prevalence).",
        f"It holds for rows of the same kind: {about}."
        if about
        else "It holds for rows of the same kind only; nobody has said which these are (--about).",
        "It holds for the scores of the same model and rule.",
    ]
    if prevalence is not None:
        told.append(
            f"Probabilities are for a share of {prevalence:.3g}, assuming that the scores of"
            " positives and of negatives look the same there."
        )
    if rows.groups is None:
        told.append(
            "Rows were taken as independent; if some are of one gene or family, the figures are too"
            " good (--group)."
        )
    if figures["log_loss"].high >= figures["log_loss_constant"].value:
        told.append(
            "On held-out rows it is not shown to be better than saying the share of positives to"
            " every row: the score says little of these labels."
        )
    return told


def load_calibration(folder: Path) -> Saved:
    """What `calibrate_table` wrote.

    Raises:
        InputError: a folder that holds none.
    """
    import json

    path = folder / SETTINGS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        plain: dict[str, Any] = facts["calibrator"]
        lists: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()
        }
        if facts["format"] != FORMAT:
            raise KeyError(facts["format"])
        return Saved(Calibrator(**lists), facts["prevalence"], facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            str(folder), f"no saved calibration ({type(error).__name__})", SETTINGS,
            "lexome calibrate TABLE ... -o DIR",
        ) from error  # fmt: skip


def use_calibration(
    saved: Saved, source: Any, score: str, prevalence: float | None = None
) -> pl.DataFrame:
    """The table with a probability a row, or the reason why there is none.

    Args:
        saved: from `load_calibration`.
        source: a table; its columns are carried along as input_<column>.
        score: the column of the score.
        prevalence: instead of the saved one; None: the saved one, else that of the labelled rows.
    """
    table = pl.concat(read_table(source), how="vertical_relaxed")
    where = str(source) if isinstance(source, str | Path) else "table"
    find_column(table.columns, "label", score, where=where)
    score_N = table[score].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    one = saved.calibrator
    is_number = np.isfinite(score_N)
    inside = is_number & (score_N >= one.low) & (score_N <= one.high)
    wanted = saved.prevalence if prevalence is None else prevalence
    said_N = calibrate(one, np.where(inside, score_N, one.low), wanted)
    reasons = [
        ""
        if good
        else f"score {value:.6g} lies outside {one.low:.6g} to {one.high:.6g}, the range of the"
        " labelled rows"
        if number
        else "no score"
        for good, number, value in zip(inside, is_number, score_N, strict=True)
    ]
    made = [
        pl.Series(columns.SCORE, score_N).fill_nan(None),
        pl.Series(columns.PROBABILITY, np.where(inside, said_N, np.nan)).fill_nan(None),
        pl.Series(columns.REASON, reasons, dtype=pl.String),
    ]
    return table.rename({name: f"input_{name}" for name in table.columns}).with_columns(made)
