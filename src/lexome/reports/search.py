"""The section of a report on the search that chose its settings."""

from typing import Any

from lexome.plots.search import draw_search
from lexome.plots.style import svg_of
from lexome.reports.metric_names import metric
from lexome.reports.numbers import counted, decimal
from lexome.reports.page import Section, picture, section, table, text
from lexome.reports.run_files import Run


def search_section(run: Run) -> Section | None:
    """The trials of a run's search, drawn, and what was taken; None where there was none."""
    found: dict[str, Any] | None = run.facts.get("search")
    if not found or run.trials is None:
        return None
    title = metric(found["monitor"]).name
    svg = svg_of(draw_search(run.trials, title), "search", "trials of the search")
    gain = found["value"] - found["own_value"]
    said = (
        f"{counted(found['trials'], 'trial')} of one seed ({found['pruned']} ended early), each "
        f"trained on the training rows and judged on the validation rows; the test rows were not "
        f"at hand. Best {title} {decimal(found['value'])}, {decimal(gain)} above the recipe's own "
        "setting, which was the first trial. The best of many looks better than it is: what the "
        "test rows say stands above."
    )
    rows = [
        [text(name.replace("_", " ")), text(f"{run.trials[f'setting_{name}'][0]:g}"),
         text(f"{value:g}")]
        for name, value in found["values"].items()
    ]  # fmt: skip
    head = [text(one) for one in ("value", "recipe", "chosen")]
    return section("search", "The search", picture(svg, text(said)), table(head, rows, "narrow"))
