"""The rows of a protein family as numbers: which are kept, and how much each of them counts."""

# Letters: R rows, C columns, B rows of a block.
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.sequence.focus import FocusAlignment
from lexome.sequence.mutations import AMINO_ACIDS

Codes = NDArray[np.int8]
Floats = NDArray[np.float64]
Identity = Literal["own-residues", "all-columns"]
IDENTITIES: tuple[str, ...] = get_args(Identity)
GAP_CODE = 20
BLOCK = 1024  # rows compared at a time: bounds memory
_CODE_OF = np.full(256, GAP_CODE, np.int8)
for _i, _letter in enumerate(AMINO_ACIDS):
    _CODE_OF[ord(_letter)] = _i


class FamilyRows(NamedTuple):
    """Rows that were kept, in the alignment's order, and what was left out."""

    codes_RC: Codes  # 0-19: AMINO_ACIDS; 20: a gap, or a letter that is none of them
    columns: tuple[int, ...]  # which of the focus columns these are
    kept: tuple[int, ...]  # which of the alignment's rows
    other_letters: int  # residues such as X that are read as gaps
    rows_dropped: int  # with too many gaps
    columns_dropped: int


def encode_rows(
    aligned: FocusAlignment, row_gaps: float = 0.5, column_gaps: float = 1.0
) -> FamilyRows:
    """The rows in numbers; rows, then columns, with more than these shares of gaps are left out.

    A row of the alignment must have residues in half of the focus columns (DeepSequence, EVE,
    EVcouplings' `minimum_sequence_coverage: 50`). Columns stay, as an A2M's capitals already say
    which to model (EVE as ProteinGym runs it); 0.3 is EVcouplings' `minimum_column_coverage: 70`.
    The query and its columns' numbering stay in any case.

    Raises:
        InputError: no row but the query is left, or no column.
    """
    text = "".join(row.translate(_NO_INSERTION) for row in aligned.rows).encode("ascii", "replace")
    letters_RC = np.frombuffer(text, np.uint8).reshape(len(aligned.rows), -1)
    codes_RC = _CODE_OF[letters_RC]
    other = int(((codes_RC == GAP_CODE) & (letters_RC != ord("-"))).sum())
    is_kept_R = (codes_RC == GAP_CODE).mean(axis=1) <= row_gaps
    is_kept_R[0] = True
    kept_R = np.flatnonzero(is_kept_R)
    if len(kept_R) < 2:
        raise InputError(
            aligned.focus.name,
            f"{len(aligned.rows):,} rows, none of which but the query has residues in "
            f"{1 - row_gaps:.0%} of the query's columns",
            "a family",
            "a deeper alignment",
        )
    codes_RC = codes_RC[kept_R]
    columns_C = np.flatnonzero((codes_RC == GAP_CODE).mean(axis=0) <= column_gaps)
    if not len(columns_C):
        raise InputError(
            aligned.focus.name,
            f"no column with at most {column_gaps:.0%} gaps",
            "columns in which rows have residues",
            "a larger share of gaps",
        )
    return FamilyRows(
        np.ascontiguousarray(codes_RC[:, columns_C]),
        tuple(columns_C.tolist()),
        tuple(kept_R.tolist()),
        other,
        len(aligned.rows) - len(kept_R),
        len(aligned.focus.offsets) - len(columns_C),
    )


_NO_INSERTION = str.maketrans("", "", "abcdefghijklmnopqrstuvwxyz.")


def row_weights(
    codes_RC: Codes, theta: float = 0.2, identity: Identity = "own-residues", block: int = BLOCK
) -> Floats:
    """1 / (how many rows, itself among them, are nearer than `theta` to it), for each row (R,).

    Their sum is the effective number of sequences. Identity is told as

    - own-residues: equal residues / the row's residues, more than 1 - theta (DeepSequence, EVE);
    - all-columns: equal letters / columns, gaps being letters, at least 1 - theta (EVcouplings).

    Source: Riesselman et al. 2018 (helper.py, gen_alignment); Hopf et al. 2017. Exact: counts are
    products of zeros and ones; memory is bounded by blocks of rows.

    >>> row_weights(np.array([[0, 1, 2], [0, 1, 2], [3, 3, 3]], np.int8)).tolist()
    [0.5, 0.5, 1.0]
    """
    check_identity(theta, identity)
    num_letters = GAP_CODE + (identity == "all-columns")
    neighbours_R = np.zeros(len(codes_RC))
    own_R = (codes_RC != GAP_CODE).sum(axis=1)
    starts = range(0, len(codes_RC), block)
    for a in starts:
        left = _one_hot(codes_RC[a : a + block], num_letters)
        for b in starts[a // block :]:
            right = left if a == b else _one_hot(codes_RC[b : b + block], num_letters)
            equal_BB = left @ right.T
            for rows, counts_BB in ((slice(a, a + block), equal_BB), (slice(b, b + block), None)):
                if counts_BB is None:
                    if a == b:
                        continue
                    counts_BB = equal_BB.T
                near_BB = _is_near(counts_BB, own_R[rows, None], codes_RC.shape[1], theta, identity)
                neighbours_R[rows] += near_BB.sum(axis=1)
    return 1 / np.maximum(neighbours_R, 1)  # a row without residues is not even near itself


def row_weights_plain(codes_RC: Codes, theta: float, identity: Identity) -> Floats:
    """The slow twin of `row_weights`: pair by pair."""
    weights = []
    for one in codes_RC:
        num = 0
        for other in codes_RC:
            equal = one == other
            if identity == "own-residues":
                equal = equal[one != GAP_CODE]
                num += bool(len(equal)) and equal.sum() / len(equal) > 1 - theta
            else:
                num += equal.sum() / len(equal) >= 1 - theta
        weights.append(1 / max(num, 1))
    return np.array(weights)


def check_identity(theta: float, identity: str) -> None:
    """Refuse a distance or a definition of identity that there is not.

    Raises:
        InputError: as said.
    """
    if not 0 <= theta < 1:
        raise InputError("theta", str(theta), "from 0 up to, not including, 1", "0.2")
    if identity not in IDENTITIES:
        raise InputError("identity", repr(identity), " or ".join(IDENTITIES), IDENTITIES[0])


def _is_near(
    equal_BB: NDArray[np.float32],
    own_B1: NDArray[np.int64],
    columns: int,
    theta: float,
    identity: Identity,
) -> NDArray[np.bool_]:
    counts_BB = equal_BB.astype(np.float64)
    if identity == "own-residues":
        near: NDArray[np.bool_] = counts_BB / np.maximum(own_B1, 1) > 1 - theta
        return near
    alike: NDArray[np.bool_] = counts_BB / columns >= 1 - theta
    return alike


def _one_hot(codes_BC: Codes, num_letters: int) -> NDArray[np.float32]:
    is_letter = codes_BC[:, :, None] == np.arange(num_letters, dtype=np.int8)
    made: NDArray[np.float32] = is_letter.reshape(len(codes_BC), -1).astype(np.float32)
    return made
