"""Curves agree with scikit-learn, with what one can draw on paper, and refuse a single class."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from lexome.plots import curves, style


def test_four_rows_give_the_curve_one_draws_on_paper():
    """Scores 4, 3, 2, 1 with truth + - + -: up, right, up, right."""
    curve = curves.roc([True, False, True, False], [4.0, 3.0, 2.0, 1.0])

    assert curve.x.tolist() == [0, 0, 0.5, 0.5, 1]
    assert curve.y.tolist() == [0, 0.5, 0.5, 1, 1]
    assert curve.threshold.tolist() == [np.inf, 4, 3, 2, 1]


@pytest.mark.parametrize("levels", [5, 10_000])
def test_both_curves_agree_with_scikit_learn_with_and_without_ties(levels):
    generator = np.random.default_rng(0)
    truth = generator.random(400) < 0.2
    score = np.round((truth * 0.3 + generator.random(400)) * levels) / levels

    roc = curves.roc(truth, score)
    precision_recall = curves.precision_recall(truth, score)

    x, y, threshold = oracle.roc_curve(truth, score, drop_intermediate=False)
    np.testing.assert_allclose(roc.x, x)
    np.testing.assert_allclose(roc.y, y)
    np.testing.assert_allclose(roc.threshold, threshold)
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(oracle.roc_auc_score(truth, score))
    precision, recall, _ = oracle.precision_recall_curve(truth, score)
    np.testing.assert_allclose(precision_recall.x[1:], recall[:-1][::-1])
    np.testing.assert_allclose(precision_recall.y[1:], precision[:-1][::-1])
    steps = np.diff(precision_recall.x) * precision_recall.y[1:]
    assert steps.sum() == pytest.approx(oracle.average_precision_score(truth, score))


def test_one_class_has_no_curve():
    with pytest.raises(ValueError, match="both classes"):
        curves.roc([True, True], [0.1, 0.2])
    assert not curves.has_both_classes([False, False])


def scored(rows: int, seed: int = 0) -> curves.Scored:
    generator = np.random.default_rng(seed)
    truth = generator.random(rows) < 0.3
    return curves.Scored(f"label {seed}", truth, truth * 0.4 + generator.random(rows))


def test_a_huge_test_set_still_gives_a_light_picture():
    figure = curves.draw_curves([scored(200_000)], threshold=0.5)

    svg = style.svg_of(figure, "curves")
    assert len(svg) < 60_000
    assert "threshold 0.5" in svg
    assert "prevalence 0.30" in svg


def test_the_marked_point_is_where_the_threshold_cuts():
    entry = scored(300)
    axes = curves.draw_curves([entry], threshold=0.7).axes[0]

    mark = next(line for line in axes.lines if line.get_label() == "threshold 0.7")
    called = entry.score >= 0.7
    assert mark.get_xdata()[0] == pytest.approx(called[~entry.truth].mean())
    assert mark.get_ydata()[0] == pytest.approx(called[entry.truth].mean())


@pytest.mark.parametrize(("number", "lines"), [(3, 4), (9, 11)])
def test_few_labels_get_a_colour_each_and_many_get_their_mean(number, lines):
    figure = curves.draw_curves([scored(200, seed) for seed in range(number)])

    assert len(figure.axes[0].lines) == lines  # and the diagonal
    assert ("mean of the labels" in style.svg_of(figure, "curves")) == (number > 6)
