"""HyenaDNA in both published layouts: the Hugging Face port, and the files of its training."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from lexome.architectures.hyena import Hyena, HyenaConfig
from lexome.checkpoints.blank import no_values
from lexome.checkpoints.loaded import Loaded
from lexome.checkpoints.renaming import Rule, fill, note_placeholders, rename
from lexome.checkpoints.settings import require, whole
from lexome.checkpoints.weight_files import read_json, read_tensors
from lexome.errors import CheckpointError
from lexome.tokenizers.single_bases import HyenaTokenizer

_LAYER, _BLOCK, _FILTER = "layers.{i}.", "blocks.{i}.", "mixer.filter_fn."
RULES = [
    Rule("embeddings.word_embeddings.weight", "embedding.weight"),
    Rule("ln_f.weight", "final_norm.weight"),
    Rule("ln_f.bias", "final_norm.bias"),
    *(
        Rule(f"{_LAYER}{theirs}.{kind}", f"{_BLOCK}{ours}.{kind}")
        for theirs, ours in {
            "norm1": "mixer_norm",
            "norm2": "feed_forward_norm",
            "mixer.in_proj": "mixer.project",
            "mixer.short_filter": "mixer.short_filter",
            "mixer.out_proj": "mixer.output",
            f"{_FILTER}implicit_filter.0": "mixer.long_filter.first",
            "mlp.fc1": "feed_forward.up",
            "mlp.fc2": "feed_forward.down",
        }.items()
        for kind in ("weight", "bias")
    ),
    *(
        Rule(f"{_LAYER}{_FILTER}{theirs}", f"{_BLOCK}mixer.{ours}")
        for theirs, ours in {
            "bias": "skip",
            "pos_emb.z": "long_filter.z",
            "pos_emb.t": "long_filter.t",
            "modulation.deltas": "long_filter.deltas",
        }.items()
    ),
]
TIED = Rule("lm_head.weight", "embedding.weight")  # where it is stored, it must be the same
UNTIED = Rule("lm_head.weight", "language_model_head.rows")
# What every config must say, and may leave out; and what the training's says of its layers.
REQUIRED = {
    "model_type": "hyenadna",
    "hyena_order": 2,
    "short_filter_order": 3,
    "use_bias": True,
}
REQUIRED_OF_LAYER = {
    "_name_": "hyena",
    "order": 2,
    "short_filter_order": 3,
    "modulate": True,
    "shift": 0.05,
    "normalized": False,
}


def load_hyenadna(directory: Path) -> Loaded:
    """The HyenaDNA model of a directory, in fp32 on the CPU.

    Raises:
        CheckpointError: a setting, tensor name or shape that is not the family's.
    """
    where = str(directory / "config.json")
    config = read_config(read_json(directory / "config.json"), where)
    read = read_tensors(directory)
    tensors = to_bricks(read.by_name, str(directory))
    head = TIED if config.tied_head else UNTIED
    rules = [*RULES, *filter_rules(config.num_inner), head]
    renamed, accounting = rename(tensors, rules, [], str(directory))
    with no_values():
        network = Hyena(config)
    fill(network, renamed, str(directory))
    notes = note_placeholders(read.placeholders)
    return Loaded(network.eval(), HyenaTokenizer(), accounting, "hyena", "hyenadna", notes)


def filter_rules(num_inner: int) -> list[Rule]:
    """The networks that draw the filters: linears and sines in turn.

    All sines have one freq. A file holds it once or more often; the copies must be the same.
    """
    theirs, ours = f"{_LAYER}{_FILTER}implicit_filter.", f"{_BLOCK}mixer.long_filter."
    rules = [
        Rule(f"{theirs}{2 * i + 2}.{kind}", f"{ours}inner.{i}.{kind}")
        for i in range(num_inner)
        for kind in ("weight", "bias")
    ]
    rules += [Rule(f"{theirs}{2 * i + 1}.freq", f"{ours}freq") for i in range(num_inner + 1)]
    return [*rules, Rule(f"{theirs}{2 * num_inner + 2}.weight", f"{ours}last.weight")]


def to_bricks(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """Names of both layouts made the same, and tensors without their empty first axes.

    Training with recomputed activations wraps mixers and feed-forwards in a `layer`.
    """
    made: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        short = name.removeprefix("hyena.").removeprefix("model.").removeprefix("backbone.")
        short = short.replace(".mixer.layer.", ".mixer.").replace(".mlp.layer.", ".mlp.")
        if short in made:
            raise CheckpointError(
                where, f"a tensor that stands twice, as {name} too", "each once", "the weights"
            )
        if short.endswith((".freq", ".pos_emb.z")):
            tensor = tensor[0] if len(tensor) == 1 else tensor
        elif short.endswith((".pos_emb.t", ".modulation.deltas")):
            tensor = tensor.flatten() if max(tensor.shape) == tensor.numel() else tensor
        made[short] = tensor
    return made


def read_config(settings: Mapping[str, object], where: str) -> HyenaConfig:
    """Sizes and switches, from either spelling.

    Raises:
        CheckpointError: naming the key.
    """
    layer = settings.get("layer")
    is_port = not isinstance(layer, Mapping)
    if isinstance(layer, Mapping):
        require(layer, REQUIRED_OF_LAYER, where)
        inside = layer
    else:
        require(settings, REQUIRED, where)
        inside = settings
    multiple = whole(settings, "pad_vocab_size_multiple", where, 8)
    tokens, width = whole(settings, "vocab_size", where), whole(settings, "d_model", where)
    inner = settings.get("d_inner")
    eps = settings.get("layer_norm_epsilon", 1e-5)
    if not isinstance(eps, float) or not 0 < eps < 1:
        raise CheckpointError(
            where, f"layer_norm_epsilon = {eps!r}", "a small number", "the published config"
        )
    require(settings, {"vocab_size": len(HyenaTokenizer.vocabulary)}, where)
    return HyenaConfig(
        num_layers=whole(settings, "n_layer", where),
        width=width,
        inner_width=4 * width if inner is None else whole(settings, "d_inner", where),
        context=whole(inside, "max_seq_len" if is_port else "l_max", where),
        filter_order=whole(inside, "filter_order", where, 64),
        filter_inputs=whole(inside, "emb_dim", where, 5),
        num_inner=whole(inside, "num_inner_mlps", where, 2),
        vocabulary_size=tokens + -tokens % multiple,
        layer_norm_eps=eps,
        tied_head=bool(settings.get("tie_word_embeddings", False)) if is_port else True,
    )
