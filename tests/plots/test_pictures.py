"""The other pictures: their numbers can be worked out on paper, odd input does not break them."""

import numpy as np
import polars as pl
import pytest

from lexome.plots import balance, calibration, confusion, intervals, learning, scatter, style
from lexome.results.types import Estimate


def test_reliability_bins_and_their_wilson_interval_by_hand():
    """Four rows near 0.2, one of them true: Wilson 95 % is [0.0456, 0.6994]."""
    table = calibration.reliability([1, 0, 0, 0, 1], [0.2, 0.2, 0.2, 0.2, 1.0], bins=5)

    assert table.said.tolist() == pytest.approx([0.2, 1.0])
    assert table.seen.tolist() == [0.25, 1.0]
    assert table.rows.tolist() == [4, 1]
    assert (table.low[0], table.high[0]) == pytest.approx((0.0456, 0.6994), abs=1e-4)


def test_calibration_names_its_classes_and_threshold():
    svg = style.svg_of(
        calibration.draw_calibration([1, 0, 1], [0.9, 0.1, 0.7], 0.413, ("mito", "other")), "c"
    )

    for words in ("fraction truly mito", "mito (2)", "other (1)", "threshold 0.413"):
        assert words in svg


def test_confusion_counts_truth_down_and_prediction_across():
    counts = confusion.confusion_counts(
        ["a", "a", "b", "b", "c"], ["a", "b", "b", "a", "a"], ["a", "b", "c"]
    )

    assert counts.tolist() == [[1, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert confusion.mixups(counts, ["a", "b", "c"], 1) == [("a", "b", 1, 0.5)]
    assert len(confusion.mixups(counts, ["a", "b", "c"], 9)) == 3


@pytest.mark.parametrize("size", [2, 10, 24])
def test_the_matrix_writes_its_counts_while_they_can_be_read(size):
    counts = np.arange(size * size).reshape(size, size) + 1000

    svg = style.svg_of(confusion.draw_confusion(counts, [f"class {n}" for n in range(size)]), "m")

    assert ("1,003" in svg) == (size <= 16)
    assert "class 1" in svg


def test_balance_writes_each_count_and_survives_an_empty_part():
    svg = style.svg_of(
        balance.draw_balance(
            {"train": {"1": 1572, "0": 15573}, "test": {}},
            {"1": "mito", "0": "not mito"},
            {"train": 17145, "test": 0},
        ),
        "b",
    )

    for words in ("1,572", "15,573", "not mito", "% of the part"):
        assert words in svg


def test_a_part_of_values_is_drawn_as_shares():
    figure = balance.draw_values({"test": ([0, 1, 2], [3, 1])}, "Tm", ["test"])

    heights = figure.axes[0].patches[-1].get_data().values
    assert heights.tolist() == [75, 25]


def test_intervals_without_ends_are_dots_and_the_axis_reaches_below_zero():
    unknown = float("nan")
    rows = [
        intervals.Row("MCC", Estimate(-0.2, -0.3, -0.1), Estimate(0.1, 0.0, 0.2), [-0.1, -0.3]),
        intervals.Row("AUROC", Estimate(0.9, unknown, unknown)),
        intervals.Row("undefined", None),
    ]

    figure = intervals.draw_intervals(rows)

    low, high = figure.axes[0].get_xlim()
    assert low < -0.3
    assert high == 1
    assert "single seeds" in style.svg_of(figure, "i")


def test_the_strip_of_a_card_puts_figures_where_they_belong():
    svg = intervals.strip(Estimate(0.5, 0.25, 0.75), Estimate(1.0, 1.0, 1.0), 0, 1)

    assert 'x1="62.0" x2="178.0" y1="8"' in svg
    assert 'cx="120.0" cy="8"' in svg
    assert 'cx="236.0" cy="20"' in svg


def history(epochs: int) -> pl.DataFrame:
    rows = [
        {"seed": seed, "epoch": epoch, "part": part, "loss": 1 / epoch, "best": epoch == epochs}
        | ({"mcc": 0.1 * epoch, "empty": None} if part == "validation" else {})
        for seed in (1, 2)
        for epoch in range(1, epochs + 1)
        for part in ("train", "train", "validation")
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


@pytest.mark.parametrize("epochs", [1, 6])
def test_learning_curves_skip_empty_metrics_and_mark_the_kept_epoch(epochs):
    figure = learning.draw_learning(history(epochs), ["absent", "empty", "mcc"], {"mcc": "MCC"})

    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Loss", "MCC on validation"]
    marks = [line for line in figure.axes[1].lines if line.get_linestyle() == "None"]
    assert [line.get_xdata()[0] for line in marks] == [epochs, epochs]
    assert "epoch kept" in style.svg_of(figure, "l")


@pytest.mark.parametrize("rows", [1, 50, 30_000])
def test_a_scatter_stays_light_however_many_rows_it_shows(rows):
    generator = np.random.default_rng(0)
    truth = generator.normal(size=rows)

    figure = scatter.draw_scatter(truth, truth + generator.normal(size=rows), "Tm")

    assert len(style.svg_of(figure, "s")) < 400_000


def test_the_density_holds_a_square_for_each_filled_cell():
    truth = np.tile([0.0, 10.0], 600)

    squares = scatter.draw_scatter(truth, truth, "Tm").axes[0].collections[0]

    assert len(squares.get_paths()) == 2
