"""Sections around a picture, each with the sentence that says what to see in it."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.plots import (
    balance,
    calibration,
    confusion,
    curves,
    intervals,
    learning,
    scatter,
    style,
)
from lexome.reports import run_files
from lexome.reports.metric_names import metric
from lexome.reports.numbers import counted, cutoff, decimal, percent, whole
from lexome.reports.page import Html, Section, picture, section, table, text
from lexome.reports.run_files import Run, estimate

Floats = NDArray[np.float64]
MOST_LABEL_ROWS = 40  # labels in the picture of intervals


def balance_section(run: Run) -> Section:
    """How labels or values are spread over the parts."""
    saved = run.facts.get("balance") or {}
    if run.task == "regression":
        return _values_section(run, saved)
    counts = {part: {str(k): int(v) for k, v in found.items()} for part, found in saved.items()}
    for part in run_files.parts_in_order(run.predictions["part"].unique().to_list()):
        if part not in counts:
            truth = run_files.truth_of(run, run_files.chosen_rows(run, part))
            counts[part] = {label: sum(label in t for t in truth) for label in run.labels}
    parts = run_files.parts_in_order(list(counts))
    sizes = {part: _part_size(run, part) for part in parts}
    labels = {*run.labels, *(label for part in counts.values() for label in part)}
    names = {label: run_files.label_name(run, label) for label in labels}
    if run.task == "binary":
        positive = str(run.facts.get("positive_label", "1"))
        order = [positive, *(label for label in run.labels if label != positive)]
        rates = ", ".join(
            f"{percent(counts[part].get(positive, 0) / max(1, sizes[part]))} in {part}"
            for part in parts
        )
        said = (
            f"{run_files.positive_name(run)}: {rates}. Parts that differ much here are not alike."
        )
    else:
        order = run.labels
        rare = min(order, key=lambda label: counts[parts[-1]].get(label, 0))
        fewest = counted(counts[parts[-1]].get(rare, 0), run.words.unit)
        said = (
            f"The rarest label in {parts[-1]} is {rare}, with {fewest}: "
            "its figures are the least certain."
        )
    ordered = {part: {label: counts[part].get(label, 0) for label in order} for part in parts}
    figure = balance.draw_balance(ordered, names, sizes)
    svg = style.svg_of(figure, "balance", "Share of each label in each part")
    return section("balance", "Label balance", picture(svg, text(said)))


def _part_size(run: Run, part: str) -> int:
    size = run.facts.get("split", {}).get("parts", {}).get(part)
    if run.words.unit == "residue":
        size = sum((run.facts.get("balance") or {}).get(part, {}).values())
    return int(size) if size else run_files.chosen_rows(run, part).height


def _values_section(run: Run, saved: dict[str, dict[str, list[float]]]) -> Section:
    counts: dict[str, tuple[Floats, Floats]] = {
        part: (np.asarray(found["edges"]), np.asarray(found["counts"]))
        for part, found in saved.items()
    }
    values = run.predictions["label"]
    edges = np.linspace(float(str(values.min())), float(str(values.max())), 31)
    for part in run.predictions["part"].unique().to_list():
        if part not in counts:
            rows = run_files.chosen_rows(run, part)["label"].to_numpy()
            counts[part] = (edges, np.histogram(rows, edges)[0])
    parts = run_files.parts_in_order(list(counts))
    figure = balance.draw_values(counts, str(run.facts.get("label_column", "value")), parts)
    svg = style.svg_of(figure, "balance", "How the values are spread in each part")
    said = "The parts should have the same shape; values that training never saw are guessed."
    return section("balance", "The values", picture(svg, text(said)))


def learning_section(run: Run) -> Section | None:
    """Loss and validation metrics over the epochs; None where nothing was trained in epochs."""
    if run.history is None or run.history.is_empty():
        return None
    keys = [*run.headline, "mean_headline", "spearman", "mcc", "accuracy"]
    figure = learning.draw_learning(run.history, keys, {key: metric(key).name for key in keys})
    svg = style.svg_of(figure, "learning", "Loss and validation metrics over the epochs")
    kept = (
        run.history.filter(pl.col("best").fill_null(False))
        .group_by("seed")
        .agg(pl.col("epoch").max())
        .sort("seed")
    )
    said = "Validation loss that climbs while training loss falls is overfitting."
    if not kept.is_empty():
        each = ", ".join(
            f"seed {seed} epoch {epoch}" for seed, epoch in kept.select("seed", "epoch").iter_rows()
        )
        said += f" Kept, as best on validation: {each}."
    return section("learning", "Learning curves", picture(svg, text(said)))


def intervals_figure(run: Run) -> Html:
    """All metrics that lie between -1 and 1, model beside baseline."""
    baseline = run_files.baseline_name(run) or ""
    seeds = run_files.named_kind(run, "seed")
    saved = run.models.get(run.chosen, {}).get("parts", {}).get(run.part, {})
    rows = []
    for key in saved:
        words = metric(key)
        model = estimate(run, run.chosen, run.part, key)
        if model is None or words.has_unit or words.better != "high":
            continue
        alone = [found.value for s in seeds if (found := estimate(run, s, run.part, key))]
        beside = estimate(run, baseline, run.part, key)
        rows.append(intervals.Row(words.name, model, beside, alone if len(alone) > 1 else ()))
    if not rows:
        return Html("")
    svg = style.svg_of(intervals.draw_intervals(rows), "intervals", "Metrics with 95 % intervals")
    said = (
        "Further right is better. Where the whiskers of model and baseline overlap, this test is "
        "too small to say which is better."
    )
    return picture(svg, text(said))


def labels_figure(run: Run) -> Html:
    """One metric label by label, best first."""
    saved = run.models.get(run.chosen, {}).get("per_label", {}).get(run.part, {})
    keys = list(dict.fromkeys(key for figures in saved.values() for key in figures))
    key = next((name for name in ("auroc", "mcc", "f1", *keys) if name in keys), None)
    if key is None:
        return Html("")
    baseline = run_files.baseline_name(run) or ""
    rows = []
    for label in saved:
        model = estimate(run, run.chosen, run.part, key, label)
        if model:
            beside = estimate(run, baseline, run.part, key, label)
            rows.append(intervals.Row(label, model, beside))
    if not rows:
        return Html("")
    rows.sort(key=lambda row: -row.model.value if row.model else 0.0)
    figure = intervals.draw_intervals(rows[:MOST_LABEL_ROWS], metric(key).name, from_zero=False)
    svg = style.svg_of(figure, "labels", f"{metric(key).name} of each label")
    said = (
        f"{metric(key).name} of each label, best first; long whiskers mean few {run.words.unit}s."
    )
    return picture(svg, text(said))


def curves_section(run: Run) -> Section | None:
    """ROC and precision-recall of the model; None where no curve exists."""
    rows = run_files.chosen_rows(run, run.part)
    if run.task == "binary":
        scored = [_scored(run, rows, "model")]
        beside = run_files.rows_of(run, run_files.baseline_name(run) or "", run.part)
        baseline = _scored(run, beside, f"{run.words.alone} baseline") if beside.height else None
        limit = run_files.threshold(run)
        said = (
            "Left, the closer to the upper left corner the better. Right, precision is bounded "
            "below by the prevalence, which is what guessing reaches; for a rare class this panel "
            "tells more. The dot is the threshold in use."
        )
    else:
        truth = run_files.truth_of(run, rows)
        scored = [
            curves.Scored(label, np.array([label in t for t in truth]), _column(rows, label))
            for label in run.labels
            if f"probability_{label}" in rows.columns
        ]
        scored = [entry for entry in scored if curves.has_both_classes(entry.truth)]
        baseline, limit = None, None
        said = (
            "Each label against the rest. The closer to the upper left corner (left) and to the "
            "upper right corner (right), the better."
        )
    if not scored or not curves.has_both_classes(scored[0].truth):
        return None
    figure = curves.draw_curves(scored, baseline, limit)
    svg = style.svg_of(figure, "curves", "ROC and precision-recall curves")
    return section("curves", "ROC and precision-recall", picture(svg, text(said)))


def _column(rows: pl.DataFrame, label: str) -> Floats:
    found: Floats = rows[f"probability_{label}"].cast(float).to_numpy()
    return found


def _scored(run: Run, rows: pl.DataFrame, name: str) -> curves.Scored:
    return curves.Scored(name, _is_positive(run, rows), rows["probability"].cast(float).to_numpy())


def _is_positive(run: Run, rows: pl.DataFrame) -> NDArray[np.bool_]:
    positive = str(run.facts.get("positive_label", "1"))
    return np.array([str(label) == positive for label in rows["label"].to_list()], bool)


def confusion_section(run: Run) -> Section:
    """What was taken for what, at the threshold in use."""
    rows = run_files.chosen_rows(run, run.part)
    truth = [str(label) for label in rows["label"].to_list()]
    given = [str(label) for label in rows["prediction"].to_list()]
    labels = list(dict.fromkeys([*run.labels, *sorted({*truth, *given})]))
    if run.task == "binary":  # the class that is looked for comes first
        positive = str(run.facts.get("positive_label", "1"))
        labels.sort(key=lambda label: label != positive)
    names = [run_files.label_name(run, label) for label in labels]
    counts = confusion.confusion_counts(truth, given, labels)
    svg = ""
    if len(labels) <= confusion.MOST_CLASSES:
        figure = confusion.draw_confusion(counts, names)
        svg = style.svg_of(figure, "confusion", "Confusion matrix")
    said = _binary_words(run, counts) if len(labels) == 2 and run.task == "binary" else ""
    if said:
        return section("confusion", "Right and wrong calls", picture(svg, text(said)))
    most = confusion.mixups(counts, names, 1 if svg else 12)
    caption = "The diagonal holds the right calls; depth is the share of the row."
    if most:
        true, taken, count, share = most[0]
        caption += (
            f" The commonest mix-up: {true} taken for {taken}, {whole(count)} times "
            f"({percent(share)} of {true})."
        )
    if svg:
        return section("confusion", "Right and wrong calls", picture(svg, text(caption)))
    lines = [
        [text(true), text(taken), text(whole(count)), text(percent(share))]
        for true, taken, count, share in most
    ]
    head = [text(name) for name in ("truth", "taken for", "times", "of the truth")]
    shown = table(head, lines, numbers=(2, 3))
    return section("confusion", "The commonest mix-ups", shown)


def _binary_words(run: Run, counts: NDArray[np.int64]) -> str:
    (hits, missed), (false, _) = counts.tolist()
    limit = run_files.threshold(run)
    at = (
        f"At the threshold {cutoff(limit)}, chosen on the validation part and never on the test, "
        if limit is not None
        else ""
    )
    name = run_files.positive_name(run)
    said = (
        f"{at}the model finds {whole(hits)} of the {whole(hits + missed)} {name} {run.words.unit}s"
    )
    if hits + missed:
        said += f" (recall {percent(hits / (hits + missed))})"
    if hits + false:
        said += (
            f"; of its {whole(hits + false)} positive calls {whole(hits)} are right "
            f"(precision {percent(hits / (hits + false))})"
        )
    return f"{said[0].upper()}{said[1:]}."


def calibration_section(run: Run) -> Section | None:
    """Whether a probability can be taken at its word."""
    rows = run_files.chosen_rows(run, run.part)
    across, up, limit = "predicted probability", "", None
    if run.task == "binary":
        truth, said = _is_positive(run, rows), rows["probability"].cast(float).to_numpy()
        names = (run_files.positive_name(run), run_files.label_name(run, _negative(run)))
        limit = run_files.threshold(run)
        seen = f"of the {run.words.unit}s given 0.7, 70 % are truly {names[0]}"
    elif run.task == "multiclass":
        columns = [label for label in run.labels if f"probability_{label}" in rows.columns]
        table_ = np.stack([_column(rows, label) for label in columns], axis=1)
        best = table_.argmax(axis=1)
        truth = np.array([columns[b] for b in best]) == np.array(rows["label"].to_list())
        said, names, across = (
            table_.max(axis=1),
            ("right", "wrong"),
            "probability of the best class",
        )
        up, seen = "fraction right", "of the classes given with 0.7, 70 % are right"
    else:
        columns = [label for label in run.labels if f"probability_{label}" in rows.columns]
        sets = run_files.truth_of(run, rows)
        truth = np.concatenate([[label in t for t in sets] for label in columns])
        said = np.concatenate([_column(rows, label) for label in columns])
        names = ("label present", "label absent")
        up, seen = "fraction present", "of the labels given 0.7, 70 % are truly there"
    if not rows.height:
        return None
    figure = calibration.draw_calibration(truth, said, limit, names, across, up)
    svg = style.svg_of(figure, "calibration", "Calibration and spread of the probabilities")
    ece = estimate(run, run.chosen, run.part, "ece")
    caption = (
        f"Left, dots on the dashed line keep their word: {seen}; below the line the model is too "
        "sure. Whiskers are 95 % intervals."
    )
    if ece:
        caption += f" The mean gap (ECE) is {decimal(ece.value)}."
    caption += " Right, the less the two colours overlap, the easier the call."
    return section("calibration", "Calibration", picture(svg, text(caption)))


def _negative(run: Run) -> str:
    positive = str(run.facts.get("positive_label", "1"))
    return next((label for label in run.labels if label != positive), "0")


def scatter_section(run: Run) -> Section | None:
    """Truth against prediction of a regression."""
    rows = run_files.chosen_rows(run, run.part)
    if rows.is_empty():
        return None
    true, said = rows["label"].to_numpy(), rows["prediction"].to_numpy()
    figure = scatter.draw_scatter(true, said, str(run.facts.get("label_column", "value")))
    svg = style.svg_of(figure, "scatter", "Truth against prediction, and the errors")
    half = decimal(float(np.median(abs(said - true))), True)
    caption = (
        "Left, the dashed line is a perfect prediction; a cloud flatter than the line means that "
        "extremes are pulled to the middle. "
        f"Right, half of the errors are smaller than {half}."
    )
    return section("scatter", "Truth and prediction", picture(svg, text(caption)))


def metrics_section(run: Run, tables: Html) -> Section:
    """The picture of all metrics and the table with every model's figures."""
    return section("metrics", "All metrics", intervals_figure(run), tables)


def labels_section(run: Run, tables: Html) -> Section:
    """Label by label: picture and table."""
    name = "Label by label" if run.task == "multilabel" else "Class by class"
    return section("labels", name, labels_figure(run), tables)
