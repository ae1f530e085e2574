"""The composition baseline against scikit-learn used by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from lexome.sequence.composition import WHOLE_AND_START, compositions
from lexome.training.baselines.composition import (
    Baseline,
    baseline_name,
    fit_baseline,
    predict_baseline,
)
from lexome.training.baselines.kinds import COMPOSITION
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


def fit_predict(target: Target, train: np.ndarray = TRAIN) -> np.ndarray:
    return predict_baseline(fit_baseline(SEQUENCES, target, train), SEQUENCES)


def test_it_is_logistic_regression_on_standardised_frequencies():
    target = target_of("has_w")
    oracle = LogisticRegression(C=1.0, max_iter=2000).fit(features()[TRAIN], target.values[TRAIN])
    found = fit_predict(target)
    assert found == pytest.approx(oracle.predict_proba(features())[:, 1], abs=1e-6)
    assert baseline_name("binary") == "composition + logistic regression"


def test_numbers_are_fitted_by_ridge_regression():
    target = target_of("amount")
    oracle = Ridge(alpha=1.0).fit(features()[TRAIN], target.values[TRAIN])
    assert fit_predict(target) == pytest.approx(oracle.predict(features()), abs=1e-5)
    assert baseline_name("regression") == "composition + ridge regression"


def test_classes_are_fitted_by_multinomial_regression():
    target = target_of("kind")
    oracle = LogisticRegression(C=1.0, max_iter=2000).fit(features()[TRAIN], target.values[TRAIN])
    assert fit_predict(target) == pytest.approx(oracle.predict_proba(features()), abs=1e-4)


def test_several_labels_get_a_regression_each():
    target = target_of("tags", "multilabel")
    found = fit_predict(target)
    assert found.shape == (100, 3)
    k = target.labels.index("charged")
    oracle = LogisticRegression(C=1.0, max_iter=2000)
    oracle.fit(features()[TRAIN], target.values[TRAIN][:, k])
    assert found[:, k] == pytest.approx(oracle.predict_proba(features())[:, 1], abs=1e-6)


def test_a_class_or_label_that_training_lacks_has_no_probability():
    target = target_of("kind")
    rows = np.flatnonzero(target.values != 1)
    found = fit_predict(target, rows)
    assert found.shape == (100, 3)
    assert found[:, 1].max() < 1e-6
    assert found.sum(1) == pytest.approx(1)
    oracle = LogisticRegression(C=1.0, max_iter=2000)
    scaler = StandardScaler().fit(compositions(SEQUENCES, WHOLE_AND_START)[rows])
    scaled = scaler.transform(compositions(SEQUENCES, WHOLE_AND_START))
    oracle.fit(scaled[rows], target.values[rows])
    assert found[:, 2] == pytest.approx(oracle.predict_proba(scaled)[:, 1], abs=1e-4)
    tags = target_of("tags", "multilabel")
    rows = np.flatnonzero(tags.values[:, 0] == 0)
    assert fit_predict(tags, rows)[:, 0].max() < 1e-6


def test_only_the_training_rows_are_looked_at():
    target = target_of("has_w")
    poisoned = target.values.copy()
    poisoned[60:] = 1 - poisoned[60:]
    other = SEQUENCES[:60] + ["W" * 500] * 40
    one = fit_baseline(SEQUENCES, target, TRAIN)
    two = fit_baseline(other, target._replace(values=poisoned), TRAIN)
    assert same(one, two)
    assert not same(one, fit_baseline(SEQUENCES, target, np.arange(61)))


def test_a_saved_baseline_is_the_same_again(tmp_path):
    for column, task in (("has_w", "auto"), ("tags", "multilabel"), ("amount", "auto")):
        baseline = fit_baseline(SEQUENCES, target_of(column, task), TRAIN)
        COMPOSITION.save(baseline, tmp_path / "baseline.json")
        assert same(COMPOSITION.load(tmp_path / "baseline.json"), baseline)


def same(one: Baseline, other: Baseline) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
