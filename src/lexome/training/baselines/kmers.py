"""The baseline of DNA and RNA: how often short words occur, tuned on the validation rows."""

# Letters: N rows, G features (k-mers of all lengths to k), K outputs.
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score

from lexome.sequence.kmer_counts import count_kmers
from lexome.sequence.pairs import Content, are_single, letters_of
from lexome.training.baselines.linear import Floats, fit_linear, read_linear
from lexome.training.fitted import Threshold
from lexome.training.target import Target

LONGEST = (4, 6)  # k
STRENGTHS = (0.0003, 0.003, 0.03, 0.3)  # C of the logistic regression; ridge's penalty is 1 / C


class KmerBaseline(NamedTuple):
    """A linear model of k-mer counts; plain numbers, so it is saved as JSON."""

    task: str
    k: int
    strength: float
    tried: list[dict[str, float]]  # k, strength and figure on validation
    scale_G: Floats
    weights_KG: Floats
    intercept_K: Floats
    threshold: Threshold = None
    symmetric: bool = False  # of pairs: whether their order plays no part


def kmer_baseline_name(task: str) -> str:
    """What the baseline is called in tables."""
    return f"k-mers + {'ridge' if task == 'regression' else 'logistic'} regression"


def fit_kmer_baseline(
    sequences: Sequence[Content],
    target: Target,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    symmetric: bool = False,
) -> KmerBaseline:
    """Fit to the rows `train`; k and the strength are those that are best on `validation`.

    Features: log(1 + count) of each k-mer of every length to k, divided by its deviation. The
    figure is average precision, its mean over classes or labels, or 1 - squared error / variance.
    Without validation rows the last strength but one and the longest k are taken. Of pairs it sees
    the features of both (their sum where `symmetric`), their difference and product.
    """
    tried: list[dict[str, float]] = []
    best: KmerBaseline | None = None
    highest = -np.inf
    asked = [(k, c) for k in LONGEST for c in STRENGTHS]
    if not len(validation):
        asked = [(LONGEST[-1], STRENGTHS[2])]
    for k in sorted({k for k, _ in asked}):
        ours, held = (
            _features([sequences[i] for i in rows], k, symmetric) if len(rows) else None
            for rows in (train, validation)
        )
        scale_G = _deviations(ours)
        for strength in [c for length, c in asked if length == k]:
            model = _fit(target, train, ours, scale_G, k, strength)
            figure = np.nan
            if held is not None:
                figure = _figure(target.task, target.values[validation], _answers(model, held))
            tried.append({"k": k, "strength": strength, "figure": float(figure)})
            if best is None or figure > highest:
                best, highest = model, figure
    assert best is not None
    return best._replace(tried=tried, symmetric=symmetric)


def predict_kmer_baseline(baseline: KmerBaseline, sequences: Sequence[Content]) -> Floats:
    """Probabilities (N,) or (N, K), or values (N,)."""
    return _answers(baseline, _features(sequences, baseline.k, baseline.symmetric))


def _features(sequences: Sequence[Content], k: int, symmetric: bool) -> Any:
    if not are_single(sequences):
        pairs = [letters_of(content) for content in sequences]
        one, other = (_features([pair[side] for pair in pairs], k, False) for side in range(2))
        whole = [one + other] if symmetric else [one, other]
        return sparse.hstack([*whole, abs(one - other), one.multiply(other)]).tocsr()
    counts = sparse.hstack([count_kmers(sequences, length) for length in range(1, k + 1)])
    return counts.tocsr().log1p()


def _deviations(features_NG: Any) -> Floats:
    mean_G = np.asarray(features_NG.mean(0))[0]
    square_G = np.asarray(features_NG.multiply(features_NG).mean(0))[0]
    scale_G: Floats = np.sqrt((square_G - mean_G**2).clip(0))
    return np.where(scale_G > 1e-9, scale_G, 1.0)


def _fit(
    target: Target,
    rows: NDArray[np.int64],
    features_NG: Any,
    scale_G: Floats,
    k: int,
    strength: float,
) -> KmerBaseline:
    weights, intercept = fit_linear(
        features_NG @ sparse.diags(1 / scale_G),
        target.values[rows],
        target,
        lambda: LogisticRegression(C=strength, max_iter=2000),
        lambda: Ridge(alpha=1 / strength, solver="lsqr"),
    )
    return KmerBaseline(target.task, k, strength, [], scale_G, weights, intercept)


def _answers(baseline: KmerBaseline, features_NG: Any) -> Floats:
    weights_GK = (baseline.weights_KG / baseline.scale_G).T
    outputs_NK: Floats = np.asarray(features_NG @ weights_GK) + baseline.intercept_K
    return read_linear(baseline.task, outputs_NK)


def _figure(task: str, truth: NDArray[Any], found: Floats) -> float:
    if task == "regression":
        return float(1 - np.square(truth - found).mean() / max(truth.var(), 1e-12))
    if task == "binary":
        return float(average_precision_score(truth, found))
    if task == "multiclass":
        truth = np.eye(found.shape[1], dtype=np.int64)[truth]
    seen = [k for k in range(found.shape[1]) if 0 < truth[:, k].sum() < len(truth)]
    return float(np.mean([average_precision_score(truth[:, k], found[:, k]) for k in seen]))
