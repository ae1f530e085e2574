"""What label columns are taken for, and how answers are told apart."""

import numpy as np
import pytest

from lexome.errors import InputError, Interrupted
from lexome.training.target import is_missing, read_target, spell


def read(values, task="auto", positive=None):
    return read_target([values], ["label"], task, positive)


@pytest.mark.parametrize(
    ("values", "task", "labels"),
    [
        (["0", "1", "1"], "binary", ("0", "1")),
        ([True, False, True], "binary", ("0", "1")),
        ([1.0, 0.0, 1.0], "binary", ("0", "1")),
        (["yes", "no", "no"], "binary", ("no", "yes")),
        (["b", "a", "a"], "binary", ("a", "b")),
        (["pos", "neg"], "binary", ("neg", "pos")),
        (["a", "b", "c", "a"], "multiclass", ("a", "b", "c")),
        (["10", "2", "1", "2"], "multiclass", ("1", "2", "10")),
        ([0.5, 1.25, 3.0], "regression", ()),
        ([str(i) for i in range(30)], "regression", ()),
    ],
)
def test_the_task_and_the_order_of_labels_are_read_from_the_values(values, task, labels):
    target = read(values)
    assert (target.task, target.labels, target.guessed) == (task, labels, True)


def test_the_positive_class_is_the_one_asked_for_and_comes_last():
    target = read(["a", "b", "a"], positive="a")
    assert target.labels == ("b", "a")
    assert target.values.tolist() == [1, 0, 1]
    assert target.num_outputs == 1


def test_classes_are_numbered_in_the_order_of_their_labels():
    target = read(["c", "a", "b", "a"])
    assert target.values.tolist() == [2, 0, 1, 0]
    assert target.num_outputs == 3


def test_several_labels_in_a_cell_become_columns_of_zero_and_one():
    target = read(["a;b", "b", "c ; a"], "multilabel")
    assert target.labels == ("a", "b", "c")
    assert target.values.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]


def test_several_columns_are_one_label_each():
    target = read_target([["1", "0", "yes"], [0, 1, 1]], ["mito", "golgi"])
    assert (target.task, target.labels) == ("multilabel", ("mito", "golgi"))
    assert target.values.tolist() == [[1, 0], [0, 1], [1, 1]]


def test_several_columns_whose_names_could_not_be_told_apart_in_a_cell_are_refused():
    with pytest.raises(InputError, match="saw a ';' in the name 'GO:1;membrane'"):
        read_target([["1", "0"], ["0", "1"]], ["mito", "GO:1;membrane"])


@pytest.mark.parametrize(
    ("values", "task", "said"),
    [
        (["a", "a"], "auto", "saw one class only"),
        (["a", "b", "c"], "binary", "saw 3 values"),
        (["1.5", "x"], "regression", "row 2: saw 'x'"),
        ([1.0, float("nan")], "regression", "row 2: saw nan"),
        ([2.0, 2.0], "regression", "saw one value only"),
        ([1e200, 2e200], "regression", "saw values of up to 2e+200"),
        ([1e-40, 2e-40], "regression", "saw values of up to 2e-40"),
        ([1e17, 1e17 + 64], "regression", "differ by 64 at most"),
        ([f"text {i}" for i in range(99)], "auto", "99 different texts in 99 rows"),
        (["a", "b"], "ranking", "task: saw 'ranking'"),
    ],
)
def test_labels_that_make_no_task_are_refused(values, task, said):
    with pytest.raises(InputError) as caught:
        read(values, task)
    assert said in str(caught.value)


def test_a_cell_without_a_label_is_known_in_every_spelling():
    assert all(is_missing(value) for value in (None, float("nan"), "", " NA ", "n/a", "None"))
    assert not any(is_missing(value) for value in (0, "0", False, "no", "nano"))


def test_labels_are_spelled_as_people_write_them():
    assert [spell(v) for v in (1.0, np.float64(2.0), np.bool_(True), " x ", 0.25)] == [
        *("1", "2", "1", "x", "0.25")
    ]


def test_a_signal_that_arrives_while_values_are_tried_is_not_taken_for_a_bad_value():
    class Late:
        def __float__(self) -> float:
            raise Interrupted("SIGTERM")

    with pytest.raises(Interrupted, match="lexome: saw SIGTERM"):
        read([Late(), 1.0])
