"""The baseline where residues are answered: what the letters around a residue alone can tell."""

# Letters: T residues of all sequences end to end, W places of a window, A letters and two more
#          (others, and outside of the sequence), K classes.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge

from lexome.training.baselines.linear import Floats, fit_linear, read_linear
from lexome.training.fitted import Threshold
from lexome.training.residue_labels import IGNORED
from lexome.training.target import Target

Ints = NDArray[np.int64]
REACH = 7  # letters to either side
MOST_RESIDUES = 100_000  # to fit to, evenly spaced over those of training
NAME = f"letters around (±{REACH}) + logistic regression"


class ResidueBaseline(NamedTuple):
    """A logistic regression of the letters around each residue, saved as JSON."""

    task: str
    letters: str  # those of training; others are one more
    weights_WAK: Floats
    intercept_K: Floats
    threshold: Threshold = None


def fit_residue_baseline(sequences: Sequence[str], target: Target, train: Ints) -> ResidueBaseline:
    """Fit the baseline to the residues of the rows `train` that are not ignored.

    Features: which letter stands at each of the places from 7 before to 7 behind, or that the
    sequence does not reach there. Logistic regression (multinomial for more than two classes) with
    C = 1 and no class weights, on at most 100,000 residues.
    """
    assert target.residues is not None
    texts = [sequences[i] for i in train]
    letters = "".join(sorted(set().union(*texts)))
    truth_T = target.values[target.residues.places(train)]
    known = np.flatnonzero(truth_T != IGNORED)
    known = known[:: -(-len(known) // MOST_RESIDUES)]
    codes_TW, num = _around(texts, letters)[known], len(letters) + 2
    columns = codes_TW + np.arange(codes_TW.shape[1]) * num
    ones, ends = np.ones(columns.size), np.arange(0, columns.size + 1, columns.shape[1])
    shape = (len(columns), columns.shape[1] * num)
    features = scipy.sparse.csr_matrix((ones, columns.ravel(), ends), shape=shape)
    weights_KF, intercept_K = fit_linear(
        features,
        truth_T[known],
        target,
        lambda: LogisticRegression(C=1.0, max_iter=2000),
        lambda: Ridge(alpha=1.0),
    )
    weights_WAK = weights_KF.T.reshape(codes_TW.shape[1], num, len(intercept_K))
    return ResidueBaseline(target.task, letters, weights_WAK, intercept_K)


def predict_residue_baseline(baseline: ResidueBaseline, sequences: Sequence[str]) -> Floats:
    """Probabilities of all residues, (T,) or (T, K)."""
    codes_TW = _around(sequences, baseline.letters)
    outputs_TK = np.tile(baseline.intercept_K, (len(codes_TW), 1))
    for place, weights_AK in enumerate(baseline.weights_WAK):
        outputs_TK += weights_AK[codes_TW[:, place]]
    return read_linear(baseline.task, outputs_TK)


def _around(sequences: Sequence[str], letters: str) -> NDArray[np.int32]:
    """The number of the letter at each place around every residue, (T, W)."""
    other, outside = len(letters), len(letters) + 1
    table = np.full(256, other, np.int32)
    table[np.frombuffer(letters.encode("latin-1"), np.uint8)] = np.arange(len(letters))
    found = []
    for sequence in sequences:
        raw = np.frombuffer(sequence.encode("latin-1", errors="replace"), np.uint8)
        padded = np.pad(table[raw], REACH, constant_values=outside)
        found.append(np.lib.stride_tricks.sliding_window_view(padded, 2 * REACH + 1))
    return np.concatenate(found)
