"""Metrics on predictions small enough to score on paper, and where they are undefined."""

import math

import numpy as np
import pytest

from lexome.errors import InputError
from lexome.evaluation.metrics import (
    METRICS,
    TASKS,
    binary_metrics,
    is_collapsed,
    measure,
    multiclass_metrics,
    multilabel_metrics,
    regression_metrics,
)


def test_four_rows_score_as_on_paper():
    """Two hits, one miss, one false alarm: tp 1, fn 1, fp 1, tn 1 at 0.5."""
    found = binary_metrics([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], threshold=0.5)

    assert found["auroc"] == pytest.approx(3 / 4)  # of four pairs one is in the wrong order
    assert found["auprc"] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert found["mcc"] == 0
    assert [found[name] for name in ("f1", "precision", "recall", "accuracy")] == [0.5] * 4
    assert found["brier"] == pytest.approx((0.01 + 0.36 + 0.36 + 0.01) / 4)
    # each row has its own bin of width 1/15
    assert found["ece"] == pytest.approx((0.1 + 0.6 + 0.6 + 0.1) / 4)


def test_the_threshold_itself_counts_as_yes():
    assert binary_metrics([1, 0], [0.5, 0.4], threshold=0.5)["recall"] == 1


def test_a_float32_probability_meets_the_threshold_it_was_stored_as():
    probability = np.array([0.1, 0.9], np.float32)
    assert binary_metrics([1, 1], probability, threshold=float(probability[0]))["recall"] == 1


@pytest.mark.parametrize("answer", [0, 1])
def test_a_part_with_one_class_has_no_ranking_and_no_mcc(answer):
    found = binary_metrics([answer] * 3, [0.2, 0.6, 0.7])

    assert all(math.isnan(found[name]) for name in ("auroc", "auprc", "mcc", "balanced_accuracy"))
    assert found["accuracy"] == pytest.approx(2 / 3 if answer else 1 / 3)
    assert math.isnan(found["recall"]) == (answer == 0)


def test_a_model_that_never_says_yes_has_no_precision_and_mcc_zero():
    found = binary_metrics([0, 1], [0.1, 0.2])
    assert math.isnan(found["precision"])
    assert (found["f1"], found["mcc"], found["recall"]) == (0, 0, 0)


def test_three_classes_score_as_on_paper():
    """Classes 0 0 1 2 called 0 1 1 2."""
    rows = [[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]]
    found = multiclass_metrics([0, 0, 1, 2], rows)

    assert found.overall["accuracy"] == 0.75
    assert found.overall["macro_recall"] == pytest.approx((0.5 + 1 + 1) / 3)
    assert found.overall["macro_precision"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert found.overall["balanced_accuracy"] == found.overall["macro_recall"]
    # R_K: (3 * 4 - (2*1 + 1*2 + 1*1)) / sqrt((16 - 6) * (16 - 6))
    assert found.overall["mcc"] == pytest.approx(7 / 10)
    assert found.overall["macro_auroc"] == pytest.approx(1)
    squares = 0.04 + 0.01 + 0.01, 0.49 + 0.36 + 0.01, 0.04 + 0.09 + 0.01, 0.01 + 0.01 + 0.04
    assert found.overall["brier"] == pytest.approx(sum(squares) / 4)
    assert [label["prevalence"] for label in found.per_label] == [0.5, 0.25, 0.25]


def test_a_class_that_does_not_occur_leaves_the_macro_means_alone():
    found = multiclass_metrics([0, 1], [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1]])
    assert found.overall["macro_f1"] == 1
    assert math.isnan(found.per_label[2]["auroc"])


def test_two_labels_score_as_on_paper():
    truth = [[1, 0], [1, 1], [0, 0]]
    found = multilabel_metrics(truth, [[0.9, 0.6], [0.8, 0.9], [0.1, 0.2]], thresholds=[0.5, 0.5])

    assert found.overall["exact_match"] == pytest.approx(2 / 3)
    assert found.overall["jaccard"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert found.overall["micro_f1"] == pytest.approx(2 * 3 / (3 + 4))
    assert found.overall["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert [label["precision"] for label in found.per_label] == [1, 0.5]


def test_every_label_has_its_own_threshold():
    found = multilabel_metrics([[1, 0], [0, 1]], [[0.3, 0.3], [0.2, 0.4]], thresholds=[0.25, 0.35])
    assert found.overall["exact_match"] == 1


def test_a_line_scores_as_on_paper():
    found = regression_metrics([1, 2, 3], [1, 2, 4])

    assert found["spearman"] == pytest.approx(1)
    assert found["pearson"] == pytest.approx(3 / math.sqrt(2 * 14 / 3))
    assert found["r2"] == pytest.approx(1 - 1 / 2)
    assert (found["rmse"], found["mae"]) == (pytest.approx(math.sqrt(1 / 3)), pytest.approx(1 / 3))


def test_constant_predictions_have_no_correlation_and_constant_truth_no_r2():
    constant = regression_metrics([1, 2, 3], [2, 2, 2])
    assert math.isnan(constant["spearman"])
    assert math.isnan(constant["pearson"])
    assert constant["r2"] == 0
    assert math.isnan(regression_metrics([2, 2], [1, 3])["r2"])
    assert math.isnan(regression_metrics([2], [1])["pearson"])


def test_measure_gives_exactly_the_metrics_of_the_table_for_every_task():
    examples = {
        "binary": ([0, 1], [0.2, 0.9]),
        "multiclass": ([0, 1], [[0.8, 0.2], [0.1, 0.9]]),
        "multilabel": ([[0, 1], [1, 0]], [[0.2, 0.9], [0.9, 0.2]]),
        "regression": ([0.0, 1.0], [0.1, 0.9]),
    }
    for task in TASKS:
        found = measure(task, *examples[task])
        assert list(found.overall) == list(METRICS[task])
        assert all(set(label) == set(METRICS["binary"]) for label in found.per_label)


@pytest.mark.parametrize(
    ("truth", "probability", "words"),
    [
        ([0, 2], [0.1, 0.2], "only 0 and 1"),
        ([0, 1], [0.1, 1.7], "from 0 to 1"),
        ([0, 1], [0.1, float("nan")], "first: row 1"),
        ([0, 1], [0.1], r"shape \(2,\)"),
        ([], [], "at least one row"),
    ],
)
def test_what_cannot_be_scored_is_refused(truth, probability, words):
    with pytest.raises(InputError, match=words):
        binary_metrics(truth, probability)


def test_an_unknown_class_number_is_refused():
    with pytest.raises(InputError, match="from 0 to 1"):
        multiclass_metrics([0, 2], [[0.5, 0.5], [0.5, 0.5]])


def test_a_collapsed_model_is_told_from_a_working_one():
    assert is_collapsed("binary", [0.1, 0.2, 0.3])  # never yes
    assert not is_collapsed("binary", [0.1, 0.2, 0.3], threshold=0.25)
    assert is_collapsed("binary", [0.2500001, 0.2500002, 0.25], threshold=0.2500001)
    assert is_collapsed("multiclass", [[0.6, 0.4], [0.9, 0.1]])
    assert not is_collapsed("multiclass", [[0.6, 0.4], [0.1, 0.9]])
    assert is_collapsed("multilabel", [[0.6, 0.4], [0.9, 0.1]])
    assert not is_collapsed("multilabel", [[0.6, 0.4], [0.1, 0.9]])
    assert is_collapsed("regression", [5.0, 5.0001, 5.0])
    assert not is_collapsed("regression", [-1.0, 1.0])
    far = 1e6 + np.array([0.0, 1.0, 2.0])
    assert not is_collapsed("regression", far, truth=far)
    assert is_collapsed("regression", [1e-5, -1e-5, 0.0], truth=[1.0, 0.0, -1.0])
    assert not is_collapsed("binary", [0.1])
