"""What a probe is asked to do."""

from dataclasses import asdict, dataclass
from typing import Any

from lexome.batches.windows import LongPolicy, parse_long
from lexome.errors import InputError
from lexome.evaluation.metrics import METRICS, Task
from lexome.inference.model import Model
from lexome.sequence.alphabet import UnknownPolicy
from lexome.training.residue_labels import PER_RESIDUE
from lexome.training.tasks import is_multitask

# Free of a threshold, so that heads are compared by how they rank.
METRIC = {
    "binary": "auroc",
    "multiclass": "macro_auroc",
    "multilabel": "macro_auroc",
    "regression": "spearman",
}


def choose_metric(asked: str | None, task: str) -> str:
    """The metric that ranks cells.

    Raises:
        InputError: one that the task does not have, or of which more is not better.
    """
    kind: Task = task  # type: ignore[assignment]  # settings refuse the others
    known = [name for name, one in METRICS[kind].items() if one.better == "higher"]
    if asked is not None and asked not in known:
        raise InputError("metric", repr(asked), ", ".join(known), f"`--metric {METRIC[task]}`")
    return asked or METRIC[task]


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """One probe: data, split, model, cells. Unknown values are refused where they are used."""

    model: str
    task: str = "auto"
    positive: str | None = None
    layers: tuple[int, ...] | None = None
    poolings: tuple[str, ...] | None = None
    heads: tuple[str, ...] = ("linear", "knn", "mlp")
    split: str = "cluster"
    clusters: str = "auto"  # how kin is found: mmseqs2 or kmers
    folds: int = 5
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    metric: str | None = None
    rows: int | None = None
    seed: int = 0
    unknown: UnknownPolicy = "refuse"
    long: str | None = None
    dtype: str = "fp32"
    device: str = "auto"
    offline: bool = False
    control: bool = False

    def __post_init__(self) -> None:
        if self.rows is not None and self.rows < 2:
            raise InputError("--rows", str(self.rows), "at least two", "`--rows 1000`")
        if self.task == PER_RESIDUE or is_multitask(self.task):
            raise InputError(
                "task", f"{self.task} in a probe", "one label a sequence", "`lexome finetune`"
            )
        if self.unknown == "reference":
            seen = "reference with labels"
            raise InputError("unknown", seen, "refuse or map", "`--unknown map`")

    def flat(self) -> dict[str, Any]:
        """Every setting as `key: value`."""
        return asdict(self)


class Reach:
    """What a model takes of a sequence: the answers that `check_lengths` asks for."""

    def __init__(self, model: Model) -> None:
        self.tokenizer = model.tokenizer
        self.context: int | None = model.card.context - model.tokenizer.num_specials
        self.is_per_letter = model.tokenizer.is_per_letter

    def num_tokens(self, sequence: str, id: str) -> int:
        """Tokens of a clean sequence, special ones left out."""
        if self.is_per_letter:
            return len(sequence)
        found = self.tokenizer.encode_many([sequence], "map", [id])
        return len(found.ids_T) - self.tokenizer.num_specials

    def policy(self, asked: str | None) -> LongPolicy:
        """What becomes of long sequences: a crop to both ends that fits, where nobody chose.

        A crop is counted in residues; where a token is none, long sequences are refused.
        """
        if asked is not None:
            return parse_long(asked)
        if not self.is_per_letter or self.context is None:
            return parse_long("refuse")
        return LongPolicy("crop", self.context - self.context // 2, self.context // 2)
