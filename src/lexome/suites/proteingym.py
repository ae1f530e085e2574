"""ProteinGym's assays by any rule: figures of every assay beside the published ones, and means.

Source: Notin et al. 2023, "ProteinGym", NeurIPS Datasets and Benchmarks; the definitions are those
of its published code (`evaluation/ranking.py`), the tasks stand in `tasks/proteingym.toml`.
"""

# Letters: N rows.
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from lexome.errors import InputError
from lexome.evaluation.ranking import rank_metrics
from lexome.inference.parts import PART_RESIDUES, Answer, Kind, Tally, run_in_parts
from lexome.io.tables import read_table
from lexome.io.unique_ids import Place
from lexome.progress import Progress
from lexome.results import columns
from lexome.results.tables import write_table
from lexome.scoring.mutants.additive import Scored, score_texts
from lexome.scoring.mutants.scorer import MutantScorer
from lexome.suites.assays import Assay, AssayRows, find_assays, fingerprint_of, read_assay
from lexome.suites.shared_folder import find_folder, read_tasks, shared_roots

SCHEMA = {
    columns.ASSAY: pl.String,
    columns.MODEL: pl.String,
    columns.RULE: pl.String,
    columns.COUNT: pl.Int64,
    columns.UNSCORED: pl.Int64,
    "spearman": pl.Float64,
    columns.LOW: pl.Float64,
    columns.HIGH: pl.Float64,
    "auroc": pl.Float64,
    "mcc": pl.Float64,
    columns.NDCG: pl.Float64,
    columns.TOP_RECALL: pl.Float64,
    columns.AGAINST: pl.String,
    columns.PUBLISHED: pl.Float64,
    columns.PUBLISHED_MCC: pl.Float64,
    columns.COMPARABLE: pl.String,
    columns.NOTE: pl.String,
}
# A part of the output is one assay: what is finished survives a kill.
ASSAYS: Kind[Assay] = Kind(
    id=lambda assay: assay.name,
    held=lambda assay: PART_RESIDUES,
    work=lambda assay: 1,
    content=fingerprint_of,
)


class Published(NamedTuple):
    """One model's published values by assay; empty where there are none at hand."""

    name: str
    spearman: dict[str, float]
    mcc: dict[str, float]


class Judge(NamedTuple):
    """A rule, what its model is called, and what stands beside it."""

    scorer: MutantScorer
    model: str
    published: Published
    keep: Path | None = None  # a folder for the scores of every mutant


def open_suite(
    data: Path | None = None, assays: Sequence[str] | None = None
) -> tuple[Path, list[Assay]]:
    """The folder of the assays and those of them that are asked for (all: None)."""
    tasks = read_tasks("proteingym")
    suite = tasks["suite"]
    needed = suite["reference"]
    if data is not None and (data / needed[1]).is_file():
        return data, find_assays(data, tasks, assays)
    folder = find_folder(data, suite["folder"], needed[0], "ProteinGym")
    return folder, find_assays(folder, tasks, assays)


def read_published(model: str, asked: str | None = None, folder: Path | None = None) -> Published:
    """The published values of a model, or of the one asked for by ProteinGym's own name.

    Args:
        model: our name; one that has no published values gets those of ESM-2 8M beside it.
        asked: instead, a name of ProteinGym's table, such as "Site-Independent".
        folder: where the tables lie; else the shared folder's.

    Raises:
        InputError: a name asked for that the table lacks.
    """
    told = read_tasks("proteingym")["published"]
    name = asked or told["names"].get(model, told["otherwise"])
    folders = [folder] if folder else [root / told["folder"] for root in shared_roots()]
    values = []
    for metric in ("spearman", "mcc"):
        path = next((f / told[metric] for f in folders if (f / told[metric]).is_file()), None)
        values.append(_read_column(path, told["assay_column"], name) if path else {})
    return Published(name, values[0], values[1])


def _read_column(path: Path, key: str, name: str) -> dict[str, float]:
    table = pl.concat(read_table(path))
    if name not in table.columns:
        from difflib import get_close_matches

        near = get_close_matches(name, table.columns, n=3, cutoff=0.3) or table.columns[1:4]
        raise InputError(
            "--published", repr(name), f"a model of {path.name}", " or ".join(map(repr, near))
        )
    values = table[name].cast(pl.Float64, strict=False)
    pairs = zip(table[key].to_list(), values.to_list(), strict=True)
    return {str(assay): float(value) for assay, value in pairs if value is not None}


def judge_assay(assay: Assay, judge: Judge) -> dict[str, Any]:
    """The row of one assay; what could not be scored is counted and left out of the figures.

    The interval of Spearman draws sites, not rows, where all mutants are single ones: the
    substitutions of one site share what the site is.
    """
    rows = read_assay(assay)
    try:
        scored = score_texts(judge.scorer, assay.wild_type, rows.mutants)
    except InputError as error:  # a protein beyond the context, say: the other assays go on
        scored = Scored(np.full(len(rows.mutants), np.nan), {0: str(error)})
    there = np.isfinite(scored.scores)
    if judge.keep is not None:
        _keep_scores(
            judge.keep / f"{assay.name}.parquet", judge, rows, scored.scores, scored.reasons
        )
    count, unscored = int(there.sum()), int((~there).sum())
    notes = [assay.note] if assay.note else []
    facts: dict[str, Any] = {
        columns.ASSAY: assay.name,
        columns.MODEL: judge.model,
        columns.RULE: judge.scorer.rule,
        columns.COUNT: count,
        columns.UNSCORED: unscored,
        columns.AGAINST: judge.published.name,
        columns.PUBLISHED: judge.published.spearman.get(assay.dms_id),
        columns.PUBLISHED_MCC: judge.published.mcc.get(assay.dms_id),
        columns.COMPARABLE: compare_rows(count, assay.published_rows),
    }
    if unscored:
        first = next(iter(scored.reasons.values()), "")
        notes.append(f"{unscored:,} rows without a score, the first: {first}")
    if count > 1:
        sites = None if rows.sites is None else rows.sites[there]
        found = rank_metrics(
            rows.truth[there], scored.scores[there], rows.is_positive[there], sites
        )
        facts |= {"spearman": found.spearman.value, "auroc": found.auroc, "mcc": found.mcc}
        facts |= {columns.LOW: found.spearman.low, columns.HIGH: found.spearman.high}
        facts |= {columns.NDCG: found.ndcg, columns.TOP_RECALL: found.top_recall}
    return facts | {columns.NOTE: "; ".join(notes)}


def compare_rows(count: int, published: int) -> str:
    """Whether figures of so many rows may stand beside published ones: yes, nearly or no.

    >>> compare_rows(4996, 4996), compare_rows(1196, 1195), compare_rows(91_031, 899)
    ('yes', 'nearly', 'no')
    """
    if count == published:
        return "yes"
    nearly = float(read_tasks("proteingym")["suite"]["nearly"])
    return "nearly" if abs(count - published) <= nearly * published else "no"


def evaluate_proteingym(
    assays: Sequence[Assay],
    judge: Judge,
    output: Path | None,
    provenance: Callable[[], Mapping[str, Any]],
    progress: Progress,
) -> tuple[pl.DataFrame, int]:
    """Judge all assays; the table, and how many of its rows stood from an earlier, killed run."""

    def compute(part: list[Assay]) -> Answer:
        return Answer(pl.DataFrame([judge_assay(a, judge) for a in part], schema=SCHEMA), {})

    if output is None:
        frames = []
        for assay in assays:
            frames.append(compute([assay]).table)
            progress.advance(1)
        return pl.concat(frames), 0

    def notes(tally: Tally) -> dict[str, object]:
        return dict(provenance()) | {"rule_definition": judge.scorer.definition}

    made = (judge.model, judge.published, *judge.scorer.fingerprint, judge.keep)
    tally = run_in_parts(
        assays, compute, output, made, notes, progress, ASSAYS, Place("the suite", "assay")
    )
    return _typed(pl.concat(read_table(output))), tally.resumed_rows


def _typed(table: pl.DataFrame) -> pl.DataFrame:
    """A table as it was before it became text: an empty field of numbers is none."""
    return table.select(
        pl.col(name).cast(dtype, strict=False)
        if dtype.is_numeric()
        else pl.col(name).cast(pl.String).fill_null("")
        for name, dtype in SCHEMA.items()
    )


def _keep_scores(
    path: Path, judge: Judge, rows: AssayRows, scores: Any, reasons: Mapping[int, str]
) -> None:
    table = pl.DataFrame(
        {
            columns.MUTANT: rows.mutants,
            columns.LABEL: rows.truth,
            "label_positive": rows.is_positive,
            columns.SCORE: pl.Series(scores).fill_nan(None),
            columns.REASON: [reasons.get(i, "") for i in range(len(rows.mutants))],
        }
    )
    notes = {"model": judge.model, "rule": judge.scorer.rule}
    write_table(table, path, notes | {"rule_definition": judge.scorer.definition})


def aggregate(table: pl.DataFrame, assays: Sequence[Assay]) -> pl.DataFrame:
    """ProteinGym's means of the assays whose rows are comparable, ours and the published ones.

    First over the assays of one protein and function category, then over the proteins of a
    category, then over the categories (the row "mean"). Assays with other rows are left out of
    both; so these means are those of the suite only where all of its 217 assays are there.
    """
    group_of = {assay.name: (assay.uniprot, assay.category) for assay in assays}
    rows = table.filter(pl.col(columns.COMPARABLE) != "no").fill_nan(None)
    names = rows[columns.ASSAY].to_list()
    rows = rows.with_columns(
        pl.Series("uniprot", [group_of[name][0] for name in names], dtype=pl.String),
        pl.Series(columns.GROUP, [group_of[name][1] for name in names], dtype=pl.String),
    )
    figures = ["spearman", "auroc", "mcc", columns.NDCG, columns.TOP_RECALL]
    figures += [columns.PUBLISHED, columns.PUBLISHED_MCC]
    by_protein = rows.group_by("uniprot", columns.GROUP).agg(
        pl.len().cast(pl.Int64).alias(columns.COUNT), pl.col(figures).mean()
    )
    by_category = by_protein.group_by(columns.GROUP).agg(
        pl.col(columns.COUNT).sum(), pl.col(figures).mean()
    )
    by_category = by_category.sort(columns.GROUP)
    overall = by_category.select(
        pl.lit("mean").alias(columns.GROUP), pl.col(columns.COUNT).sum(), pl.col(figures).mean()
    )
    return pl.concat([by_category, overall])
