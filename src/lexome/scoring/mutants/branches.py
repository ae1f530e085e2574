"""How much likelier changed sequences are, with what they share with their reference read once."""

# Letters: B rows, T new tokens of each, R tokens scored, D width.
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.devices import is_out_of_memory
from lexome.errors import EnvironmentProblem
from lexome.inference.causal import CHUNK_TOKENS
from lexome.inference.model import Model
from lexome.inference.runner import batch_tokens
from lexome.layers.state import State
from lexome.scoring.likelihood import Reading, score_tokens

FloatArray = NDArray[np.float64]

# Rows that begin at other places lie in one batch, so the shorter ones are filled up by so many
# tokens at most; a causal model does not see what stands behind.
FILLED = 32


class Stem(NamedTuple):
    """What was read of a reference, up to where sequences branch off."""

    state: State  # one row, or one a reference
    last_BD: Tensor | None  # the hidden state of the token before; None where there is none


class Branch(NamedTuple):
    """A sequence from where it leaves its reference on."""

    number: int
    reading: Reading
    start: int  # of the first token that differs

    @property
    def num_new(self) -> int:
        """Tokens to be read: the last one scored is not."""
        return max(self.reading.last - 1 - self.start, 0)


def count_shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences have in common from the first on.

    >>> count_shared([5, 6, 7], [5, 6, 8, 9])
    2
    """
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def read_branches(
    model: Model, trunk: Reading, branches: Sequence[Reading], max_tokens: int | None = None
) -> list[float]:
    """log p(branch) - log p(trunk) of each, sums over the tokens scored, natural logarithms.

    The trunk is read once. A branch is read from its first other token on, going on from the
    state that the trunk left there; many branches at a time, bounded in tokens. A model that keeps
    all earlier tokens (attention) has its state cut; of one whose state cannot be cut (Hyena) the
    trunk is read on from one branching to the next.
    """
    budget = max_tokens or batch_tokens(model.device)
    wanted = [Branch(i, one, count_shared(trunk.ids, one.ids)) for i, one in enumerate(branches)]
    answers = [0.0] * len(wanted)
    wanted = [one for one in wanted if one.reading.ids != trunk.ids]
    if not wanted:
        return answers
    wanted.sort(key=lambda one: one.start)
    capacity = max(map(len, [trunk.ids, *(one.reading.ids for one in wanted)]))
    capacity = min(capacity + FILLED, model.most_tokens or capacity + FILLED)
    with torch.inference_mode():
        walk = _Walk(model, trunk, capacity, wanted[-1].start)
        batches = list(_in_batches(wanted, budget, capacity, walk.can_cut))
        sums = [add_up(model, walk.stem, batch) for batch in batches]
        tails = walk.tails()
    for batch, found in zip(batches, sums, strict=True):
        for one, value in zip(batch, found, strict=True):
            answers[one.number] = value - float(tails[one.start])
    return answers


class _Walk:
    """A trunk that is read once, as far as is asked.

    Args:
        farthest: where the last of the branches begins.
    """

    def __init__(self, model: Model, trunk: Reading, capacity: int, farthest: int) -> None:
        self.network, self.trunk = model.network, trunk
        self.state: State = model.network.start(1, capacity)
        self.tokens_T = torch.tensor(trunk.ids, device=model.device)
        self.at, self.last_BD = 0, None
        self.log_probs: list[Tensor] = []
        self.hidden: list[Tensor] = []  # of all tokens, where the state can be cut
        self.can_cut = all(set(layer) <= set(self.state.caches) for layer in self.state.layers)
        if self.can_cut:
            self._read_to(max(trunk.last - 1, farthest))
            self.hidden = [torch.cat(self.hidden)]

    def stem(self, batch: Sequence[Branch]) -> Stem:
        """A row for each of a batch, as long as what it shares with the trunk."""
        starts = [one.start for one in batch]
        if not self.can_cut:  # all of a batch then begin at one place
            self._read_to(starts[0])
            last_BD = None if self.last_BD is None else self.last_BD.expand(len(batch), -1)
            return Stem(self.state.select([0] * len(batch)), last_BD)
        state = self.state.select([0] * len(batch))
        state.lengths_B = torch.tensor(starts, device=self.tokens_T.device)
        return Stem(state, self.hidden[0][(state.lengths_B - 1).clamp(min=0)])

    def tails(self) -> FloatArray:
        """log p of the trunk from each token on."""
        self._read_to(self.trunk.last - 1)
        found = np.zeros(len(self.trunk.ids) + 1)
        if self.log_probs:
            scored = torch.cat(self.log_probs).double().cpu().numpy()
            found[self.trunk.first : self.trunk.last] = scored
        tails: FloatArray = found[::-1].cumsum()[::-1]
        return tails

    def _read_to(self, end: int) -> None:
        trunk = self.trunk
        while self.at < end:
            stop = min(self.at + CHUNK_TOKENS, end)
            hidden_TD = self.network.extend(self.tokens_T[None, self.at : stop], self.state)[0]
            begin = max(trunk.first - 1 - self.at, 0)  # the first whose next token is scored
            targets_T = self.tokens_T[self.at + begin + 1 : min(stop + 1, trunk.last)]
            if len(targets_T):
                scored_TD = hidden_TD[begin : begin + len(targets_T)]
                log_p_T = score_tokens(self.network, scored_TD, targets_T, trunk.among)
                self.log_probs.append(log_p_T)
            if self.can_cut:
                self.hidden.append(hidden_TD)
            self.at, self.last_BD = stop, hidden_TD[-1:]


def _in_batches(
    branches: Sequence[Branch], budget: int, capacity: int, can_cut: bool
) -> Iterator[list[Branch]]:
    """Branches in the order of their places, bounded in tokens; all of one place where need be."""
    batch: list[Branch] = []
    longest = 0
    for one in branches:
        new = max(longest, one.num_new)
        filled = [*batch, one]
        fits = len(filled) * new <= budget and one.start + new <= capacity
        is_near = one.start - filled[0].start <= (FILLED if can_cut else 0)
        if batch and not (fits and is_near):
            yield batch
            filled, new = [one], one.num_new
        batch, longest = filled, new
    if batch:
        yield batch


def add_up(
    model: Model, make_stem: Callable[[Sequence[Branch]], Stem], batch: Sequence[Branch]
) -> list[float]:
    """The sum of log p of each branch from its start on; in halves where memory runs out.

    Args:
        make_stem: gives branches a state of their own, which is used up.

    Raises:
        EnvironmentProblem: a single branch does not fit.
    """
    try:
        return _read_rows(model, make_stem(batch), batch)
    except (RuntimeError, MemoryError) as problem:
        if not is_out_of_memory(problem):
            raise
        if len(batch) == 1:
            name, tokens = batch[0].reading.name, len(batch[0].reading.ids)
            raise EnvironmentProblem(
                name,
                f"not enough memory for its {tokens:,} tokens",
                "a sequence that fits on the device",
                "a part of the sequence, or a machine with more memory",
            ) from problem
    if model.device != "cpu":
        torch.cuda.empty_cache()
    half = len(batch) // 2
    return [x for part in (batch[:half], batch[half:]) for x in add_up(model, make_stem, part)]


def _read_rows(model: Model, stem: Stem, batch: Sequence[Branch]) -> list[float]:
    """What `add_up` adds up, of rows that go on from a state, which is used up by it."""
    network, device, among = model.network, model.device, batch[0].reading.among
    state, before_BD = stem.state, stem.last_BD
    sums_B = torch.zeros(len(batch), dtype=torch.float64, device=device)
    if before_BD is not None:  # the first other token is foretold by what is shared
        _score_rows(network, before_BD[:, None], batch, 0, among, sums_B)
    longest = max(one.num_new for one in batch)
    tokens_BT = torch.tensor([_fill(one, longest) for one in batch], device=device)
    for at in range(0, longest, CHUNK_TOKENS):
        hidden_BTD = network.extend(tokens_BT[:, at : at + CHUNK_TOKENS], state)
        _score_rows(network, hidden_BTD, batch, at + 1, among, sums_B)
    found: list[float] = sums_B.tolist()
    return found


def _fill(one: Branch, longest: int) -> list[int]:
    """The tokens that a branch reads, the last of its sequence behind them where it is short."""
    new = one.reading.ids[one.start : one.start + one.num_new]
    return [*new, *[one.reading.ids[-1]] * (longest - len(new))]


def _score_rows(
    network: Any,
    hidden_BTD: Tensor,
    batch: Sequence[Branch],
    offset: int,
    among: Sequence[int],
    sums_B: Tensor,
) -> None:
    """Add log p of the tokens that stand `offset` and more behind each branch's start."""
    num = hidden_BTD.shape[1]
    targets, rows, columns = list[int](), list[int](), list[int]()
    for row, one in enumerate(batch):
        begin = one.start + offset
        places = range(max(begin, one.reading.first), min(begin + num, one.reading.last))
        targets += one.reading.ids[places.start : places.stop]
        columns += [place - begin for place in places]
        rows += [row] * len(places)
    if targets:
        rows_R, columns_R, targets_R = torch.tensor(
            [rows, columns, targets], device=hidden_BTD.device
        )
        log_p_R = score_tokens(network, hidden_BTD[rows_R, columns_R], targets_R, among)
        sums_B.index_add_(0, rows_R, log_p_R.double())
