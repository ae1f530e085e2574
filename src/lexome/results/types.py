"""The named tuples that functions hand over: plain values, no behaviour."""

# Letters: S sequences, L residues, D width.
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


class Estimate(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class NearPair(NamedTuple):
    """Two rows that are (nearly) the same sequence, given by their row numbers (from 0)."""

    first: int
    second: int
    similarity: float  # 1.0: identical


class Embeddings(NamedTuple):
    """One vector a sequence, in input order, and how they were made."""

    ids: list[str]
    vectors: FloatArray  # (S, D)
    recipe: dict[str, object]
    lengths: list[int]  # residues of each whole sequence
    residues_used: list[int]  # fewer where it was cropped
    windows: list[int]  # in how many it went through; 1 is whole
    mapped: dict[str, int]  # letters that `unknown` replaced -> how often


class ResidueEmbeddings(NamedTuple):
    """One matrix (L, D) a sequence, in input order."""

    ids: list[str]
    matrices: list[FloatArray]
    recipe: dict[str, object]
    lengths: list[int]  # as in Embeddings
    residues_used: list[int]  # L
    windows: list[int]
    mapped: dict[str, int]


class GeneratedSequence(NamedTuple):
    """A sequence that a model made, and how likely it found it."""

    id: str
    sequence: str  # whole, the prompt's residues among it, in the usual direction
    ids: list[int]  # tokens after the prompt; one that ended it is the last
    prompt_ids: list[int]  # what stood in front of it, and the prompt
    log_likelihood: float  # natural, summed over `ids`, by the whole model at temperature 1
    token_log_likelihoods: list[float]  # the same of each
    stop_reason: str  # stop_token, max_new or context
    low_complexity: float  # share of it; see generation/low_complexity.py
    is_low_complexity: bool
    prompt: str  # residues of the prompt
    tag: str  # the condition that it was made under; empty: none
    number: int  # of the sample, from 1
    seed: int

    @property
    def mean_log_likelihood(self) -> float:
        """Of a token, in nats."""
        return self.log_likelihood / len(self.ids)


class Metrics(NamedTuple):
    """Metric values of one part: overall, and for each label where the task has several."""

    overall: dict[str, float]
    per_label: list[dict[str, float]]  # in label order; empty for binary tasks and regression


class Estimates(NamedTuple):
    """The same metrics, each with its 95 % interval."""

    overall: dict[str, Estimate]
    per_label: list[dict[str, Estimate]]


class Threshold(NamedTuple):
    """A decision threshold and the criterion's value that it reaches (NaN: could not be chosen)."""

    value: float
    score: float


class ReliabilityBin(NamedTuple):
    """Rows of similar predicted probability, and how many of them are in truth positive."""

    low: float
    high: float
    num_rows: int
    mean_probability: float
    observed: float


class LeakRow(NamedTuple):
    """Two rows of different parts that are (nearly) the same sequence."""

    part_a: str
    id_a: str
    part_b: str
    id_b: str
    similarity: float  # 1.0 and `exact`: identical letters
    exact: bool
    same_label: bool | None  # None where a label is not known


class PartOverlap(NamedTuple):
    """How many rows of `part_b` stand, exactly or nearly, in `part_a` too."""

    part_a: str
    part_b: str
    exact: int  # rows of part_b with an exact copy in part_a
    near: int  # rows of part_b with a near copy, but no exact one
    conflicts: int  # rows of part_b with a copy, exact or near, that has another label
    size_b: int


class Audit(NamedTuple):
    """What the parts of a split share."""

    overlaps: list[PartOverlap]  # one for each pair of parts, also where it found nothing
    pairs: list[LeakRow]
    similarity: float
    same_pairs: list[int] | None = None  # of pairs: rows of part_b with both copies in one row


class ColumnChoice(NamedTuple):
    """The column that plays a part, and whether it was guessed rather than asked for."""

    name: str
    is_guessed: bool


class DeepLocFiles(NamedTuple):
    """Where the tables of DeepLoc 2.0 were found, both in one layout."""

    train: Path
    hpa: Path | None  # the independent test set
    origin: str  # for the report: where they come from, and why not from a better place
    kind: str  # given, shared, download or simulated
