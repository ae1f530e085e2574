"""The model in use, and the mean of the seeds, against the baseline on the same rows."""

# Letters: R seeds, N rows.
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexome.evaluation.delong import delong_interval, delong_test
from lexome.evaluation.pair_groups import are_rows_drawn
from lexome.evaluation.paired import Side, compare_paired
from lexome.training.fit import Parts, or_half
from lexome.training.judged import Judged, find_judged
from lexome.training.target import Target
from lexome.training.task_record import judged_task
from lexome.training.units import UNITS

Groups = dict[str, NDArray[np.int64]]  # of the rows of each part
PLAIN = "DeLong's interval takes the rows as independent; the bootstrap draws groups of like ones."


def compare_with_baseline(
    target: Target, parts: Parts, judged: list[Judged], chosen: str, groups: Groups
) -> dict[str, Any]:
    """Paired differences to the baseline on the test part (or validation), as plain JSON.

    Under `metrics` stand those of the model that `lexome predict` uses. Several seeds are compared
    as a method too (`seeds`): the mean of their figures, with their spread in the interval.
    """
    if target.subs:
        each = [
            compare_with_baseline(sub, parts, judged_task(target, judged, i), chosen, groups)
            for i, sub in enumerate(target.subs)
        ]
        return _join_tasks(target.labels, each)
    part = "test" if "test" in groups else "validation"
    rows = getattr(parts, part)
    truth, group = target.truth(rows), target.per_answer(rows, groups[part])
    sums = UNITS[target.unit].sums_groups
    plain = next(model for model in judged if model.kind == "baseline")
    mine, seeds = find_judged(judged, chosen), [m for m in judged if m.kind == "seed"]

    def against(models: list[Judged]) -> dict[str, Any]:
        ours, theirs = (_side(target, rows, some, part) for some in (models, [plain]))
        found = compare_paired(target.kind, truth, ours, theirs, group, by_group=sums)
        return {name: plain_numbers(one._asdict()) for name, one in found.items()}

    found: dict[str, Any] = {
        "part": part,
        "model": chosen,
        "baseline": plain.name,
        "rows": len(truth),
        "groups": len(np.unique(groups[part])),
        "drawn": "rows" if are_rows_drawn(groups[part]) else "groups",
        "metrics": against([mine]),
    }
    if len(seeds) > 1:
        found["seeds"] = against(seeds)
    if target.task == "binary" and target.residues is None:
        _, ours, theirs = target.judged(rows, mine.answers[part], plain.answers[part])
        found["delong"] = {
            "model": plain_numbers(delong_interval(truth, ours)._asdict()),
            "baseline": plain_numbers(delong_interval(truth, theirs)._asdict()),
            "difference": plain_numbers(delong_test(truth, ours, theirs)._asdict()),
            "note": PLAIN,
        }
    return found


def _join_tasks(names: tuple[str, ...], each: list[dict[str, Any]]) -> dict[str, Any]:
    """Comparisons of several tasks as one, each figure called "task.metric"."""
    joined = {key: each[0][key] for key in ("part", "model", "baseline", "groups", "drawn")}
    joined["rows"] = max(one["rows"] for one in each)
    for key in ("metrics", "seeds"):
        if key in each[0]:
            joined[key] = {
                f"{name}.{metric}": found
                for name, one in zip(names, each, strict=True)
                for metric, found in one[key].items()
            }
    return joined


def plain_numbers(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON has them: NaN is null.

    >>> plain_numbers({"p": float("nan"), "verdict": "tie"})
    {'p': None, 'verdict': 'tie'}
    """
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def _side(target: Target, rows: NDArray[np.int64], models: list[Judged], part: str) -> Side:
    _, *answers = target.judged(rows, *(m.answers[part] for m in models))
    return Side(answers, [or_half(m.threshold) for m in models])
