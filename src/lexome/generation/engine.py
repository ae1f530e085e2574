"""Continuous batching: a sequence that ends leaves its row, and one that waits takes it."""

# Letters: B rows of the state, A rows at work, T tokens, V vocabulary, D width.
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lexome.devices import free_memory, is_out_of_memory
from lexome.errors import EnvironmentProblem
from lexome.generation.draws import sample_key
from lexome.generation.sampler import Sampler
from lexome.inference.causal import prefill
from lexome.layers.state import State

CPU_ROWS, GPU_ROWS = 32, 256
# Products of two rows and more give the same bits for a row whatever the others; one row alone goes
# through other code in most libraries.
FEWEST_ROWS = 2
PREFILL_TOKENS = 2048  # of several prompts that are read at once
SHARE_OF_MEMORY = 0.5  # of what is free, for the state
STOP, LENGTH, CONTEXT = "stop_token", "max_new", "context"


class Request(NamedTuple):
    """One sample to be made."""

    number: int  # of the sample, from 1: with seed and prompt it names the draws
    prompt: tuple[int, ...]
    most_new: int  # tokens at most
    reason: str = LENGTH  # why it ends there


class Finished(NamedTuple):
    """What became of a request."""

    request: Request
    ids: list[int]  # after the prompt; one that ended it is the last
    log_probs: list[float]  # of each, by the whole model, in nats
    reason: str  # stop_token, max_new or context


class Prefilled(NamedTuple):
    """Prompts that were read."""

    rows: dict[tuple[int, ...], int]  # prompt -> its row
    state: State
    logits_BV: Tensor  # of what comes next


@dataclass
class Slot:
    """A row at work."""

    request: Request
    key: int
    ids: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)


class Engine:
    """Answers requests with one network, in the order in which they end.

    Args:
        network: a causal one (see `inference/causal.py`).
        sampler: how tokens are drawn, and which ones end a sequence.
        seed: of all draws.
        device: where the network is.
        max_rows: sequences at a time; bounded by memory besides.
    """

    def __init__(
        self,
        network: Any,
        sampler: Sampler,
        seed: int,
        device: str = "cpu",
        max_rows: int | None = None,
    ) -> None:
        self.network, self.sampler, self.seed, self.device = network, sampler, seed, device
        self.max_rows = max_rows or (CPU_ROWS if device == "cpu" else GPU_ROWS)
        self._prefilled: Prefilled | None = None

    def run(self, requests: Iterable[Request], capacity: int) -> Iterator[Finished]:
        """Yield each request's answer as it ends.

        Args:
            requests: read as rows become free; those of one prompt should follow one another: it
                is then read once for all of them.
            capacity: tokens of the longest prompt with all that may follow it.
        """
        with torch.inference_mode():
            waiting = iter(requests)
            first = list(islice(waiting, self.max_rows))
            if first:
                yield from self._run(chain(first, waiting), len(first), capacity)

    def _run(self, waiting: Iterator[Request], wanted: int, capacity: int) -> Iterator[Finished]:
        state = self._start(wanted, capacity)
        slots: list[Slot | None] = [None] * len(state)
        while True:
            yield from self._admit(waiting, state, slots)
            busy = [row for row, slot in enumerate(slots) if slot is not None]
            if not busy:
                return
            rows = max(len(busy), FEWEST_ROWS)
            if rows <= len(slots) // 2:  # none wait: go on with as many rows as are left
                kept = (busy + [row for row in range(len(slots)) if row not in busy])[:rows]
                state, slots = state.select(kept), [slots[row] for row in kept]
                busy = list(range(len(busy)))
            at_work = [slot for slot in slots if slot is not None]
            self._step(state, slots, busy, at_work)
            for row, slot in zip(busy, at_work, strict=True):
                if finished := self._finish(slot):
                    slots[row] = None
                    yield finished

    def _admit(
        self, waiting: Iterator[Request], state: State, slots: list[Slot | None]
    ) -> Iterator[Finished]:
        """Give the free rows to those who wait; some end with their very first token."""
        free = [row for row, slot in enumerate(slots) if slot is None]
        while free and (taken := list(islice(waiting, len(free)))):
            for group in _group(taken):
                rows_of, seen, logits_BV = self._read(group)
                new = [self._begin(request) for request in group]
                rows = [rows_of[request.prompt] for request in group]
                self._draw(logits_BV[rows], new)
                for slot, other_row in zip(new, rows, strict=True):
                    if finished := self._finish(slot):
                        yield finished
                        continue
                    slots[free[0]] = slot
                    state.put(free.pop(0), seen, other_row)

    def _begin(self, request: Request) -> Slot:
        return Slot(request, sample_key(self.seed, request.number, request.prompt))

    def _read(self, group: list[Request]) -> Prefilled:
        """The prompts of a group, each read once; what was read last is kept for who comes next."""
        prompts = list(dict.fromkeys(request.prompt for request in group))
        if self._prefilled is None or any(p not in self._prefilled.rows for p in prompts):
            self._prefilled = None  # lets go of it first
            rows = {prompt: row for row, prompt in enumerate(prompts)}
            self._prefilled = Prefilled(rows, *prefill(self.network, prompts))
        return self._prefilled

    def _step(
        self, state: State, slots: list[Slot | None], busy: list[int], at_work: list[Slot]
    ) -> None:
        tokens = [0 if slot is None else slot.ids[-1] for slot in slots]
        tokens_B1 = torch.tensor(tokens, device=state.lengths_B.device)[:, None]
        if len(busy) < len(slots):  # a row without work stays short, whatever it reads
            idle = [row for row, slot in enumerate(slots) if slot is None]
            state.lengths_B[idle] = 0
        hidden_B1D = self.network.extend(tokens_B1, state)
        logits_BV = self.network.logits(hidden_B1D[:, 0]).float()
        self._draw(logits_BV if len(busy) == len(slots) else logits_BV[busy], at_work)

    def _draw(self, logits_AV: Tensor, slots: list[Slot]) -> None:
        drawn = self.sampler.draw(
            logits_AV,
            [slot.key for slot in slots],
            [slot.ids for slot in slots],
            [slot.request.prompt for slot in slots],
        )
        for slot, token, log_prob in zip(slots, *drawn, strict=True):
            slot.ids.append(token)
            slot.log_probs.append(log_prob)

    def _finish(self, slot: Slot) -> Finished | None:
        request = slot.request
        if slot.ids[-1] in self.sampler.stops:
            return Finished(request, slot.ids, slot.log_probs, STOP)
        if len(slot.ids) >= request.most_new:
            return Finished(request, slot.ids, slot.log_probs, request.reason)
        return None

    def _start(self, wanted: int, capacity: int) -> State:
        """As many rows as are wanted and fit into the memory that is free."""
        rows = count_rows(self.network, self.device, wanted, capacity, self.max_rows)
        while True:
            try:
                state: State = self.network.start(rows, capacity)
            except (RuntimeError, MemoryError) as problem:
                if not is_out_of_memory(problem):
                    raise
                if rows <= FEWEST_ROWS:
                    raise EnvironmentProblem(
                        "generation",
                        f"not enough memory for {capacity:,} tokens",
                        "room for two sequences of that length",
                        "a smaller `--max-new`, or a machine with more memory",
                    ) from problem
                rows = max(rows // 2, FEWEST_ROWS)
            else:
                return state


def count_rows(
    network: Any, device: str, wanted: int, capacity: int, max_rows: int | None = None
) -> int:
    """How many sequences of some capacity are made at a time: what is wanted, and fits."""
    most = max_rows or (CPU_ROWS if device == "cpu" else GPU_ROWS)
    free = free_memory(device)
    if free is not None:
        one_row = network.start(1, capacity).num_bytes
        most = min(most, int(free * SHARE_OF_MEMORY / max(one_row, 1)))
    return max(min(wanted, most), FEWEST_ROWS)


def _group(requests: list[Request]) -> Iterator[list[Request]]:
    """Requests whose prompts are read together: of one length, and not too much at once."""
    by_length = sorted(requests, key=lambda request: len(request.prompt))
    for _, alike in groupby(by_length, key=lambda request: len(request.prompt)):
        group: list[Request] = []
        prompts = set[tuple[int, ...]]()
        for request in alike:
            is_new = request.prompt not in prompts
            if group and is_new and (len(prompts) + 1) * len(request.prompt) > PREFILL_TOKENS:
                yield group
                group, prompts = [], set()
            group.append(request)
            prompts.add(request.prompt)
        yield group


def limit_new(length: int, max_new: int, most_tokens: int) -> tuple[int, str]:
    """How many tokens may follow a prompt, and why no more.

    >>> limit_new(10, 256, 1024), limit_new(1000, 256, 1024)
    ((256, 'max_new'), (24, 'context'))
    """
    room = most_tokens - length
    return (max_new, LENGTH) if max_new <= room else (room, CONTEXT)
