"""Does a model score mutants as published: its own scores beside a published column of them."""

# Letters: N rows.
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from lexome.errors import InputError
from lexome.inference.model import Model
from lexome.io.tables import find_column, read_table
from lexome.scoring.mutants.additive import score_texts
from lexome.scoring.mutants.rules import make_mutant_scorer
from lexome.scoring.mutants.scorer import FloatArray
from lexome.sequence.mutations import Mutant, parse_mutant
from lexome.sequence.wild_type import find_wild_type

TOLERANCE = 1e-3  # nats; two machines' fp32 differ by less, half precision or TF32 by more
RULES = {  # how columns of published scores end -> our rule
    "wt_marginals": "wt-marginal",
    "wt-marginals": "wt-marginal",
    "masked_marginals": "masked-marginal",
    "masked-marginals": "masked-marginal",
}
MUTANT, MUTATED = "mutant", "mutated_sequence"


class Parity(NamedTuple):
    """How far our scores lie from the published ones."""

    column: str
    rule: str
    rows: int  # that both have a score for
    missing: int  # rows with a published score, but none of ours
    error: float  # the largest absolute difference
    median_error: float
    spearman: float
    allowed: float
    worst: str  # the mutant of the largest difference

    @property
    def passed(self) -> bool:
        """Whether every published score was met."""
        return not self.missing and self.error <= self.allowed


def check_published(
    model: Model,
    path: Path,
    column: str | None = None,
    rule: str | None = None,
    tolerance: float = TOLERANCE,
) -> Parity:
    """Score the mutants of a table and hold the scores to a column of it.

    The wild type is what the columns `mutant` and `mutated_sequence` go back to. The column is the
    one that is called by the model's published name and ends in `__wt_marginals` or
    `__masked_marginals`, which also tells the rule; or the one asked for.

    Raises:
        InputError: columns that lack, or none for this model.
    """
    table = pl.concat(read_table(path), how="vertical_relaxed")
    for name in (MUTANT, MUTATED):
        find_column(table.columns, "id", name, where=str(path))
    names = (model.card.name, model.card.source)
    chosen = find_published(table.columns, names, column, str(path))
    name = rule or RULES.get(chosen.rpartition("__")[2], "wt-marginal")
    published = table[chosen].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
    there = np.flatnonzero(np.isfinite(published))
    if not len(there):
        raise InputError(f"{path}, column {chosen!r}", "no number", "published scores", "--column")
    texts = [table[MUTANT][int(i)] for i in there]
    mutated = [table[MUTATED][int(i)] for i in there]
    wild_type = find_wild_type(_changes(texts, mutated), str(path))
    ours = score_texts(make_mutant_scorer(model, name), wild_type, texts).scores
    both = np.isfinite(ours)
    off = np.abs(ours[both] - published[there][both])
    nothing = not both.any()
    return Parity(
        chosen,
        name,
        int(both.sum()),
        int((~both).sum()),
        float("inf") if nothing else float(off.max()),
        float("inf") if nothing else float(np.median(off)),
        _correlation(ours[both], published[there][both]),
        tolerance,
        "" if nothing else [t for t, is_there in zip(texts, both, strict=True) if is_there][
            int(off.argmax())
        ],
    )  # fmt: skip


def find_published(
    columns: list[str], model: tuple[str, ...], asked: str | None = None, where: str = "table"
) -> str:
    """The column of a model's published scores.

    >>> columns = ["mutant", *(f"esm1v_t33_650M_UR90_{i}__wt_marginals" for i in (1, 2))]
    >>> find_published(columns, ("esm1v-1", "facebook/esm1v_t33_650M_UR90S_1"))
    'esm1v_t33_650M_UR90_1__wt_marginals'
    """
    if asked is not None:
        return find_column(columns, "id", asked, where=where).name
    scored = [name for name in columns if name.rpartition("__")[2] in RULES]
    wanted = {_plain(name.rpartition("/")[2]) for name in model}
    fitting = [name for name in scored if _plain(name.rpartition("__")[0]) in wanted]
    if len(fitting) == 1:
        return fitting[0]
    raise InputError(
        where,
        f"{len(fitting)} columns of {model[0]}'s scores",
        "one, such as esm1v_t33_650M_UR90_1__wt_marginals",
        f"--column {(fitting or scored or ['NAME'])[0]}",
    )


def _plain(name: str) -> str:
    """A model's name without signs; UR90S and UR90 are one corpus, spelled in two ways."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"(ur\d+)[a-z]?(?=_|$)", r"\1", name.lower()))


def _changes(texts: list[str], mutated: list[str]) -> list[tuple[Mutant, str]]:
    return [(parse_mutant(text), sequence) for text, sequence in zip(texts, mutated, strict=True)]


def _correlation(ours: FloatArray, theirs: FloatArray) -> float:
    if len(ours) < 2 or np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return float("nan")
    return float(spearmanr(ours, theirs)[0])
