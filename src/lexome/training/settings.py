"""What a fine-tuning run is asked to do."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from lexome.architectures.predictor import POOLS
from lexome.batches.windows import parse_long
from lexome.errors import InputError
from lexome.sequence.alphabet import UNKNOWN_POLICIES, UnknownPolicy
from lexome.training.adapters import ADAPTERS
from lexome.training.recipes import CLASS_WEIGHTS, LOSSES, RECIPES, TrainRecipe
from lexome.training.residue_labels import PER_RESIDUE

Method = Literal["full", "frozen", "ia3", "lora", "dora", "bias"]
METHODS: tuple[str, ...] = get_args(Method)
PAIRS = ("auto", "joint", "towers")


NEW_ALPHABETS = ("auto", "protein", "dna", "rna")


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
    block_size: int | None = None  # in bases; None where the split is none into blocks
    gap: int | None = None  # bases left empty between blocks of two parts
    seeds: int = 3
    seed: int = 1
    alphabet: str = "auto"  # of a new model; a loaded one has its own
    unknown: UnknownPolicy = "refuse"
    pairs: str = ""  # of two sequence columns: auto until the model is known, joint or towers
    symmetric: bool = False  # whether a pair is the same as the swapped pair
    dtype: str = "auto"
    device: str = "auto"
    offline: bool = False
    recipe: TrainRecipe = field(default_factory=lambda: RECIPES["new:cnn"])

    def __post_init__(self) -> None:
        for name, value, known in (
            ("method", self.method, METHODS),
            ("unknown", self.unknown, UNKNOWN_POLICIES),
            ("class_weights", self.recipe.class_weights, CLASS_WEIGHTS),
            ("alphabet", self.alphabet, NEW_ALPHABETS),
            ("head_pooling", self.recipe.head_pooling, POOLS),
            ("loss", self.recipe.loss, LOSSES),
            ("pairs", self.pairs or "auto", PAIRS),
        ):
            if value not in known:
                option = f"`--{name.replace('_', '-')} {known[0]}`"
                raise InputError(name, repr(value), " or ".join(known), option)
        blocks = {"--block-size": self.block_size, "--gap": self.gap}
        for name, bases in blocks.items():
            if bases is not None and not self.split.startswith("block:"):
                seen = f"{bases:,} with --split {self.split}"
                remedy = f"`--split block:CHROMOSOME,POSITION`, or the command without `{name}`"
                raise InputError(name, seen, "a split into blocks of a genome", remedy)
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
        if self.answers_residues and self.model == "new:deepstarr":
            seen = "new:deepstarr, which pools sixteen bases into one vector"
            raise InputError("model", seen, "a vector a residue", "`--model new:spliceai-400`")
        if self.answers_residues and recipe.both_strands:
            seen = f"both with --task {self.task}"
            raise InputError("strands", seen, "as-given", "without `--strands both`")
        if recipe.both_strands and self.alphabet in ("protein", "rna"):
            seen = f"{self.alphabet} sequences"
            raise InputError("both_strands", seen, "DNA: it has two", "without `--strands both`")
        gamma = recipe.focal_gamma
        if not 0 <= gamma < float("inf"):
            raise InputError("focal_gamma", f"{gamma:g}", "0 or above", "`--focal-gamma 2`")
        if gamma != TrainRecipe.focal_gamma and recipe.loss != "focal":
            seen = f"{gamma:g} with --loss {recipe.loss}"
            raise InputError("focal_gamma", seen, "the focal loss", "`--loss focal`")
        if self.pairs and self.answers_residues:
            raise InputError(
                "task", f"{self.task} of pairs", "a label of each pair", "the command without it"
            )
        if self.pairs == "joint" and recipe.both_strands:
            seen = "both strands of two sequences in one input"
            raise InputError("pairs", seen, "towers", "`--pairs towers`")
        if not 0 <= recipe.positive_share < 1:
            seen = f"{recipe.positive_share:g}"
            raise InputError("positive_share", seen, "0 to below 1", "0.25")
        if self.unknown == "reference":
            raise InputError("unknown", "reference in training", "refuse or map", "`--unknown map`")
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
    def read_as(self) -> str:
        """What a new model reads: proteins, until `settle_alphabet` has seen the sequences."""
        return "protein" if self.alphabet == "auto" else self.alphabet

    @property
    def gamma(self) -> float:
        """Of the focal loss; 0 where it is cross-entropy."""
        return self.recipe.focal_gamma if self.recipe.loss == "focal" else 0.0

    @property
    def all_seeds(self) -> list[int]:
        """The seeds to train with: `seed`, `seed` + 1, ..."""
        return list(range(self.seed, self.seed + self.seeds))

    def flat(self) -> dict[str, Any]:
        """Every setting as `key: value`, recipe values as `recipe.key`."""
        plain = {k: v for k, v in asdict(self).items() if k != "recipe"}
        return plain | {f"recipe.{k}": v for k, v in asdict(self.recipe).items()}
