"""Profile hidden Markov models: match, insert and delete states along a family's columns."""

# Letters: M match states, A letters (20), R rows, C columns (= M here).
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.sequence.family_rows import GAP_CODE, Codes, Floats
from lexome.sequence.mutations import AMINO_ACIDS

# Amino acid frequencies of Swiss-Prot 50.8 as HMMER 3 has them (p7_AminoFrequencies), in
# the order of AMINO_ACIDS.
BACKGROUND: Floats = np.array(
    (
        *(0.0787945, 0.0151600, 0.0535222, 0.0668298, 0.0397062, 0.0695071, 0.0229198),
        *(0.0590092, 0.0594422, 0.0963728, 0.0237718, 0.0414386, 0.0482904, 0.0395639),
        *(0.0540978, 0.0683364, 0.0540687, 0.0673417, 0.0114135, 0.0304133),
    )
)
MM, MI, MD, IM, II, DM, DD = range(7)
# Dirichlet priors of transitions out of match, insert and delete, as HMMER 3's p7_prior.c has them.
MATCH_PRIOR, INSERT_PRIOR, DELETE_PRIOR = (
    (0.7939, 0.0278, 0.0135),
    (0.1551, 0.1331),
    (0.9002, 0.5630),
)
EMISSION_PRIOR = 10.0  # letters' worth of background that is added to each column


class ProfileHmm(NamedTuple):
    """Probabilities of the core model; node 0 is the begin state, node M leads to the end.

    Transitions of a node, in HMMER's order: match to match, insert, delete; insert to match,
    insert; delete to match, delete.
    """

    name: str
    match_MA: Floats
    insert_MA: Floats  # (M + 1, A), from node 0 on
    transitions: Floats  # (M + 1, 7)

    @property
    def length(self) -> int:
        """How many match states."""
        return len(self.match_MA)


def build_profile(
    name: str, codes_RC: Codes, insertions: NDArray[np.int64], weights_R: Floats
) -> ProfileHmm:
    """The mean posterior estimate from the rows of an alignment.

    `insertions` (R, C + 1) holds how many letters each row has inserted before the first column
    and behind each. Columns are match states. Counts are weighted by the rows' weights, which sum
    to the effective number of sequences (HMMER 3 lowers that number further, by entropy; this
    does not). Gaps before a row's first letter and behind its last one are missing data, as rows of
    local searches are fragments; so are insertions there and beside a deletion, for which Plan 7
    has no arrow. Priors: HMMER's Dirichlets for transitions, 10 letters of background for
    emissions; inserts emit the background. Source: Durbin et al. 1998, chapter 5; Eddy 2011.
    """
    columns = codes_RC.shape[1]
    match_MA = np.zeros((columns, GAP_CODE))
    for letter in range(GAP_CODE):
        match_MA[:, letter] = weights_R @ (codes_RC == letter)
    match_MA += EMISSION_PRIOR * BACKGROUND
    match_MA /= match_MA.sum(axis=1, keepdims=True)
    counts = count_transitions(codes_RC, insertions, weights_R)
    counts += np.array([*MATCH_PRIOR, *INSERT_PRIOR, *DELETE_PRIOR])
    transitions = _normalise(counts)
    transitions[0, DM], transitions[0, DD] = 1.0, 0.0  # node 0 has no delete state
    # The last match leads to the end: no column is left to be deleted.
    last = transitions[-1]
    last[MM], last[MI], last[MD] = last[MM] + last[MD], last[MI], 0.0
    last[DM], last[DD] = 1.0, 0.0
    insert_MA = np.repeat(BACKGROUND[None], columns + 1, axis=0)
    return ProfileHmm(name, match_MA, insert_MA / insert_MA.sum(axis=1, keepdims=True), transitions)


def count_transitions(codes_RC: Codes, insertions: NDArray[np.int64], weights_R: Floats) -> Floats:
    """Weighted counts (M + 1, 7) of the arrows that rows take between their ends."""
    is_letter = codes_RC != GAP_CODE
    columns = codes_RC.shape[1]
    counts = np.zeros((columns + 1, 7))
    first = is_letter.argmax(axis=1)
    last = columns - 1 - is_letter[:, ::-1].argmax(axis=1)
    place = np.arange(columns)
    inside = (place >= first[:, None]) & (place <= last[:, None])  # all of a row without letters
    inside &= is_letter.any(axis=1)[:, None]
    counts[0, MM] = weights_R @ (inside[:, 0] & is_letter[:, 0])
    counts[columns, MM] = weights_R @ (inside[:, -1] & is_letter[:, -1])
    both = inside[:, :-1] & inside[:, 1:]
    left, right = is_letter[:, :-1], is_letter[:, 1:]
    has_insert = insertions[:, 1:-1] > 0
    middle = counts[1:columns]
    middle[:, MM] = weights_R @ (both & left & right & ~has_insert)
    loops = both & left & right & has_insert
    middle[:, MI] = middle[:, IM] = weights_R @ loops
    middle[:, II] = weights_R @ (loops * (insertions[:, 1:-1] - 1))
    middle[:, MD] = weights_R @ (both & left & ~right)
    middle[:, DM] = weights_R @ (both & ~left & right)
    middle[:, DD] = weights_R @ (both & ~left & ~right)
    return counts


def count_insertions(rows: Sequence[str], columns: Sequence[int]) -> NDArray[np.int64]:
    """How many letters A3M rows have inserted before and behind each of these columns.

    A focus column that is not among `columns` counts as inserted too.

    >>> count_insertions(["aAC-bbD", "A-CD"], [0, 1, 2, 3]).tolist()
    [[1, 0, 0, 2, 0], [0, 0, 0, 0, 0]]
    """
    counts = np.zeros((len(rows), len(columns) + 1), np.int64)
    wanted = {column: i + 1 for i, column in enumerate(columns)}
    for r, row in enumerate(rows):
        letters = np.frombuffer(row.encode("ascii", "replace"), np.uint8)
        is_lower = (letters >= ord("a")) & (letters <= ord("z"))
        column = np.cumsum(~is_lower) - 1  # of the last capital or gap at or before each letter
        node_of = np.zeros(int(column.max(initial=-1)) + 2, np.int64)
        for i in range(1, len(node_of)):
            node_of[i] = wanted.get(i - 1, node_of[i - 1])
        node = node_of[column + 1]
        is_extra = is_lower.copy()
        if len(wanted) < len(node_of) - 1:
            unmodelled = np.array([c not in wanted for c in range(len(node_of) - 1)] or [False])
            is_extra |= ~is_lower & (letters != ord("-")) & unmodelled[np.maximum(column, 0)]
        counts[r] = np.bincount(node[is_extra], minlength=counts.shape[1])
    return counts


def sample(profile: ProfileHmm, num: int, generator: np.random.Generator) -> list[str]:
    """Sequences drawn from the core model, from its begin to its end, without flanks."""
    return [_sample_one(profile, generator) for _ in range(num)]


def _sample_one(profile: ProfileHmm, generator: np.random.Generator) -> str:
    made: list[str] = []
    node, state = 0, "M"
    while True:
        arrows = profile.transitions[node]
        if state == "M":
            step = "MID"[generator.choice(3, p=arrows[[MM, MI, MD]])]
        elif state == "I":
            step = "MI"[generator.choice(2, p=arrows[[IM, II]])]
        else:
            step = "MD"[generator.choice(2, p=arrows[[DM, DD]])]
        if step != "I":
            node += 1
        if node > profile.length:
            return "".join(made)
        state = step
        if step != "D":
            letters = profile.match_MA[node - 1] if step == "M" else profile.insert_MA[node]
            made.append(AMINO_ACIDS[generator.choice(GAP_CODE, p=letters)])


def _normalise(counts: Floats) -> Floats:
    made = counts.copy()
    for group in ([MM, MI, MD], [IM, II], [DM, DD]):
        made[:, group] /= made[:, group].sum(axis=1, keepdims=True)
    return made
