"""Embedding speed of every encoder family beside its own reference: same sequences, same weights.

    python benchmarks/families.py [--families esm1b nt-v1 ...] [--sequences 128]

All in one process with one thread: each chunk of sequences is embedded by every contender in
turn, so drift of the machine's speed hits all alike, and ratios of CPU times are medians over the
chunks. Random weights, 12 layers of width 480. The peer's default: batches of 8 in file order,
padded, fp32. Its best: one at a time without padding or mask, in fp32 and with bf16 weights.
Prints the table and writes it to families.txt.
"""

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from alignments import measure_alignments  # beside this file

LAYERS, WIDTH, HEADS, SEED, CHUNK = 12, 480, 20, 0, 16
ALIGNMENTS = "msa1b"
GOALS = "2.5 x default, 1.1 x best"
Ids = list[np.ndarray]
Embed = Callable[[Ids], np.ndarray]
TABLE = Path(__file__).with_suffix(".txt")


def main() -> None:
    """Print the table, a family at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="+", default=EVERY, choices=EVERY)
    parser.add_argument("--sequences", type=int, default=128)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    lines = []

    def tell(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    tell(
        f"{asked.sequences} sequences a family, {LAYERS} layers of width {WIDTH}, one thread; "
        f"goals: {GOALS} of the same number format\n"
    )
    tell("| family | peer | contender | tokens/s | x default | x best of its format | cosine |")
    tell("|---|---|---|--:|--:|--:|--:|")
    for family in asked.families:
        is_msa = family == ALIGNMENTS
        number = max(asked.sequences // 16, 1)
        for line in measure_alignments(number) if is_msa else measure(family, asked.sequences):
            tell(line)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def measure(family: str, number: int) -> list[str]:
    """The lines of one family."""
    peer, make, longest, specials, words = FAMILIES[family]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        torch.manual_seed(SEED)
        reference = make(Path(folder))
        contenders: dict[str, Embed] = {
            "peer default": peer_default(reference),
            "peer best fp32": peer_best(reference),
            "lexome fp32": lexome_embedder(folder, "fp32"),
            "peer best bf16": peer_best(make(None).bfloat16()),
            "lexome bf16": lexome_embedder(folder, "bf16"),
        }
        sequences = draw(number, longest, specials, words)
        chunks = [sequences[i : i + CHUNK] for i in range(0, number, CHUNK)]
        seconds = {name: np.zeros(len(chunks)) for name in contenders}
        vectors: dict[str, list[np.ndarray]] = {name: [] for name in contenders}
        for embed in contenders.values():
            embed(chunks[0][:4])
        for i, chunk in enumerate(chunks):
            for name, embed in contenders.items():
                began = time.process_time()
                vectors[name].append(embed(chunk))
                seconds[name][i] = time.process_time() - began
    tokens = np.array([sum(map(len, chunk)) for chunk in chunks])
    base = np.concatenate(vectors["peer default"])
    rows = []
    for name in contenders:
        best = f"peer best {name[-4:]}" if name != "peer default" else "peer best fp32"
        mine = np.concatenate(vectors[name])
        cosine = (mine * base).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(base, axis=1)
        rows.append(
            f"| {family} | {peer} | {name} | {np.median(tokens / seconds[name]):,.0f} | "
            f"{np.median(seconds['peer default'] / seconds[name]):.2f} | "
            f"{np.median(seconds[best] / seconds[name]):.2f} | {cosine.min():.6f} |"
        )
    return rows


def draw(number: int, longest: int, specials: tuple[int | None, int | None], words: range) -> Ids:
    """Token ids of sequences of mixed length."""
    generator = np.random.default_rng(SEED)
    lengths = np.exp(generator.normal(np.log(300), 0.65, number)).clip(30, longest).astype(int)
    first, last = ([] if one is None else [one] for one in specials)
    inner = [generator.integers(words.start, words.stop, n) for n in lengths]
    return [np.array([*first, *ids, *last]) for ids in inner]


def peer_default(model: Any) -> Embed:
    """Batches of 8 in file order, padded, fp32: what most people run."""

    def embed(chunk: Ids) -> np.ndarray:
        rows = []
        for start in range(0, len(chunk), 8):
            batch = chunk[start : start + 8]
            ids = torch.ones(len(batch), max(map(len, batch)), dtype=torch.long)
            real = torch.zeros_like(ids)
            for i, one in enumerate(batch):
                ids[i, : len(one)] = torch.from_numpy(one)
                real[i, : len(one)] = 1
            hidden = model(ids, attention_mask=real).last_hidden_state
            rows += [hidden[i, 1 : len(one) - 1].mean(0) for i, one in enumerate(batch)]
        return torch.stack(rows).float().numpy()

    return embed


def peer_best(model: Any) -> Embed:
    """One at a time, without padding or mask."""

    def embed(chunk: Ids) -> np.ndarray:
        rows = [model(torch.from_numpy(ids)[None]).last_hidden_state[0, 1:-1] for ids in chunk]
        return torch.stack([row.float().mean(0) for row in rows]).numpy()

    return embed


def lexome_embedder(folder: str, dtype: str) -> Embed:
    """The product's own path, from token ids to pooled vectors."""
    from lexome.inference.model import load
    from lexome.inference.runner import Piece, run_batches

    model = load(folder, dtype=dtype, device="cpu")

    def compute(packed: Any) -> list[np.ndarray]:
        parts = packed.layout.split(model.network(*packed).float())
        return [part[1:-1].mean(0).numpy() for part in parts]

    def embed(chunk: Ids) -> np.ndarray:
        pieces = (Piece("sequence", ids) for ids in chunk)
        return np.stack(list(run_batches(pieces, compute, "cpu")))

    return embed


def esm(folder: Path | None, **more: Any) -> Any:
    """transformers' EsmModel with seeded random weights; written to `folder` if there is one."""
    from transformers import EsmConfig, EsmModel

    torch.manual_seed(SEED)
    settings = {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 4 * WIDTH,
        "pad_token_id": 1,
        "max_position_embeddings": 1026,
        "layer_norm_eps": 1e-5,
        "emb_layer_norm_before": False,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "token_dropout": True,
    }
    model = EsmModel(EsmConfig(**(settings | more)), add_pooling_layer=False).eval()
    if folder is not None:
        model.save_pretrained(folder)
    return model


def esm1b(folder: Path | None) -> Any:
    """ESM-1b: learned positions, a norm of the embeddings."""
    from lexome.tokenizers.character import esm_vocabulary

    if folder is not None:
        (folder / "vocab.txt").write_text("\n".join(esm_vocabulary()))
    more = {"position_embedding_type": "absolute", "emb_layer_norm_before": True}
    return esm(folder, vocab_size=33, mask_token_id=32, **more)


def nucleotide(folder: Path | None, size: int, **more: Any) -> Any:
    """Either Nucleotide Transformer."""
    from lexome.tokenizers.kmers import all_kmers

    if folder is not None:
        first = ["<unk>", "<pad>", "<mask>", "<cls>"]
        ends = ["<eos>", "<bos>"]
        words = [*first, *ends, *all_kmers(6), *"ATCGN"]
        if size == 4105:
            words = [*first, *all_kmers(6), *"ATCGN", *ends]
        (folder / "vocab.txt").write_text("\n".join(words))
        (folder / "tokenizer_config.json").write_text('{"eos_token": null}')
    return esm(folder, vocab_size=size, mask_token_id=2, tie_word_embeddings=False, **more)


def nt_v1(folder: Path | None) -> Any:
    """v1: learned positions."""
    return nucleotide(folder, 4105, position_embedding_type="absolute")


def nt_v2(folder: Path | None) -> Any:
    """v2: rotary, with the gated feed-forward of its remote code put into transformers' blocks."""
    from safetensors.torch import save_file

    more = {"position_embedding_type": "rotary", "token_dropout": False}
    model = nucleotide(folder, 4107, **more)
    hidden = 4 * WIDTH
    for layer in model.encoder.layer:
        layer.intermediate.dense = torch.nn.Linear(WIDTH, 2 * hidden, bias=False)
        layer.output.dense = torch.nn.Linear(hidden, WIDTH, bias=False)
        torch.nn.init.normal_(layer.intermediate.dense.weight, std=0.02)
        torch.nn.init.normal_(layer.output.dense.weight, std=0.02)
        layer.intermediate.forward = Gate(layer.intermediate)
    if folder is not None:
        told = json.loads((folder / "config.json").read_text())
        del told["model_type"]
        told |= {"auto_map": {"AutoConfig": "esm_config.EsmConfig"}, "add_bias_fnn": False}
        (folder / "config.json").write_text(json.dumps(told))
        save_file(
            {k: v.contiguous() for k, v in model.state_dict().items()},
            folder / "model.safetensors",
        )
    return model


class Gate:
    """SwiGLU instead of transformers' feed-forward."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self.owner.dense(x).chunk(2, dim=-1)
        return torch.nn.functional.silu(first) * second


def dnabert(folder: Path | None) -> Any:
    """BERT with DNABERT's vocabulary."""
    from transformers import BertConfig, BertModel

    from lexome.tokenizers.overlapping import OverlappingTokenizer

    torch.manual_seed(SEED)
    words = OverlappingTokenizer(6).vocabulary
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=1024,
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    if folder is not None:
        model.save_pretrained(folder)
        (folder / "vocab.txt").write_text("\n".join(words))
    return model


def dnabert2(folder: Path | None) -> Any:
    """DNABERT-2's own code is not at hand: its stand-in is our plain form, brick by brick."""
    from lexome.architectures.bert import Bert, BertConfig
    from lexome.checkpoints.into_files import save_bert
    from lexome.tokenizers.library import LibraryTokenizer, word_piece_text

    torch.manual_seed(SEED)
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", *map(str, range(4091))]
    config = BertConfig(
        num_layers=LAYERS,
        width=WIDTH,
        num_heads=HEADS,
        ffn_width=4 * WIDTH,
        vocabulary_size=len(words),
        mask_id=4,
        pad_id=3,
        positions="alibi",
        feed_forward="geglu",
        language_model_head=False,
        pooler=False,
        context=512,
    )
    network = Bert(config).eval()
    if folder is not None:
        tokenizer = LibraryTokenizer(word_piece_text(words, False), "dna-bases")
        save_bert(network, tokenizer, "dnabert-2", folder, torch.float32)
    return PlainForm(network)


class PlainForm:
    """A network of ours without its fast bricks, asked as transformers' models are."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def bfloat16(self) -> "PlainForm":
        """With weights in bf16."""
        return PlainForm(copy.deepcopy(self.network).bfloat16())

    def __call__(self, ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Any:
        from lexome.layers.layout import PaddedLayout

        whole = torch.ones_like(ids) if attention_mask is None else attention_mask
        hidden = self.network(ids, PaddedLayout(whole.sum(1).tolist()))
        return argparse.Namespace(last_hidden_state=hidden)


FAMILIES: dict[str, tuple[str, Callable[[Path | None], Any], int, Any, range]] = {
    "esm1b": ("transformers", esm1b, 1022, (0, 2), range(4, 24)),
    "nt-v1": ("transformers", nt_v1, 998, (3, None), range(4, 4100)),
    "nt-v2": ("transformers, gated", nt_v2, 998, (3, None), range(6, 4102)),
    "dnabert": ("transformers", dnabert, 1022, (2, 3), range(5, 4101)),
    "dnabert-2": ("its plain form", dnabert2, 510, (1, 2), range(5, 4096)),
}
EVERY = [*FAMILIES, ALIGNMENTS]


if __name__ == "__main__":
    main()
