"""Beam search: the sequences of highest likelihood that a bounded look-around finds."""

# Letters: B beams, V vocabulary, D width.
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lexome.generation.engine import STOP, Finished, Request
from lexome.generation.sampler import Sampler
from lexome.inference.causal import prefill


def search_beams(
    network: Any, request: Request, sampler: Sampler, beams: int, length_penalty: float = 0.0
) -> list[Finished]:
    """The best sequences found, most likely first, at most as many as there are beams.

    In every step the beams' continuations are ranked by their summed log-likelihood under the
    whole model, of tokens that the settings allow. What ends is put aside; the search is over
    when nothing that still grows can pass the worst that was put aside, or at the length limit.

    Args:
        length_penalty: ended sequences are ranked by log-likelihood / tokens ** penalty; 0 (the
            default) is the likelihood itself, 1 the mean of a token.
    """
    with torch.inference_mode():
        return _search(network, request, sampler, beams, length_penalty)


def _search(
    network: Any, request: Request, sampler: Sampler, beams: int, length_penalty: float
) -> list[Finished]:
    seen, logits_1V = prefill(network, [request.prompt])
    capacity = len(request.prompt) + request.most_new
    rows = max(beams, 2)
    state = network.start(rows, capacity)
    for row in range(rows):
        state.put(row, seen)
    grown: list[tuple[list[int], list[float]]] = [([], [])]
    logits_BV, ended = logits_1V, list[Finished]()

    def rank(found: Finished) -> float:
        return sum(found.log_probs) / math.pow(len(found.ids), length_penalty)

    while grown:
        log_p_BV = logits_BV[: len(grown)].log_softmax(-1)
        allowed_BV = _allowed(logits_BV[: len(grown)], sampler, grown, request)
        candidates = []
        totals_BV = log_p_BV.double().masked_fill(~allowed_BV, float("-inf"))
        totals_BV += torch.tensor([[sum(log_probs)] for _, log_probs in grown])
        # Each beam may end in any of the stop tokens, so so many more are looked at.
        wanted = min(beams * (1 + len(sampler.stops)), totals_BV.numel())
        values, places = totals_BV.flatten().topk(wanted)
        width = totals_BV.shape[1]
        for value, place in zip(values.tolist(), places.tolist(), strict=True):
            if value == float("-inf"):
                break
            beam, token = divmod(place, width)
            ids, log_probs = grown[beam]
            log_prob = float(log_p_BV[beam, token])
            candidates.append((beam, [*ids, token], [*log_probs, log_prob]))
        kept: list[tuple[int, list[int], list[float]]] = []
        for place, (beam, ids, log_probs) in enumerate(candidates):
            if ids[-1] in sampler.stops:
                if place < beams:  # one that would not have been followed is no answer
                    ended.append(Finished(request, ids, log_probs, STOP))
            elif len(kept) < beams:
                kept.append((beam, ids, log_probs))
        ended = sorted(ended, key=rank, reverse=True)[:beams]
        if kept and len(kept[0][1]) >= request.most_new:
            ended += [Finished(request, ids, lp, request.reason) for _, ids, lp in kept]
            kept = []
        if len(ended) >= beams and kept and _cannot_pass(kept, ended, rank, length_penalty):
            kept = []
        if kept:
            chosen = [beam for beam, _, _ in kept]
            state = state.select(chosen + chosen[-1:] * (rows - len(chosen)))
            last = [ids[-1] for _, ids, _ in kept]
            tokens_B1 = torch.tensor(last + last[-1:] * (rows - len(last)))[:, None]
            hidden_B1D = network.extend(tokens_B1.to(state.lengths_B.device), state)
            logits_BV = network.logits(hidden_B1D[:, 0]).float().cpu()
        grown = [(ids, log_probs) for _, ids, log_probs in kept]
    return sorted(ended, key=rank, reverse=True)[:beams]


def _allowed(
    logits_BV: Tensor,
    sampler: Sampler,
    grown: list[tuple[list[int], list[float]]],
    request: Request,
) -> Tensor:
    """Where the settings leave a token at all; chance is not asked."""
    new = [ids for ids, _ in grown]
    return sampler.filter(logits_BV, new, [request.prompt] * len(new)) > float("-inf")


def _cannot_pass(
    kept: list[tuple[int, list[int], list[float]]],
    ended: list[Finished],
    rank: Callable[[Finished], float],
    length_penalty: float,
) -> bool:
    """Whether no growing beam can still become better than the worst that has ended.

    A further token only lowers a likelihood; with a penalty for length that is not so.
    """
    if length_penalty != 0:
        return False
    best = max(sum(log_probs) for _, _, log_probs in kept)
    return best <= min(rank(found) for found in ended)
