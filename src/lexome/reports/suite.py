"""The page of a suite: every contender on every task, published figures beside, and ranks."""

from pathlib import Path
from typing import Any

import polars as pl

from lexome.plots.critical_difference import draw_critical_difference
from lexome.plots.standings import TaskRow, draw_standings
from lexome.plots.style import svg_of
from lexome.reports.metric_names import metric as metric_words
from lexome.reports.numbers import whole
from lexome.reports.page import (
    Html,
    Section,
    facts,
    join,
    paragraph,
    picture,
    section,
    table,
    text,
    whole_page,
)
from lexome.results.columns import (
    BASELINE,
    CLEAN,
    COMPARABLE,
    ESTIMATE,
    FOLDS,
    HIGH,
    LEAKED,
    LOW,
    METRIC,
    MODEL,
    NOTE,
    PUBLISHED,
    REASON,
    ROWS_JUDGED,
    RUN,
    SD_OVER_FOLDS,
    SOURCE,
    TASK,
    TASKS,
    VERDICT,
)
from lexome.results.files import write_text
from lexome.results.types import Estimate

Row = dict[str, Any]
VERDICTS = {"better": "✓", "worse": "✗", "tie": "="}


def write_suite_report(
    target: Path, suite: dict[str, Any], found: Any, notes: dict[str, Any]
) -> Path:
    """Write one HTML file about the standings of a suite, and return its path.

    Args:
        suite: its title, source and scale.
        found: `suites.standings.Standings`.
        notes: provenance.
    """
    rows: list[Row] = found.table.to_dicts()
    made = [
        _figures(rows, suite),
        _drawn(rows, suite),
        *([_ranked(found.ranks)] if found.ranks is not None else []),
        *([_means(found.means, suite)] if found.means.height else []),
        _traced(rows, notes),
    ]
    said = (
        f"Source: {suite['source']}. A figure is the mean over a model's seeds with its 95 % "
        "interval over groups of similar sequences. Published figures have no interval."
    )
    top = join([Html(f"<h1>{text(suite['title'])}</h1>"), paragraph(text(said))], "\n")
    ends = Html(f"<footer>{text('Written by Lexome. Everything is in this file.')}</footer>")
    write_text(target, whole_page(str(suite["title"]), top, made, ends))
    return target


def _figures(rows: list[Row], suite: dict[str, Any]) -> Section:
    measured = list(dict.fromkeys((row[TASK], row[METRIC]) for row in rows))
    models = list(dict.fromkeys(row[MODEL] for row in rows if not row[SOURCE]))
    of = {(row[TASK], row[METRIC], row[MODEL]): row for row in rows}
    head = [text("Task"), *(text(model) for model in models), text("Published")]
    lines = [
        [
            _named(rows, *one),
            *(_cell(of.get((*one, model)), suite) for model in models),
            _said([row for row in rows if row[SOURCE] and (row[TASK], row[METRIC]) == one], suite),
        ]
        for one in measured
    ]
    notes = dict.fromkeys(f"{row[TASK]}: {row[NOTE]}" for row in rows if row[NOTE])
    refused = dict.fromkeys(f"{r[MODEL]} on {r[TASK]}: {r[REASON]}" for r in rows if r[REASON])
    under = (
        "✓ better than the baseline on the same rows (paired), = a tie, ✗ worse. Below a figure: "
        "the ensemble of its seeds on test rows that have no copy in training. "
    )
    if any(row[FOLDS] for row in rows):
        under += (
            "Of folds a figure is the mean over them, each judged on rows that it was not trained "
            "on, and the interval draws from the rows of all. "
        )
    return section(
        "figures",
        "Figures",
        table(head, lines),
        paragraph(text(under + " ".join(f"{note}." for note in (*notes, *refused)))),
    )


def _named(rows: list[Row], task: str, metric: str) -> Html:
    row = next(row for row in rows if row[TASK] == task)
    is_published = any(r[TASK] == task and r[SOURCE] for r in rows)
    mark = "" if row[COMPARABLE] or not is_published else ", published is not comparable"
    return Html(f"{text(task)}<br><small>{text(metric_words(metric).name + mark)}</small>")


def _cell(row: Row | None, suite: dict[str, Any]) -> Html:
    if row is None:
        return text("")
    if row[ESTIMATE] is None:
        return text("refused" if row[REASON] else "undefined")
    digits = 1 if suite.get("scale", 1) >= 10 else 3
    number = _shown(row[ESTIMATE], digits)
    if row[LOW] is None:
        return text(number)
    spread = f"[{_shown(row[LOW], digits)}, {_shown(row[HIGH], digits)}]"
    verdict = VERDICTS.get(row[VERDICT] or "", "")
    lines = [text(spread)]
    if row[SD_OVER_FOLDS] is not None:
        lines.append(text(f"sd {_shown(row[SD_OVER_FOLDS], digits)} over {row[FOLDS]} folds"))
    if row[CLEAN] is not None:
        lines.append(text(f"clean {_shown(row[CLEAN], digits)}"))
    inner = f"<b>{text(number)}</b> {text(verdict)}<br><small>{join(lines, '<br>')}"
    return Html(f"{inner}</small>")


def _said(rows: list[Row], suite: dict[str, Any]) -> Html:
    """Published figures, the highest first."""
    digits = 1 if suite.get("scale", 1) >= 10 else 3
    ordered = sorted(rows, key=lambda row: -row[ESTIMATE])
    names = [row[MODEL].removesuffix(f" ({PUBLISHED})") for row in ordered]
    lines = [
        text(f"{name} {_shown(row[ESTIMATE], digits)}")
        for name, row in zip(names, ordered, strict=True)
    ]
    return Html(f"<small>{join(lines, '<br>')}</small>")


def _shown(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def _drawn(rows: list[Row], suite: dict[str, Any]) -> Section:
    tasks = []
    of: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        of.setdefault((row[TASK], row[METRIC]), []).append(row)
    several = len({metric for _, metric in of}) > 1
    for (name, metric), found in of.items():
        some = [row for row in found if row[ESTIMATE] is not None]
        measured = {
            row[MODEL]: Estimate(row[ESTIMATE], row[LOW], row[HIGH])
            for row in some
            if row[LOW] is not None
        }
        tasks.append(
            TaskRow(
                f"{name}, {metric_words(metric).name}" if several else name,
                measured,
                {r[MODEL]: r[ESTIMATE] for r in some if r[LOW] is None},
            )
        )
    plain = next((row[MODEL] for row in rows if row[VERDICT] == BASELINE), None)
    across = "figure" if several else metric_words(rows[0][METRIC]).name
    scale = " x 100" if suite.get("scale", 1) == 100 else ""
    svg = svg_of(draw_standings(tasks, across + scale, plain), "standings", "Figures of every task")
    said = (
        "A dot is the mean over seeds, its line the 95 % interval; black marks are published, by "
        "name in the table above."
    )
    return section("picture", "Picture", picture(svg, text(said)))


def _ranked(ranks: Any) -> Section:
    if ranks.num_tasks < 2:
        return section("ranks", "Ranks", paragraph(text(f"{ranks.reason}.")))
    drawn = draw_critical_difference(
        ranks.methods,
        ranks.average_ranks,
        ranks.test.critical_difference if ranks.test else None,
        ranks.cliques,
        ranks.num_tasks,
    )
    svg = svg_of(drawn, "ranks", "Average ranks over the tasks")
    return section("ranks", "Ranks", picture(svg, text(ranks.reason)))


def _means(means: pl.DataFrame, suite: dict[str, Any]) -> Section:
    how = "categories' means" if suite.get("mean") == "categories" else "tasks"
    head = [text("Model"), text("Tasks"), text(f"Mean of {how}")]
    digits = 1 if suite.get("scale", 1) >= 10 else 3
    lines = [
        [text(r[MODEL]), text(whole(r[TASKS])), text(_shown(r[ESTIMATE], digits))]
        for r in means.to_dicts()
    ]
    said = "Of the tasks shown, where a model has them all; no interval is given for such a mean."
    return section("means", "Means", table(head, lines), paragraph(text(said)))


def _judged(row: Row) -> str:
    """How many rows; of a further table it is not known which have a copy in training."""
    copies = "" if row[LEAKED] is None else f", {whole(row[LEAKED])} with a copy"
    return f"{whole(row[ROWS_JUDGED])} test rows{copies}"


def _traced(rows: list[Row], notes: dict[str, Any]) -> Section:
    runs = {
        f"{row[TASK]}, {row[MODEL]}": text(f"{row[RUN]} ({_judged(row)})")
        for row in rows
        if row[RUN] and row[VERDICT] != BASELINE
    }
    said = {
        row[MODEL]: text(str(row[SOURCE])) for row in rows if row[MODEL].endswith(f"({PUBLISHED})")
    }
    made = {"Command": text(str(notes["command"])), "Made": text(str(notes["created"]))}
    return section("provenance", "Provenance", facts(made | runs | said))
