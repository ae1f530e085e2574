"""A saved run judged on labels that it has never seen: an independent test set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lexome.errors import InputError
from lexome.sequence.alphabet import UNKNOWN_POLICIES
from lexome.training.artefact import BASELINE, load_artefact
from lexome.training.baselines.kinds import saved_plain
from lexome.training.beside_baseline import compare_with_baseline
from lexome.training.fit import Parts
from lexome.training.fitted import Fitted, Threshold, predict_each
from lexome.training.judged import Judged, chosen_name, list_judged
from lexome.training.labelled import LabelledTable, clean_labelled
from lexome.training.raw_table import Columns, columns_of_run, read_raw
from lexome.training.record import held_out_groups, judge_all
from lexome.training.residue_labels import ResidueReading
from lexome.training.run_folder import read_run
from lexome.training.target import Target
from lexome.training.task_answers import conform_tasks, task_spelling
from lexome.training.task_record import headline_of


def judge_run(
    run: str | Path,
    table: Any,
    label: str | Sequence[str],
    *,
    sequence: str | None = None,
    second: str | None = None,
    id: str | None = None,
    unknown: str | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Metrics of every seed, their mean and ensemble, and the baseline on a labelled table.

    Thresholds are those that the run chose on its own validation part. The layout is that of
    metrics.json, with the part "test".

    Raises:
        InputError: a table that cannot be read, or labels that the run does not know.
    """
    directory = Path(run)
    fitted = load_artefact(directory, device)
    labels = [label] if isinstance(label, str) else list(label)
    residues = None
    if fitted.answers_residues:
        residues = ResidueReading(fitted.settings.ignore, fitted.labels)
    of_run = read_run(directory).facts
    in_columns = of_run["label_column"] == ", ".join(fitted.labels) and len(fitted.labels) > 1
    several = len(labels) > 1 or fitted.objective.parts or in_columns
    missing = sorted(set(fitted.labels) - set(labels)) if several else []
    if missing:
        raise InputError(
            str(directory),
            f"no `--label {missing[0]}`",
            "a column for every label of the run: " + ", ".join(fitted.labels),
            "to name them all",
        )
    policy = unknown or fitted.settings.unknown
    if policy not in UNKNOWN_POLICIES:
        raise InputError("unknown", repr(policy), " or ".join(UNKNOWN_POLICIES), "`--unknown map`")
    asked = Columns(sequence, labels, id, second=second)
    columns = _columns(fitted, asked, of_run["columns"], table)
    data = clean_labelled(
        read_raw(table, columns),
        fitted.setup.tokenizer.alphabet,
        policy,  # type: ignore[arg-type]
        task_spelling(fitted) if fitted.objective.parts else fitted.task,
        fitted.labels[1] if fitted.task == "binary" else None,
        residues,
    )
    target = _conform(data, fitted)
    judged = _judge(directory, fitted, data)
    rows = np.arange(len(data.ids))
    parts = Parts(rows[:0], rows[:0], rows)
    chosen = chosen_name(fitted.settings.all_seeds)
    groups = held_out_groups(parts, data.sequences, fitted.setup.tokenizer.alphabet.kmers)
    return {
        "models": judge_all(target, parts, judged, groups),
        "chosen": chosen,
        "headline": headline_of(target),
        "comparison": compare_with_baseline(target, parts, judged, chosen, groups),
        "rows": {"read": data.num_read, "judged": len(data.ids)},
        "columns": data.columns,
        "cleaning": {count.what: count.number for count in data.cleaning if count.number},
    }


def _columns(fitted: Fitted, asked: Columns, own: dict[str, Any], table: Any) -> Columns:
    """The columns asked for; else the run's own, as where it predicts."""
    sequence, id = columns_of_run(own, table, asked.sequence, asked.id)
    asked = asked._replace(sequence=sequence, id=id)
    if not fitted.settings.pairs:
        if asked.second is not None:
            raise InputError(
                "second", repr(asked.second), "a run of pairs", "the command without it"
            )
        return asked
    return asked._replace(
        sequence=asked.sequence or own["sequence"],
        second=asked.second or own["second"],
        symmetric=fitted.settings.symmetric,
    )


def _judge(directory: Path, fitted: Fitted, data: LabelledTable) -> list[Judged]:
    plain = saved_plain(directory / BASELINE, data.target.unit)
    limits = {m["name"]: m["threshold"] for m in read_run(directory).metrics["models"]}

    def saved(name: str, found: Any) -> Threshold:
        """A threshold as metrics.json keeps it, as a number or a list in label order."""
        limit = limits[name]
        if isinstance(limit, dict):
            return [limit.get(label, 0.5) for label in fitted.labels]  # of numbers there is none
        number: float | None = limit
        return number

    return list_judged(
        fitted.settings.all_seeds,
        predict_each(fitted, data.ids, data.sequences),
        plain.predict(plain.load(directory / BASELINE), data.sequences),
        by_part=lambda found: {"test": found},
        threshold_of=saved,
        plain_name=plain.name(fitted.task),
    )


def _conform(data: LabelledTable, fitted: Fitted) -> Target:
    """The table's labels in the run's order."""
    target = data.target
    if target.subs:
        return conform_tasks(target, fitted, data.where)
    strange = sorted(set(target.labels) - set(fitted.labels))
    if strange:
        raise InputError(
            data.where,
            f"the label {strange[0]!r}",
            "labels that the run knows: " + ", ".join(fitted.labels),
            "another `--label`",
        )
    if target.labels == fitted.labels:
        return target
    if target.task == "multilabel":
        values = np.zeros((len(data.ids), len(fitted.labels)), np.int64)
        for k, name in enumerate(target.labels):
            values[:, fitted.labels.index(name)] = target.values[:, k]
    else:
        order = np.array([fitted.labels.index(name) for name in target.labels])
        values = order[target.values]
    return target._replace(labels=fitted.labels, values=values)
