"""The sum over all paths of a sequence through a profile: forward, backward, and what they give."""

# Letters: B sequences of one length, L residues, M match states, A letters (20).
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from lexome.grammars.profile_hmm import BACKGROUND, DD, DM, II, IM, MD, MI, MM, ProfileHmm
from lexome.sequence.family_rows import GAP_CODE, Codes, Floats


@dataclass(frozen=True, kw_only=True)
class SearchMode:
    """How a profile is laid on a sequence, as HMMER 3 configures one (p7_ProfileConfig).

    `is_local`: a part of the model may do (HMMER's own search); else it is gone through from end
    to end. `is_multihit`: the model may be gone through several times.
    """

    is_local: bool = False
    is_multihit: bool = False


class Search(NamedTuple):
    """A profile made ready: odds against the background, arrows of the search model."""

    length: int
    match_MA: Floats  # odds
    arrows: Floats  # (M, 7) of nodes 1 to M; what leads nowhere is 0
    begin_M: Floats  # from B into each match state
    leave_M: Floats  # from each match or delete state to E
    through_MM: Floats  # [j, k]: from delete state j to delete state k, over those between
    to_join: float  # E -> J
    to_end: float  # E -> C


def prepare_search(profile: ProfileHmm, mode: SearchMode) -> Search:
    """The search model of a profile. Source: Eddy 2008, and HMMER 3.4's modelconfig.c."""
    length, t = profile.length, profile.transitions
    arrows = t[1:].copy()
    arrows[-1] = 0  # nothing leaves the last node but to the end
    through_MM = np.zeros((length, length))
    for j in range(length):
        through_MM[j, j:] = np.concatenate([[1.0], np.cumprod(arrows[j : length - 1, DD])])
    if mode.is_local:
        occupied = np.empty(length)
        occupied[0] = t[0, MM] + t[0, MI]
        for k in range(1, length):
            here = occupied[k - 1]
            occupied[k] = here * (t[k, MM] + t[k, MI]) + (1 - here) * t[k, DM]
        begin_M = occupied / (occupied * np.arange(length, 0, -1)).sum()
        leave_M = np.ones(length)
    else:
        into_delete = t[0, MD] * through_MM[0]  # B to D_k, over D_1
        begin_M = np.concatenate([[1 - t[0, MD]], (into_delete[:-1] * arrows[:-1, DM])])
        leave_M = np.zeros(length)
        leave_M[-1] = 1.0
    return Search(
        length,
        profile.match_MA / BACKGROUND,
        arrows,
        begin_M,
        leave_M,
        through_MM,
        0.5 if mode.is_multihit else 0.0,
        0.5 if mode.is_multihit else 1.0,
    )


def log_odds(search: Search, codes_BL: Codes, expected: int | None = None) -> Floats:
    """log P(sequence | search model) / P(sequence | null model), in nats (B,).

    Letters that are no amino acid (code 20) have odds of 1. The flanks expect `expected` residues,
    the sequence's own length where None; HMMER's bit score is this / log 2, before its correction
    for composition.
    """
    length = codes_BL.shape[1]
    loop, move = flank_odds(search, expected or length)
    return _forward(search, codes_BL, loop, move).log_total_B - null_length(length)


def null_length(length: int) -> float:
    """log of how likely the null model makes this length."""
    return length * math.log(length / (length + 1)) - math.log(length + 1)


def log_likelihood(search: Search, codes_BL: Codes) -> Floats:
    """log P(sequence | search model) in nats (B,)."""
    log_background = np.append(np.log(BACKGROUND), 0.0)
    letters_B: Floats = log_background[codes_BL].sum(axis=1)
    length = codes_BL.shape[1]
    return log_odds(search, codes_BL) + null_length(length) + letters_B


def flank_odds(search: Search, length: int) -> tuple[float, float]:
    """How likely a flank goes on, and ends: HMMER's p7_ReconfigLength."""
    move = (2 + 2 * search.to_join) / (length + 2 + 2 * search.to_join)
    return 1 - move, move


class _Forward(NamedTuple):
    log_total_B: Floats
    entering: list[Floats]  # of each residue, (B, M): what comes into the match states, / scale
    log_scales: list[Floats]  # of each residue (B,): log of what all was divided by up to there


def _odds(search: Search, codes_B: Codes) -> Floats:
    """Odds of one residue of each sequence in every match state (B, M)."""
    padded = np.concatenate([search.match_MA, np.ones((search.length, 1))], axis=1)
    return padded.T[codes_B]


def _forward(
    search: Search, codes_BL: Codes, loop: float, move: float, keep: bool = False
) -> _Forward:
    """All paths up to each residue. Divided by their sum at each, so that nothing underflows."""
    size, length = codes_BL.shape
    a, num = search.arrows, search.length
    match, insert, delete = (np.zeros((size, num)) for _ in range(3))
    front, join, back = np.ones(size), np.zeros(size), np.zeros(size)
    begin = front * move
    log_scale = np.zeros(size)
    entering, scales = [], []
    # From match into the deletes behind it; the last column has none behind it.
    into_delete = np.zeros((num, num))
    into_delete[:-1] = a[:-1, MD, None] * search.through_MM[1:]
    for i in range(length):
        coming = begin[:, None] * search.begin_M
        ahead = match * a[:, MM] + insert * a[:, IM] + delete * a[:, DM]
        coming[:, 1:] += ahead[:, :-1]
        insert = match * a[:, MI] + insert * a[:, II]
        match = coming * _odds(search, codes_BL[:, i])
        delete = match @ into_delete
        end = (match + delete) @ search.leave_M
        front = front * loop
        join = join * loop + end * search.to_join
        back = back * loop + end * search.to_end
        scale = match.sum(1) + insert.sum(1) + front + join + back
        if keep:
            entering.append(coming)
            scales.append(log_scale.copy())
        for values in (match, insert, delete):
            values /= scale[:, None]
        front, join, back = front / scale, join / scale, back / scale
        begin = (front + join) * move
        log_scale += np.log(scale)
    with np.errstate(divide="ignore"):
        return _Forward(np.log(back * move) + log_scale, entering, scales)


def substitution_log_odds(search: Search, codes_L: Codes) -> Floats:
    """log odds of every single substitution (L, A) less that of the sequence itself.

    Exact, by one forward and one backward pass: a residue is emitted by one state of every path, so
    exchanging it exchanges the odds in the sum over match states and leaves the rest.
    """
    codes_BL = codes_L[None]
    length, num = len(codes_L), search.length
    loop, move = flank_odds(search, length)
    forward = _forward(search, codes_BL, loop, move, keep=True)
    total = forward.log_total_B[0]
    a = search.arrows
    match, insert = np.zeros(num), np.zeros(num)  # what follows, given the state at residue i
    back, join, begin = move, 0.0, 0.0
    log_scale = 0.0
    made = np.empty((length, GAP_CODE))
    end = search.to_end * back + search.to_join * join
    delete = search.through_MM @ (search.leave_M * end)
    match = search.leave_M * end
    match[:-1] += a[:-1, MD] * delete[1:]
    for i in range(length - 1, -1, -1):
        odds_M = _odds(search, codes_BL[:, i])[0]
        # As shares of the whole: how much of it goes through each match state, odds left out.
        weight = math.exp(float(forward.log_scales[i][0]) + log_scale - total)
        path_M = forward.entering[i][0] * match * weight
        rest = max(1 - float(path_M @ odds_M), 0.0)
        made[i] = np.log(path_M @ search.match_MA + rest)
        ahead = np.append((odds_M * match)[1:], 0.0)  # into the next node's match, by residue i
        begin = float(search.begin_M @ (odds_M * match))
        back, join = back * loop, join * loop + begin * move
        end = search.to_end * back + search.to_join * join
        delete = search.through_MM @ (a[:, DM] * ahead + search.leave_M * end)
        new_match = a[:, MM] * ahead + a[:, MI] * insert + search.leave_M * end
        new_match[:-1] += a[:-1, MD] * delete[1:]
        insert = a[:, IM] * ahead + a[:, II] * insert
        match = new_match
        scale = max(float(match.max()), back, begin)
        match, insert, back, join = match / scale, insert / scale, back / scale, join / scale
        log_scale += math.log(scale)
    return made - made[np.arange(length), np.minimum(codes_L, GAP_CODE - 1)][:, None]


def log_odds_plain(
    profile: ProfileHmm, mode: SearchMode, codes: Sequence[int], expected: int | None = None
) -> float:
    """The slow twin of `log_odds`: one sequence, state by state, in logarithms."""
    length, num, t = len(codes), profile.length, profile.transitions
    pieces = 3 if mode.is_multihit else 2
    move = pieces / ((expected or length) + pieces)

    def log(x: float) -> float:
        return math.log(x) if x > 0 else -math.inf

    def add(*values: float) -> float:
        most = max(values)
        if most == -math.inf:
            return most
        return most + math.log(sum(math.exp(v - most) for v in values))

    occupied = [0.0, t[0, MM] + t[0, MI]]
    for k in range(2, num + 1):
        occupied.append(
            occupied[-1] * (t[k - 1, MM] + t[k - 1, MI]) + (1 - occupied[-1]) * t[k - 1, DM]
        )
    total = sum(occupied[k] * (num - k + 1) for k in range(1, num + 1))
    begin, way = [-math.inf], log(t[0, MD])
    for k in range(1, num + 1):
        if mode.is_local:
            begin.append(log(occupied[k] / total))
        elif k == 1:
            begin.append(log(1 - t[0, MD]))
        else:
            begin.append(way + log(t[k - 1, DM]))
            way += log(t[k - 1, DD])
    nothing = [-math.inf] * (num + 1)
    match, insert, delete = nothing[:], nothing[:], nothing[:]
    front, join, back = 0.0, -math.inf, -math.inf
    for code in codes:
        old_match, old_insert, old_delete = match, insert, delete
        start = add(front, join) + log(move)
        match, insert, delete = nothing[:], nothing[:], nothing[:]
        for k in range(1, num + 1):
            odds = (
                0.0 if code == GAP_CODE else log(profile.match_MA[k - 1, code] / BACKGROUND[code])
            )
            arriving = [start + begin[k]]
            if k > 1:
                arriving += [
                    old_match[k - 1] + log(t[k - 1, MM]),
                    old_insert[k - 1] + log(t[k - 1, IM]),
                    old_delete[k - 1] + log(t[k - 1, DM]),
                ]
                delete[k] = add(match[k - 1] + log(t[k - 1, MD]), delete[k - 1] + log(t[k - 1, DD]))
            match[k] = add(*arriving) + odds
            if k < num:
                insert[k] = add(old_match[k] + log(t[k, MI]), old_insert[k] + log(t[k, II]))
        leaving = range(1, num + 1) if mode.is_local else [num]
        end = add(*[x for k in leaving for x in (match[k], delete[k])])
        front += log(1 - move)
        join = add(join + log(1 - move), end + log(0.5)) if mode.is_multihit else -math.inf
        back = add(back + log(1 - move), end + log(0.5 if mode.is_multihit else 1.0))
    null = length * math.log(length / (length + 1)) - math.log(length + 1)
    return back + log(move) - null
