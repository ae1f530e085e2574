"""Judges the models of a run and writes what comes of it: figures, answers, predictions."""

from pathlib import Path
from typing import Any

from lexome.evaluation.kmer_sets import KmerAlphabet
from lexome.training.answers import ANSWERS, write_answers
from lexome.training.beside_baseline import compare_with_baseline
from lexome.training.fit import Parts
from lexome.training.judged import Judged
from lexome.training.labelled import LabelledTable
from lexome.training.record import held_out_groups, judge_all, write_metrics, write_predictions
from lexome.training.task_record import headline_of


def write_results(
    folder: Path,
    data: LabelledTable,
    parts: Parts,
    judged: list[Judged],
    chosen: str,
    alphabet: KmerAlphabet,
    notes: dict[str, Any],
) -> dict[str, Any]:
    """metrics.json, answers.parquet (every seed's) and predictions.parquet (the model in use).

    Returns the comparison with the baseline, as metrics.json has it.
    """
    groups = held_out_groups(parts, data.sequences, alphabet)
    entries = judge_all(data.target, parts, judged, groups)
    compared = compare_with_baseline(data.target, parts, judged, chosen, groups)
    write_metrics(folder / "metrics.json", entries, chosen, headline_of(data.target), compared)
    # of residues they would be as large as the model
    if data.target.residues is None and not data.target.subs:
        write_answers(folder / ANSWERS, data, parts, judged, groups, notes)
    write_predictions(folder / "predictions.parquet", data, parts, judged, chosen, notes)
    return compared
