"""Sequences and labels as Python programs hold them: lists, arrays, Series, one-column frames."""

# Letters: N sequences.
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import type_of_target

from lexome.errors import InputError
from lexome.sequence.alphabet import Alphabet, UnknownPolicy, clean_sequence
from lexome.sequence.letter_counts import LetterCounts
from lexome.training.target import Target, check_numbers


def read_texts(X: Any) -> list[str]:
    """The sequences of a list, array, Series or frame of one column, as they are.

    Raises:
        InputError: no sequence, more than one column, or a value that is no text.
    """
    if isinstance(X, str | bytes):
        raise InputError("X", "one text", "a list of sequences, one a row", "a list around it")
    if scipy.sparse.issparse(X):
        raise InputError("X", "sparse numbers", "sequences as text", "a list of sequences")
    values = np.asarray(X, dtype=object)
    if values.ndim == 2 and values.shape[1] != 1:
        raise InputError(
            "X", f"{values.shape[1]} columns", "one column of sequences", "that column alone"
        )
    if values.ndim not in (1, 2):
        raise InputError(
            "X",
            f"{type(X).__name__} of {values.ndim} dimensions",
            "a list, array, Series or frame of one column",
            "a list of sequences",
        )
    if not len(values):
        raise InputError("X", "no sequence (0 samples)", "at least one", "another X")
    return [_text(value, f"X[{i}]") for i, value in enumerate(values.ravel().tolist())]


def _text(value: object, where: str) -> str:
    if isinstance(value, str):
        return str(value)
    if _is_missing(value):
        raise InputError(where, "no sequence (None or NaN)", "a sequence", "to drop this row")
    kind = type(value).__name__
    raise InputError(where, f"{value!r:.40} ({kind})", "a sequence as text", "to decode or drop it")


def _is_missing(value: object) -> bool:
    is_nan = isinstance(value, float | np.floating) and bool(np.isnan(value))
    return value is None or is_nan or type(value).__name__ in ("NAType", "NaTType")


def clean_texts(texts: Sequence[str], alphabet: Alphabet, unknown: UnknownPolicy) -> list[str]:
    """Sequences inside the alphabet; letters that `unknown="map"` replaces are one warning.

    Raises:
        InputError: an empty sequence, or a letter that may not or cannot be replaced.
    """
    clean: list[str] = []
    letters = LetterCounts()
    for i, text in enumerate(texts):
        where = f"X[{i}]"
        sequence, counts = clean_sequence(text, alphabet, unknown, where)
        letters.add(counts)
        if not sequence:
            raise InputError(where, "0 residues", "at least one", "to drop this row")
        clean.append(sequence)
    if letters.rows:
        warnings.warn(f"X: {letters}", stacklevel=5)
    return clean


def read_classes(y: Any) -> tuple[NDArray[Any], Target]:
    """The classes, sorted, and the labels as numbers into them; columns of 0 and 1 as they are.

    Raises:
        InputError: missing labels, one class only, or values that are no classes.
    """
    values = _column_or_matrix(y)
    try:
        kind = type_of_target(values, input_name="y", raise_unknown=True)
    except (TypeError, ValueError) as problem:
        raise InputError(
            "y",
            "Unknown label type: " + str(problem).splitlines()[0].rstrip("."),
            "one class a row (numbers or texts, not both), or columns of 0 and 1",
            "y as an array of texts",
        ) from problem
    if kind == "multilabel-indicator":
        if not np.isin(values, (0, 1)).all():
            seen = f"Unknown label type: columns of {', '.join(map(str, np.unique(values)))}"
            raise InputError("y", seen, "columns of 0 and 1", "y == the value that means yes")
        names = np.arange(values.shape[1])
        target = Target("multilabel", tuple(map(str, names)), values.astype(np.int64), False)
        return names, target
    if kind not in ("binary", "multiclass"):
        raise InputError(
            "y",
            f"Unknown label type: {kind}",
            "one class a row, or columns of 0 and 1",
            "SequenceRegressor for measured numbers",
        )
    classes, index_N = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        seen = f"one class only ({classes[0]}) in {count_samples(len(values))}"
        raise InputError("y", seen, "at least two classes", "rows of both kinds")
    task = "binary" if len(classes) == 2 else "multiclass"
    return classes, Target(task, tuple(map(str, classes)), index_N.astype(np.int64), False)  # type: ignore[arg-type]


def refuse_residue_labels(texts: Sequence[str], y: Any) -> None:
    """Refuse labels with a letter for each residue, which look like as many classes as rows.

    Raises:
        InputError: every label is a text as long as its sequence, and most are said once only.
    """
    labels = y if isinstance(y, list | tuple) else list(np.asarray(y, dtype=object).ravel())
    if len(labels) != len(texts) or not all(isinstance(label, str) for label in labels):
        return
    fits = all(len(label) == len(text) for label, text in zip(labels, texts, strict=True))
    if fits and 2 * len(set(labels)) > len(labels) and max(map(len, labels)) > 1:
        raise InputError(
            "y",
            "labels with a letter for each residue",
            "one class a sequence",
            "`lexome.finetune(..., task='per-residue')`, which answers every residue",
        )


def read_numbers(y: Any) -> Target:
    """One finite number a row.

    Raises:
        InputError: missing or infinite values, texts, several columns, or the same value always.
    """
    values = _column_or_matrix(y)
    if values.ndim == 2:
        raise InputError("y", f"{values.shape[1]} columns", "one number a row", "a model for each")
    try:
        numbers_N = values.astype(np.float64)
    except (TypeError, ValueError) as problem:
        raise InputError(
            "y", str(problem), "numbers", "SequenceClassifier for classes"
        ) from problem
    _check_finite(numbers_N)
    if numbers_N.min() == numbers_N.max():
        seen = f"one value only ({numbers_N[0]:.6g}) in {count_samples(len(numbers_N))}"
        raise InputError("y", seen, "values that differ", "another y")
    check_numbers(numbers_N, "y")
    return Target("regression", (), numbers_N, False)


def count_samples(count: int) -> str:
    """Rows in scikit-learn's words, which its checks look for."""
    return "1 sample" if count == 1 else f"{count:,} samples"


def _column_or_matrix(y: Any) -> NDArray[Any]:
    """`y` as an array of one dimension, or of two with more than one column; no value missing."""
    if y is None:
        # scikit-learn's own words, which its checks look for.
        seen = "None: the fit requires y to be passed, but the target y is None"
        raise InputError("y", seen, "one label a row", "fit(X, y)")
    if scipy.sparse.issparse(y):
        y = y.toarray()
    try:
        _check_none_missing(np.asarray(y, dtype=object))  # before NumPy makes NaN the text "nan"
        values = np.asarray(y)
    except InputError:
        raise
    except ValueError as problem:
        raise InputError("y", str(problem), "rows of equal length", "an array") from problem
    if values.ndim == 2 and values.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected. "
            "Please change the shape of y to (n_samples,), for example using ravel().",
            DataConversionWarning,
            stacklevel=4,
        )
        values = values.ravel()
    if values.ndim not in (1, 2) or not values.size:
        raise InputError("y", f"an array of shape {values.shape}", "one label a row", "a list")
    if values.dtype.kind == "c":
        raise InputError(
            "y", "complex numbers (Complex data not supported)", "classes or numbers", "y.real"
        )
    if values.dtype.kind == "f":
        _check_finite(values)
    return values


def _check_none_missing(values: NDArray[np.object_]) -> None:
    for i, value in enumerate(values.ravel().tolist()):
        if _is_missing(value):
            row = i // (values.size // len(values))
            raise InputError(f"y[{row}]", "None or NaN", "a label", "to drop this row")


def _check_finite(values: NDArray[Any]) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        found = values[tuple(bad[0])]
        seen = "NaN" if np.isnan(found) else "infinity"
        raise InputError(f"y[{bad[0][0]}]", seen, "a finite value", "to drop this row")
