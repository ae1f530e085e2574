"""The top of the page: the answer in a sentence, the remarks not to be missed, the metric cards."""

import math
from collections.abc import Sequence

import polars as pl

from lexome.plots import intervals
from lexome.reports import run_files
from lexome.reports.metric_names import Metric, metric
from lexome.reports.numbers import counted, decimal, exact, interval, percent, whole
from lexome.reports.page import Html, banner, join, paragraph, text
from lexome.reports.run_files import Run, estimate
from lexome.results.types import Estimate

RANDOM_SPLIT = Html(
    "Sequences were dealt to the parts at random, so relatives of a test sequence may have been "
    "trained on. The figures below are then higher than they would be on new families. "
    '<code class="argument">--split cluster</code> keeps relatives together.'
)
NEAR_SHARE_OF_ALARM = 0.01  # of the test part; fewer near copies are a note


def heading(run: Run) -> Html:
    """Title, what was run when, the answer in one sentence, and how it compares."""
    facts = run.facts
    model = facts.get("model", {})
    said = [_moment(str(facts.get("created", ""))), str(model.get("name", ""))]
    share = (facts.get("model") or {}).get("trained_share")
    of_all = f" of {share:.2%} of the parameters" if share is not None and share < 1 else ""
    said += [f"{facts['method']} fine-tuning{of_all}" if facts.get("method") else ""]
    said += [counted(len(facts.get("seeds", [])), "seed") if facts.get("seeds") else ""]
    return join(
        [
            paragraph(text(" · ".join(part for part in said if part)), kind="kicker"),
            Html(f"<h1>{text(facts['title'])}</h1>"),
            paragraph(_answer(run), kind="answer"),
            paragraph(_comparison(run), kind="verdict"),
        ],
        "\n",
    )


def _moment(iso: str) -> str:
    """A time as one writes it.

    >>> _moment("2026-07-14T09:30:12+00:00")
    '2026-07-14 09:30 UTC'
    """
    zone = " UTC" if iso.endswith(("+00:00", "Z")) else ""
    return iso[:16].replace("T", " ") + zone


def _answer(run: Run) -> Html:
    """One sentence: what it does, how well, on what, against what; worded by the verdict."""
    rows = run_files.chosen_rows(run, run.part)
    shown = next((key for key in run.headline if estimate(run, run.chosen, run.part, key)), None)
    if shown and run.task == "multitask":
        rows = rows.filter(pl.col("task") == shown.rpartition(".")[0])
    what = _claim(run, _verdicts(run).get(shown or "", "unknown"))
    if shown is None:
        return Html(f"{text(what)}; none of the headline metrics is defined on this test.")
    model = estimate(run, run.chosen, run.part, shown)
    assert model is not None
    words = metric(shown)
    unseen = ""
    if run.part == "test" and not run.facts.get("split", {}).get("random"):
        copies = run.facts.get("audit", {}).get("exact", {}).get("train-test", 0)
        unseen = " it never saw" if not copies else " (some of them also in training)"
    judged = f"{whole(rows.height)} {text(run.part)} sequences"
    if run.words.unit == "residue":
        num = counted(rows["row"].n_unique(), "sequence")
        judged = f"{whole(rows.height)} residues of {num.replace(' ', f' {text(run.part)} ', 1)}"
    answer = (
        f"{text(what)}: <b>{text(words.name)} {exact(model.value, words.has_unit)}</b> "
        f"{text(interval(model, words.has_unit))} on {judged}{unseen}"
    )
    beside = estimate(run, run_files.baseline_name(run) or "", run.part, shown)
    if beside:
        answer += f", against {exact(beside.value, words.has_unit)} for {run.words.alone} alone"
    return Html(f"{answer}.")


def _claim(run: Run, verdict: str) -> str:
    """What can be said that the model does: `verdict` is one of `_verdicts`."""
    column = run.facts.get("label_column")
    does, to_do, object = {
        "binary": ("Finds", "find", run_files.positive_name(run)),
        "multiclass": ("Tells", "tell", f"{len(run.labels)} classes of {column} apart"),
        "multilabel": ("Assigns", "assign", f"{len(run.labels)} labels ({column})"),
        "regression": ("Predicts", "predict", str(column)),
        "multitask": ("Tells", "tell", f"{len(run.labels)} things at once ({column})"),
    }[run.task]
    return {
        "above": f"{does} {object}",
        "below": f"{does} {object} less well than {run.words.alone} alone does",
        "tie": f"Not shown to {to_do} {object} better than {run.words.alone} alone does",
    }.get(verdict, f"Trained to {to_do} {object}")


def _verdicts(run: Run) -> dict[str, str]:
    """How the model does beside the baseline in each headline metric, by paired differences."""
    found = run_files.differences(run)
    names = {"better": "above", "worse": "below", "tie": "tie"}
    return {
        key: names.get(found[key]["verdict"], "unknown")
        for key in run.headline
        if key in found and estimate(run, run.chosen, run.part, key)
    }


def _comparison(run: Run) -> Html:
    """What the paired differences allow to be said about model and baseline."""
    verdicts = _verdicts(run)
    if not verdicts:
        if run_files.baseline_name(run):
            return text("Model and baseline were not compared, so no winner is declared.")
        return text("No baseline was fitted, so nothing says how much of this is easy.")

    def names(which: str) -> str:
        return _listed([metric(key).name for key, said in verdicts.items() if said == which])

    said = []
    if above := names("above"):
        said.append(f"On the same rows the model is better than the baseline in {above}.")
    if below := names("below"):
        said.append(f"In {below} the {run.words.alone} baseline is better than the model.")
    if tie := names("tie"):
        said.append(f"A tie in {tie}: the 95 % interval of the difference holds 0.")
    if names("unknown"):
        said.append("Where no difference can be measured no winner is declared.")
    return text(" ".join(said))


def _listed(names: Sequence[str]) -> str:
    """Names as a list in prose.

    >>> _listed(["AUROC", "AUPRC", "MCC"])
    'AUROC, AUPRC and MCC'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def cards(run: Run) -> Html:
    """A card for each headline metric: figure, interval, a small picture, and the baseline."""
    verdicts = _verdicts(run)
    made = []
    for key in run.headline[:4]:
        model = estimate(run, run.chosen, run.part, key)
        if model is None:
            continue
        words = metric(key)
        beside = estimate(run, run_files.baseline_name(run) or "", run.part, key)
        prevalence = estimate(run, run.chosen, run.part, "prevalence")
        if key == "auprc" and prevalence:
            meaning = f"{words.meaning}, {decimal(prevalence.value)}"
            words = words._replace(meaning=meaning)
        made.append(_card(words, model, beside, verdicts.get(key, ""), run.words.alone))
    return Html(f'<div class="cards">{join(made)}</div>') if made else Html("")


def _card(
    words: Metric, model: Estimate, beside: Estimate | None, verdict: str, alone: str
) -> Html:
    ends = [end for e in (model, beside) if e for end in e if math.isfinite(end)]
    low, high = (0.0, max(ends)) if words.has_unit else (min(0.0, *ends), 1.0)
    drawn = intervals.strip(model, beside, low, high)
    unit = words.has_unit
    against = ""
    if beside:
        remark = {
            "above": f"✓ better than {alone}",
            "below": f"✗ worse than {alone}",
            "tie": f"a tie with {alone}",
        }.get(verdict, f"{alone} baseline")
        kind = {"above": "right", "below": "wrong"}.get(verdict, "neither")
        against = (
            f'<p class="beside">baseline <b>{exact(beside.value, unit)}</b> '
            f'<span class="near">{text(interval(beside, unit))}</span><br>'
            f'<span class="{kind}">{text(remark)}</span></p>'
        )
    ranged = interval(model, unit)
    said = f'95 % interval <span class="near">{text(ranged)}</span>' if ranged else ""
    return Html(
        f'<div class="card"><h3>{text(words.name)}</h3>'
        f'<p class="value">{exact(model.value, unit)}</p>'
        f'<p class="range">{said}</p>'
        f'{drawn}{against}<p class="meaning">{text(words.meaning)}.</p></div>'
    )


def remarks(run: Run) -> Html:
    """What must not be missed: how the figures above could mislead."""
    found = [*_split_remarks(run), *_test_remarks(run)]
    if "below" in _verdicts(run).values():
        found.append(
            banner(
                "alarm",
                f"{run.words.alone.capitalize()} alone does better.",
                text("The baseline beats the model in at least one headline metric."),
            )
        )
    found += [banner("note", "Note.", text(said)) for said in run.facts.get("warnings") or []]
    return join(found, "\n")


def _split_remarks(run: Run) -> list[Html]:
    """A random split, and copies of test sequences in what the model was made with."""
    found = []
    if run.facts.get("split", {}).get("random"):
        found.append(banner("alarm", "Random split.", RANDOM_SPLIT))
    audit = run.facts.get("audit") or {}
    size = run.facts.get("split", {}).get("parts", {}).get(run.part, 0)
    if exact := {pair: n for pair, n in (audit.get("exact") or {}).items() if n}:
        said = f"{_copies(exact, 'exact copy', 'exact copies')}."
        found.append(banner("alarm", "Leakage found.", text(said)))
    if near := {pair: n for pair, n in (audit.get("near") or {}).items() if n}:
        said = f"{_copies(near, 'near copy', 'near copies')}"
        if "similarity" in audit:
            said += f", at least {percent(audit['similarity'], 0)} alike"
        said += f"; the test part has {whole(size)} sequences." if size else "."
        in_test = sum(n for pair, n in near.items() if "test" in pair)
        is_grave = bool(size) and in_test >= NEAR_SHARE_OF_ALARM * size
        head = "Leakage found." if is_grave else "A few near copies."
        found.append(banner("alarm" if is_grave else "note", head, text(said)))
    return found


def _copies(pairs: dict[str, int], noun: str, plural: str) -> str:
    """How many copies stand between which parts.

    >>> _copies({"train-test": 3, "train-validation": 1}, "near copy", "near copies")
    '3 near copies between train and test and 1 between train and validation'
    """
    said = [f"{whole(n)} between {pair.replace('-', ' and ')}" for pair, n in pairs.items()]
    first = next(iter(pairs.values()))
    said[0] = said[0].replace(whole(first), counted(first, noun, plural), 1)
    return _listed(said)


def _test_remarks(run: Run) -> list[Html]:
    """No test, a class that the test lacks, or a model that always says the same."""
    found = []
    rows = run_files.chosen_rows(run, run.part)
    if run.part != "test":
        said = f"The figures come from the {run.part} part, on which the model was also chosen."
        found.append(banner("alarm", "No test part.", text(said)))
    if run.task == "multitask":  # what collapsed stands among the warnings
        return found
    if run.task == "regression":
        said_values = rows["prediction"]
        if rows.height > 1 and said_values.max() == said_values.min():
            said = "The model predicts the same value for every sequence."
            found.append(banner("alarm", "Collapsed.", text(said)))
        return found
    present = frozenset[str]().union(*run_files.truth_of(run, rows))
    if missing := [label for label in run.labels if label not in present]:
        names = _listed([run_files.label_name(run, label) for label in missing])
        said = f"The {run.part} part has no “{names}”: what needs one is left empty."
        found.append(banner("alarm", "A class is missing.", text(said)))
    given = [run_files.labels_in(run, label) for label in rows["prediction"].to_list()]
    if rows.height > 1 and len(run.labels) > 1 and len(set(given)) == 1:
        only = _listed([run_files.label_name(run, label) for label in sorted(given[0])])
        said = f"The model says “{only or 'no label'}” of every {run.words.unit}"
        said += ": it has learnt nothing."
        found.append(banner("alarm", "Collapsed to one class.", text(said)))
    return found
