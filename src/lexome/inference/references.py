"""The packages that published the models, asked for the same outputs, where they are installed."""

# Letters: T tokens, D width, V vocabulary, H heads, C columns, R rows.
import argparse
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

# logits, hidden_layers, attentions, contacts; of alignments more, of a decoder decoder_logits
Outputs = dict[str, Tensor]


class Reference(NamedTuple):
    """A reference implementation with the same weights."""

    name: str  # package and version
    run: Callable[[Any], Outputs]  # of the ids of one sequence, or of the rows of an alignment


class Answer(NamedTuple):
    """The reference, or why there is none to be had."""

    reference: Reference | None
    reason: str


def find_reference(layout: str, path: Path) -> Answer:
    """What can be asked for the outputs of a checkpoint of some layout.

    Args:
        layout: of checkpoints/layouts.py.
        path: the directory, or the file of fair-esm.
    """
    if layout not in MAKERS:
        return Answer(None, WITHOUT.get(layout, f"no package is known that reads {layout}"))
    package, make = MAKERS[layout]
    try:
        found = version(package)
    except PackageNotFoundError:
        return Answer(None, f"{package} is not installed: `pip install {package}`")
    return Answer(Reference(f"{package} {found}", make(path)), "")


def _transformers_esm(path: Path) -> Callable[[Sequence[int]], Outputs]:
    from transformers import EsmForMaskedLM, EsmModel

    from lexome.checkpoints.weight_files import read_json

    bare = read_json(path / "config.json").get("architectures") == ["EsmModel"]
    network = _load_silently(EsmModel if bare else EsmForMaskedLM, path)

    def run(ids: Sequence[int]) -> Outputs:
        batch = torch.tensor([list(ids)])
        out = network(
            batch,
            attention_mask=torch.ones_like(batch),
            output_hidden_states=True,
            output_attentions=True,
        )
        return _of_transformers(out, getattr(out, "logits", None))

    return run


def _transformers_bert(path: Path) -> Callable[[Sequence[int]], Outputs]:
    from transformers import BertForMaskedLM

    network = _load_silently(BertForMaskedLM, path)

    def run(ids: Sequence[int]) -> Outputs:
        out = network(torch.tensor([list(ids)]), output_hidden_states=True, output_attentions=True)
        return _of_transformers(out, out.logits)

    return run


def _transformers_t5(path: Path) -> Callable[[Sequence[int]], Outputs]:
    from transformers import T5EncoderModel, T5ForConditionalGeneration

    from lexome.checkpoints.weight_files import read_tensors

    tensors = read_tensors(path).by_name
    if not any(name.startswith("decoder.block.") for name in tensors):
        encoder = _load_silently(T5EncoderModel, path)
        return lambda ids: _of_transformers(_ask_encoder(encoder, ids), None)
    network = _load_silently(T5ForConditionalGeneration, path)
    if "lm_head.weight" in tensors:
        # transformers 5 takes the embedding's rows whatever the file holds.
        rows = tensors["lm_head.weight"].float().clone()
        network.lm_head.weight = torch.nn.Parameter(rows)

    def run(ids: Sequence[int]) -> Outputs:
        target = torch.tensor([decoder_probe(ids, network.config.decoder_start_token_id)])
        scores = network(input_ids=torch.tensor([list(ids)]), decoder_input_ids=target).logits[0]
        found = _of_transformers(_ask_encoder(network.encoder, ids), None)
        return found | {"decoder_logits": scores}

    return run


def _transformers_gpt2(path: Path) -> Callable[[Sequence[int]], Outputs]:
    from transformers import GPT2LMHeadModel

    network = _load_silently(GPT2LMHeadModel, path)

    def run(ids: Sequence[int]) -> Outputs:
        out = network(torch.tensor([list(ids)]), output_hidden_states=True, output_attentions=True)
        return _of_transformers(out, out.logits)

    return run


def _ask_encoder(encoder: Any, ids: Sequence[int]) -> Any:
    batch = torch.tensor([list(ids)])
    return encoder(
        input_ids=batch,
        attention_mask=torch.ones_like(batch),
        output_hidden_states=True,
        output_attentions=True,
    )


def decoder_probe(ids: Sequence[int], start_id: int) -> list[int]:
    """What a decoder is given to read beside a source: the source itself, one place later."""
    return [start_id, *ids[:-1]]


def _load_silently(kind: Any, path: Path) -> Any:
    """In fp32 with attention maps; what the library says of tensors, our own accounting says."""
    from transformers.utils import logging as library_log

    logging: Any = library_log

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        options = {"attn_implementation": "eager", "dtype": torch.float32}
        return kind.from_pretrained(path, local_files_only=True, **options).eval()
    finally:
        logging.set_verbosity(verbosity)


def _of_transformers(out: Any, logits: Tensor | None) -> Outputs:
    found = {
        "hidden_layers": torch.stack(out.hidden_states)[:, 0],
        "attentions": torch.stack(out.attentions)[:, 0],
    }
    return found if logits is None else found | {"logits": logits[0]}


def _load_fair(file: Path) -> Any:
    """A network of fair-esm, which warns of contacts that we then do not ask for.

    Its settings are a namespace, which torch's own careful reader has to be told of.
    """
    from esm.pretrained import load_model_and_alphabet_local  # type: ignore[import-untyped]

    with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load_model_and_alphabet_local(str(file))[0].eval()


def _fair(path: Path) -> Callable[[Sequence[int]], Outputs]:
    from lexome.checkpoints.from_fair import fair_paths, find_fair

    file = find_fair(path)
    assert file is not None
    network = _load_fair(file)
    num_layers, has_contacts = network.num_layers, len(fair_paths(file)) > 1

    def run(ids: Sequence[int]) -> Outputs:
        out = network(
            torch.tensor([list(ids)]),
            repr_layers=range(num_layers + 1),
            need_head_weights=True,
            return_contacts=has_contacts,
        )
        layers = [out["representations"][i][0] for i in range(num_layers + 1)]
        found = {"logits": out["logits"][0], "hidden_layers": torch.stack(layers)}
        found["attentions"] = out["attentions"][0]
        return found | ({"contacts": out["contacts"][0]} if has_contacts else {})

    return run


def _fair_msa(path: Path) -> Callable[[Sequence[int]], Outputs]:
    from lexome.checkpoints.from_fair import find_fair

    file = find_fair(path)
    assert file is not None
    network = _load_fair(file)
    num_layers = network.args.layers

    def run(rows: Any) -> Outputs:
        out = network(
            torch.tensor([[list(row) for row in rows]]),
            repr_layers=range(num_layers + 1),
            return_contacts=True,
        )
        layers = [out["representations"][i][0] for i in range(num_layers + 1)]
        return {
            "logits": out["logits"][0],
            "hidden_layers": torch.stack(layers),
            "row_attentions": out["row_attentions"][0],
            "column_attentions": out["col_attentions"][0],
            "contacts": out["contacts"][0],
        }

    return run


MAKERS: dict[str, tuple[str, Callable[[Path], Callable[[Any], Outputs]]]] = {
    **dict.fromkeys(("esm2", "esm1b", "esm1v", "nt-v1"), ("transformers", _transformers_esm)),
    **dict.fromkeys(("bert", "dnabert"), ("transformers", _transformers_bert)),
    "gpt2": ("transformers", _transformers_gpt2),
    **dict.fromkeys(("fair-esm2", "fair-esm1b", "fair-esm1v"), ("fair-esm", _fair)),
    "fair-msa": ("fair-esm", _fair_msa),
    **dict.fromkeys(("prott5", "prostt5", "ankh"), ("transformers", _transformers_t5)),
}
REMOTE = "its published code lies beside the weights and is never run; our tests hold it to outputs"
CUDA = "its published code needs a GPU's attention kernels; our tests hold it to outputs"
WITHOUT = {
    **dict.fromkeys(("nt-v2", "dnabert-2", "progen2", "hyenadna"), REMOTE),
    "evo-1": CUDA,
}
