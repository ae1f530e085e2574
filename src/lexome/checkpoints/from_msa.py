"""The MSA Transformer as fair-esm stores it."""

from pathlib import Path
from typing import Any

from lexome.architectures.msa import MsaConfig, MsaTransformer
from lexome.checkpoints.blank import no_values
from lexome.checkpoints.from_fair import HEAD, SENTENCE, SIZES, FairFile
from lexome.checkpoints.loaded import Loaded
from lexome.checkpoints.renaming import Rule, fill, note_placeholders, rename
from lexome.checkpoints.settings import read_sizes, require
from lexome.errors import CheckpointError
from lexome.tokenizers.character import CharacterTokenizer

ARCH = "msa_transformer"
_LAYER, _BLOCK = f"{SENTENCE}layers.{{i}}.", "blocks.{i}."
_PARTS = {
    # Rows and columns have each other's name on disk.
    **{
        f"{_LAYER}{theirs}_self_attention.layer.{short}_proj": f"{_BLOCK}{ours}_attention.{long}"
        for theirs, ours in (("column", "row"), ("row", "column"))
        for short, long in (("q", "query"), ("k", "key"), ("v", "value"), ("out", "output"))
    },
    f"{_LAYER}column_self_attention.layer_norm": f"{_BLOCK}row_norm",
    f"{_LAYER}row_self_attention.layer_norm": f"{_BLOCK}column_norm",
    f"{_LAYER}feed_forward_layer.layer.fc1": f"{_BLOCK}feed_forward.up",
    f"{_LAYER}feed_forward_layer.layer.fc2": f"{_BLOCK}feed_forward.down",
    f"{_LAYER}feed_forward_layer.layer_norm": f"{_BLOCK}feed_forward_norm",
    f"{SENTENCE}emb_layer_norm_before": "embedding_norm",
    f"{SENTENCE}emb_layer_norm_after": "final_norm",
    f"{HEAD}lm_head.dense": "language_model_head.dense",
    f"{HEAD}lm_head.layer_norm": "language_model_head.norm",
    "contact_head.regression": "contact_regression",
}
RULES = [
    Rule(f"{SENTENCE}embed_tokens.weight", "tokens.weight"),
    Rule(f"{HEAD}lm_head.weight", "tokens.weight"),  # tied: must hold the same values
    Rule(f"{HEAD}lm_head.bias", "language_model_head.bias"),
    Rule(f"{SENTENCE}embed_positions.weight", "positions.weight"),
    Rule(f"{SENTENCE}msa_position_embedding", "rows"),
    *(
        Rule(f"{theirs}.{kind}", f"{ours}.{kind}")
        for theirs, ours in _PARTS.items()
        for kind in ("weight", "bias")
    ),
]


def load_msa(path: Path, file: FairFile) -> Loaded:
    """The MSA Transformer of a fair-esm file, in fp32 on the CPU.

    Raises:
        CheckpointError: a setting, name or shape that is not its own.
    """
    where = str(path)
    require(file.settings, {"arch": ARCH, "embed_positions_msa": True}, where)
    renamed, accounting = rename(file.tensors, RULES, [], where)
    for name, shape in (("rows", (1, None, 1, None)), ("positions.weight", (None, None))):
        seen = tuple(renamed[name].shape) if name in renamed else ()
        fits = len(seen) == len(shape) and all(
            w in (None, s) for s, w in zip(seen, shape, strict=True)
        )
        if not fits:
            raise CheckpointError(
                where, f"{name} of shape {seen}", str(shape), "the published .pt file"
            )
    rows_RD = renamed["rows"][0, :, 0]
    sizes: dict[str, Any] = read_sizes(file.settings, where, SIZES)
    config = MsaConfig(
        **sizes,
        context=renamed["positions.weight"].shape[0] - 2,
        depth=rows_RD.shape[0],
        row_width=None if rows_RD.shape[1] == sizes["width"] else rows_RD.shape[1],
    )
    with no_values():
        network = MsaTransformer(config)
    fill(network, renamed | {"rows": rows_RD}, where)
    notes = note_placeholders(file.placeholders)
    notes += tuple(f"{key} in the file: not needed, not read" for key in file.left)
    tokenizer = CharacterTokenizer()
    return Loaded(network.eval(), tokenizer, accounting, "msa", "fair-msa", notes)
