"""Tiny T5 models as published ones lie in a directory: config, weights, and the tokens' files."""

import json
import struct

import torch
from safetensors.torch import save_file

from lexome.architectures.t5 import T5, T5Config

# Residues in the order in which they are in the tests' files, then the rare ones.
LETTERS = "ALGVSREDTIPKFQNYMHWCXBOUZ"
SPECIALS = ("<pad>", "</s>", "<unk>")
SIZES = {"num_layers": 2, "width": 24, "num_heads": 3, "head_width": 16, "ffn_width": 40}


def piece_bytes(pieces, model_type=1):
    """A sentencepiece model: (text, score, type) each, as protobuf writes them."""

    def field(number, kind, data):
        return bytes([number << 3 | kind]) + data

    def sized(data):
        length, out = len(data), b""
        while length > 127:
            out, length = out + bytes([length & 127 | 128]), length >> 7
        return out + bytes([length]) + data

    whole = b""
    for text, score, kind in pieces:
        inner = field(1, 2, sized(text.encode())) + field(2, 5, struct.pack("<f", score))
        whole += field(1, 2, sized(inner + field(3, 0, bytes([kind]))))
    return whole + field(2, 2, sized(field(3, 0, bytes([model_type]))))


def residue_pieces(letters=LETTERS):
    """Special pieces, then a word for each residue, as ProtT5's vocabulary is."""
    kinds = {"<pad>": 3, "</s>": 3, "<unk>": 2}
    special = [(token, 0.0, kinds[token]) for token in SPECIALS]
    return special + [(f"▁{letter}", -3.0 - i / 10, 1) for i, letter in enumerate(letters)]


def prost_tokens():
    """The added tokens of ProstT5, which the facts give."""
    structure = "algvsredtipkfqnymhwc"
    added = {letter: 128 + i for i, letter in enumerate(structure)}
    return added | {"<fold2AA>": 148, "<AA2fold>": 149}


def told_config(config, **more):
    """config.json of one of our networks."""
    return {
        "architectures": ["T5ForConditionalGeneration" if config.decoder else "T5EncoderModel"],
        "model_type": "t5",
        "d_model": config.width,
        "d_kv": config.head_width,
        "d_ff": config.ffn_width,
        "num_layers": config.num_layers,
        "num_decoder_layers": config.decoder_layers or config.num_layers,
        "num_heads": config.num_heads,
        "vocab_size": config.vocabulary_size,
        "feed_forward_proj": config.feed_forward,
        "relative_attention_num_buckets": config.num_buckets,
        "decoder_start_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 0,
        "tie_word_embeddings": config.head == "tied",
        "n_positions": config.context,
    } | more


def published(network):
    """Our tensors by their published names, written down apart from the table of rules."""
    parts = {"query": "q", "key": "k", "value": "v", "output": "o", "up": "wi", "down": "wo"}
    out = {}
    for name, tensor in network.state_dict().items():
        words = name.split(".")
        if name == "embedding.weight":
            out["shared.weight"] = tensor
        elif name == "decoder.head.rows":
            out["lm_head.weight"] = tensor
        elif words[1] == "final_norm":
            out[f"{words[0]}.final_layer_norm.weight"] = tensor
        elif words[1] == "relative":
            place = f"{words[0]}.block.0.layer.0.SelfAttention"
            out[f"{place}.relative_attention_bias.weight"] = tensor
        else:
            stack, _, i, brick, part = words[:5]
            kinds = ["attention", "cross", "feed_forward"]
            if stack == "encoder":
                kinds.remove("cross")
            number = kinds.index(brick.removesuffix("_norm"))
            place = f"{stack}.block.{i}.layer.{number}"
            block = ["SelfAttention", "EncDecAttention", "DenseReluDense"]
            if brick.endswith("_norm"):
                out[f"{place}.layer_norm.weight"] = tensor
            elif part == "up" and network.config.feed_forward.startswith("gated-"):
                gate, lift = tensor.chunk(2)
                out[f"{place}.DenseReluDense.wi_0.weight"] = gate
                out[f"{place}.DenseReluDense.wi_1.weight"] = lift
            else:
                inner = block[["attention", "cross", "feed_forward"].index(brick)]
                out[f"{place}.{inner}.{parts[part]}.weight"] = tensor
    return {name: tensor.clone().contiguous() for name, tensor in out.items()}


def make_t5(seed=0, **more):
    """A small random network; 128 tokens, relu, tied, as ProtT5 has it."""
    torch.manual_seed(seed)
    settings = SIZES | {"vocabulary_size": 128, "decoder_layers": 2} | more
    network = T5(T5Config(**settings)).eval()
    for name, parameter in network.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter, mean=1.0, std=0.2)
        else:
            torch.nn.init.normal_(parameter, std=0.3)
    return network


def write_t5(folder, network=None, pieces=True, **told):
    """A directory of a network, with a sentencepiece file."""
    network = network if network is not None else make_t5()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(published(network), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(told_config(network.config, **told)))
    if pieces:
        (folder / "spiece.model").write_bytes(piece_bytes(residue_pieces()))
    return folder
