"""The fixtures of the encoder families, read one way: token ids, masks, published outputs."""

import json
from typing import NamedTuple

import torch
from safetensors.torch import load_file

from tests.shared_data import shared

# Logits, hidden states, attentions and contacts lie within these of the reference's.
ATOL, RTOL = 5e-5, 1e-5
FAMILIES = (
    "esm2-hf-tiny",
    "esm1b-hf-tiny",
    "esm1v-hf-tiny",
    "esm2-fair-tiny",
    "esm1b-fair-tiny",
    "esm1v-fair-tiny",
    "nt-v1-tiny",
    "nt-v2-tiny",
    "dnabert-tiny",
    "dnabert2-tiny",
    "bert-tiny",
)


class Case(NamedTuple):
    """One sequence and what the reference computes of it."""

    ids: list[int]
    types: list[int] | None
    expected: dict[str, torch.Tensor]  # logits, hidden.N, attentions, contacts, ...


class Fixture(NamedTuple):
    """A tiny checkpoint and its published outputs."""

    path: object
    facts: dict
    single: list[Case]
    batch: list[Case]  # of one padded batch, cut back to each sequence's own tokens


def read_fixture(name: str) -> Fixture:
    """A fixture folder of shared/, or a visible skip."""
    path = shared(f"reference/fixtures/{name}")
    facts = json.loads((path / "expected.json").read_text())
    tensors = load_file(path / "expected.safetensors")
    single = []
    while any(key.startswith(f"single.{len(single)}.") for key in tensors):
        prefix = f"single.{len(single)}."
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        single.append(_case({k: v[0] if "layer." not in k else v for k, v in own.items()}))
    whole = {k.removeprefix("batch."): v for k, v in tensors.items() if k.startswith("batch.")}
    batch = []
    for row in range(len(_ids(whole))):
        own = {k: v[row] for k, v in whole.items() if "layer." not in k}
        batch.append(_case(own))
    return Fixture(path, facts, single, batch)


def _ids(tensors: dict) -> torch.Tensor:
    return tensors["input_ids"] if "input_ids" in tensors else tensors["tokens"]


def _case(tensors: dict) -> Case:
    ids = _ids(tensors)
    real = tensors["attention_mask"].bool() if "attention_mask" in tensors else ids != 1
    n = int(real.sum())
    types = tensors["token_type_ids"][:n].tolist() if "token_type_ids" in tensors else None
    expected = {}
    for name, value in tensors.items():
        if name == "logits" or name.startswith("hidden.") or name in ("embeddings",):
            expected[name] = value[:n]
        elif name == "last_hidden_state":
            expected["last"] = value[:n]
        elif name == "attentions":
            expected[name] = value[:, :, :n, :n]
        elif name == "contacts":
            expected[name] = value[: n - 2, : n - 2]
        elif name in ("pooler_output", "seq_relationship_logits"):
            expected[name] = value
    return Case(ids[:n].tolist(), types, expected)
