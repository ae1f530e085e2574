"""Every seed's answers to the held-out rows, unrounded, so that runs can be compared later."""

# Letters: N rows, K labels.
import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.evaluation.metrics import Task
from lexome.evaluation.paired import Side
from lexome.results.tables import write_table
from lexome.sequence.pairs import Content, letters_of
from lexome.training.beside_baseline import Groups
from lexome.training.fit import Parts
from lexome.training.fitted import truth_labels
from lexome.training.judged import Judged
from lexome.training.labelled import LabelledTable
from lexome.training.run_folder import Run, read_run

ANSWERS = "answers.parquet"


class RunAnswers(NamedTuple):
    """The test rows of a run, and what each of its seeds answered."""

    run: Run
    task: Task
    labels: tuple[str, ...]
    rows: NDArray[np.int64]  # of the table, from 1
    keys: list[tuple[str, str]]  # id and digest of the sequence, one a row
    groups: NDArray[np.int64]
    truth: NDArray[Any]
    side: Side


def write_answers(
    path: Path,
    table: LabelledTable,
    parts: Parts,
    judged: list[Judged],
    groups: Groups,
    notes: dict[str, Any],
) -> None:
    """A long table: a row for each held-out sequence and seed, and for the baseline.

    Answers are float32, or float64 where these are numbers that lie far from 0.
    """
    kind = np.float64 if table.target.is_far else np.float32
    labels = truth_labels(table.target)
    if table.target.task == "regression":
        labels = [repr(float(value)) for value in table.target.values]
    frames = []
    for model in (m for m in judged if m.kind in ("seed", "baseline")):
        for part in groups:
            rows, found = getattr(parts, part), np.asarray(model.answers[part], kind)
            frame = {
                "model": [model.name] * len(rows),
                "row": table.rows[rows],
                "id": [table.ids[i] for i in rows],
                "part": [part] * len(rows),
                "digest": [digest_of(table.sequences[i]) for i in rows],
                "group": groups[part].tolist(),
                "label": [labels[i] for i in rows],
                **_columns(table.target.task, table.target.labels, found),
            }
            frames.append(pl.DataFrame(frame))
    write_table(pl.concat(frames), path, notes)


def read_answers(directory: str | Path, part: str = "test", kind: str = "seed") -> RunAnswers:
    """The answers of a finished run: of its seeds, or of its `kind` "baseline".

    Raises:
        InputError: no run, one without such a part, or one of an earlier Lexome.
    """
    directory = Path(directory)
    try:
        run = read_run(directory)
    except (OSError, ValueError) as error:
        raise InputError(
            str(directory), "no finished run", "directories of `lexome finetune`", "finishing it"
        ) from error
    if run.facts.get("unit") == "residue":
        raise InputError(
            str(directory),
            "a run that answers residues, which keeps one model's answers alone",
            "runs with an answer a sequence",
            "metrics.json, which has its comparison with the baseline",
        )
    path = directory / ANSWERS
    if not path.exists():
        raise InputError(
            str(path), "no such file", "the answers of every seed", "training the run again"
        )
    table = pl.read_parquet(path).filter(pl.col("part") == part)
    if not table.height:
        raise InputError(str(directory), f"no {part} part", "a run with one", "another run")
    task, labels = run.facts["task"], tuple(run.facts["labels"])
    seeds = [m for m in run.metrics["models"] if m["kind"] == kind]
    frames = [table.filter(pl.col("model") == m["name"]).sort("row") for m in seeds]
    first = frames[0]
    return RunAnswers(
        run,
        task,
        labels,
        first["row"].to_numpy(),
        list(zip(first["id"].cast(pl.String), first["digest"], strict=True)),
        np.array(first["group"].to_list()),  # of pairs two each
        _truth(task, labels, first["label"].to_list()),
        Side(
            [_found(task, labels, frame) for frame in frames],
            [_limits(m["threshold"], labels) for m in seeds],
        ),
    )


def digest_of(sequence: Content) -> str:
    """A sequence, or a pair, in 16 letters, by which runs know their rows again.

    >>> digest_of("MKV")
    'a047971bbee3121f'
    """
    return hashlib.blake2b("\0".join(letters_of(sequence)).encode(), digest_size=8).hexdigest()


def _columns(task: str, labels: tuple[str, ...], found: NDArray[Any]) -> dict[str, NDArray[Any]]:
    if task in ("regression", "binary"):
        return {"value" if task == "regression" else "probability": found}
    return {f"probability_{label}": found[:, k] for k, label in enumerate(labels)}


def _found(task: str, labels: tuple[str, ...], frame: pl.DataFrame) -> NDArray[Any]:
    if task in ("regression", "binary"):
        return frame["value" if task == "regression" else "probability"].to_numpy()
    return frame.select([f"probability_{label}" for label in labels]).to_numpy()


def _truth(task: str, labels: tuple[str, ...], cells: list[str | None]) -> NDArray[Any]:
    if task == "regression":
        return np.array([float(cell or "nan") for cell in cells])
    if task == "multilabel":
        sets = [set((cell or "").split(";")) for cell in cells]
        return np.array([[int(label in held) for label in labels] for held in sets])
    return np.array([labels.index(str(cell)) for cell in cells])


def _limits(threshold: Any, labels: tuple[str, ...]) -> Any:
    if isinstance(threshold, dict):
        return [threshold[label] for label in labels]
    return 0.5 if threshold is None else threshold
