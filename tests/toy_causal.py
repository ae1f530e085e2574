"""Causal networks so small that every probability can be worked out, in the contract of the real."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from lexome.layers.state import State, empty_state


@dataclass(frozen=True)
class ToyConfig:
    context: int = 64
    vocabulary_size: int = 8
    positions: str = "learned"


class Chain(nn.Module):
    """A Markov chain: the next token depends on the last one alone, by a table of logits."""

    def __init__(self, vocabulary_size: int = 8, seed: int = 0, context: int = 64) -> None:
        super().__init__()
        self.config = ToyConfig(context, vocabulary_size)
        self.width = vocabulary_size
        generator = torch.Generator().manual_seed(seed)
        self.table_VV = torch.randn(vocabulary_size, vocabulary_size, generator=generator) * 1.5

    def start(self, rows: int, capacity: int) -> State:
        return empty_state(rows, capacity, [{"keys": ((1,), torch.float32)}], "cpu")

    def extend(self, tokens_BT: Tensor, state: State) -> Tensor:
        state.lengths_B += tokens_BT.shape[1]
        assert int(state.lengths_B.max()) <= state.capacity, "a row grew beyond its room"
        return F.one_hot(tokens_BT, self.config.vocabulary_size).float()

    def forward(self, tokens_N: Tensor, layout: object) -> Tensor:
        return F.one_hot(tokens_N, self.config.vocabulary_size).float()

    def logits(self, hidden_ND: Tensor) -> Tensor:
        return self.table_VV[hidden_ND.argmax(-1)]


class Counter(nn.Module):
    """Attention of one head over all tokens seen: a state whose mistakes show in the answers."""

    def __init__(self, vocabulary_size: int = 8, seed: int = 0, context: int = 64) -> None:
        super().__init__()
        self.config, self.width = ToyConfig(context, vocabulary_size), 4
        generator = torch.Generator().manual_seed(seed)
        self.tokens_VD = torch.randn(vocabulary_size, 4, generator=generator)
        self.places_CD = torch.randn(context, 4, generator=generator)
        self.head_VD = torch.randn(vocabulary_size, 4, generator=generator) * 2

    def start(self, rows: int, capacity: int) -> State:
        return empty_state(rows, capacity, [{"keys": ((4,), torch.float32)}], "cpu")

    def extend(self, tokens_BT: Tensor, state: State) -> Tensor:
        out = []
        for row, tokens_T in enumerate(tokens_BT):
            start = int(state.lengths_B[row])
            end = start + len(tokens_T)
            keys_TD = self.tokens_VD[tokens_T] + self.places_CD[start:end]
            state.layers[0]["keys"][row, start:end] = keys_TD
            all_KD = state.layers[0]["keys"][row, :end]
            weights_TK = keys_TD @ all_KD.T
            places = torch.arange(end)
            weights_TK = weights_TK.masked_fill(
                places[None] > torch.arange(start, end)[:, None], float("-inf")
            )
            out.append(weights_TK.softmax(-1) @ all_KD)
        state.lengths_B += tokens_BT.shape[1]
        return torch.stack(out)

    def logits(self, hidden_ND: Tensor) -> Tensor:
        return hidden_ND @ self.head_VD.T


def exact_next(chain: Chain, last: int) -> np.ndarray:
    """The chain's probabilities after a token."""
    return chain.table_VV[last].double().softmax(-1).numpy()


def write_progen2(folder: Path, seed: int = 0) -> Path:
    """A directory in the layout of the published ProGen2 models, tiny and random."""
    generator = torch.Generator().manual_seed(seed)
    width, vocabulary = 32, 32
    shapes = {"transformer.wte.weight": (vocabulary, width)}
    for layer in range(2):
        place = f"transformer.h.{layer}."
        shapes |= {
            f"{place}ln_1.weight": (width,),
            f"{place}ln_1.bias": (width,),
            f"{place}attn.qkv_proj.weight": (3 * width, width),
            f"{place}attn.out_proj.weight": (width, width),
            f"{place}mlp.fc_in.weight": (4 * width, width),
            f"{place}mlp.fc_in.bias": (4 * width,),
            f"{place}mlp.fc_out.weight": (width, 4 * width),
            f"{place}mlp.fc_out.bias": (width,),
        }
    shapes |= {"transformer.ln_f.weight": (width,), "transformer.ln_f.bias": (width,)}
    shapes |= {"lm_head.weight": (vocabulary, width), "lm_head.bias": (vocabulary,)}
    tensors = {}
    for name, shape in shapes.items():
        tensors[name] = torch.randn(shape, generator=generator) * 0.3
        if "ln_" in name and name.endswith("weight"):
            tensors[name] += 1
    save_file(tensors, folder / "model.safetensors")
    config = {
        "model_type": "progen",
        "activation_function": "gelu_new",
        "n_embd": width,
        "n_head": 8,
        "n_inner": None,
        "n_layer": 2,
        "n_positions": 256,
        "rotary_dim": 4,
        "layer_norm_epsilon": 1e-5,
        "vocab_size": vocabulary,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    (folder / "config.json").write_text(json.dumps(config))
    tokens = ["<|pad|>", "<|bos|>", "<|eos|>", "1", "2", *"ABCDEFGHIKLMNOPQRSTUVWXYZ"]
    published = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": i,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for i, token in enumerate(tokens[:3])
        ],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": [],
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(published))
    return folder
