"""Pairs of windows by how far apart their embeddings lie."""

# Letters: D width.
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lexome.inference.embed import Recipe, pooled_vectors
from lexome.inference.model import Model
from lexome.inference.runner import Piece, run_batches
from lexome.scoring.pairs.pair import Pair
from lexome.scoring.pairs.views import Views, score_in_turns

FloatArray = NDArray[np.float64]


def _cosine(ref_D: FloatArray, alt_D: FloatArray) -> float:
    return float(ref_D @ alt_D / (np.linalg.norm(ref_D) * np.linalg.norm(alt_D)))


def _l1(ref_D: FloatArray, alt_D: FloatArray) -> float:
    return -float(np.abs(ref_D - alt_D).sum())


def _l2(ref_D: FloatArray, alt_D: FloatArray) -> float:
    return -float(np.linalg.norm(ref_D - alt_D))


def _dot(ref_D: FloatArray, alt_D: FloatArray) -> float:
    return float(ref_D @ alt_D)


# Higher: more alike. Of two equal windows 1, 0, 0 and the squared length.
LIKENESSES: dict[str, Callable[[FloatArray, FloatArray], float]] = {
    "cosine": _cosine,
    "l1": _l1,
    "l2": _l2,
    "dot": _dot,
}


def score_by_distance(
    model: Model, views: Views, pairs: Sequence[Pair], kind: str
) -> list[float | str]:
    """How alike the mean vectors of both windows are, after the final norm."""
    compare = LIKENESSES[kind]

    def pieces(seen: Sequence[Pair]) -> Iterator[Piece]:
        for one in seen:
            for text in (one.ref, one.alt):
                yield Piece(one.name, model.tokenizer.encode(text, "refuse", one.name))

    def compute(seen: Sequence[Pair]) -> Iterator[float]:
        vectors = run_batches(pieces(seen), pooled_vectors(model, Recipe()), model.device)
        for ref_D in vectors:
            yield compare(ref_D.astype(np.float64), next(vectors).astype(np.float64))

    return score_in_turns(model, pairs, views, compute)
