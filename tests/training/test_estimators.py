"""The estimators against scikit-learn's own checks, and against what a user may hand them."""

import itertools
import pickle
import tempfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import validate_data

from lexome.errors import InputError
from lexome.sequence.composition import AMINO_ACIDS
from lexome.training.estimators import SequenceClassifier, SequenceRegressor
from tests.shared_data import shared

DOCS = Path(__file__).parents[2] / "docs" / "estimators.md"
QUICK = {"epochs": 1, "batch_size": 16, "head_hidden": 8}
LEARNING = QUICK | {
    "epochs": 3,
    "learning_rate": 5e-3,
    "head_dropout": 0.0,
    "mask": 0.0,
    "substitute": 0.0,
}
LETTERS_A_NUMBER = 4

# scikit-learn's checks that do not apply to sequences, with the reason. docs/estimators.md shows
# the same table; `test_a_check_is_left_out_only_where_it_cannot_pass` keeps both honest.
LEFT_OUT = {
    "check_array_api_input": "array namespaces hold numbers; a sequence is text",
    "check_classifiers_multilabel_output_format_decision_function": "there is no decision_function; predict_proba is checked instead",
    "check_complex_data": "wants X of complex numbers named as such; any number in X is refused as no text",
    "check_estimators_empty_data_messages": "wants a word on 0 features; here an empty sequence is refused as 0 residues",
    "check_estimators_nan_inf": "wants NaN and infinity found within rows of numbers; here a missing sequence is refused",
    "check_fit1d": "wants X of one dimension refused; it is the usual shape of sequences",
    "check_fit2d_predict1d": "wants X of one dimension refused; it is the usual shape of sequences",
    "check_n_features_in": "wants n_features_in_ to be the columns of numbers; it is always 1",
    "check_n_features_in_after_fitting": "wants n_features_in_ to be the columns of numbers; it is always 1",
}
# Checks that need no data: they run on the estimators themselves, default parameters and all.
WITHOUT_DATA = {
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_estimators_unfitted",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_estimator_sparse_tag",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
}
# Asks for answers equal to 1e-9 whatever else is predicted with them; fp32 holds 1e-5 (tested
# below), so these run with the trained weights in float64.
TO_THE_NINTH_DIGIT = {"check_methods_sample_order_invariance", "check_methods_subset_invariance"}


def spell_row(numbers):
    """A row of numbers as residues: each is a run of two letters, the more of one the larger it is."""
    text = []
    for column, number in enumerate(np.asarray(numbers, np.float64).reshape(-1)):
        share = 0.5 + np.arctan(number) / np.pi
        high = round(LETTERS_A_NUMBER * share)
        first = 2 * column % 20
        text += AMINO_ACIDS[first] * high + AMINO_ACIDS[first + 1] * (LETTERS_A_NUMBER - high)
    return "".join(text)


class LettersFromNumbers:
    """Mixed in, an estimator takes the checks' matrices; beyond reading X all is its own."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.one_d_array = False, False
        tags.input_tags.two_d_array = True
        return tags

    def _texts(self, X, reset):
        if scipy.sparse.issparse(X):
            return super()._texts(X, reset)
        return [spell_row(row) for row in validate_data(self, X, reset=reset, dtype=np.float64)]


class UncheckedLetters(LettersFromNumbers):
    """The same without scikit-learn's look at the matrix: only our own reading is left."""

    def _texts(self, X, reset):
        return super(LettersFromNumbers, self)._texts([spell_row(row) for row in X], reset)


class LettersClassifier(LettersFromNumbers, SequenceClassifier):
    pass


class LettersRegressor(LettersFromNumbers, SequenceRegressor):
    pass


class DoubleWeights:
    """Mixed in, the trained networks compute in float64."""

    def _fit(self, texts, target):
        super()._fit(texts, target)
        for network in self.fitted_.networks:
            network.double()
            for module in network.modules():
                if isinstance(module, torch.nn.Linear):
                    module.register_forward_pre_hook(lambda _, given: (given[0].double(),))


class DoubleClassifier(DoubleWeights, LettersClassifier):
    pass


class DoubleRegressor(DoubleWeights, LettersRegressor):
    pass


IN_DOUBLE = {LettersClassifier: DoubleClassifier, LettersRegressor: DoubleRegressor}


class UncheckedClassifier(UncheckedLetters, SequenceClassifier):
    pass


class UncheckedRegressor(UncheckedLetters, SequenceRegressor):
    pass


def quick(kind, **changes):
    """An estimator that trains in a moment."""
    plain = {"split": "random", "validation_fraction": 0.3, "random_state": 0, "recipe": QUICK}
    return kind(dtype="fp32", device="cpu", **(plain | changes))


def name_of(check):
    while hasattr(check, "func"):
        check = check.func
    return getattr(check, "__wrapped__", check).__name__


def checks_for(kind, wanted):
    params = []
    for estimator, check in estimator_checks_generator(quick(kind)):
        name = name_of(check)
        if not wanted(name):
            continue
        if name in TO_THE_NINTH_DIGIT:
            estimator = quick(IN_DOUBLE[kind])
        if name == "check_regressors_train":  # asks for R2 > 0.5
            estimator = clone(estimator).set_params(recipe=LEARNING, validation_fraction=0.1)
        details = "-".join(map(str, check.keywords.values()))
        params.append(pytest.param(estimator, check, id=f"{kind.__name__}-{name}-{details}"))
    return params


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# -- scikit-learn's own checks


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        *checks_for(LettersClassifier, lambda name: name not in LEFT_OUT),
        *checks_for(LettersRegressor, lambda name: name not in LEFT_OUT),
    ],
)
def test_scikit_learns_checks_pass_on_numbers_spelled_as_letters(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        pytest.param(kind, param.values[1], id=f"{kind.__name__}-{name_of(param.values[1])}")
        for kind, letters in (
            (SequenceClassifier, LettersClassifier),
            (SequenceRegressor, LettersRegressor),
        )
        for param in checks_for(letters, WITHOUT_DATA.__contains__)
    ],
)
def test_scikit_learns_checks_without_data_pass_on_the_estimators_as_they_are(kind, check):
    check.func(kind.__name__, kind())


def test_every_check_that_is_named_here_exists():
    yielded = {
        name_of(check)
        for kind in (LettersClassifier, LettersRegressor)
        for _, check in estimator_checks_generator(quick(kind))
    }
    assert set(LEFT_OUT) | WITHOUT_DATA <= yielded
    assert not set(LEFT_OUT) & WITHOUT_DATA


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        *checks_for(UncheckedClassifier, LEFT_OUT.__contains__),
        *checks_for(UncheckedRegressor, LEFT_OUT.__contains__),
    ],
)
def test_a_check_is_left_out_only_where_it_cannot_pass(estimator, check):
    with pytest.raises(Exception):  # noqa: B017 -- each fails or skips in its own way
        check(estimator)


def test_the_docs_list_the_checks_that_are_left_out():
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("| `check_")]
    found = dict(line.strip("| ").split(" | ") for line in lines)
    assert found == {f"`{name}`": reason for name, reason in LEFT_OUT.items()}


# -- what a user hands them

SEQUENCES = [
    f"M{a}{b}{tail}" for a, b in itertools.product("AGLV", "DEKR") for tail in ("CWCW", "SPSP")
]
LABELS = [1 if "CW" in sequence else 0 for sequence in SEQUENCES]
LENGTHS = [float(sequence.count("W") + sequence.count("K")) for sequence in SEQUENCES]


@pytest.fixture(scope="module")
def fitted():
    return quick(SequenceClassifier).fit(SEQUENCES, LABELS)


def test_a_motif_is_learned():
    model = quick(SequenceClassifier, recipe=LEARNING | {"epochs": 8, "batch_size": 8})
    model.fit(SEQUENCES, np.where(LABELS, "yes", "no"))
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.predict(["MAACWCW", "MAASPSP"]).tolist() == ["yes", "no"]
    assert model.score(SEQUENCES, np.where(LABELS, "yes", "no")) == 1.0
    assert 0 < model.threshold_ < 1
    assert len(model.history_) <= 8


@pytest.mark.parametrize(
    "form",
    [
        tuple,
        np.array,
        lambda s: np.array(s, dtype=object),
        lambda s: np.array(s)[:, None],
        lambda s: np.array(s, dtype=np.dtypes.StringDType()),
        lambda s: [[one] for one in s],
        pd.Series,
        lambda s: pd.Series(s, index=range(100, 100 + len(s))),
        pl.Series,
    ],
)
def test_every_form_of_x_gives_the_same_answers(fitted, form):
    assert (fitted.predict_proba(form(SEQUENCES)) == fitted.predict_proba(SEQUENCES)).all()


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_frame_of_one_column_is_read_and_its_name_remembered(fitted, frame):
    model = quick(SequenceClassifier).fit(frame({"protein": SEQUENCES}), LABELS)
    assert model.feature_names_in_.tolist() == ["protein"]
    found = model.predict_proba(frame({"protein": SEQUENCES}))
    assert (found == fitted.predict_proba(SEQUENCES)).all()
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame({"organism": SEQUENCES}))


@pytest.mark.parametrize(
    ("X", "words"),
    [
        ("MKT", "X: saw one text"),
        ([], r"X: saw no sequence \(0 samples\)"),
        (["MKT", ""], r"X\[1\]: saw 0 residues"),
        (["MKT", None], r"X\[1\]: saw no sequence"),
        (["MKT", float("nan")], r"X\[1\]: saw no sequence"),
        (["MKT", pd.NA], r"X\[1\]: saw no sequence"),
        (["MKT", b"MKT"], r"X\[1\]: saw b'MKT' \(bytes\)"),
        ([1.5, 2.5], r"X\[0\]: saw 1.5 \(float\)"),
        ([1j], r"X\[0\]: saw 1j \(complex\)"),
        (["MKT", "MK1"], r"X\[1\]: saw the letter '1' at position 3"),
        (["MKT", "mkt"], r"X\[1\]: saw the letter 'm' at position 1 and 2 more.*unknown='map'"),
        (np.array([["MKT", "MKT"]]), "X: saw 2 columns"),
        (np.array("MKT"), "X: saw ndarray of 0 dimensions"),
        (scipy.sparse.csr_array(np.eye(2)), "X: saw sparse numbers"),
    ],
)
def test_what_is_no_sequence_is_refused_in_fit_and_in_predict(fitted, X, words):
    with pytest.raises(InputError, match=words):
        fitted.predict(X)
    with pytest.raises(InputError, match=words):
        quick(SequenceRegressor).fit(X, [0.5, 1.5])


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (LABELS[:-1], "X and y: saw 32 sequences and 31 labels"),
        ([1] * 32, r"y: saw one class only \(1\) in 32 samples"),
        ([None, *LABELS[1:]], r"y\[0\]: saw None or NaN"),
        ([*map(str, LABELS[1:]), np.nan], r"y\[31\]: saw None or NaN"),
        (pd.Series(["a"] * 31 + [None]), r"y\[31\]: saw None or NaN"),
        ([np.nan, *LABELS[1:]], r"y\[0\]: saw None or NaN"),
        ([np.inf, *LABELS[1:]], r"y\[0\]: saw infinity"),
        (np.linspace(0, 1, 32), "y: saw Unknown label type: continuous.*SequenceRegressor"),
        (np.ones(32) * 1j, "Complex data not supported"),
        (None, "requires y to be passed"),
        ([[1, 2]] * 32, "Unknown label type: columns of 1, 2"),
        ([[1, 2], [0, 1]] * 16, "Unknown label type: multiclass-multioutput"),
        ([[1], [1, 2]] * 16, "y: saw"),
        ([["a", "b"]] * 32, "Unknown label type"),
    ],
)
def test_labels_that_are_no_classes_are_refused(y, words):
    with pytest.raises(InputError, match=words):
        quick(SequenceClassifier).fit(SEQUENCES, y)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (LENGTHS[:-1], "X and y: saw 32 sequences and 31 labels"),
        ([2.5] * 32, r"y: saw one value only \(2.5\) in 32 samples"),
        ([np.nan, *LENGTHS[1:]], r"y\[0\]: saw None or NaN"),
        ([*LENGTHS[1:], np.inf], r"y\[31\]: saw infinity"),
        ([None, *LENGTHS[1:]], r"y\[0\]: saw None or NaN"),
        (["high"] * 32, "y: saw could not convert.*SequenceClassifier"),
        (np.ones((32, 2)), "y: saw 2 columns"),
    ],
)
def test_values_that_are_no_numbers_are_refused(y, words):
    with pytest.raises(InputError, match=words):
        quick(SequenceRegressor).fit(SEQUENCES, y)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"split": "column:Partition"}, "split: saw 'column:Partition'"),
        ({"validation_fraction": 1.0}, "validation_fraction: saw 1.0"),
        ({"seeds": 0}, "seeds: saw 0"),
        ({"seeds": 1.5}, "seeds: saw 1.5"),
        ({"method": "frozen"}, "frozen with new:cnn"),
        ({"model": "new:cn"}, "new:cnn"),
        ({"unknown": "drop"}, "unknown: saw 'drop'"),
        ({"long": "cut"}, "long: saw 'cut'"),
        ({"recipe": {"rate": 1}}, "the key 'rate'"),
        ({"recipe": 3}, "recipe: saw 3"),
        ({"epochs": 2}, "epochs: saw a value of its own and one in recipe"),
        ({"validation_fraction": 0.03}, "inner validation set.*validation_fraction=0"),
    ],
)
def test_parameters_that_cannot_be_used_are_refused_by_fit(changes, words):
    with pytest.raises(InputError, match=words):
        quick(SequenceClassifier, **changes).fit(SEQUENCES, LABELS)


def test_nothing_can_be_predicted_before_fit():
    with pytest.raises(NotFittedError):
        SequenceClassifier().predict(SEQUENCES)


def test_a_column_vector_of_labels_is_taken_with_a_warning(fitted):
    with pytest.warns(DataConversionWarning, match="column-vector"):
        model = quick(SequenceClassifier).fit(SEQUENCES, np.array(LABELS)[:, None])
    assert (model.predict_proba(SEQUENCES) == fitted.predict_proba(SEQUENCES)).all()


def test_three_classes_have_probabilities_that_add_up_to_one():
    y = [sequence[2] if sequence[2] in "DE" else "other" for sequence in SEQUENCES]
    model = quick(SequenceClassifier).fit(SEQUENCES, pd.Series(y))
    found = model.predict_proba(SEQUENCES)
    assert model.classes_.tolist() == ["D", "E", "other"]
    assert found.shape == (32, 3)
    assert found.sum(1) == pytest.approx(np.ones(32), abs=1e-12)
    assert (model.predict(SEQUENCES) == model.classes_[found.argmax(1)]).all()
    assert model.threshold_ is None


def test_a_class_of_one_row_is_trained_on():
    y = np.array(LABELS)
    y[5] = 2
    for seed in range(4):
        model = quick(SequenceClassifier, random_state=seed).fit(SEQUENCES, y)
        assert 5 not in model.validation_rows_
        assert model.predict_proba(SEQUENCES).shape == (32, 3)


def test_several_labels_at_once_come_as_a_matrix():
    y = np.array(
        [[label, "K" in s, s[1] == "A"] for label, s in zip(LABELS, SEQUENCES, strict=True)], int
    )
    model = quick(SequenceClassifier).fit(SEQUENCES, y)
    found = model.predict_proba(SEQUENCES)
    assert found.shape == (32, 3)
    assert (model.predict(SEQUENCES) == (found > 0.5)).all()
    assert len(model.threshold_) == 3
    sparse = quick(SequenceClassifier).fit(SEQUENCES, scipy.sparse.csr_array(y))
    assert (sparse.predict_proba(SEQUENCES) == found).all()


def test_the_same_random_state_gives_the_same_model_and_another_another(fitted):
    again = clone(fitted).fit(SEQUENCES, LABELS).predict_proba(SEQUENCES)
    other = clone(fitted).set_params(random_state=1).fit(SEQUENCES, LABELS)
    assert (again == fitted.predict_proba(SEQUENCES)).all()
    assert (other.predict_proba(SEQUENCES) != again).any()


def test_without_random_state_the_seed_comes_from_numpys_global_generator():
    before = np.random.get_state()
    try:
        models = []
        for seed in (3, 3, 4):
            np.random.seed(seed)
            models.append(quick(SequenceRegressor, random_state=None).fit(SEQUENCES, LENGTHS))
    finally:
        np.random.set_state(before)
    first, same, other = (model.predict(SEQUENCES) for model in models)
    assert (first == same).all()
    assert (first != other).any()


def test_fit_leaves_no_file_and_torchs_generator_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = torch.get_rng_state()
    quick(SequenceClassifier).fit(SEQUENCES, LABELS)
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(torch.get_rng_state(), before)


def test_answers_do_not_depend_on_company_or_order(fitted):
    together = fitted.predict_proba(SEQUENCES)
    alone = np.concatenate([fitted.predict_proba([sequence]) for sequence in SEQUENCES])
    backwards = fitted.predict_proba(SEQUENCES[::-1])[::-1]
    assert np.abs(alone - together).max() <= 1e-5 * together.max()
    assert np.abs(backwards - together).max() <= 1e-5 * together.max()


def test_several_seeds_are_averaged(fitted):
    both = clone(fitted).set_params(seeds=2).fit(SEQUENCES, LABELS)
    # The second network differs in its seed alone; the inner split is that of the first.
    assert len(both.fitted_.networks) == 2
    alone = fitted.predict_proba(SEQUENCES)[:, 1]
    one = clone(fitted).fit(SEQUENCES, LABELS)
    one.fitted_ = one.fitted_._replace(networks=both.fitted_.networks[1:])
    second = one.predict_proba(SEQUENCES)[:, 1]
    assert both.predict_proba(SEQUENCES)[:, 1] == pytest.approx((alone + second) / 2, abs=1e-7)


def test_without_a_validation_set_every_row_trains_for_every_epoch():
    model = quick(SequenceClassifier, validation_fraction=0, recipe=QUICK | {"epochs": 3})
    model.fit(SEQUENCES[:12], LABELS[:12])
    assert len(model.validation_rows_) == 0
    assert [entry["best"] for entry in model.history_] == [False, False, True]
    assert model.threshold_ == 0.5


def test_the_inner_split_by_cluster_keeps_near_copies_together():
    generator = np.random.default_rng(0)
    families = ["".join(generator.choice(list(AMINO_ACIDS), 120)) for _ in range(16)]
    copies = [seq for family in families for seq in (family, family[:-2] + "WW")]
    model = quick(SequenceClassifier, split="cluster", validation_fraction=0.25)
    model.fit(copies, [0, 0, 1, 1] * 8)
    rows = model.validation_rows_
    assert 0 < len(rows) < 32
    assert set(rows) == {row ^ 1 for row in rows}  # rows 2k and 2k + 1 are kin


def test_letters_are_mapped_only_when_asked_and_counted_once():
    model = quick(SequenceClassifier, unknown="map")
    with pytest.warns(UserWarning, match=r"3 letters mapped in 1 rows \(m 1, k 1, J 1\)"):
        model.fit([*SEQUENCES[:-1], "mkJ"], LABELS)
    with pytest.warns(UserWarning, match="1 letters mapped in 1 rows"):
        assert model.predict(["MKJ"]) == model.predict(["MKX"])
    with pytest.raises(InputError, match=r"X\[0\]: saw 0 residues"):
        model.predict(["*"])


def test_a_crop_that_nobody_asked_for_is_announced_and_one_that_was_is_not(fitted):
    long = "M" + "A" * 300
    with pytest.warns(UserWarning, match="of 1 sequences longer than 256 residues the first 160"):
        fitted.predict([*SEQUENCES, long])
    asked = clone(fitted).set_params(long="crop:160+96").fit([*SEQUENCES, long], [*LABELS, 0])
    assert asked.predict([long]).shape == (1,)


@pytest.mark.parametrize("kind", [SequenceClassifier, SequenceRegressor])
def test_a_fitted_estimator_comes_back_from_a_file_with_the_same_answers(kind, tmp_path):
    model = quick(kind).fit(SEQUENCES, LENGTHS if kind is SequenceRegressor else LABELS)
    joblib.dump(model, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib")
    assert (again.predict(SEQUENCES) == model.predict(SEQUENCES)).all()
    assert again.get_params() == model.get_params()
    assert again.history_ == model.history_


def test_a_frozen_published_model_is_fitted_and_pickled_whole():
    directory = shared("reference/fixtures/esm2-hf-tiny")
    model = quick(SequenceClassifier, model=str(directory), method="frozen")
    model.fit(SEQUENCES, LABELS)
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict_proba(SEQUENCES) == model.predict_proba(SEQUENCES)).all()


def test_cross_validation_grid_search_and_pipelines_take_them():
    scores = cross_val_score(quick(SequenceClassifier), SEQUENCES, LABELS, cv=2, scoring="roc_auc")
    assert scores.shape == (2,)
    assert ((scores >= 0) & (scores <= 1)).all()
    grid = GridSearchCV(
        quick(SequenceRegressor), {"recipe": [QUICK, QUICK | {"head_hidden": 4}]}, cv=2
    )
    grid.fit(np.array(SEQUENCES), LENGTHS)
    assert grid.best_params_["recipe"] in (QUICK, QUICK | {"head_hidden": 4})
    frame = pd.DataFrame({"protein": SEQUENCES, "organism": "yeast"})
    pipeline = make_pipeline(
        make_column_transformer(("passthrough", ["protein"])), quick(SequenceClassifier)
    )
    assert pipeline.fit(frame, LABELS).predict(frame).shape == (32,)
