"""BRCA1's 3,893 single-base variants: which break the gene, by our scores and published ones.

Source: Findlay et al. 2018, Nature 562:217; the task is Evo 2's (loss of function or not).
"""

# Letters: N rows.
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from lexome.errors import InputError
from lexome.io.tables import read_table
from lexome.scoring.mutants.scorer import MutantScorer, score_mutants
from lexome.sequence.mutations import Edit, Mutant
from lexome.suites.classes import ALL, Bools, Floats, Task, judge_predictors, read_numbers
from lexome.suites.regions import (
    Region,
    ScorePairs,
    Snv,
    check_references,
    cut_windows,
    read_region,
)
from lexome.suites.shared_folder import find_folder, read_tasks

LOSS = "LOF"


class Brca1(NamedTuple):
    """The table, its variants, and the stretch of chromosome 17 that they lie on."""

    table: pl.DataFrame
    variants: list[Snv]
    region: Region


class Fragment(NamedTuple):
    """Consecutive residues of BRCA1 that the table tells, from `start` (1-based) on."""

    start: int
    residues: str


def open_brca1(data: Path | None = None) -> Brca1:
    """Read the table and its region; every reference base is held to the region's.

    Raises:
        InputError: files or rows that lack, or a base that disagrees (with the offset that fits).
    """
    suite = read_tasks("brca1")["suite"]
    folder = find_folder(data, suite["folder"], suite["table"], "brca1")
    find_folder(folder, suite["folder"], suite["region"], "brca1")
    path = folder / suite["table"]
    table = pl.concat(read_table(path))
    needed = [suite["position"], "reference", "alt", "func.class", "consequence"]
    if missing := [name for name in needed if name not in table.columns]:
        raise InputError(
            str(path), f"the columns {', '.join(table.columns[:12])}", f"also {missing[0]!r}",
            "the file of the suite",
        )  # fmt: skip
    rows = zip(table[suite["position"]], table["reference"], table["alt"], strict=True)
    variants = [Snv("17", int(position), ref, alt) for position, ref, alt in rows]
    region = read_region(folder / suite["region"])
    check_references(region, variants)
    return Brca1(table, variants, region)


def judge_brca1(suite: Brca1, ours: Mapping[str, Floats]) -> pl.DataFrame:
    """AUROC and AUPRC of loss of function, of ours (higher: fitter) and of the published columns.

    Of all variants and of each consequence; positions are drawn together in the bootstrap, as the
    three variants of one position share it.
    """
    tasks = read_tasks("brca1")
    table = suite.table
    effect = table["func.class"].to_numpy()
    kind = table["consequence"]
    worse = {name: -scores for name, scores in ours.items()}
    for name, sign in tasks["published"].items():
        if name in table.columns:
            worse[name] = read_numbers(table[name], sign)
    groups: dict[str, Bools] = {ALL: np.ones(table.height, bool)}
    groups |= {str(k): (kind == k).to_numpy() for k in sorted(kind.drop_nulls().unique().to_list())}
    clusters = np.array([variant.position for variant in suite.variants])
    is_loss = effect == LOSS
    frames = [
        judge_predictors(
            Task(name, is_loss, is_loss | np.isin(effect, others)), worse, groups, clusters
        )
        for name, others in tasks["contrasts"].items()
    ]
    return pl.concat(frames)


def score_dna(
    suite: Brca1, score_pairs: ScorePairs, window: int | None = None
) -> tuple[Floats, dict[int, str]]:
    """The scores of a DNA model over windows around the variants; and the reasons where none."""
    size = window or read_tasks("brca1")["suite"]["window"]
    answers = score_pairs(cut_windows(suite.region, suite.variants, size))
    return split_answers(answers)


def split_answers(answers: Sequence[float | str]) -> tuple[Floats, dict[int, str]]:
    """Scores (NaN where there is none) and reasons by row."""
    scores = np.array([np.nan if isinstance(a, str) else a for a in answers], np.float64)
    return scores, {i: a for i, a in enumerate(answers) if isinstance(a, str)}


def find_fragments(table: pl.DataFrame) -> list[Fragment]:
    """The stretches of BRCA1 that the table's own residues make up.

    The table has residues only where something was edited: the RING and the BRCT domains. The whole
    protein is not at hand, so a protein model reads each stretch by itself.
    """
    known: dict[int, str] = {}
    for place, residue in zip(table["aa_pos"], table["aa_ref"], strict=True):
        if place and residue and len(str(residue)) == 1 and str(residue) != "*":
            known[int(float(place))] = str(residue)
    places = sorted(known)
    breaks = [i for i, (a, b) in enumerate(pairwise(places), start=1) if b != a + 1]
    runs = [places[a:b] for a, b in pairwise([0, *breaks, len(places)])] if places else []
    return [Fragment(run[0], "".join(known[place] for place in run)) for run in runs]


def score_missense(table: pl.DataFrame, scorer: MutantScorer) -> tuple[Floats, dict[int, str]]:
    """The scores of a protein rule for the missense rows, on the stretches of `find_fragments`."""
    fragments = find_fragments(table)
    scores = np.full(table.height, np.nan)
    reasons = {}
    rows_of: dict[Fragment, list[tuple[int, Mutant]]] = {fragment: [] for fragment in fragments}
    columns = zip(
        table["consequence"], table["aa_pos"], table["aa_ref"], table["aa_alt"], strict=True
    )
    for row, (kind, place, ref, alt) in enumerate(columns):
        if kind != "Missense":
            reasons[row] = f"{str(kind).lower()}: no change of a residue"
            continue
        at = int(float(place))
        fragment = next(f for f in fragments if f.start <= at < f.start + len(f.residues))
        rows_of[fragment].append((row, Mutant((Edit(ref, at - fragment.start + 1, alt),))))
    for fragment, pairs in rows_of.items():
        outcomes = score_mutants(scorer, fragment.residues, [mutant for _, mutant in pairs])
        for (row, _), outcome in zip(pairs, outcomes, strict=True):
            if outcome.score is None:
                reasons[row] = outcome.reason
            else:
                scores[row] = outcome.score
    return scores, reasons
