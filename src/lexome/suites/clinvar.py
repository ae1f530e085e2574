"""ClinVar's pathogenic and benign variants: many published predictors, and ours where it can read.

Source: Brandes-Lab/VEP-eval, a sample of 1,000 variants with the scores of each predictor.
"""

# Letters: N rows.
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from lexome.errors import InputError
from lexome.io.tables import read_table
from lexome.suites.brca1 import split_answers
from lexome.suites.classes import ALL, Bools, Floats, Task, judge_predictors, read_numbers
from lexome.suites.regions import Region, ScorePairs, Snv, cut_windows, find_problem, read_region
from lexome.suites.shared_folder import find_folder, read_tasks


class ClinVar(NamedTuple):
    """The table, its variants, and the one stretch of sequence that is at hand (or None)."""

    table: pl.DataFrame
    variants: list[Snv]
    region: Region | None


def open_clinvar(data: Path | None = None) -> ClinVar:
    """Read the table, and the region where it lies beside it.

    Raises:
        InputError: a file or a column that lacks.
    """
    suite = read_tasks("clinvar")["suite"]
    folder = find_folder(data, suite["folder"], suite["table"], "clinvar")
    path = folder / suite["table"]
    table = pl.concat(read_table(path))
    for name in ("#CHROM", "POS", "REF", "ALT", suite["label"]):
        if name not in table.columns:
            raise InputError(
                str(path), f"the columns {', '.join(table.columns[:12])}", f"also {name!r}",
                "the file of the suite",
            )  # fmt: skip
    columns = (table[name] for name in ("#CHROM", "POS", "REF", "ALT"))
    variants = [Snv(str(c), int(p), r, a) for c, p, r, a in zip(*columns, strict=True)]
    region = folder / suite["region"]
    return ClinVar(table, variants, read_region(region) if region.is_file() else None)


def judge_clinvar(suite: ClinVar, ours: Mapping[str, Floats]) -> pl.DataFrame:
    """AUROC and AUPRC of pathogenic against benign, by group, the best of each group first.

    `ours` are scores where higher is fitter. Rows of one transcript are drawn together in the
    bootstrap. Groups and predictors with too few rows of either class are left out (`least` in
    `tasks/clinvar.toml`).
    """
    tasks = read_tasks("clinvar")
    facts, table = tasks["suite"], suite.table
    label = read_numbers(table[facts["label"]])
    worse = {name: -scores for name, scores in ours.items()}
    for name, sign in tasks["published"].items():
        if name in table.columns:
            worse[name] = read_numbers(table[name], sign)
    groups: dict[str, Bools] = {ALL: np.ones(table.height, bool)}
    for name, members in tasks["groups"].items():
        names = [members] if isinstance(members, str) else members
        found = [read_numbers(table[n]) > 0 for n in names if n in table.columns]
        if found:
            groups[name] = np.any(found, axis=0)
    named = facts["clusters"] in table.columns
    clusters = (
        table[facts["clusters"]].cast(pl.String).fill_null("").to_numpy().astype(str)
        if named
        else np.arange(table.height)
    )
    task = Task("pathogenic against benign", label == 1, np.isfinite(label))
    least = facts["least"], facts["least_of_a_class"]
    return judge_predictors(task, worse, groups, clusters, *least)


def score_dna(
    suite: ClinVar, score_pairs: ScorePairs, window: int | None = None
) -> tuple[Floats, dict[int, str]]:
    """The scores of a DNA model for the variants on the region; all others say why not."""
    size = window or read_tasks("clinvar")["suite"]["window"]
    problems = [
        find_problem(suite.region, variant) if suite.region else "no sequence at hand"
        for variant in suite.variants
    ]
    there = [i for i, problem in enumerate(problems) if not problem]
    answers: list[float | str] = list(problems)
    if suite.region and there:
        windows = cut_windows(suite.region, [suite.variants[i] for i in there], size)
        for i, answer in zip(there, score_pairs(windows), strict=True):
            answers[i] = answer
    return split_answers(answers)
