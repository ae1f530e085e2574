"""A pre-training, written down: one TOML file says what is trained, on what, and how."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lexome.errors import InputError
from lexome.results.files import translate_disk_errors

PATHS = ("data.sources", "data.exclude", "data.corpus")
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataRecipe(_Table):
    """What the model reads. Paths are taken from the folder that the recipe lies in."""

    sources: tuple[str, ...] = ()  # FASTA, Parquet, CSV, ...: anything that `embed` reads
    exclude: tuple[str, ...] = ()  # sequences to which nothing trained on may be similar
    corpus: str = ""  # folder of the shards; made there from `sources`, or found there
    alphabet: Literal["protein", "dna"] = "protein"
    unknown: Literal["refuse", "map"] = "map"
    shortest: Count = 30  # residues
    longest: Count = 100_000  # longer records are left out and counted
    heldout: Share = 0.02  # of the sequences become seeds of held-out groups
    identity: Share = 0.3  # from which on two sequences are similar,
    coverage: Share = 0.5  # over this share of either of them
    similarity: Literal["mmseqs2", "kmers"] = "mmseqs2"
    shard_residues: Count = 1 << 28

    @model_validator(mode="after")
    def _search_fits(self) -> "DataRecipe":
        if self.alphabet == "dna" and (self.heldout or self.exclude):
            raise ValueError(
                "kin among DNA cannot be searched for yet, so nothing is held out of it: "
                "heldout = 0, and no exclude"
            )
        return self


class ModelRecipe(_Table):
    """The network: ESM-2's architecture (encoder), GPT-2's (decoder), or Evo's (striped-hyena)."""

    family: Literal["encoder", "decoder", "striped-hyena"] = "encoder"
    num_layers: Count
    width: Count
    num_heads: Count
    ffn_width: Count
    dropout: Share = 0.0
    token_dropout: bool = True  # of an encoder
    attention_layers: tuple[int, ...] = ()  # of striped-hyena; the others convolve
    num_states: Count = 8  # of each of their filters

    @model_validator(mode="after")
    def _heads_fit(self) -> "ModelRecipe":
        if self.width % (2 * self.num_heads):
            raise ValueError(f"width {self.width} must split into {self.num_heads} even heads")
        if not set(self.attention_layers) <= set(range(self.num_layers)):
            raise ValueError(f"attention in {self.attention_layers} of {self.num_layers} layers")
        return self

    def settings(self, context: int) -> dict[str, Any]:
        """Of the family's config."""
        names = ("num_layers", "width", "num_heads")
        sizes = {name: getattr(self, name) for name in names} | {"context": context}
        if self.family == "striped-hyena":
            filters = {"num_states": self.num_states, "constrained_poles": True}
            layers = {"attention_layers": self.attention_layers, "inner_width": self.ffn_width}
            return sizes | filters | layers
        sizes |= {"ffn_width": self.ffn_width, "dropout": self.dropout}
        if self.family == "decoder":
            return sizes | {"vocabulary_size": 33}
        return sizes | {"contact_head": False, "token_dropout": self.token_dropout}


class ObjectiveRecipe(_Table):
    """What is learned: `masked` (BERT, ESM-2) or `causal` (the next token)."""

    kind: Literal["masked", "causal"] = "masked"
    rate: Annotated[float, Field(gt=0, lt=1)] = 0.15
    masked: Share = 0.8  # of the chosen ones
    replaced: Share = 0.1

    @model_validator(mode="after")
    def _shares_fit(self) -> "ObjectiveRecipe":
        if self.masked + self.replaced > 1:
            raise ValueError(f"masked {self.masked} + replaced {self.replaced} is more than 1")
        return self


class TrainingRecipe(_Table):
    """How weights are changed. `token_batch` does not depend on the number of devices."""

    steps: Count
    token_batch: Count  # tokens a step, over all devices
    micro_tokens: Count = 16_384  # tokens in memory at once
    context: Annotated[int, Field(ge=3)] = 1024  # tokens of a window at the most
    optimizer: Literal["adamw", "muon"] = "adamw"  # muon: for the matrices of the blocks
    learning_rate: Annotated[float, Field(gt=0)] = 4e-4
    warmup: int = Field(default=2000, ge=0)  # steps
    final_rate: Share = 0.1  # of the learning rate, at the end of the cosine
    weight_decay: float = Field(default=0.01, ge=0)
    first_moment: Share = 0.9
    second_moment: Share = 0.98
    epsilon: Annotated[float, Field(gt=0)] = 1e-8
    clip: Annotated[float, Field(gt=0)] = 1.0
    average: Share = 0.0  # decay of a running mean of the weights; 0 keeps none
    dtype: Literal["auto", "fp32", "bf16"] = "auto"
    fuse: bool = True  # on a GPU: compile what lies between the matrix products


class WatchRecipe(_Table):
    """How often one looks, and saves."""

    log_every: Count = 20  # steps
    validate_every: Count = 500  # steps
    validation_residues: Count = 400_000  # held-out residues looked at each time
    save_seconds: Annotated[float, Field(gt=0)] = 120
    tensorboard: bool = False


class Recipe(_Table):
    """A whole recipe."""

    name: str
    seed: int = 1
    data: DataRecipe = DataRecipe()
    model: ModelRecipe
    objective: ObjectiveRecipe = ObjectiveRecipe()
    training: TrainingRecipe
    watch: WatchRecipe = WatchRecipe()

    @model_validator(mode="after")
    def _objective_fits(self) -> "Recipe":
        family, kind = self.model.family, self.objective.kind
        if (family == "striped-hyena") != (self.data.alphabet == "dna"):
            raise ValueError(
                f"model.family {family!r} does not go with data.alphabet {self.data.alphabet!r}: "
                "striped-hyena reads dna, the others protein"
            )
        if family == "striped-hyena" and self.training.optimizer == "muon":
            raise ValueError("muon knows no matrices of striped-hyena: adamw")
        if (family == "encoder") == (kind == "causal"):
            raise ValueError(
                f"objective.kind {kind!r} does not go with model.family {family!r}: masked is for "
                "an encoder, which sees what comes next, and causal for the others, which do not"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """What decides the numbers; a run is only gone on with where all of it is the same."""
        whole = self.model_dump(mode="json")  # lists, as they are read again
        whole["data"] = None  # the corpus answers for itself by its fingerprint
        whole["watch"] = None
        return whole


def read_recipe(path: str | Path, overrides: dict[str, str] | None = None) -> Recipe:
    """A recipe from a TOML file; `overrides` are `table.key -> value` as typed after `--set`.

    Raises:
        InputError: no such file, no TOML, or a key or value that a recipe does not have.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(str(path), "no such file", "a recipe (TOML)", "one of recipes/*.toml")
    try:
        with translate_disk_errors(path):
            found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise InputError(str(path), str(problem), "TOML", "mending that line") from problem
    for key, text in (overrides or {}).items():
        _put(found, key, text)
    return parse_recipe(found, str(path))


def parse_recipe(found: dict[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from nested tables, every key and value checked."""
    try:
        return Recipe.model_validate(found)
    except ValidationError as problem:
        first = problem.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the recipe"
        seen = "nothing" if first["type"] == "missing" else repr(first["input"])[:80]
        expected = first["msg"][0].lower() + first["msg"][1:]
        raise InputError(
            f"{where}, {key}", seen, expected, "a recipe of recipes/ as a model"
        ) from problem


def _put(tables: dict[str, Any], key: str, text: str) -> None:
    """Set a key as typed; paths typed on the command line start where it is typed."""
    *outer, last = key.split(".")
    for name in outer:
        tables = tables.setdefault(name, {})
        if not isinstance(tables, dict):
            raise InputError(f"--set {key}", f"{name}, which is no table", "table.key", key)
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        value = text
    if key in PATHS and isinstance(value, str) and value:
        value = str(Path.cwd() / value)
    elif key in PATHS and isinstance(value, list):
        value = [str(Path.cwd() / item) for item in value]
    tables[last] = value
