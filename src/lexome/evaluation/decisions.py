"""The checks of truth and prediction that every metric makes, and the one rule for a decision."""

# Letters: N rows, K labels or classes.
import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexome.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def decide(probability: ArrayLike, threshold: ArrayLike) -> Bools:
    """True where the probability reaches the threshold: yes means `probability >= threshold`.

    Both are compared as float64, so that a float32 probability meets the threshold as it was
    stored; thresholds of shape (K,) serve the columns of an (N, K) array.

    >>> decide([0.2, 0.5, 0.9], 0.5).tolist()
    [False, True, True]
    """
    reached: Bools = np.asarray(probability, np.float64) >= np.asarray(threshold, np.float64)
    return reached


def check_truth(truth: ArrayLike, where: str, dimensions: int) -> Ints:
    """The truth as zeros and ones, refused when it holds anything else or is empty."""
    values = np.asarray(truth)
    _check_shape(values, where, dimensions)
    if not np.isin(values, (0, 1)).all():
        odd = sorted({str(v) for v in values.ravel() if v not in (0, 1)})[:3]
        raise InputError(
            where, f"true labels such as {', '.join(odd)}", "only 0 and 1", "coding them as 0 and 1"
        )
    return values.astype(np.int64)


def check_classes(truth: ArrayLike, num_classes: int, where: str) -> Ints:
    """Class numbers 0 to num_classes - 1, refused when one lies outside."""
    values = np.asarray(truth)
    _check_shape(values, where, 1)
    whole = values.astype(np.int64)
    if (whole != values).any() or whole.min() < 0 or whole.max() >= num_classes:
        raise InputError(
            where,
            f"class numbers from {values.min()} to {values.max()}",
            f"whole numbers from 0 to {num_classes - 1}, one a column of the probabilities",
            "numbering the classes in the order of the columns",
        )
    return whole


def check_probabilities(probability: ArrayLike, shape: tuple[int, ...], where: str) -> Floats:
    """Probabilities in float64, refused outside [0, 1], when not finite or of another shape."""
    values = check_values(probability, shape, where)
    if values.min() < 0 or values.max() > 1 + 1e-6:  # float32 softmax may end a hair above 1
        raise InputError(
            where,
            f"predicted values from {values.min():.4g} to {values.max():.4g}",
            "probabilities from 0 to 1",
            "passing scores through a sigmoid or softmax first",
        )
    return np.minimum(values, 1.0)


def check_values(prediction: ArrayLike, shape: tuple[int, ...], where: str) -> Floats:
    """Finite predicted values in float64 and of the expected shape."""
    values = np.asarray(prediction, np.float64)
    if values.shape != shape:
        raise InputError(
            where,
            f"predictions of shape {values.shape}",
            f"shape {shape}, as the truth has",
            "predicting exactly the rows that have a true label, in their order",
        )
    broken = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if broken.any():
        raise InputError(
            where,
            f"{int(broken.sum())} rows without a finite prediction (first: row {broken.argmax()})",
            "a finite number for every row",
            "leaving out rows that could not be scored, and counting them",
        )
    return values


def _check_shape(values: NDArray[np.generic], where: str, dimensions: int) -> None:
    if values.ndim != dimensions or values.size == 0:
        raise InputError(
            where,
            f"a truth of shape {values.shape}",
            f"at least one row and {dimensions} dimension{'s' * (dimensions > 1)}",
            "checking that the part holds rows at all",
        )
