"""What all work with causal models needs: that a model is one, and its reading in bounded steps."""

# Letters: B rows, T tokens, V vocabulary, D width.
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lexome.errors import InputError
from lexome.layers.state import State

# Tokens that are read at once: a longer sequence is read in turns, each going on from the state.
CHUNK_TOKENS = 8192


def is_causal(network: Any) -> bool:
    """Whether a network reads from left to right, so that it has likelihoods and can go on.

    What goes on only beside a source (T5's decoder) is none: its sequences are the encoder's.
    """
    has_source = hasattr(network, "start_from")
    return hasattr(network, "extend") and hasattr(network, "start") and not has_source


def check_causal(network: Any, name: str, purpose: str) -> None:
    """Refuse a model that sees both sides of every residue.

    Raises:
        InputError: naming the model.
    """
    if not is_causal(network):
        seen = "an encoder, which sees both sides of a residue"
        if hasattr(network, "start_from"):
            seen = "weights of an encoder alone"
        raise InputError(
            f"model {name}",
            seen,
            f"a causal model, for {purpose}",
            "a decoder such as progen2-small, or Evo and HyenaDNA for DNA",
        )


def read_on(
    network: Any, ids: Sequence[int] | Tensor, state: State, chunk: int = CHUNK_TOKENS
) -> Tensor:
    """Bring a one-row state behind further tokens; the hidden state of the last one (1, D)."""
    tokens_1T = torch.as_tensor(ids, dtype=torch.int64, device=state.lengths_B.device)[None]
    for part_1T in torch.split(tokens_1T, chunk, dim=1):
        hidden_1TD = network.extend(part_1T, state)
    last_1D: Tensor = hidden_1TD[:, -1]
    return last_1D


def prefill(network: Any, prompts: Sequence[Sequence[int]]) -> tuple[State, Tensor]:
    """The state behind prompts of one length, a row each, and what comes next (B, V), in fp32.

    Several prompts are read at once; a long one must come by itself, and is read in turns.
    """
    state: State = network.start(len(prompts), len(prompts[0]))
    if len(prompts) == 1:
        last_BD = read_on(network, prompts[0], state)
    else:
        tokens_BT = torch.tensor(prompts, device=state.lengths_B.device)
        last_BD = network.extend(tokens_BT, state)[:, -1]
    logits_BV: Tensor = network.logits(last_BD)
    return state, logits_BV.float()


def continue_greedily(
    network: Any, prompts: Sequence[Sequence[int]], max_new: int
) -> list[list[int]]:
    """The most likely next token, again and again, one prompt after another.

    The slow plain twin of `generation/engine.py`.
    """
    answers = []
    for prompt in prompts:
        state: State = network.start(1, len(prompt) + max_new)
        hidden_1D, new = read_on(network, prompt, state), list[int]()
        while True:
            new.append(int(network.logits(hidden_1D).float().argmax()))
            if len(new) >= max_new:
                break
            hidden_1D = read_on(network, new[-1:], state)
        answers.append(new)
    return answers
