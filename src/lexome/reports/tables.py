"""Tables of the page: every metric of every model, every label, and a few rows drawn at random."""

import math
import random
from collections.abc import Sequence
from typing import Any

import polars as pl

from lexome.plots import style
from lexome.reports import run_files
from lexome.reports.metric_names import metric
from lexome.reports.numbers import cutoff, exact, percent, whole, with_interval
from lexome.reports.page import Html, facts, folded, join, paragraph, table, text
from lexome.reports.run_files import Run, estimate

SAMPLE = 12
MOST_COLUMNS = 6  # models side by side, so that the table fits the page and the paper
MOST_LABELS = 200  # rows of the table by label; the file has them all


def metrics_tables(run: Run) -> Html:
    """Every metric of every model with its interval: the judged part open, the others folded."""
    parts = {part for model in run.models.values() for part in model.get("parts", {})}
    others = [part for part in run_files.parts_in_order(list(parts)) if part != run.part]
    notes = {
        "seed": "Each seed is one training from another random start.",
        "mean": "The mean is over the seeds' figures.",
        "ensemble": "The ensemble averages the probabilities of all seeds.",
        "baseline": f"The baseline sees {run.words.sees}.",
    }
    if run.task == "regression":
        notes["ensemble"] = "The ensemble averages the predictions of all seeds."
    kinds = {str(model.get("kind")) for model in run.models.values()}
    if len(run_files.named_kind(run, "seed")) == 1:
        notes.pop("seed")  # there is no other to tell it from
    said = " ".join(note for kind, note in notes.items() if kind in kinds)
    chosen = f" The shaded column, {run.chosen}, is what lexome predict uses."
    return join(
        [
            paragraph(text(said + chosen)),
            _metrics_table(run, run.part),
            difference_table(run),
            folded("What each metric says", _glossary(run)),
            *(folded(f"The same on {part}", _metrics_table(run, part)) for part in others),
        ],
        "\n",
    )


def _metrics_table(run: Run, part: str) -> Html:
    """The figures of all models on one part; many seeds stand in tables of their own, folded."""
    models = [name for name in run.models if part in run.models[name].get("parts", {})]
    if len(models) <= MOST_COLUMNS:
        return _columns(run, part, models)
    seeds = [name for name in models if run.models[name].get("kind") == "seed"]
    chunks = [seeds[at : at + MOST_COLUMNS] for at in range(0, len(seeds), MOST_COLUMNS)]
    main = _columns(run, part, [name for name in models if name not in seeds or name == run.chosen])
    return join([main, folded("Every seed", *(_columns(run, part, chunk) for chunk in chunks))])


def _columns(run: Run, part: str, models: list[str]) -> Html:
    """Rows are metrics, columns models; a range below a figure is its 95 % interval."""
    keys = list(dict.fromkeys(key for name in models for key in run.models[name]["parts"][part]))
    rows = []
    for key in keys:
        words = metric(key)
        figures = (estimate(run, name, part, key) for name in models)
        rows.append(
            [
                text(words.name),
                *(with_interval(figure, words.has_unit) for figure in figures),
            ]
        )
    thresholds = [_single_threshold(run, name) for name in models]
    if any(thresholds):
        rows.append([text("Threshold"), *(Html(shown or "") for shown in thresholds)])
    emphasis = 1 + models.index(run.chosen) if run.chosen in models else None
    return table([text(part), *map(text, models)], rows, "metrics", emphasis=emphasis)


def difference_table(run: Run) -> Html:
    """Model minus baseline, each metric on the same rows; empty where nothing was compared."""
    found, compared = run_files.differences(run), run.comparison
    if not found:
        return Html("")
    methods = {run.chosen: found}
    if compared.get("seeds"):
        methods["mean of the seeds"] = compared["seeds"]
    rows = [
        [text(metric(key).name), text(name), *_difference_cells(values[key], metric(key).has_unit)]
        for key in found
        for name, values in methods.items()
    ]
    heads = ["metric", "model", "minus baseline", "95 % interval", "p", "so it is"]
    drawn = f", in {whole(compared['groups'])} groups of similar sequences that are drawn whole"
    if compared.get("drawn") == "rows":
        drawn = ", drawn one by one, as there are too few groups of similar sequences"
    said = (
        f"Paired on the same {whole(compared['rows'])} rows{drawn}. A tie: the interval of the "
        "difference holds 0."
    )
    if compared.get("seeds"):
        said += " In the mean of the seeds, seeds are drawn too: it answers for training again."
    if delong := compared.get("delong"):
        shown, apart = delong["model"], delong["difference"]
        if shown["low"] is not None:
            ends = f"{exact(shown['low'])} to {exact(shown['high'])}"
            said += f" DeLong's 95 % interval of AUROC: {ends}"
            if apart["p"] is not None:
                said += f"; of the difference {_range(apart)}, p = {apart['p']:.2g}"
            said += f". {text(delong['note'])}"
    return join([paragraph(Html(said)), table([text(h) for h in heads], rows, numbers=(2, 4))])


def _difference_cells(found: dict[str, Any], has_unit: bool) -> list[Html]:
    value = found["difference"]
    p = "" if found["p"] is None else f"{found['p']:.2g}"
    shown = "" if value is None else f"{value:+.3g}" if has_unit else f"{value:+.3f}"
    return [text(shown), text(_range(found, has_unit)), text(p), text(found["verdict"])]


def _range(found: dict[str, Any], has_unit: bool = False) -> str:
    if found["low"] is None:
        return ""
    spelled = (
        f"{found[end]:+.3g}" if has_unit else f"{found[end]:+.3f}" for end in ("low", "high")
    )
    return " to ".join(spelled)


def _glossary(run: Run) -> Html:
    """The metrics of the table in words."""
    keys = run.models.get(run.chosen, {}).get("parts", {}).get(run.part, {})
    words = [metric(key) for key in keys]
    meanings = {word.name: text(f"{word.meaning}.") for word in words if word.meaning}
    if run_files.threshold(run) is not None:
        meanings["Threshold"] = text("From here on a call is positive; chosen on validation.")
    return facts(meanings)


def _single_threshold(run: Run, model: str) -> str:
    found = run.models[model].get("threshold")
    if found is None or isinstance(found, dict):
        return ""
    return f'<data value="{float(found)!r}">{cutoff(float(found))}</data>'


def label_table(run: Run) -> Html:
    """Each label: how many there are, how many were found, and its metrics with intervals."""
    saved = run.models.get(run.chosen, {}).get("per_label", {}).get(run.part, {})
    rows = run_files.chosen_rows(run, run.part)
    truth = run_files.truth_of(run, rows)
    given = [run_files.labels_in(run, label) for label in rows["prediction"].to_list()]
    keys = list(dict.fromkeys(key for figures in saved.values() for key in figures))
    counted = {label: sum(label in labels for labels in truth) for label in run.labels}
    labels = sorted(run.labels, key=lambda label: -counted[label])[:MOST_LABELS]
    several = run.task == "multilabel"
    lines = []
    for label in labels:
        hits = sum(label in t and label in g for t, g in zip(truth, given, strict=True))
        false = sum(label in g for g in given) - hits
        line = [text(label), text(whole(counted[label])), text(whole(hits)), text(whole(false))]
        if several:
            found = run_files.threshold(run, label)
            line.append(text("–" if found is None else cutoff(found)))
        for key in keys:
            line.append(with_interval(estimate(run, run.chosen, run.part, key, label)))
        lines.append(line)
    head = ["label", "true", "found", "wrongly given", *(["threshold"] if several else [])]
    shown = table(
        [text(name) for name in [*head, *(metric(key).name for key in keys)]], lines, "dense"
    )
    if len(run.labels) > MOST_LABELS:
        more = (
            f"The {MOST_LABELS} most frequent of {whole(len(run.labels))}; all are in metrics.json."
        )
        shown = join([shown, paragraph(text(more))])
    return shown


def sample_table(run: Run) -> Html:
    """Twelve rows of the judged part, drawn at random with a fixed seed, right or wrong."""
    rows = draw_rows(run)
    head, numbers = ["id", "length"], [1]
    if run.task == "regression":
        head, numbers = [*head, "truth", "prediction", "error", ""], [1, 2, 3, 4]
        lines = _value_rows(run, rows)
    elif run.task == "binary":
        head += [
            "truth",
            f"probability of {style.short(run_files.positive_name(run), 24)}",
            "right?",
        ]
        lines = [_binary_row(run, row) for row in rows.iter_rows(named=True)]
    else:
        probability = ["its probability"] if run.task == "multiclass" else []
        head += ["truth", "prediction", *probability, "right?"]
        lines = [_label_row(run, row) for row in rows.iter_rows(named=True)]
    return table([text(name) for name in head], lines, "samples", numbers)


def draw_rows(run: Run) -> pl.DataFrame:
    """The rows to show: the same for the same run; half from each class when there are two."""
    rows = run_files.chosen_rows(run, run.part)
    generator = random.Random(0)

    def draw(among: Sequence[int], most: int) -> list[int]:
        return generator.sample(list(among), min(most, len(among)))

    numbers = range(rows.height)
    if run.task == "binary":
        positive = str(run.facts.get("positive_label", "1"))
        is_positive = [str(label) == positive for label in rows["label"].to_list()]
        drawn = draw([n for n in numbers if is_positive[n]], SAMPLE // 2)
        drawn += draw([n for n in numbers if not is_positive[n]], SAMPLE - len(drawn))
    else:
        drawn = draw(numbers, SAMPLE)
    generator.shuffle(drawn)
    return rows[drawn]


def _mark(is_right: bool, partly: bool = False) -> Html:
    if partly and not is_right:
        return Html('<span class="partly" role="img" aria-label="partly right">~</span>')
    kind, sign = ("right", "✓") if is_right else ("wrong", "✗")
    return Html(f'<span class="{kind}" role="img" aria-label="{kind}">{sign}</span>')


def _bar(share: float, tick: float | None = None) -> Html:
    """A probability as a bar with its figure; the tick is the threshold."""
    width = round(100 * min(max(share, 0.0), 1.0), 1)
    line = ""
    if tick is not None:
        at = round(100 * tick, 1)
        line = f'<line class="tick" x1="{at}" x2="{at}" y1="0" y2="10"/>'
    return Html(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" y="2" width="100" height="6"/>'
        f'<rect class="fill" y="2" width="{width}" height="6"/>{line}</svg>{exact(share)}'
    )


def _start(row: dict[str, object]) -> list[Html]:
    return [text(style.short(row["id"], 30)), text(whole(float(str(row["length"]))))]


def _binary_row(run: Run, row: dict[str, object]) -> list[Html]:
    truth, given = str(row["label"]), str(row["prediction"])
    bar = _bar(float(str(row["probability"])), run_files.threshold(run))
    return [*_start(row), text(run_files.label_name(run, truth)), bar, _mark(truth == given)]


def _label_row(run: Run, row: dict[str, object]) -> list[Html]:
    truth = run_files.labels_in(run, str(row["label"]))
    given = run_files.labels_in(run, str(row["prediction"]))
    line = [*_start(row), _words(truth), _words(given)]
    if run.task == "multiclass":
        said = row.get(f"probability_{row['prediction']}")
        line.append(_bar(float(str(said))) if said is not None else Html(""))
    return [*line, _mark(truth == given, partly=bool(truth & given))]


def _words(labels: frozenset[str]) -> Html:
    if not labels:
        return Html('<span class="nothing">none</span>')
    return Html(f'<span class="words">{text("; ".join(sorted(labels)))}</span>')


def _value_rows(run: Run, rows: pl.DataFrame) -> list[list[Html]]:
    errors = (rows["prediction"] - rows["label"]).to_list()
    largest = max((abs(error) for error in errors), default=0.0) or 1.0
    figures = [abs(float(value)) for value in (*rows["label"], *rows["prediction"])]
    digits = max(0, 3 - math.floor(math.log10(max(figures, default=0.0) or 1.0)))
    lines = []
    for row, error in zip(rows.iter_rows(named=True), errors, strict=True):
        middle = 50 + 50 * error / largest
        left, width = round(min(50, middle), 1), round(abs(middle - 50), 1)
        bar = (
            '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
            '<rect class="track" y="2" width="100" height="6"/>'
            f'<rect class="fill" x="{left}" y="2" width="{width}" height="6"/>'
            '<line class="tick" x1="50" x2="50" y1="0" y2="10"/></svg>'
        )
        truth, given = float(row["label"]), float(row["prediction"])
        numbers = (_figure(value, digits) for value in (truth, given, error))
        lines.append([*_start(row), *numbers, Html(bar)])
    return lines


def _figure(value: float, digits: int) -> Html:
    """A value with as many decimals as the others of its column."""
    written = f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−")
    return Html(f'<data value="{value!r}">{written}</data>')


def share_right(run: Run) -> str:
    """How many of the drawn rows came out right, in words."""
    rows = draw_rows(run)
    pairs = zip(run_files.truth_of(run, rows), rows["prediction"].to_list(), strict=True)
    right = sum(truth == run_files.labels_in(run, str(given)) for truth, given in pairs)
    return f"{right} of {rows.height} right ({percent(right / max(1, rows.height), 0)})"
