"""What a generation costs before it is begun: memory exactly, time by a few steps on the spot."""

import time
from typing import Any, NamedTuple

import torch

from lexome.errors import InputError
from lexome.generation.engine import count_rows
from lexome.inference.causal import CHUNK_TOKENS, check_causal, read_on
from lexome.inference.model import Model
from lexome.layers.state import State

STEPS = 8  # that are timed
PREFILL_TOKENS = 256  # of a prompt that is timed; a longer one in proportion


class Cost(NamedTuple):
    """Bytes and seconds."""

    rows: int  # sequences at a time
    capacity: int  # tokens of the longest sequence
    weights: int
    cache: int  # keys and values of attention layers, of all rows: grows with the capacity
    fixed: int  # states of convolutions, of all rows: does not
    working: int  # of a chunk of the prompt, about
    prompt_seconds: float
    tokens_per_second: float  # over all rows, at half of the capacity
    seconds: float  # of the whole

    @property
    def memory(self) -> int:
        """All of it, the process itself left out."""
        return self.weights + self.cache + self.fixed + self.working


def plan_generation(
    model: Model, length: int, n: int = 1, max_new: int = 256, max_rows: int | None = None
) -> Cost:
    """The cost of n samples behind a prompt of `length` tokens.

    The state is made as `generate` makes it and weighed; steps are run in it, with tokens that mean
    nothing, and timed.

    Raises:
        InputError: a model that is not causal, or more tokens than its context.
    """
    check_causal(model.network, model.card.name, "sequences that go on")
    for name, value in (("length", length), ("n", n), ("max_new", max_new)):
        if value < 1:
            raise InputError(name, str(value), "at least 1", f"`--{name.replace('_', '-')} 100`")
    capacity = length + max_new
    if model.most_tokens is not None and capacity > model.most_tokens:
        raise InputError(
            "length and max_new",
            f"{capacity:,} tokens together",
            f"at most the context of {model.most_tokens:,}",
            f"`--max-new {max(model.most_tokens - length, 1)}`",
        )
    network: Any = model.network
    rows = count_rows(network, model.device, n, capacity, max_rows)
    with torch.inference_mode():
        state: State = network.start(rows, capacity)
        prompt_seconds = _time_prompt(network, length)
        step_seconds = _time_steps(network, state, length + max_new // 2)
    cache = sum(
        tensor.nbytes
        for layer in state.layers
        for name, tensor in layer.items()
        if name in state.caches
    )
    steps = max_new * -(-n // rows)
    return Cost(
        rows=rows,
        capacity=capacity,
        weights=model.num_bytes,
        cache=cache,
        fixed=state.num_bytes - cache,
        working=_working(network, min(length, CHUNK_TOKENS)),
        prompt_seconds=prompt_seconds,
        tokens_per_second=rows / step_seconds,
        seconds=prompt_seconds + steps * step_seconds,
    )


def _time_prompt(network: Any, length: int) -> float:
    timed = min(length, PREFILL_TOKENS)
    for _ in range(2):  # the first one warms up
        state = network.start(1, timed)
        began = time.perf_counter()
        read_on(network, [0] * timed, state)
        seconds = time.perf_counter() - began
    return seconds * length / timed


def _time_steps(network: Any, state: State, place: int) -> float:
    state.lengths_B.fill_(max(min(place, state.capacity - STEPS - 1), 0))
    tokens_B1 = torch.zeros(len(state), 1, dtype=torch.int64, device=state.lengths_B.device)
    steps = max(min(STEPS, state.capacity - int(state.lengths_B[0]) - 1), 1)
    network.logits(network.extend(tokens_B1, state))
    began = time.perf_counter()
    for _ in range(steps):
        if int(state.lengths_B[0]) >= state.capacity:
            state.lengths_B -= 1
        network.logits(network.extend(tokens_B1, state)).sum().item()
    return (time.perf_counter() - began) / steps


def _working(network: Any, tokens: int) -> int:
    """The widest layer of a chunk: what comes in, projections, and both halves of a gate."""
    config = network.config
    inner = getattr(config, "ffn_width", None) or config.inner_width
    return int(4 * tokens * (6 * int(config.width) + 2 * int(inner)))
