"""Losses and answers by hand."""

import math

import numpy as np
import pytest
import torch

from lexome.training.objectives import loss_sum, make_objective, read_outputs
from lexome.training.target import Target

BINARY = Target("binary", ("0", "1"), np.array([0, 0, 0, 1]), False)
THREE = Target("multiclass", ("a", "b", "c"), np.array([0, 0, 1, 1, 1, 1]), False)
TAGS = Target("multilabel", ("a", "b"), np.array([[1, 0], [0, 0], [0, 0], [0, 1]]), False)
NUMBERS = Target("regression", (), np.array([1.0, 3.0, 5.0]), False)


def objective(target, smoothing=0.0, weighting="none", share=0.0):
    return make_objective(target, np.arange(len(target.values)), smoothing, weighting, share)


def test_the_binary_loss_is_the_negative_log_likelihood():
    outputs = torch.tensor([[0.0], [math.log(3)]])  # probabilities 1/2 and 3/4
    loss = loss_sum(objective(BINARY), outputs, np.array([1, 0]))
    assert float(loss) == pytest.approx(math.log(2) + math.log(4))


def test_smoothing_moves_binary_labels_towards_the_share_that_training_draws():
    made = objective(BINARY, smoothing=0.2, share=0.5)  # labels 0.1 and 0.9
    loss = loss_sum(made, torch.tensor([[math.log(9)]]), np.array([1]))  # probability 0.9
    assert float(loss) == pytest.approx(-0.9 * math.log(0.9) - 0.1 * math.log(0.1))


def test_balanced_weights_make_both_classes_count_alike():
    made = objective(BINARY, weighting="balanced")
    assert made.class_weights is not None
    assert made.class_weights.tolist() == pytest.approx([3.0])  # three negatives a positive
    # The odds of training are three times the true ones, and come off again.
    assert made.shift == pytest.approx(-math.log(3))
    one = loss_sum(made, torch.zeros(1, 1), np.array([1]))
    three = loss_sum(made, torch.zeros(3, 1), np.array([0, 0, 0]))
    assert float(one) == pytest.approx(float(three))
    made = objective(THREE, weighting="balanced")
    assert made.class_weights is not None
    # n / (classes * count): 6 / (3 * 2), 6 / (3 * 4), and 6 / (3 * 1) for the class not there
    assert made.class_weights.tolist() == pytest.approx([1.0, 0.5, 2.0])
    made = objective(TAGS, weighting="balanced")
    assert made.class_weights is not None
    assert made.class_weights.tolist() == pytest.approx([3.0, 3.0])
    assert objective(NUMBERS, weighting="balanced").class_weights is None


def test_the_loss_of_classes_labels_and_numbers_by_hand():
    outputs = torch.tensor([[0.0, math.log(2), 0.0]])  # probabilities 1/4, 1/2, 1/4
    assert float(loss_sum(objective(THREE), outputs, np.array([1]))) == pytest.approx(math.log(2))
    outputs = torch.tensor([[0.0, math.log(3)]])  # 1/2 and 3/4, averaged over labels
    loss = loss_sum(objective(TAGS), outputs, np.array([[1, 0]]))
    assert float(loss) == pytest.approx((math.log(2) + math.log(4)) / 2)
    made = objective(NUMBERS)  # mean 3, deviation sqrt(8 / 3)
    loss = loss_sum(made, torch.tensor([[0.0]]), np.array([5.0]))
    assert float(loss) == pytest.approx(4 / (8 / 3))


def test_answers_are_probabilities_or_values_in_the_units_of_the_labels():
    assert read_outputs(objective(BINARY), torch.tensor([[0.0]])) == pytest.approx([0.5])
    found = read_outputs(objective(THREE), torch.tensor([[0.0, math.log(2), 0.0]]))
    assert found.tolist()[0] == pytest.approx([0.25, 0.5, 0.25])
    found = read_outputs(objective(TAGS), torch.tensor([[0.0, math.log(3)]]))
    assert found.tolist()[0] == pytest.approx([0.5, 0.75])
    found = read_outputs(objective(NUMBERS), torch.tensor([[0.0], [1.0]]))
    assert found.tolist() == pytest.approx([3.0, 3.0 + math.sqrt(8 / 3)])


def test_a_drawn_share_of_positives_is_taken_back_from_the_probability():
    """Where training draws 1 in 2 and nature 1 in 4, odds of 1 stand for odds of 1/3."""
    made = objective(BINARY, share=0.5)
    assert made.base_rate == 0.5
    assert read_outputs(made, torch.tensor([[0.0]])) == pytest.approx([0.25])


def test_a_share_below_the_true_one_changes_nothing():
    made = objective(BINARY, share=0.1)
    assert (made.base_rate, made.shift) == (0.25, pytest.approx(0.0))


def test_shifted_probabilities_are_calibrated_where_the_drawn_ones_are_not():
    """A perfect model of resampled data, made from the true odds of a toy: one feature, two values."""
    generator = np.random.default_rng(0)
    truth = np.where(generator.random(20_000) < 0.5, 0.02, 0.18)  # P(positive | feature)
    label = (generator.random(20_000) < truth).astype(np.int64)
    target = Target("binary", ("0", "1"), label, False)
    made = objective(target, share=0.5)
    rate = label.mean()
    # the odds that a model learns on a sample in which positives are drawn up to one half
    logit = np.log(truth / (1 - truth)) + np.log((1 - rate) / rate)
    learnt = read_outputs(made, torch.tensor(logit, dtype=torch.float32)[:, None])
    assert learnt == pytest.approx(truth, abs=1e-5)
    assert learnt.mean() == pytest.approx(label.mean(), abs=0.01)
    assert (1 / (1 + np.exp(-logit))).mean() > 3 * label.mean()
