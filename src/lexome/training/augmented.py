"""Augmented regression: ridge on which residue stands where, helped by any zero-shot score.

Source: Hsu, Nisonoff, Fannjiang, Listgarten 2022, Nature Biotechnology 40:1114, "Learning protein
fitness models from evolutionary and assay-labeled data". As there, the score is one more column,
nearly without a penalty, beside the one-hot residues under a common one, which cross-validation
within the training rows chooses by Spearman.
"""

# Letters: N rows, F features (position, residue), P unpenalised columns, A penalties, M rows asked.
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.stats import spearmanr

from lexome.errors import InputError
from lexome.seeds import numpy_generator
from lexome.sequence.mutations import AMINO_ACIDS, Mutant

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)  # the grid of the published code
SCORE_PENALTY = 1e-8  # of the score's weight, times the common penalty: there likewise
NUM_FOLDS = 5
Feature = tuple[int, str]  # position from 1, residue


class OneHot(NamedTuple):
    """Mutants as sparse rows: +1 for the residue that stands there now, -1 for the one before.

    That is the one-hot coding of whole sequences less that of the wild type, so with a free
    intercept ridge gives the same predictions as on whole sequences, whatever their length.
    """

    features: list[Feature]
    rows_NF: scipy.sparse.csr_matrix
    reference: dict[int, str]  # position -> residue of the wild type


class Augmented(NamedTuple):
    """A fitted regression; plain numbers."""

    features: list[Feature]
    weights_F: Floats
    intercept: float
    reference: dict[int, str]
    penalty: float
    score_weight: float = 0.0  # of the standardised score
    score_mean: float = 0.0
    score_scale: float = 1.0
    uses_score: bool = False


def find_obstacle(mutant: Mutant) -> str:
    """Why a mutant has no one-hot coding, in words; empty: it has one."""
    for edit in mutant.edits:
        if not edit.is_substitution:
            return f"{edit}: only substitutions have a place of their own"
        if edit.ref not in AMINO_ACIDS or edit.alt not in AMINO_ACIDS:
            return f"{edit}: none of the 20 amino acids"
    return ""


def code_mutants(mutants: Sequence[Mutant], where: str = "mutants") -> OneHot:
    """The one-hot coding of mutants that keep the length (`find_obstacle`).

    Raises:
        InputError: two mutants that disagree about the wild type.
    """
    reference: dict[int, str] = {}
    for mutant in mutants:
        for edit in mutant.edits:
            known = reference.setdefault(edit.position, edit.ref)
            if known != edit.ref:
                raise InputError(
                    where,
                    f"{known} and {edit.ref} as the wild type's residue {edit.position}",
                    "the mutants of one wild type",
                    "a table a protein",
                )
    seen = {(e.position, letter) for m in mutants for e in m.edits for letter in (e.ref, e.alt)}
    features = sorted(seen)
    return OneHot(features, _rows(mutants, features), reference)


def _rows(mutants: Sequence[Mutant], features: Sequence[Feature]) -> scipy.sparse.csr_matrix:
    """(N, F); residues at places that are no feature count nothing."""
    column_of = {feature: i for i, feature in enumerate(features)}
    at, column, value = [], [], []
    for i, mutant in enumerate(mutants):
        for edit in mutant.edits:
            for letter, sign in ((edit.alt, 1.0), (edit.ref, -1.0)):
                if (edit.position, letter) in column_of:
                    at.append(i)
                    column.append(column_of[edit.position, letter])
                    value.append(sign)
    shape = (len(mutants), len(features))
    found = scipy.sparse.csr_matrix((value, (at, column)), shape=shape, dtype=np.float64)
    found.sum_duplicates()
    return found


class Kernel(NamedTuple):
    """Products of rows with each other, decomposed once for every penalty."""

    values_N: Floats
    vectors_NN: Floats


def decompose(gram_NN: Floats) -> Kernel:
    """The eigenvalues and eigenvectors of the products of the training rows."""
    values_N, vectors_NN = np.linalg.eigh(gram_NN)
    return Kernel(np.maximum(values_N, 0.0), vectors_NN)


class Solution(NamedTuple):
    """Ridge in its dual form: a row's prediction is `free @ free_P + gram @ dual_N`."""

    free_P: Floats  # intercept, and the weight of the standardised score
    dual_N: Floats


def solve(kernel: Kernel, free_NP: Floats, label_N: Floats, penalty: float) -> Solution:
    """Minimise |y - Z b - X w|^2 + penalty x (|w|^2 + SCORE_PENALTY x b_score^2).

    Z are the intercept (no penalty) and the score's column, X the one-hot rows, of which only the
    products are needed: w = X' dual.
    """
    turned_NP, turned_N = kernel.vectors_NN.T @ free_NP, kernel.vectors_NN.T @ label_N
    shrink_N = 1 / (kernel.values_N + penalty)
    # In the dual form all is scaled by the penalty, so the score's own part is SCORE_PENALTY alone.
    own_P = np.full(free_NP.shape[1], SCORE_PENALTY)
    own_P[0] = 0.0
    left_PP = turned_NP.T @ (shrink_N[:, None] * turned_NP) + np.diag(own_P)
    right_P = turned_NP.T @ (shrink_N * turned_N)
    free_P = np.linalg.solve(left_PP, right_P)
    dual_N = kernel.vectors_NN @ (shrink_N * (turned_N - turned_NP @ free_P))
    return Solution(np.asarray(free_P, np.float64), np.asarray(dual_N, np.float64))


def standardise(score_N: Floats) -> tuple[float, float]:
    """Mean and scale of the training rows' scores; a constant score keeps scale 1."""
    scale = float(score_N.std())
    return float(score_N.mean()), scale if scale > 0 else 1.0


def free_columns(num: int, score_N: Floats | None, mean: float, scale: float) -> Floats:
    """(N, P): ones, and the standardised score where there is one."""
    ones = np.ones((num, 1))
    if score_N is None:
        return ones
    return np.concatenate([ones, ((score_N - mean) / scale)[:, None]], axis=1)


def choose_penalty(
    gram_NN: Floats, label_N: Floats, score_N: Floats | None, seed: int | str = 0
) -> float:
    """The penalty of the best mean Spearman over five folds of these rows; of equals the larger.

    A fold in which Spearman is undefined counts 0. Fewer rows than ten get a fold for every two.
    """
    num = len(label_N)
    order = numpy_generator("augmented folds", seed, num).permutation(num)
    folds = np.array_split(order, max(2, min(NUM_FOLDS, num // 2)))
    totals = np.zeros(len(PENALTIES))
    for fold in folds:
        rest = np.setdiff1d(np.arange(num), fold)
        mean, scale = standardise(score_N[rest]) if score_N is not None else (0.0, 1.0)
        free_NP = free_columns(num, score_N, mean, scale)
        kernel = decompose(gram_NN[np.ix_(rest, rest)])
        for i, penalty in enumerate(PENALTIES):
            found = solve(kernel, free_NP[rest], label_N[rest], penalty)
            said = free_NP[fold] @ found.free_P + gram_NN[np.ix_(fold, rest)] @ found.dual_N
            totals[i] += rank_correlation(label_N[fold], said)
    best = np.flatnonzero(totals >= totals.max() - 1e-12)
    return PENALTIES[int(best[-1])]


def rank_correlation(truth_N: Floats, said_N: Floats) -> float:
    """Spearman; 0 where one side is constant."""
    if len(truth_N) < 2 or np.ptp(truth_N) == 0 or np.ptp(said_N) <= 1e-12 * np.abs(said_N).max():
        return 0.0
    return float(spearmanr(truth_N, said_N)[0])


def fit_augmented(
    mutants: Sequence[Mutant],
    labels: Sequence[float] | Floats,
    scores: Sequence[float] | Floats | None = None,
    seed: int = 0,
    where: str = "mutants",
) -> Augmented:
    """Fit labels by one-hot residues and, where scores are given, by the score.

    Args:
        mutants: of one wild type, substitutions only (`find_obstacle`).
        labels: one finite number each, higher is fitter.
        scores: of any zero-shot rule, finite.
        seed: of the folds within which the penalty is chosen.

    Raises:
        InputError: fewer than four rows, or numbers that are not finite.
    """
    label_N = _finite(labels, len(mutants), f"{where}: labels")
    score_N = None if scores is None else _finite(scores, len(mutants), f"{where}: scores")
    if len(mutants) < 4:
        raise InputError(where, f"{len(mutants)} labelled rows", "at least four", "more labels")
    coded = code_mutants(mutants, where)
    gram_NN = (coded.rows_NF @ coded.rows_NF.T).toarray()
    penalty = choose_penalty(gram_NN, label_N, score_N, seed)
    mean, scale = standardise(score_N) if score_N is not None else (0.0, 1.0)
    free_NP = free_columns(len(label_N), score_N, mean, scale)
    found = solve(decompose(gram_NN), free_NP, label_N, penalty)
    return Augmented(
        coded.features,
        np.asarray(coded.rows_NF.T @ found.dual_N),
        float(found.free_P[0]),
        coded.reference,
        penalty,
        float(found.free_P[1]) if score_N is not None else 0.0,
        mean,
        scale,
        score_N is not None,
    )


def predict_augmented(
    model: Augmented,
    mutants: Sequence[Mutant],
    scores: Sequence[float | None] | None = None,
) -> list[float | str]:
    """The predicted label of each mutant, or why there is none, in words.

    A residue that no training row had adds nothing: there the score speaks alone.
    """
    given: Sequence[float | None] = [None] * len(mutants) if scores is None else scores
    answers: list[float | str] = []
    weight_of: Mapping[Feature, float] = dict(zip(model.features, model.weights_F, strict=True))
    for mutant, score in zip(mutants, given, strict=True):
        answers.append(_predict(model, weight_of, mutant, score))
    return answers


def _predict(
    model: Augmented, weight_of: Mapping[Feature, float], mutant: Mutant, score: float | None
) -> float | str:
    if obstacle := find_obstacle(mutant):
        return obstacle
    for edit in mutant.edits:
        known = model.reference.get(edit.position, edit.ref)
        if known != edit.ref:
            return f"the wild type has {known} at {edit.position}, not {edit.ref}"
    if model.uses_score and (score is None or not np.isfinite(score)):
        return "no score, which the model asks for"
    total = model.intercept
    for edit in mutant.edits:
        total += weight_of.get((edit.position, edit.alt), 0.0)
        total -= weight_of.get((edit.position, edit.ref), 0.0)
    if model.uses_score and score is not None:
        total += model.score_weight * (score - model.score_mean) / model.score_scale
    return float(total)


def _finite(values: Sequence[float] | Floats, num: int, where: str) -> Floats:
    found = np.asarray(values, np.float64)
    if found.shape != (num,) or not np.isfinite(found).all():
        raise InputError(
            where,
            f"{found.size} values, {int((~np.isfinite(found)).sum())} of them not finite",
            f"{num} finite numbers",
            "leaving out the rows without one",
        )
    return found
