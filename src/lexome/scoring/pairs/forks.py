"""How much likelier changed sequences are than their references, of which there are many."""

# Letters: B rows, T tokens, D width.
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from lexome.inference.causal import CHUNK_TOKENS
from lexome.inference.model import Model
from lexome.inference.runner import batch_tokens
from lexome.layers.state import State
from lexome.scoring.likelihood import Reading
from lexome.scoring.mutants.branches import Branch, Stem, add_up, count_shared


class Fork(NamedTuple):
    """A reference and a changed sequence."""

    ref: Reading
    alt: Reading


def read_forks(model: Model, forks: Sequence[Fork], max_tokens: int | None = None) -> list[float]:
    """log p(alt) - log p(ref) of each, sums over the tokens scored, natural logarithms.

    What the two share at the front is read once, and once for all forks that share it. Forks that
    part at one place lie in one batch.
    """
    budget = max_tokens or batch_tokens(model.device)
    answers = [0.0] * len(forks)
    shared = [count_shared(*(one.ids for one in fork)) for fork in forks]
    unequal = [i for i, fork in enumerate(forks) if fork.ref.ids != fork.alt.ids]
    unequal.sort(key=lambda i: (shared[i], forks[i].ref.ids[: shared[i]]))
    with torch.inference_mode():
        for start, group in groupby(unequal, key=lambda i: shared[i]):
            for part in _in_parts(list(group), forks, start, budget):
                found = _read_parts(model, [forks[i] for i in part], start)
                for i, value in zip(part, found, strict=True):
                    answers[i] = value
    return answers


def _in_parts(
    group: Sequence[int], forks: Sequence[Fork], start: int, budget: int
) -> Iterator[list[int]]:
    """Forks whose distinct fronts, and whose distinct rests, are together within the budget."""
    part: list[int] = []
    fronts, rests, longest = set[tuple[int, ...]](), set[tuple[int, ...]](), 0
    for i in group:
        own = {one.ids for one in forks[i]}
        fronts_new = fronts | {forks[i].ref.ids[:start]}
        rests_new = rests | own
        new = max(longest, *(len(ids) - start for ids in own))
        if part and max(len(fronts_new) * start, len(rests_new) * new) > budget:
            yield part
            part, fronts_new, rests_new = [], {forks[i].ref.ids[:start]}, own
            new = max(len(ids) - start for ids in own)
        part.append(i)
        fronts, rests, longest = fronts_new, rests_new, new
    if part:
        yield part


def _read_parts(model: Model, forks: Sequence[Fork], start: int) -> list[float]:
    fronts = {ids: row for row, ids in enumerate(dict.fromkeys(f.ref.ids[:start] for f in forks))}
    rests = {one.ids: one for fork in forks for one in fork}
    capacity = max(map(len, rests))
    state: State = model.network.start(len(fronts), capacity)
    last_BD: Tensor | None = None
    tokens_BT = torch.tensor(list(fronts), dtype=torch.int64, device=model.device)
    for part_BT in torch.split(tokens_BT, CHUNK_TOKENS, dim=1) if start else ():
        last_BD = model.network.extend(part_BT, state)[:, -1]
    batch = [Branch(i, one, start) for i, one in enumerate(rests.values())]

    def make_stem(branches: Sequence[Branch]) -> Stem:
        rows = [fronts[one.reading.ids[:start]] for one in branches]
        return Stem(state.select(rows), None if last_BD is None else last_BD[rows])

    sums = dict(zip(rests, add_up(model, make_stem, batch), strict=True))
    return [sums[fork.alt.ids] - sums[fork.ref.ids] for fork in forks]
