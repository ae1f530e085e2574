"""What the page shows of a run that answers every residue: a few sequences, drawn as strips."""

import random

from lexome.plots import residue_strips, style
from lexome.reports import run_files
from lexome.reports.page import Section, picture, section, text
from lexome.reports.run_files import Run

SHOWN = 5  # sequences


def strips_section(run: Run) -> Section:
    """Truth and prediction along a few sequences, drawn at random with a fixed seed."""
    rows = run.by_sequence.filter(model=run.chosen, part=run.part).sort("row", maintain_order=True)
    drawn = sorted(random.Random(0).sample(range(rows.height), min(SHOWN, rows.height)))
    strips = [
        residue_strips.Strip(
            *(str(row[name]) for name in ("id", "sequence", "label", "prediction"))
        )
        for row in rows[drawn].iter_rows(named=True)
    ]
    counts = run_files.chosen_rows(run, run.part)["label"].value_counts()
    pale = str(counts.sort("count", "label")["label"][-1])
    names = [run_files.label_name(run, label) for label in run.labels]
    figure = residue_strips.draw_strips(strips, run.labels, names, pale, run.ignore)
    svg = style.svg_of(figure, "strips", "Truth and prediction along a few sequences")
    said = (
        f"Drawn at random from the {run.part} part, not picked. A dot below marks a residue whose "
        "label was missed"
    )
    said += "; where the truth is blank it is not judged." if run.ignore else "."
    return section("examples", "Along a few sequences", picture(svg, text(said)))
