"""Differences around a line of no difference: what is drawn, in which colour, and odd input."""

import math

from lexome.plots import style
from lexome.plots.forest import Contrast, draw_forest
from lexome.results.types import Estimate

FOUND = [
    Contrast("good", Estimate(0.05, 0.02, 0.09), "better"),
    Contrast("bad", Estimate(-0.1, -0.2, -0.05), "worse"),
    Contrast("like", Estimate(0.01, -0.02, 0.04), "tie"),
    Contrast("unknown", Estimate(math.nan, math.nan, math.nan), "undefined"),
]


def test_it_names_methods_reference_and_verdicts():
    svg = style.svg_of(draw_forest([("AUROC", FOUND), ("MCC", FOUND)], "plain"), "f", "forest")

    for words in ("good", "bad", "like", "unknown", "AUROC", "MCC", "difference to plain"):
        assert words in svg
    for verdict in ("better", "worse", "tie"):
        assert f">{verdict}<" in svg
    assert "nan" not in svg.lower()


def test_no_difference_stands_in_the_middle_of_every_panel():
    figure = draw_forest([("AUROC", FOUND), ("MCC", FOUND[:2])], "plain")
    for axes in figure.axes:
        low, high = axes.get_xlim()
        assert low == -high


def test_methods_that_are_the_same_in_everything_can_be_drawn():
    same = [Contrast("copy", Estimate(0.0, 0.0, 0.0), "tie")]
    assert "copy" in style.svg_of(draw_forest([("AUROC", same)], "plain"), "f")
