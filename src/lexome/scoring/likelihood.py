"""log p(token | all before it) for every token; only a model's state grows with the length."""

# Letters: T tokens, V vocabulary, D width, R rows of logits at once.
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.batches.packing import Packed
from lexome.inference.beside import start_beside
from lexome.inference.causal import CHUNK_TOKENS
from lexome.inference.model import Model
from lexome.inference.runner import Piece, run_batches
from lexome.layers.state import State

LOGITS_AT_ONCE = 1 << 23  # numbers; a vocabulary of 50,000 then gives 160 tokens at a time
SHORT_AT_ONCE = 512  # readings held; batches are cut from them
FloatArray = NDArray[np.float32]


class Reading(NamedTuple):
    """Tokens to be read, and of which of them the probability is asked."""

    name: str  # what errors call it
    ids: tuple[int, ...]
    first: int  # of the tokens scored; at least 1, as nothing comes before the very first
    last: int  # behind the last of them
    among: tuple[int, ...] = ()  # the tokens that probabilities are shared out among; empty: all
    source: tuple[int, ...] = ()  # what an encoder reads first; the first of `ids` then begins


def read_likelihoods(
    model: Model, readings: Iterable[Reading], chunk: int = CHUNK_TOKENS
) -> Iterator[FloatArray]:
    """Natural logarithms (last - first,) of each reading's scored tokens, in order.

    Short readings lie packed in batches. One of more than `chunk` tokens goes through in turns,
    each going on from the state that the last one left, so that only the state grows with it.
    Logits exist for a bounded number of tokens at a time.
    """
    network = model.network
    waiting: list[Reading] = []  # short ones that have been handed over, and lack their answer

    def compute(packed: Packed) -> list[FloatArray]:
        hidden = packed.layout.split(network(*packed))
        tokens = packed.layout.split(packed.tokens_T)
        mine = waiting[: len(tokens)]  # batches come in order
        found = [
            _chosen(network, hidden_TD[one.first - 1 : one.last - 1], tokens_T, one)
            for hidden_TD, tokens_T, one in zip(hidden, tokens, mine, strict=True)
        ]
        del waiting[: len(tokens)]  # at the end: a batch that does not fit comes again in halves
        return found

    for is_long, group in _runs(readings, chunk):
        if is_long:
            yield from (_read_in_turns(model, one, chunk) for one in group)
            continue
        pieces = _hand_over(group, waiting)
        yield from run_batches(pieces, compute, model.device)


def _read_in_turns(model: Model, one: Reading, chunk: int) -> FloatArray:
    network, found = model.network, list[FloatArray]()
    with torch.inference_mode():
        tokens_T = torch.tensor(one.ids, device=model.device)
        state: State = network.start(1, len(one.ids))
        if one.source:
            state = start_beside(network, one.source, len(one.ids))
        for start in range(0, one.last - 1, chunk):  # what comes after the last is not read
            end = min(start + chunk, one.last - 1)
            hidden_TD = network.extend(tokens_T[None, start:end], state)[0]
            begin = max(one.first - 1 - start, 0)
            if begin < end - start:
                part = one._replace(first=start + begin + 1, last=end + 1)
                found.append(_chosen(network, hidden_TD[begin:], tokens_T, part))
    return np.concatenate(found)


def _chosen(network: Any, hidden_RD: Tensor, tokens_T: Tensor, one: Reading) -> FloatArray:
    """The log-probabilities of the scored tokens, from the hidden states before each."""
    found_R = score_tokens(network, hidden_RD, tokens_T[one.first : one.last], one.among)
    out: FloatArray = found_R.cpu().numpy()
    return out


def score_tokens(
    network: Any, hidden_RD: Tensor, targets_R: Tensor, among: Sequence[int] = ()
) -> Tensor:
    """log p (R,) of each target, from the hidden state before it, shared out among some tokens.

    Logits exist for a bounded number of tokens at a time.
    """
    among_A = torch.tensor(among, device=targets_R.device) if among else None
    config = network.config
    rows = getattr(config, "head_size", None) or config.vocabulary_size
    size = max(LOGITS_AT_ONCE // rows, 2)
    found = []
    parts = zip(torch.split(hidden_RD, size), torch.split(targets_R, size), strict=True)
    for part_RD, part_R in parts:
        logits_RV = network.logits(part_RD).float()
        chosen_R = logits_RV.gather(1, part_R[:, None])[:, 0]
        if among_A is not None:
            logits_RV = logits_RV[:, among_A]
        found.append(chosen_R - logits_RV.logsumexp(-1))
    return torch.cat(found)


def _runs(readings: Iterable[Reading], chunk: int) -> Iterator[tuple[bool, Iterable[Reading]]]:
    """Stretches of short readings, and long ones each by itself."""
    short: list[Reading] = []
    for one in readings:
        if len(one.ids) <= chunk and not one.source:
            short.append(one)
            if len(short) < SHORT_AT_ONCE:
                continue
        if short:
            yield False, short
            short = []
        if len(one.ids) > chunk or one.source:
            yield True, [one]
    if short:
        yield False, short


def _hand_over(group: Iterable[Reading], waiting: list[Reading]) -> Iterator[Piece]:
    for one in group:
        waiting.append(one)
        yield Piece(one.name, list(one.ids))


def sum_up(log_probs: Sequence[FloatArray]) -> tuple[float, float]:
    """Sum and mean over the readings of one sequence: the mean of theirs, in float64."""
    sums = [float(one.sum(dtype=np.float64)) for one in log_probs]
    means = [total / len(one) for total, one in zip(sums, log_probs, strict=True)]
    return sum(sums) / len(sums), sum(means) / len(means)
