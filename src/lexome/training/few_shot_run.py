"""Few-shot, end to end: a labelled table in; learning curve, picture and a saved model out."""

# Letters: N rows.
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from lexome.checkpoints.weight_files import read_json
from lexome.errors import InputError
from lexome.io.tables import find_column, guess_column, read_table
from lexome.plots.few_shot import draw_few_shot
from lexome.plots.style import PAPER, svg_of
from lexome.results import columns
from lexome.results.files import atomic_path, translate_disk_errors, write_json, write_text
from lexome.results.tables import write_table
from lexome.sequence.mutations import Mutant, parse_mutant
from lexome.training.augmented import (
    Augmented,
    Floats,
    find_obstacle,
    fit_augmented,
    predict_augmented,
)
from lexome.training.few_shot import NUM_SPLITS, SIZES, draw_curve_points, summarise
from lexome.training.run_folder import move_into_place, unfinished_folder

SETTINGS, WEIGHTS, FORMAT = "augmented.json", "augmented.safetensors", "lexome augmented ridge 1"


class Columns(NamedTuple):
    """Which column plays which part."""

    mutant: str
    label: str
    score: str | None


class Rows(NamedTuple):
    """The rows that can be trained on, and why others cannot."""

    mutants: list[Mutant]
    labels: Floats  # (N,)
    scores: Floats | None  # (N,)
    left_out: dict[str, int]  # reason -> rows


class Done(NamedTuple):
    """What a run made."""

    rows: int
    left_out: dict[str, int]
    penalty: float
    curve: pl.DataFrame


def read_rows(source: Any, label: str, score: str | None, mutant: str | None) -> Rows:
    """The labelled mutants of a table; rows that cannot be trained on are counted by reason.

    Raises:
        InputError: a column that lacks.
    """
    table = pl.concat(read_table(source), how="vertical_relaxed")
    where = str(source) if isinstance(source, str | Path) else "table"
    asked = mutant or _guess_mutant(table.columns)
    names = Columns(
        find_column(table.columns, "id", asked, where=where).name,
        find_column(table.columns, "label", label, where=where).name,
        None if score is None else find_column(table.columns, "id", score, where=where).name,
    )
    left_out: Counter[str] = Counter()
    mutants: list[Mutant] = []
    labels: list[float] = []
    scores: list[float] = []
    label_N = _numbers(table[names.label])
    score_N = _numbers(table[names.score]) if names.score else np.zeros(table.height)
    texts = table[names.mutant].cast(pl.String).fill_null("").to_list()
    for text, one, other in zip(texts, label_N, score_N, strict=True):
        found = read_mutant(text)
        if isinstance(found, str):
            left_out["the mutant: " + found.partition(": ")[2] if ": " in found else found] += 1
        elif not np.isfinite(one):
            left_out["no label"] += 1
        elif not np.isfinite(other):
            left_out["no score"] += 1
        else:
            mutants.append(found)
            labels.append(float(one))
            scores.append(float(other))
    if not mutants:
        raise InputError(where, "no row that can be trained on", "mutants with a number each",
                         "checking --label and --score")  # fmt: skip
    return Rows(
        mutants, np.array(labels), np.array(scores) if names.score else None, dict(left_out)
    )


def read_mutant(text: str) -> Mutant | str:
    """A mutant that has a one-hot coding, or in words why not."""
    try:
        found = parse_mutant(text)
    except InputError as error:
        return f"{error.seen} is not {error.expected}"
    return find_obstacle(found) or found


def run_few_shot(
    rows: Rows,
    output: Path,
    provenance: Mapping[str, Any],
    sizes: Sequence[int] = SIZES,
    num_splits: int = NUM_SPLITS,
    seed: int = 0,
    score_name: str = "zero-shot score",
    overwrite: bool = False,
    advance: Callable[[float], None] = lambda done: None,
) -> Done:
    """Draw the curve, fit a model to all rows, and write both as a folder, whole or not at all.

    The folder holds curve.csv, curve.svg and curve.png, and the model (augmented.json and
    augmented.safetensors), which is read back and compared before the folder takes its place.

    Raises:
        InputError: a folder that stands there already, or too few rows.
    """
    if output.exists() and not overwrite:
        raise InputError(
            str(output), "something there", "a new folder", "another -o or --overwrite"
        )
    points = draw_curve_points(
        rows.mutants, rows.labels, rows.scores, sizes, num_splits, seed, advance
    )
    curve = summarise(points)
    model = fit_augmented(rows.mutants, rows.labels, rows.scores, seed)
    folder = unfinished_folder(output)
    with translate_disk_errors(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    facts = dict(provenance) | {"rows": len(rows.mutants), "left_out": rows.left_out}
    write_table(curve, folder / "curve.csv", facts)
    figure = draw_few_shot(curve, score_name)
    write_text(folder / "curve.svg", svg_of(figure, "few-shot", "learning curve") + "\n")
    with atomic_path(folder / "curve.png") as temporary:
        figure.savefig(temporary, dpi=144, facecolor=PAPER)
    save_augmented(model, folder, facts)
    again = predict_augmented(load_augmented(folder), rows.mutants[:100], _listed(rows.scores))
    assert again == predict_augmented(model, rows.mutants[:100], _listed(rows.scores))
    move_into_place(folder, output)
    return Done(len(rows.mutants), rows.left_out, model.penalty, curve)


def _listed(scores: Floats | None) -> list[float] | None:
    return None if scores is None else [float(score) for score in scores[:100]]


def save_augmented(model: Augmented, folder: Path, provenance: Mapping[str, Any]) -> None:
    """Write a model as JSON and safetensors."""
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file({"weights": model.weights_F}, temporary)
    plain = {k: v for k, v in model._asdict().items() if k not in ("features", "weights_F")}
    plain["reference"] = {str(place): letter for place, letter in model.reference.items()}
    named = [f"{place}{letter}" for place, letter in model.features]
    facts = {"format": FORMAT, "features": named, "provenance": dict(provenance)}
    write_json(folder / SETTINGS, plain | facts)


def load_augmented(folder: Path) -> Augmented:
    """What `save_augmented` wrote.

    Raises:
        InputError: a folder that holds no such model, or one in which the parts do not fit.
    """
    if not (folder / SETTINGS).is_file() or not (folder / WEIGHTS).is_file():
        raise InputError(
            str(folder), "no saved model", f"{SETTINGS} and {WEIGHTS}", "lexome fewshot ... -o DIR"
        )
    saved: dict[str, Any] = read_json(folder / SETTINGS)
    weights_F = load_file(folder / WEIGHTS).get("weights", np.zeros(0))
    if saved.get("format") != FORMAT or len(saved.get("features", [])) != len(weights_F):
        raise InputError(
            str(folder), "settings and weights that do not fit", FORMAT, "fitting it again"
        )
    features = [(int(name[:-1]), name[-1]) for name in saved["features"]]
    reference = {int(place): letter for place, letter in saved["reference"].items()}
    plain: dict[str, Any] = {k: saved[k] for k in Augmented._fields if k in saved}
    return Augmented(
        **plain | {"features": features, "weights_F": weights_F, "reference": reference}
    )


def predict_table(
    model: Augmented, source: Any, score: str | None, mutant: str | None
) -> pl.DataFrame:
    """A row for each row of the table: mutant, predicted value, or the reason why there is none."""
    table = pl.concat(read_table(source), how="vertical_relaxed")
    where = str(source) if isinstance(source, str | Path) else "table"
    asked = mutant or _guess_mutant(table.columns)
    name = find_column(table.columns, "id", asked, where=where).name
    if model.uses_score and score is None:
        raise InputError(where, "no column of scores", "that of the same rule as in training",
                         "--score COLUMN")  # fmt: skip
    texts = table[name].cast(pl.String).fill_null("").to_list()
    scores: list[float | None] = [None] * table.height
    if model.uses_score and score is not None:
        column = find_column(table.columns, "id", score, where=where).name
        scores = [float(value) for value in _numbers(table[column])]
    read = [read_mutant(text) for text in texts]
    there = [i for i, found in enumerate(read) if not isinstance(found, str)]
    answers: list[float | str] = [found if isinstance(found, str) else "" for found in read]
    mutants = [found for found in read if not isinstance(found, str)]
    for i, answer in zip(
        there, predict_augmented(model, mutants, [scores[i] for i in there]), strict=True
    ):
        answers[i] = answer
    return pl.DataFrame(
        {
            columns.MUTANT: texts,
            columns.VALUE: pl.Series(
                [None if isinstance(a, str) else a for a in answers], dtype=pl.Float64
            ),
            columns.REASON: [a if isinstance(a, str) else "" for a in answers],
        }
    )


def _guess_mutant(names: Sequence[str]) -> str:
    known = ("mutant", "mutation", "mutations", "variant", "hgvs", "hgvs_pro", "protein_variant")
    found = [name for name in names if name.strip().lower() in known]
    if found:
        return found[0]
    choice = guess_column(names, "id")
    return choice.name if choice else "mutant"


def _numbers(values: pl.Series) -> Floats:
    found: Floats = values.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    return found
