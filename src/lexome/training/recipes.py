"""How weights are changed: the recipe of each kind of model and method."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_type_hints

from lexome.errors import InputError
from lexome.training.adapters import ADAPTERS
from lexome.training.residue_labels import PER_RESIDUE

ClassWeights = Literal["none", "balanced"]
CLASS_WEIGHTS: tuple[str, ...] = get_args(ClassWeights)
Loss = Literal["cross-entropy", "focal"]
LOSSES: tuple[str, ...] = get_args(Loss)
YES_NO = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


@dataclass(frozen=True, kw_only=True)
class TrainRecipe:
    """How weights are changed; one a kind of model, every value can be overridden."""

    epochs: int
    patience: int  # epochs without a better validation figure before stopping
    batch_size: int  # sequences a step
    micro_tokens: int  # tokens in memory at once; a step adds up as many as it needs
    learning_rate: float
    backbone_rate: float = 1.0  # the backbone's learning rate, as a share of the head's
    frozen_epochs: int = 0  # at the start, in which the backbone stands still
    weight_decay: float = 0.05
    second_moment: float = 0.98  # AdamW's beta2
    warmup: float = 0.5  # in epochs
    clip: float = 1.0  # largest gradient norm
    average: float = 0.99  # decay of the running mean of the weights, which is what is kept
    smoothing: float = 0.02  # share of the label given to the others
    mask: float = 0.0  # share of residues hidden in training
    substitute: float = 0.0  # share of residues replaced by a similar one in training
    positive_share: float = 0.0  # binary: rarer positives are drawn up to this share
    class_weights: ClassWeights = "none"
    loss: Loss = "cross-entropy"  # of classes; numbers have the squared error
    focal_gamma: float = 2.0  # focal loss: how much less well-known rows count
    head_convolutions: int = 0  # dilated blocks before the pooling, over a vector a residue
    head_hidden: int = 64
    head_dropout: float = 0.4
    head_pooling: str = "queries"  # of architectures.predictor.POOLS
    both_strands: bool = False  # DNA: either strand in training, the mean of both in answers
    composition: bool = False  # amino-acid frequencies of the whole sequence beside the tokens
    long: str = "crop:511+511"
    adapter_rank: int | None = None  # of LoRA and DoRA; those of ADAPTERS where None
    adapter_alpha: float | None = None
    adapter_dropout: float = 0.0
    adapter_target: str = ""  # layers by the last part of their name: "query,value"


RECIPES: dict[str, TrainRecipe] = {
    "new:cnn": TrainRecipe(
        epochs=10,
        patience=5,
        batch_size=64,
        micro_tokens=32_768,
        learning_rate=2.5e-3,
        mask=0.1,
        substitute=0.05,
        positive_share=0.25,
        composition=True,
        long="crop:160+96",
    ),
    "new:encoder": TrainRecipe(
        epochs=10,
        patience=4,
        batch_size=32,
        micro_tokens=16_384,
        learning_rate=1e-3,
        mask=0.1,
        substitute=0.05,
        positive_share=0.25,
        composition=True,
        long="crop:160+96",
    ),
    "new:protein-mini": TrainRecipe(
        epochs=3,
        patience=3,
        batch_size=32,
        micro_tokens=8_192,
        learning_rate=3e-4,
        mask=0.1,
        substitute=0.05,
        positive_share=0.25,
        head_convolutions=4,
        composition=True,
        long="crop:80+32",
    ),
    "protein-mini": TrainRecipe(
        epochs=3,
        patience=3,
        batch_size=32,
        micro_tokens=8_192,
        learning_rate=2e-3,
        backbone_rate=0.2,
        weight_decay=0.02,
        average=0.98,
        mask=0.05,
        positive_share=0.25,
        head_convolutions=4,
        composition=True,
        long="crop:80+32",
    ),
    "protein-mini, frozen": TrainRecipe(
        epochs=6,
        patience=6,
        batch_size=64,
        micro_tokens=16_384,
        learning_rate=2.5e-3,
        mask=0.1,
        positive_share=0.25,
        head_convolutions=4,
        composition=True,
        long="crop:96+48",
    ),
    "full": TrainRecipe(
        epochs=5,
        patience=2,
        batch_size=16,
        micro_tokens=4_096,
        learning_rate=1e-4,
        average=0.995,
        positive_share=0.25,
        head_dropout=0.2,
    ),
    "frozen": TrainRecipe(
        epochs=40,
        patience=8,
        batch_size=128,
        micro_tokens=1 << 30,
        learning_rate=1e-3,
        weight_decay=0.01,
        long="window",
    ),
}
# Baselines that are trained from nothing. Short DNA is read whole.
RECURRENT = ("new:rnn", "new:lstm", "new:gru")
DILATED = ("new:bpnet", "new:bpnet-28m")
SPLICE = ("new:spliceai-80", "new:spliceai-400", "new:spliceai-2k", "new:spliceai-10k")
RECIPES["new, dna"] = TrainRecipe(
    epochs=20,
    patience=6,
    batch_size=64,
    micro_tokens=65_536,
    learning_rate=2e-3,
    mask=0.05,
    head_dropout=0.3,
    long="whole",
)
for _key, _plain in (("", RECIPES["new:cnn"]), (", dna", RECIPES["new, dna"])):
    RECIPES[f"new:deepstarr{_key}"] = _plain
    RECIPES |= {f"{name}{_key}": replace(_plain, head_pooling="additive") for name in RECURRENT}
    RECIPES |= {
        f"{name}{_key}": replace(
            _plain, learning_rate=1e-3, head_pooling="mean", head_hidden=0, head_dropout=0.0
        )
        for name in (*DILATED, *SPLICE)
    }
# Few numbers bear, and need, larger steps; IA3 and biases more so than matrices.
ADAPTER_RATES = {"ia3": 3e-3, "lora": 5e-4, "dora": 5e-4, "bias": 1e-3}
RECIPES |= {
    method: replace(RECIPES["full"], learning_rate=rate) for method, rate in ADAPTER_RATES.items()
}
# A hidden layer above IA3 would hold six times as many numbers as IA3 itself.
RECIPES["ia3"] = replace(RECIPES["ia3"], head_hidden=0)
RECIPES |= {
    f"protein-mini, {method}": replace(RECIPES["protein-mini"], backbone_rate=1.0)
    for method in ADAPTERS
}


# What a recipe for sequences says of residues too: nothing that is drawn, cut or counted by row.
OF_RESIDUES = {"composition": False, "positive_share": 0.0, "substitute": 0.0, "long": "window"}


def for_task(task: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Overrides of a recipe, with those that a task makes of itself where nothing is asked."""
    asked = {name: value for name, value in overrides.items() if value is not None}
    return OF_RESIDUES | asked if task == PER_RESIDUE else asked


def choose_recipe(
    model: str, method: str, alphabet: str = "protein", **overrides: Any
) -> TrainRecipe:
    """The recipe for a model and method, with the values that were asked for put in.

    A new model that reads bases has another one than the same model of proteins.

    Raises:
        InputError: an override that no recipe has.
    """
    if method == "frozen" or method in ADAPTERS:
        key = f"{model}, {method}" if f"{model}, {method}" in RECIPES else method
    elif model.startswith("new:") and alphabet in ("dna", "rna"):
        key = f"{model}, dna" if f"{model}, dna" in RECIPES else "new, dna"
    elif model.startswith("new:encoder"):
        key = "new:encoder"
    else:
        key = model if model in RECIPES else "full"
    known = {f.name for f in fields(TrainRecipe)}
    unknown = sorted(set(overrides) - known)
    if unknown:
        raise InputError(
            "settings", f"the key {unknown[0]!r}", ", ".join(sorted(known)), "one of these"
        )
    return replace(RECIPES[key], **{k: v for k, v in overrides.items() if v is not None})


def read_values(texts: Mapping[str, str]) -> dict[str, Any]:
    """Values of a recipe as they are typed, `key -> text`, in the types that a recipe has.

    >>> read_values({"head_hidden": "0", "both_strands": "true", "mask": "0.1"})
    {'head_hidden': 0, 'both_strands': True, 'mask': 0.1}

    Raises:
        InputError: a key that no recipe has, or a text that is no such value.
    """
    kinds = get_type_hints(TrainRecipe)
    found: dict[str, Any] = {}
    for key, text in texts.items():
        if key not in kinds:
            near = get_close_matches(key, kinds, n=1) or ["learning_rate"]
            raise InputError(f"--set {key}", "no such value", ", ".join(sorted(kinds)), near[0])
        kind = next(
            (k for k in (bool, int, float) if k in (kinds[key], *get_args(kinds[key]))), str
        )
        try:
            found[key] = YES_NO[text.lower()] if kind is bool else kind(text)
        except (KeyError, ValueError):
            expected = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
            raise InputError(f"--set {key}", repr(text), expected, f"--set {key}=...") from None
    return found
