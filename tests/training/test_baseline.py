"""The composition baseline against scikit-learn used by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from lexome.sequence.composition import WHOLE_AND_START, compositions
from lexome.training.baseline import baseline_name, fit_baseline
from lexome.training.target import Target, read_target
from tests.toys import rich_table

TABLE = rich_table(100)
SEQUENCES = TABLE["sequence"].to_list()
TRAIN = np.arange(60)


def target_of(column: str, task: str = "auto") -> Target:
    return read_target([TABLE[column].to_list()], [column], task)


def features() -> np.ndarray:
    found = compositions(SEQUENCES, WHOLE_AND_START)
    return StandardScaler().fit(found[TRAIN]).transform(found)


def test_it_is_logistic_regression_on_standardised_frequencies():
    target = target_of("has_w")
    oracle = LogisticRegression(C=1.0, max_iter=2000).fit(features()[TRAIN], target.values[TRAIN])
    found = fit_baseline(SEQUENCES, target, TRAIN)
    assert found == pytest.approx(oracle.predict_proba(features())[:, 1])
    assert baseline_name("binary") == "composition + logistic regression"


def test_numbers_are_fitted_by_ridge_regression():
    target = target_of("amount")
    oracle = Ridge(alpha=1.0).fit(features()[TRAIN], target.values[TRAIN])
    assert fit_baseline(SEQUENCES, target, TRAIN) == pytest.approx(oracle.predict(features()))
    assert baseline_name("regression") == "composition + ridge regression"


def test_several_labels_get_a_regression_each():
    target = target_of("tags", "multilabel")
    found = fit_baseline(SEQUENCES, target, TRAIN)
    assert found.shape == (100, 3)
    k = target.labels.index("charged")
    oracle = LogisticRegression(C=1.0, max_iter=2000)
    oracle.fit(features()[TRAIN], target.values[TRAIN][:, k])
    assert found[:, k] == pytest.approx(oracle.predict_proba(features())[:, 1])


def test_a_class_that_training_lacks_has_probability_zero():
    target = target_of("kind")
    train = np.flatnonzero(target.values != 1)
    found = fit_baseline(SEQUENCES, target, train)
    assert found.shape == (100, 3)
    assert (found[:, 1] == 0).all()
    assert found.sum(1) == pytest.approx(1)


def test_only_the_training_rows_are_looked_at():
    target = target_of("has_w")
    poisoned = target.values.copy()
    poisoned[60:] = 1 - poisoned[60:]
    other = list(SEQUENCES)
    other[99] = "W" * 500
    found = fit_baseline(SEQUENCES, target, TRAIN)
    again = fit_baseline(other, target._replace(values=poisoned), TRAIN)
    assert np.array_equal(found[:99], again[:99])
