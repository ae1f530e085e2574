"""Fine-tuning as scikit-learn estimators: sequences and labels in memory, nothing left on disk."""

# Letters: N sequences, K classes or labels.
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from lexome.batches.windows import check_length, parse_long
from lexome.devices import choose_device
from lexome.errors import InputError
from lexome.evaluation.clusters import similarity_groups
from lexome.evaluation.splits import parse_split, split_rows
from lexome.results.files import translate_disk_errors
from lexome.sequence.alphabet import Alphabet, check_letters, map_letters
from lexome.training.fit import Parts, choose, fit_seeds, split_part_rows
from lexome.training.fitted import Fitted, predict_mean
from lexome.training.settings import FinetuneSettings, choose_recipe
from lexome.training.setup import Setup, make_examples, make_setup
from lexome.training.target import Target

SPLITS = ("cluster", "random")


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


def clean_texts(texts: Sequence[str], alphabet: Alphabet, unknown: str) -> list[str]:
    """Sequences inside the alphabet; letters that `unknown="map"` replaces are one warning.

    Raises:
        InputError: an empty sequence, or a letter that may not or cannot be replaced.
    """
    allowed, clean = frozenset(alphabet.letters), []
    letters: Counter[str] = Counter()
    for i, text in enumerate(texts):
        where, sequence = f"X[{i}]", text
        if not allowed.issuperset(text):
            if unknown != "map":
                check_letters(text, alphabet, where)
            sequence, counts = map_letters(text, alphabet, where)
            letters.update(counts)
        if not sequence:
            raise InputError(where, "0 residues", "at least one", "to drop this row")
        clean.append(sequence)
    if letters:
        listed = ", ".join(f"{letter} {count:,}" for letter, count in letters.most_common(8))
        warnings.warn(f"X: {letters.total():,} letters were mapped ({listed})", stacklevel=4)
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
        seen = f"one class only ({classes[0]}) in {_samples(len(values))}"
        raise InputError("y", seen, "at least two classes", "rows of both kinds")
    task = "binary" if len(classes) == 2 else "multiclass"
    return classes, Target(task, tuple(map(str, classes)), index_N.astype(np.int64), False)  # type: ignore[arg-type]


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
        seen = f"one value only ({numbers_N[0]:.6g}) in {_samples(len(numbers_N))}"
        raise InputError("y", seen, "values that differ", "another y")
    return Target("regression", (), numbers_N, False)


def _samples(count: int) -> str:
    return "1 sample" if count == 1 else f"{count:,} samples"


def _column_or_matrix(y: Any) -> NDArray[Any]:
    """`y` as an array of one dimension, or of two with more than one column; no value missing."""
    if y is None:
        # scikit-learn's own words, which its checks look for.
        seen = "None: the fit requires y to be passed, but the target y is None"
        raise InputError("y", seen, "one label a row", "fit(X, y)")
    try:
        values = np.asarray(y.toarray() if scipy.sparse.issparse(y) else y)
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
    if values.dtype.kind == "O":
        for i, value in enumerate(values.ravel().tolist()):
            if _is_missing(value):
                row = i // (values.size // len(values))
                raise InputError(f"y[{row}]", "None or NaN", "a label", "to drop this row")
    return values


def _check_finite(values: NDArray[Any]) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        found = values[tuple(bad[0])]
        seen = "NaN" if np.isnan(found) else "infinity"
        raise InputError(f"y[{bad[0][0]}]", seen, "a finite value", "to drop this row")


def split_inner(
    target: Target, sequences: Sequence[str], kind: str, fraction: float, seed: int
) -> Parts:
    """Rows to train on and rows that choose the epoch (none where `fraction` is 0)."""
    none = np.zeros(0, np.int64)
    if fraction == 0:
        return Parts(np.arange(len(sequences)), none, none)
    try:
        names = split_rows(
            parse_split(kind),
            target.values,
            groups=similarity_groups(sequences) if kind == "cluster" else None,
            fractions=(1 - fraction, fraction, 0.0),
            seed=seed,
        )
    except InputError as problem:
        raise InputError(
            f"inner validation set ({fraction:.0%} of {_samples(len(sequences))}, split={kind!r})",
            f"in its {problem.where.removeprefix('split, ')} {problem.seen}",
            "rows of more than one kind in both parts",
            "more rows, a larger validation_fraction, split='random', or validation_fraction=0",
        ) from problem
    if target.task == "multiclass":  # a class that training would never see goes there whole
        unseen = np.setdiff1d(target.values, target.values[names == "train"])
        names[np.isin(target.values, unseen)] = "train"
    return split_part_rows(names)


class _SequenceEstimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: parameters, reading X, training, pickling."""

    def __init__(
        self,
        model: str = "new:cnn",
        method: str = "full",
        *,
        epochs: int | None = None,
        seeds: int = 1,
        validation_fraction: float = 0.1,
        split: str = "cluster",
        unknown: str = "refuse",
        long: str | None = None,
        dtype: str = "auto",
        device: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.method = method
        self.epochs = epochs
        self.seeds = seeds
        self.validation_fraction = validation_fraction
        self.split = split
        self.unknown = unknown
        self.long = long
        self.dtype = dtype
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.recipe = recipe

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False  # numbers; a column of texts is taken
        tags.target_tags.required = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        if "fitted_" in state:  # weights travel on the CPU, to be read on any machine
            networks = [deepcopy(network).cpu() for network in self.fitted_.networks]
            state = state | {"fitted_": self.fitted_._replace(networks=networks)}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "fitted_" in state:
            device = choose_device(self.device)
            for network in self.fitted_.networks:
                network.to(device.choice)
            setup = self.fitted_.setup._replace(device=device)
            self.fitted_ = self.fitted_._replace(setup=setup)

    def _texts(self, X: Any, reset: bool) -> list[str]:
        # Remembers or compares the column's name; there is no numeric array to check.
        validate_data(self, X, reset=reset, skip_check_array=True, ensure_2d=False)
        texts = read_texts(X)
        if reset:
            self.n_features_in_ = 1
        return texts

    def _fit(self, texts: list[str], target: Target) -> None:
        if len(texts) != len(target.values):
            raise InputError(
                "X and y",
                f"{len(texts):,} sequences and {len(target.values):,} labels",
                "as many of one as of the other",
                "the same rows for both",
            )
        settings = self._settings(target.task)
        setup = make_setup(settings)
        sequences = clean_texts(texts, setup.tokenizer.alphabet, settings.unknown)
        _check_lengths(sequences, setup, settings.recipe.long, announce=self.long is None)
        parts = split_inner(
            target, sequences, self.split, float(self.validation_fraction), settings.seed
        )
        ids, quiet = [f"X[{i}]" for i in range(len(sequences))], not self.verbose
        devices = range(torch.cuda.device_count()) if setup.device.choice != "cpu" else ()
        with (
            tempfile.TemporaryDirectory(prefix="lexome-") as name,
            translate_disk_errors(Path(name)),
            torch.random.fork_rng(devices),  # training seeds torch's global generators
        ):
            examples = make_examples(setup, settings, ids, sequences, target.values, quiet=quiet)
            fitted, history = fit_seeds(settings, setup, examples, target, parts, Path(name), quiet)
        if setup.family != "features":  # every network holds its own copy of the backbone
            fitted = fitted._replace(setup=setup._replace(backbone=None))
        self.fitted_, self.history_ = fitted, history
        self.validation_rows_ = parts.validation
        self.threshold_ = None
        if target.task in ("binary", "multilabel"):
            self.threshold_ = 0.5 if target.task == "binary" else [0.5] * target.num_outputs
            if len(parts.validation):
                rows = [sequences[i] for i in parts.validation]
                found = predict_mean(fitted, [ids[i] for i in parts.validation], rows)
                self.threshold_ = choose(target, parts.validation, found)
        self.fitted_ = fitted._replace(threshold=self.threshold_)

    def _answers(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self, "fitted_")
        fitted: Fitted = self.fitted_
        settings, setup = fitted.settings, fitted.setup
        sequences = clean_texts(
            self._texts(X, reset=False), setup.tokenizer.alphabet, settings.unknown
        )
        _check_lengths(sequences, setup, settings.recipe.long, announce=self.long is None)
        return predict_mean(fitted, [f"X[{i}]" for i in range(len(sequences))], sequences)

    def _settings(self, task: str) -> FinetuneSettings:
        if self.split not in SPLITS:
            raise InputError("split", repr(self.split), " or ".join(SPLITS), "split='cluster'")
        fraction = self.validation_fraction
        if not isinstance(fraction, Real) or not 0 <= float(fraction) < 1:
            raise InputError("validation_fraction", repr(fraction), "0 <= share < 1", "0.1")
        if not isinstance(self.seeds, Integral):
            raise InputError("seeds", repr(self.seeds), "a whole number", "seeds=1")
        if self.recipe is not None and not isinstance(self.recipe, Mapping):
            raise InputError("recipe", repr(self.recipe), "a dictionary", "recipe={'epochs': 3}")
        given = {k: v for k in ("epochs", "long") if (v := getattr(self, k)) is not None}
        recipe = dict(self.recipe or {})
        twice = sorted(set(given) & set(recipe))
        if twice:
            raise InputError(
                twice[0], "a value of its own and one in recipe", "one of the two", "either alone"
            )
        return FinetuneSettings(
            model=self.model,
            method=self.method,  # type: ignore[arg-type]
            task=task,
            split=self.split,
            seeds=int(self.seeds),
            seed=_draw_seed(self.random_state),
            unknown=self.unknown,  # type: ignore[arg-type]
            dtype=self.dtype,
            device=self.device,
            recipe=choose_recipe(self.model, self.method, **given, **recipe),
        )


def _draw_seed(random_state: Any) -> int:
    """A whole number is the seed itself, as `seed` of `lexome.finetune`; else one is drawn."""
    if isinstance(random_state, Integral) and random_state >= 0:
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _check_lengths(sequences: Sequence[str], setup: Setup, long: str, announce: bool) -> None:
    """Refuse or announce sequences that are too long; a crop that was asked for is not announced."""
    policy = parse_long(long)
    if policy.kind == "refuse" and setup.context is not None:
        for i, sequence in enumerate(sequences):
            check_length(len(sequence), setup.context, f"X[{i}]")
    if policy.kind == "crop" and announce:
        kept = policy.head + policy.tail
        longer = sum(len(sequence) > kept for sequence in sequences)
        if longer:
            warnings.warn(
                f"X: of {longer:,} sequences longer than {kept:,} residues the first "
                f"{policy.head:,} and the last {policy.tail:,} are read; "
                f"long={long!r} says that this is meant",
                stacklevel=4,
            )


class SequenceClassifier(ClassifierMixin, _SequenceEstimator):  # type: ignore[misc]
    """Sequences to classes, by fine-tuning or training a network, the scikit-learn way.

    X is a list, array or Series of sequences, or a frame of one column; y holds two classes, more
    classes, or a matrix of 0 and 1 with a column a label. Part of the rows (`validation_rows_`)
    chooses the epoch; with `validation_fraction=0` all rows train for all epochs. `predict` gives
    the likeliest class, as scikit-learn expects; `threshold_` is the limit of best MCC on the
    validation rows, to be put on `predict_proba(X)[:, 1]`.

    Args:
        model: `new:cnn` and other new models, a catalogue name, a directory or a hub id.
        method: full (all weights) or frozen (a head on vectors made once).
        epochs: most passes over the data; the model's recipe where not given.
        seeds: how many networks to train and average.
        validation_fraction: share of the rows that chooses the epoch and the threshold.
        split: how they are taken: cluster (whole groups of similar sequences) or random.
        unknown: letters outside the alphabet: refuse, or map (one warning with counts).
        long: refuse, whole, window (frozen only) or crop:HEAD+TAIL; as the recipe where not given.
        dtype, device: auto, or as for `lexome finetune`.
        random_state: the seed of all randomness; None draws one from NumPy's global generator.
        verbose: 0 is silent, more shows progress.
        recipe: any values of `TrainRecipe`, such as {"learning_rate": 1e-3}.

    Attributes:
        classes_: the classes, sorted; the label's numbers for a matrix y.
        n_features_in_: always 1.
        threshold_: the limit of best MCC (a list, one a label); None for three or more classes.
        history_: a dictionary for every epoch.
        validation_rows_: rows of X that chose the epoch.
        fitted_: the trained networks and what they need.

    Raises:
        InputError: (a ValueError) anything in X, y or the parameters that cannot be used.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train; returns the estimator itself."""
        texts = self._texts(X, reset=True)
        self.classes_, target = read_classes(y)
        self._fit(texts, target)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities (N, K), in the order of `classes_`; of each label for a matrix y."""
        found = self._answers(X)
        if self.fitted_.task == "binary":
            return np.column_stack([1 - found, found])
        return found if self.fitted_.task == "multilabel" else found / found.sum(1, keepdims=True)

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest class of each sequence (N,); for a matrix y 1 where likelier than not."""
        found = self.predict_proba(X)
        if self.fitted_.task == "multilabel":
            return (found > 0.5).astype(np.int64)
        called: NDArray[Any] = self.classes_[found.argmax(1)]
        return called


class SequenceRegressor(RegressorMixin, _SequenceEstimator):  # type: ignore[misc]
    """Sequences to measured numbers; parameters as in `SequenceClassifier`.

    Attributes:
        n_features_in_: always 1.
        history_: a dictionary for every epoch.
        validation_rows_: rows of X that chose the epoch.
        fitted_: the trained networks and what they need.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train; returns the estimator itself."""
        texts = self._texts(X, reset=True)
        self._fit(texts, read_numbers(y))
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """A number for each sequence (N,)."""
        return self._answers(X)
