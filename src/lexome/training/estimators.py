"""Fine-tuning as scikit-learn estimators: sequences and labels in memory, nothing left on disk."""

# Letters: N sequences, K classes or labels.
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from lexome.batches.windows import parse_long
from lexome.devices import choose_device
from lexome.errors import InputError
from lexome.evaluation.clusters import similarity_groups
from lexome.evaluation.kmer_sets import KmerAlphabet
from lexome.evaluation.splits import parse_split, split_rows
from lexome.results.files import translate_disk_errors
from lexome.seeds import keep_randomness
from lexome.training.fit import Parts, choose, fit_seeds, split_part_rows
from lexome.training.fitted import Fitted, Threshold, predict_mean
from lexome.training.in_memory import (
    clean_texts,
    count_samples,
    read_classes,
    read_numbers,
    read_texts,
    refuse_residue_labels,
)
from lexome.training.recipes import choose_recipe
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import (
    Setup,
    make_examples,
    make_setup,
    settle_alphabet,
    suit_lengths,
)
from lexome.training.target import Target

SPLITS = ("cluster", "random")


def split_inner(
    target: Target,
    sequences: Sequence[str],
    kind: str,
    fraction: float,
    seed: int,
    alphabet: KmerAlphabet = "protein",
) -> Parts:
    """Rows to train on and rows that choose the epoch (none where `fraction` is 0)."""
    none = np.zeros(0, np.int64)
    if fraction == 0:
        return Parts(np.arange(len(sequences)), none, none)
    try:
        names = split_rows(
            parse_split(kind),
            target.values,
            groups=similarity_groups(sequences, alphabet, largest=1.0)
            if kind == "cluster"
            else None,
            fractions=(1 - fraction, fraction, 0.0),
            seed=seed,
        )
    except InputError as problem:
        asked = f"{fraction:.0%} of {count_samples(len(sequences))}, split={kind!r}"
        raise InputError(
            f"inner validation set ({asked})",
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

    fitted_: Fitted

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
        settings = self._settings(target.task, texts)
        with (
            keep_randomness(),
            tempfile.TemporaryDirectory(prefix="lexome-") as folder,
            translate_disk_errors(Path(folder)),
        ):
            self._train(texts, target, settings, Path(folder))

    def _train(
        self, texts: list[str], target: Target, settings: FinetuneSettings, folder: Path
    ) -> None:
        setup = make_setup(settings)
        if self.long is None and "long" not in (self.recipe or {}):
            settings = suit_lengths(settings, setup)
        sequences = clean_texts(texts, setup.tokenizer.alphabet, settings.unknown)
        _check_lengths(sequences, setup, settings.recipe.long, announce=self.long is None)
        fraction, alphabet = float(self.validation_fraction), setup.tokenizer.alphabet
        parts = split_inner(target, sequences, self.split, fraction, settings.seed, alphabet.kmers)
        ids, quiet = [f"X[{i}]" for i in range(len(sequences))], not self.verbose
        examples = make_examples(
            setup, settings, ids, sequences, target.values, quiet=quiet, keep=True
        )
        fitted, history, _ = fit_seeds(settings, setup, examples, target, parts, folder, quiet)
        if not setup.keeps_base:  # every network holds its own copy of the backbone
            fitted = fitted._replace(setup=setup._replace(backbone=None))
        threshold: Threshold = None
        if target.task in ("binary", "multilabel"):
            threshold = 0.5 if target.task == "binary" else [0.5] * target.num_outputs
            if len(parts.validation):
                rows = [sequences[i] for i in parts.validation]
                found = predict_mean(fitted, [ids[i] for i in parts.validation], rows)
                threshold = choose(target, parts.validation, found)
        setup.frozen.forget()
        self.fitted_ = fitted._replace(threshold=threshold)
        self.history_, self.validation_rows_ = history, parts.validation
        self.threshold_ = threshold

    def _answers(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self, "fitted_")
        fitted: Fitted = self.fitted_
        settings, setup = fitted.settings, fitted.setup
        sequences = clean_texts(
            self._texts(X, reset=False), setup.tokenizer.alphabet, settings.unknown
        )
        _check_lengths(sequences, setup, settings.recipe.long, announce=self.long is None)
        return predict_mean(fitted, [f"X[{i}]" for i in range(len(sequences))], sequences)

    def _settings(self, task: str, texts: Sequence[str]) -> FinetuneSettings:
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
        settings = FinetuneSettings(
            model=self.model,
            method=self.method,
            task=task,
            split=self.split,
            seeds=int(self.seeds),
            seed=_draw_seed(self.random_state),
            unknown=self.unknown,
            dtype=self.dtype,
            device=self.device,
            recipe=choose_recipe(self.model, self.method, **given, **recipe),
        )
        return settle_alphabet(settings, texts, **given, **recipe)


def _draw_seed(random_state: Any) -> int:
    """A whole number is the seed itself, as `seed` of `lexome.finetune`; else one is drawn."""
    if isinstance(random_state, Integral) and int(random_state) >= 0:
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _check_lengths(sequences: Sequence[str], setup: Setup, long: str, announce: bool) -> None:
    """Refuse sequences that are too long; announce a crop that nobody asked for."""
    policy = parse_long(long)
    if policy.kind == "refuse":
        for i, sequence in enumerate(sequences):
            setup.check_length(sequence, f"X[{i}]")
    if policy.kind == "crop" and announce:
        kept = policy.head + policy.tail
        longer = sum(len(sequence) > kept for sequence in sequences)
        if longer:
            warnings.warn(
                f"X: of {longer:,} sequences longer than {kept:,} residues the first "
                f"{policy.head:,} and the last {policy.tail:,} are read; "
                f"long={long!r} says that this is meant",
                stacklevel=5,
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
        refuse_residue_labels(texts, y)
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
