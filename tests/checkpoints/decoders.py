"""The fixtures of the decoder families, read one way."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

from tests.shared_data import shared


class DecoderFixture(NamedTuple):
    """A tiny checkpoint and what its reference computed."""

    path: Path
    facts: dict[str, Any]
    tensors: dict[str, torch.Tensor]

    @property
    def texts(self) -> list[str]:
        """The inputs as they were given to the published tokenizer."""
        return [one["text"] for one in self.facts["inputs"]]

    def ids(self, number: int) -> list[int]:
        """The token ids of an input."""
        return self.tensors[f"input{number}.ids"].tolist()


def read_decoder(name: str) -> DecoderFixture:
    """A fixture folder of shared/, or a visible skip."""
    path = shared(f"reference/fixtures/{name}")
    facts = json.loads((path / "expected.json").read_text())
    return DecoderFixture(path, facts, load_file(path / "expected.safetensors"))


def read_on(network: Any, ids: list[int], cuts: list[int], capacity: int = 0) -> torch.Tensor:
    """Logits of every token, the text read in pieces that end at `cuts`."""
    state = network.start(1, capacity or len(ids))
    found = []
    bounds = [0, *cuts, len(ids)]
    with torch.inference_mode():
        for start, end in pairwise(bounds):
            if end > start:
                tokens_BT = torch.tensor([ids[start:end]])
                found.append(network.logits(network.extend(tokens_BT, state))[0])
    return torch.cat(found)
