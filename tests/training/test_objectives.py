"""Losses and answers by hand."""

import math

import numpy as np
import pytest
import torch

from lexome.errors import InputError
from lexome.training.objectives import check_loss, loss_sum, make_objective, read_outputs
from lexome.training.target import Target

BINARY = Target("binary", ("0", "1"), np.array([0, 0, 0, 1]), False)
THREE = Target("multiclass", ("a", "b", "c"), np.array([0, 0, 1, 1, 1, 1]), False)
TAGS = Target("multilabel", ("a", "b"), np.array([[1, 0], [0, 0], [0, 0], [0, 1]]), False)
NUMBERS = Target("regression", (), np.array([1.0, 3.0, 5.0]), False)


def objective(target, smoothing=0.0, weighting="none", share=0.0, gamma=0.0):
    rows = np.arange(len(target.values))
    return make_objective(target, rows, smoothing, weighting, share, gamma)


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


FOCAL = [
    (BINARY, [[-1.3], [0.4], [2.0], [0.0]], [1, 0, 1, 0]),
    (THREE, [[0.0, 0.7, -1.0], [2.0, -0.3, 0.1]], [1, 2]),
    (TAGS, [[0.2, -1.0], [3.0, 0.5]], [[1, 0], [0, 1]]),
]


def focal_by_hand(target, outputs, truth, gamma, weights):
    """- alpha (1 - p_t)^gamma log p_t of Lin et al. 2017, in float64; mean over labels."""
    x, y = np.array(outputs), np.array(truth)
    if target.task == "multiclass":
        p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        true = p[np.arange(len(y)), y]
        alpha = np.ones(3) if weights is None else weights
        return -(alpha[y] * (1 - true) ** gamma * np.log(true)).sum()
    x = x[:, 0] if target.task == "binary" else x
    p = 1 / (1 + np.exp(-x))
    true = np.where(y == 1, p, 1 - p)
    alpha = np.where(y == 1, 1.0 if weights is None else weights, 1.0)
    losses = -alpha * (1 - true) ** gamma * np.log(true)
    return losses.sum() if losses.ndim == 1 else losses.mean(axis=1).sum()


@pytest.mark.parametrize(("target", "outputs", "truth"), FOCAL)
@pytest.mark.parametrize("weighting", ["none", "balanced"])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_loss_is_its_formula_with_class_weights_as_alpha(
    target, outputs, truth, weighting, gamma
):
    made = objective(target, weighting=weighting, gamma=gamma)
    weights = None if made.class_weights is None else made.class_weights.double().numpy()
    tensor = torch.tensor(outputs, requires_grad=True)

    loss = loss_sum(made, tensor, np.array(truth))
    loss.backward()

    assert float(loss.detach()) == pytest.approx(
        focal_by_hand(target, outputs, truth, gamma, weights), rel=1e-5
    )
    step = 1e-6
    for row, column in np.ndindex(*np.shape(outputs)):
        ends = []
        for sign in (1, -1):
            moved = np.array(outputs)
            moved[row, column] += sign * step
            ends.append(focal_by_hand(target, moved, truth, gamma, weights))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert float(tensor.grad[row, column]) == pytest.approx(slope, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(("target", "outputs", "truth"), FOCAL)
@pytest.mark.parametrize("weighting", ["none", "balanced"])
def test_focal_loss_with_gamma_0_is_cross_entropy_bit_for_bit(target, outputs, truth, weighting):
    outputs, truth = torch.tensor(outputs), np.array(truth)
    plain = loss_sum(objective(target, 0.1, weighting), outputs, truth)
    focal = loss_sum(objective(target, 0.1, weighting, gamma=0.0), outputs, truth)
    nearly = loss_sum(objective(target, 0.1, weighting, gamma=1e-7), outputs, truth)

    assert torch.equal(plain, focal)
    assert float(nearly) == pytest.approx(float(plain), rel=1e-5)  # by the other formula


def test_focal_loss_and_its_slope_are_finite_where_a_model_is_sure():
    for target, outputs, truth in (
        (BINARY, [[80.0], [-80.0], [80.0]], [1, 0, 0]),
        (THREE, [[90.0, 0.0, 0.0], [90.0, 0.0, 0.0]], [0, 1]),
    ):
        tensor = torch.tensor(outputs, requires_grad=True)
        loss_sum(objective(target, gamma=0.5), tensor, np.array(truth)).backward()
        assert torch.isfinite(tensor.grad).all()


def test_numbers_have_no_focal_loss_and_no_class_weights():
    check_loss("regression", "cross-entropy", "none")
    check_loss("binary", "focal", "balanced")
    with pytest.raises(InputError, match="focal for a regression"):
        check_loss("regression", "focal", "none")
    with pytest.raises(InputError, match="balanced for a regression"):
        check_loss("regression", "cross-entropy", "balanced")


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


def test_numbers_that_lie_far_from_0_keep_what_tells_them_apart():
    values = 1e9 + np.array([0.0, 0.5, 1.0, 2.5])
    made = objective(Target("regression", (), values, False))
    near = objective(Target("regression", (), values - 1e9, False))
    outputs = torch.tensor([[0.1], [-0.7], [0.3], [0.2]])

    expected = float(loss_sum(near, outputs, values - 1e9))
    assert float(loss_sum(made, outputs, values)) == pytest.approx(expected, rel=1e-6)
    found = read_outputs(made, outputs)
    assert found.dtype == np.float64
    assert found - 1e9 == pytest.approx(read_outputs(near, outputs), abs=1e-6)
    assert read_outputs(near, outputs).dtype == np.float32
