"""The fixtures of the causal DNA models, read one way."""

import json
from typing import NamedTuple

import torch
from safetensors.torch import load_file

from lexome.batches.packing import pack
from tests.shared_data import shared

EVO = ("evo1-8k-tiny", "evo1-131k-tiny")
HYENA = ("hyenadna-hf-tiny", "hyenadna-orig-tiny")


class Input(NamedTuple):
    """One sequence and what the reference computes of it."""

    text: str
    ids: list[int]
    rows: torch.Tensor  # of the logits that are kept
    expected: dict[str, torch.Tensor]

    @property
    def atol(self) -> float:
        """How exact the reference itself is, against float64."""
        return 2e-4 if len(self.ids) <= 64 else 1e-3


class CausalFixture(NamedTuple):
    """A tiny checkpoint and its published outputs."""

    path: object
    facts: dict
    inputs: list[Input]
    others: dict[str, torch.Tensor]  # recurrent.*, greedy.*, filter.*


def read_causal(name):
    """A fixture folder of shared/, or a visible skip."""
    path = shared(f"reference/fixtures/{name}")
    facts = json.loads((path / "expected.json").read_text())
    tensors = load_file(path / "expected.safetensors")
    inputs = []
    for i, told in enumerate(facts["inputs"]):
        prefix = f"input{i}."
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        ids = own.pop("ids").tolist()
        rows = own.pop("logit_positions", torch.arange(len(ids)))
        inputs.append(Input(told["text"], ids, rows, own))
    others = {k: v for k, v in tensors.items() if not k.startswith("input")}
    return CausalFixture(path, facts, inputs, others)


def compute(network, one):
    """Ours of all that a fixture may hold of an input."""
    tokens_T, layout = pack([one.ids])
    with torch.inference_mode():
        traced = network.trace(tokens_T, layout)
        logits_TV = network.logits(traced.hidden_ND)
    next_T1 = tokens_T[1:, None]
    found = {
        "logits": logits_TV[one.rows],
        "logits_float64_oracle": logits_TV[one.rows],
        "argmax": logits_TV.argmax(-1),
        "token_logprobs": logits_TV[:-1].log_softmax(-1).gather(1, next_T1)[:, 0],
        "last_hidden_state_last8": traced.hidden_ND[-8:],
    }
    for i, layer in enumerate(traced.layers[1:-1]):
        found |= {f"block{i}_out_last4": layer[-4:], f"residual_after_block{i}": layer}
    return found


def is_off(network, fixture, most_tokens=10_000):
    """Whether any output of any input is not the published one."""
    for one in fixture.inputs:
        if len(one.ids) > most_tokens:
            continue
        found = compute(network, one)
        for name in found.keys() & one.expected.keys():
            if not torch.allclose(found[name], one.expected[name], atol=one.atol, rtol=1e-5):
                return True
    return False


def relative(a, b):
    """The largest difference as a share of the largest value."""
    return float((a - b).abs().max() / b.abs().max())
