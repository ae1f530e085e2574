"""ESM-1b, ESM-1v and ESM-2 as fair-esm stores them: one .pt file, contacts in a second one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lexome.architectures.encoder import EncoderConfig
from lexome.checkpoints.from_esm import build_filled
from lexome.checkpoints.loaded import Loaded
from lexome.checkpoints.renaming import Rule, Unused, note_placeholders, rename
from lexome.checkpoints.settings import read_sizes, require
from lexome.checkpoints.torch_files import read_torch_file
from lexome.checkpoints.weight_files import check_tensors
from lexome.errors import CheckpointError
from lexome.tokenizers.character import CharacterTokenizer

SENTENCE, HEAD = "encoder.sentence_encoder.", "encoder."
CONTACTS = "-contact-regression.pt"
SIZES = {
    "num_layers": "encoder_layers",
    "width": "encoder_embed_dim",
    "num_heads": "encoder_attention_heads",
    "ffn_width": "encoder_ffn_embed_dim",
}
_LAYER, _BLOCK = f"{SENTENCE}layers.{{i}}.", "blocks.{i}."
_PARTS = {
    f"{_LAYER}self_attn.q_proj": f"{_BLOCK}attention.query",
    f"{_LAYER}self_attn.k_proj": f"{_BLOCK}attention.key",
    f"{_LAYER}self_attn.v_proj": f"{_BLOCK}attention.value",
    f"{_LAYER}self_attn.out_proj": f"{_BLOCK}attention.output",
    f"{_LAYER}self_attn_layer_norm": f"{_BLOCK}attention_norm",
    f"{_LAYER}fc1": f"{_BLOCK}feed_forward.up",
    f"{_LAYER}fc2": f"{_BLOCK}feed_forward.down",
    f"{_LAYER}final_layer_norm": f"{_BLOCK}feed_forward_norm",
    f"{SENTENCE}emb_layer_norm_before": "embedding.norm",
    f"{SENTENCE}emb_layer_norm_after": "final_norm",
    f"{HEAD}lm_head.dense": "language_model_head.dense",
    f"{HEAD}lm_head.layer_norm": "language_model_head.norm",
    "contact_head.regression": "contact_head.regression",
}
RULES = [
    Rule(f"{SENTENCE}embed_tokens.weight", "embedding.tokens.weight"),
    Rule(f"{HEAD}lm_head.weight", "embedding.tokens.weight"),  # tied: must hold the same values
    Rule(f"{HEAD}lm_head.bias", "language_model_head.bias"),
    *(
        Rule(f"{theirs}.{kind}", f"{ours}.{kind}")
        for theirs, ours in _PARTS.items()
        for kind in ("weight", "bias")
    ),
]
ROTARY = [Rule(f"{_LAYER}self_attn.rot_emb.inv_freq", "rotary.inv_freq")]
LEARNED = [Rule(f"{SENTENCE}embed_positions.weight", "embedding.positions.weight")]
UNUSED = [
    Unused(f"{SENTENCE}version", "a format number"),
    Unused(f"{SENTENCE}embed_positions._float_tensor", "a constant"),
]


class FairFile(NamedTuple):
    """What lies in a fair-esm file and in the one beside it."""

    settings: dict[str, Any]
    tensors: dict[str, Tensor]
    placeholders: tuple[str, ...]
    left: tuple[str, ...]  # top-level keys that are not needed, such as an optimiser's state


def find_fair(path: Path) -> Path | None:
    """The one model file of a directory, or the file itself; None where there is none.

    Raises:
        CheckpointError: several, of which one would have to be guessed.
    """
    if path.is_file():
        return path if path.suffix == ".pt" else None
    found = sorted(p for p in path.glob("*.pt") if not p.name.endswith(CONTACTS))
    if len(found) > 1:
        raise CheckpointError(
            str(path),
            f"{len(found)} files of models ({', '.join(p.name for p in found[:5])})",
            "one",
            f"the file itself: `--model {found[0]}`",
        )
    return found[0] if found else None


def fair_paths(path: Path) -> list[Path]:
    """The model's file, and that of its contact regression where there is one."""
    contacts = path.with_name(path.stem + CONTACTS)
    return [path, contacts] if contacts.is_file() else [path]


def read_fair(path: Path) -> FairFile:
    """Settings and tensors of a fair-esm file; nothing else in it is looked at.

    Raises:
        CheckpointError: no settings or no model in it.
    """
    read = read_torch_file(path)
    content = read.content
    if not isinstance(content, dict) or "model" not in content:
        raise CheckpointError(
            str(path), "no key 'model'", "a file of fair-esm", "the published .pt file"
        )
    config = content.get("cfg")
    settings = config.get("model") if isinstance(config, Mapping) else content.get("args")
    if not isinstance(settings, Mapping):
        raise CheckpointError(
            str(path), "no settings in cfg or args", "those of fair-esm", "the published .pt file"
        )
    tensors = dict(check_tensors(content["model"], str(path)))
    for contacts in fair_paths(path)[1:]:
        regression = read_torch_file(contacts).content
        more = regression.get("model") if isinstance(regression, dict) else None
        tensors |= check_tensors(more, str(contacts))
    left = sorted(str(key) for key in content if key not in ("model", "cfg", "args"))
    return FairFile(dict(settings), tensors, read.placeholders, tuple(left))


def load_fair(path: Path, file: FairFile) -> Loaded:
    """The ESM-1b, ESM-1v or ESM-2 of a fair-esm file, in fp32 on the CPU.

    Raises:
        CheckpointError: another architecture, a setting, name or shape that is not the family's.
    """
    where = str(path)
    is_rotary = any(name.endswith("rot_emb.inv_freq") for name in file.tensors)
    has_norm = f"{SENTENCE}emb_layer_norm_before.weight" in file.tensors
    expected = "masked_lm_transformer" if is_rotary else "roberta_large"
    require(file.settings, {"arch": expected}, where)
    rules = [*RULES, *(ROTARY if is_rotary else LEARNED)]
    tensors = dict(file.tensors)
    if not is_rotary:
        _zero_mask_row(tensors)
    renamed, accounting = rename(tensors, rules, UNUSED, where)
    sizes: dict[str, Any] = read_sizes(
        {"encoder_ffn_embed_dim": 4 * file.settings.get("encoder_embed_dim", 0)} | file.settings,
        where,
        SIZES,
        pairs=2 if is_rotary else 1,
    )
    context = 1024
    if not is_rotary:
        context = tensors[f"{SENTENCE}embed_positions.weight"].shape[0] - 2
    config = EncoderConfig(
        **sizes,
        token_dropout=bool(file.settings.get("token_dropout", True)),
        contact_head="contact_head.regression.weight" in renamed,
        context=context,
        positions="rotary" if is_rotary else "learned",
        embedding_norm=has_norm,
    )
    network = build_filled(config, renamed, where)
    notes = note_placeholders(file.placeholders)
    notes += tuple(f"{key} in the file: not needed, not read" for key in file.left)
    layout = "fair-esm2" if is_rotary else ("fair-esm1b" if has_norm else "fair-esm1v")
    return Loaded(network, CharacterTokenizer(), accounting, "encoder", layout, notes)


def _zero_mask_row(tensors: dict[str, Tensor]) -> None:
    """fair-esm does so for ESM-1b and ESM-1v when it loads: the head is tied to these rows.

    A head that is stored by itself, not as the same storage, is copied over the zeros afterwards,
    so there the row stays.
    """
    tokens, head = f"{SENTENCE}embed_tokens.weight", f"{HEAD}lm_head.weight"
    if tokens not in tensors:
        return
    is_shared = head not in tensors or tensors[head].data_ptr() == tensors[tokens].data_ptr()
    if is_shared:
        row = CharacterTokenizer().mask_id
        zeroed = tensors[tokens].clone()
        zeroed[row] = 0
        tensors[tokens] = zeroed
        if head in tensors:
            tensors[head] = torch.as_tensor(zeroed)
