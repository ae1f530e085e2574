"""What a fine-tuning run is asked to do, and the recipe of each kind of model."""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from lexome.batches.windows import parse_long
from lexome.errors import InputError
from lexome.sequence.alphabet import UNKNOWN_POLICIES, UnknownPolicy
from lexome.training.adapters import ADAPTERS
from lexome.training.residue_labels import PER_RESIDUE

Method = Literal["full", "frozen", "ia3", "lora", "dora", "bias"]
METHODS: tuple[str, ...] = get_args(Method)
ClassWeights = Literal["none", "balanced"]
CLASS_WEIGHTS: tuple[str, ...] = get_args(ClassWeights)


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
    head_convolutions: int = 0  # dilated blocks before the pooling, over a vector a residue
    head_hidden: int = 64
    head_dropout: float = 0.4
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
# Few numbers bear, and need, larger steps; IA3 and biases more so than matrices.
ADAPTER_RATES = {"ia3": 3e-3, "lora": 5e-4, "dora": 5e-4, "bias": 1e-3}
RECIPES |= {
    method: replace(RECIPES["full"], learning_rate=rate) for method, rate in ADAPTER_RATES.items()
}
RECIPES |= {
    f"protein-mini, {method}": replace(RECIPES["protein-mini"], backbone_rate=1.0)
    for method in ADAPTERS
}


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings:
    """One run: data, split, model, method. Unknown values are refused when made."""

    model: str = "new:cnn"
    method: Method = "full"
    task: str = "auto"
    positive: str | None = None
    ignore: str = ""  # letters of residues' labels that say nothing
    split: str = "cluster"
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    seeds: int = 3
    seed: int = 1
    unknown: UnknownPolicy = "refuse"
    dtype: str = "auto"
    device: str = "auto"
    offline: bool = False
    recipe: TrainRecipe = field(default_factory=lambda: RECIPES["new:cnn"])

    def __post_init__(self) -> None:
        for name, value, known in (
            ("method", self.method, METHODS),
            ("unknown", self.unknown, UNKNOWN_POLICIES),
            ("class_weights", self.recipe.class_weights, CLASS_WEIGHTS),
        ):
            if value not in known:
                option = f"`--{name.replace('_', '-')} {known[0]}`"
                raise InputError(name, repr(value), " or ".join(known), option)
        recipe = self.recipe
        for name, count in (
            ("seeds", self.seeds),
            ("epochs", recipe.epochs),
            ("patience", recipe.patience),
            ("batch_size", recipe.batch_size),
        ):
            if count < 1:
                raise InputError(name, str(count), "at least one", f"{name} 1 or more")
        if not 0 <= recipe.frozen_epochs <= recipe.epochs:
            seen = f"{recipe.frozen_epochs} of {recipe.epochs} epochs"
            raise InputError("frozen_epochs", seen, "from 0 to all of them", "frozen_epochs 0")
        if not 0 <= recipe.backbone_rate < float("inf"):
            seen = f"{recipe.backbone_rate:g}"
            raise InputError("backbone_rate", seen, "a share of the head's rate", "0.1")
        if self.method == "frozen" and recipe.frozen_epochs:
            raise InputError(
                "frozen_epochs",
                f"{recipe.frozen_epochs} with --method frozen",
                "0: there the backbone stands still in all epochs",
                "`--method full`",
            )
        if not 0 <= recipe.positive_share < 1:
            seen = f"{recipe.positive_share:g}"
            raise InputError("positive_share", seen, "0 to below 1", "0.25")
        if self.unknown == "reference":
            raise InputError("unknown", "reference in training", "refuse or map", "`--unknown map`")
        if self.method == "frozen" and self.dtype == "bf16" and not recipe.head_convolutions:
            raise InputError(
                "dtype",
                "bf16 with --method frozen",
                "fp32: one vector a sequence is the reference's, and the head is small",
                "`--dtype auto`",
            )
        if not 0 < recipe.learning_rate < float("inf"):
            rate = RECIPES["new:cnn"].learning_rate
            seen = f"{recipe.learning_rate:g}"
            raise InputError("learning_rate", seen, "a number above 0", f"`--learning-rate {rate}`")
        if self.method != "full" and self.model.startswith("new:"):
            raise InputError(
                "method",
                f"{self.method} with {self.model}",
                "trained weights to freeze",
                "`--method full`",
            )
        self._check_adapter()
        self._check_residues()
        if self.answers_residues:
            return
        if self.method != "frozen" and parse_long(self.recipe.long).kind == "window":
            raise InputError(
                "long",
                f"window with --method {self.method}",
                "crop, whole or refuse",
                "`--long crop:511+511`",
            )

    def _check_residues(self) -> None:
        if not self.answers_residues:
            if self.ignore:
                raise InputError(
                    "ignore",
                    f"{self.ignore!r} with --task {self.task}",
                    "letters of a label that has one for each residue",
                    f"`--task {PER_RESIDUE}`",
                )
            return
        recipe, task = self.recipe, f"with --task {PER_RESIDUE}"
        if recipe.positive_share:
            raise InputError(
                "positive_share",
                f"{recipe.positive_share:g} {task}",
                "0: whole sequences are drawn, with all their residues",
                "`--class-weights balanced`",
            )
        if recipe.composition:
            raise InputError("composition", f"true {task}", "false: residues are answered", "false")
        if parse_long(recipe.long).kind == "crop":
            raise InputError(
                "long",
                f"{recipe.long} {task}",
                "window, whole or refuse: every residue is answered",
                "`--long window`",
            )

    @property
    def answers_residues(self) -> bool:
        """Whether every residue has a label, and gets an answer."""
        return self.task == PER_RESIDUE

    def _check_adapter(self) -> None:
        recipe, has_rank = self.recipe, ("lora", "dora")
        plain = TrainRecipe.__dataclass_fields__
        for name in ("adapter_rank", "adapter_alpha", "adapter_dropout", "adapter_target"):
            value = getattr(recipe, name)
            methods = tuple(ADAPTERS) if name == "adapter_target" else has_rank
            if value != plain[name].default and self.method not in methods:
                seen = f"{value!r} with --method {self.method}"
                raise InputError(name, seen, f"one of {', '.join(methods)}", "`--method lora`")
        rank, alpha = recipe.adapter_rank, recipe.adapter_alpha
        if rank is not None and rank < 1:
            raise InputError("adapter_rank", str(rank), "at least one", "`--adapter-rank 8`")
        if alpha is not None and not 0 < alpha < float("inf"):
            raise InputError("adapter_alpha", f"{alpha:g}", "above 0", "`--adapter-alpha 16`")
        if not 0 <= recipe.adapter_dropout < 1:
            seen = f"{recipe.adapter_dropout:g}"
            raise InputError("adapter_dropout", seen, "0 to below 1", "`--adapter-dropout 0.1`")

    @property
    def all_seeds(self) -> list[int]:
        """The seeds to train with: `seed`, `seed` + 1, ..."""
        return list(range(self.seed, self.seed + self.seeds))

    def flat(self) -> dict[str, Any]:
        """Every setting as `key: value`, recipe values as `recipe.key`."""
        plain = {k: v for k, v in asdict(self).items() if k != "recipe"}
        return plain | {f"recipe.{k}": v for k, v in asdict(self.recipe).items()}


# What a recipe for sequences says of residues too: nothing that is drawn, cut or counted by row.
OF_RESIDUES = {"composition": False, "positive_share": 0.0, "substitute": 0.0, "long": "window"}


def for_task(task: str, overrides: dict[str, Any]) -> dict[str, Any]:
    """Overrides of a recipe, with those that a task makes of itself where nothing is asked."""
    asked = {name: value for name, value in overrides.items() if value is not None}
    return OF_RESIDUES | asked if task == PER_RESIDUE else asked


def choose_recipe(model: str, method: str, **overrides: Any) -> TrainRecipe:
    """The recipe for a model and method, with the values that were asked for put in.

    Raises:
        InputError: an override that no recipe has.
    """
    if method == "frozen" or method in ADAPTERS:
        key = f"{model}, {method}" if f"{model}, {method}" in RECIPES else method
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
