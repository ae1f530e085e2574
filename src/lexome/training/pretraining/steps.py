"""What one step of pre-training reads: micro-batches made ready beside the computation."""

# Letters: T tokens end to end, C positions that count in the loss.
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from lexome.batches.stream import Stream, Tokens, Windows, split_evenly
from lexome.layers.layout import PackedLayout
from lexome.tokenizers.interface import Tokenizer
from lexome.training.pretraining.masking import Masking, Task, next_tokens
from lexome.training.pretraining.recipe import ObjectiveRecipe


class MicroBatch(NamedTuple):
    """What goes through the network at once; `weight` 0 marks a mere companion of other ranks."""

    number: int  # within the step, over all ranks
    inputs_T: Tensor
    lengths: list[int]
    positions_C: Tensor
    targets_C: Tensor
    weight: float = 1.0

    def layout(self, device: str) -> PackedLayout:
        """Where each token lies."""
        return PackedLayout(self.lengths, device)

    def to(self, device: str) -> "MicroBatch":
        """The same on a device, as integers that torch can index with."""
        inputs_T = self.inputs_T.to(device, non_blocking=True).long()
        positions_C = self.positions_C.to(device, non_blocking=True)
        targets_C = self.targets_C.to(device, non_blocking=True).long()
        return self._replace(inputs_T=inputs_T, positions_C=positions_C, targets_C=targets_C)


class StepBatch(NamedTuple):
    """One rank's share of a step."""

    next_visit: int  # where the step behind this one begins in the stream
    sequences: int  # over all ranks
    tokens: int  # over all ranks
    micro_batches: list[MicroBatch]


class Plan(NamedTuple):
    """What decides the batches; the same on every rank but for `rank`."""

    stream: Stream
    tokenizer: Tokenizer
    objective: ObjectiveRecipe
    token_batch: int
    micro_tokens: int
    seed: int
    rank: int = 0
    ranks: int = 1
    pinned: bool = False  # page-locked, for copies to a GPU that need not wait


def make_step(plan: Plan, visit: int) -> StepBatch:
    """The micro-batches of this rank: a function of the recipe and the step's first visit.

    The step's windows are cut into micro-batches without regard to the number of ranks, which
    take them in turn. A rank that comes up short repeats one with weight 0, because sharded
    weights can only be gathered by all ranks together.
    """
    windows = plan.stream.next_batch(visit, plan.token_batch)
    runs = split_evenly(windows, plan.micro_tokens)
    rounds = -(-len(runs) // plan.ranks)
    made = []
    for number in range(plan.rank, rounds * plan.ranks, plan.ranks):
        micro = make_micro_batch(plan, runs[number % len(runs)])
        made.append(micro._replace(number=number, weight=float(number < len(runs))))
    sequences, tokens = len(windows.numbers_W), int(windows.tokens_W.sum())
    return StepBatch(visit + sequences, sequences, tokens, made)


def make_micro_batch(plan: Plan, windows: Windows) -> MicroBatch:
    """Windows as tensors."""
    tokens = plan.stream.read(windows, plan.tokenizer)
    tensors = [torch.from_numpy(a) for a in make_task(plan, tokens)]
    if plan.pinned:
        tensors = [t.pin_memory() for t in tensors]
    return MicroBatch(0, tensors[0], tokens.lengths, tensors[1], tensors[2])


def make_task(plan: Plan, tokens: Tokens) -> Task:
    """The objective's inputs and targets."""
    objective = plan.objective
    if objective.kind == "causal":
        return next_tokens(tokens)
    masking = Masking(objective.rate, objective.masked, objective.replaced)
    return masking.make(tokens, plan.tokenizer, plan.seed)


def steps_from(plan: Plan, step: int, visit: int, last: int) -> Iterator[StepBatch]:
    """Steps `step` .. `last` - 1; the next one is made ready while this one is computed."""
    if step >= last:
        return
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as worker:
        waiting = worker.submit(make_step, plan, visit)
        for number in range(step, last):
            batch = waiting.result()
            if number + 1 < last:
                waiting = worker.submit(make_step, plan, batch.next_visit)
            yield batch
