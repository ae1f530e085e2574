"""The table of published layouts: how each is told by its files, and what reads it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from lexome.checkpoints.from_bert import load_bert, load_dnabert2
from lexome.checkpoints.from_decoders import load_gpt2, load_progen2
from lexome.checkpoints.from_esm import load_esm
from lexome.checkpoints.from_evo import load_evo
from lexome.checkpoints.from_fair import fair_paths, find_fair, load_fair, read_fair
from lexome.checkpoints.from_hyenadna import load_hyenadna
from lexome.checkpoints.from_msa import ARCH, load_msa
from lexome.checkpoints.from_t5 import load_t5
from lexome.checkpoints.loaded import Loaded
from lexome.checkpoints.weight_files import read_json, weight_paths
from lexome.errors import CheckpointError

Settings = Mapping[str, object]


class Layout(NamedTuple):
    """A layout with a config.json."""

    name: str
    fits: Callable[[Settings], bool]
    load: Callable[[Path], Loaded]


def _remote_class(settings: Settings) -> str:
    """The class that a config would have run; only its name is looked at."""
    auto = settings.get("auto_map")
    return str(auto.get("AutoConfig", "")) if isinstance(auto, Mapping) else ""


def _has_hyena_layers(settings: Settings) -> bool:
    layer = settings.get("layer")
    return isinstance(layer, Mapping) and layer.get("_name_") == "hyena"


LAYOUTS = (
    Layout("ESM, Nucleotide Transformer v1", lambda s: s.get("model_type") == "esm", load_esm),
    Layout(
        "Nucleotide Transformer v2",
        lambda s: "model_type" not in s and _remote_class(s).startswith("esm_config."),
        load_esm,
    ),
    Layout(
        "DNABERT-2",
        lambda s: s.get("model_type", "bert") == "bert" and "alibi_starting_size" in s,
        load_dnabert2,
    ),
    Layout("Evo-1", lambda s: s.get("model_type") == "stripedhyena", load_evo),
    Layout("HyenaDNA", lambda s: s.get("model_type") == "hyenadna", load_hyenadna),
    Layout("HyenaDNA, as trained", _has_hyena_layers, load_hyenadna),
    Layout("BERT, DNABERT", lambda s: s.get("model_type") == "bert", load_bert),
    Layout("T5: ProtT5, ProstT5, Ankh", lambda s: s.get("model_type") == "t5", load_t5),
    Layout("GPT-2", lambda s: s.get("model_type") == "gpt2", load_gpt2),
    Layout("ProGen2", lambda s: s.get("model_type") == "progen", load_progen2),
)
KNOWN = ", ".join([*(layout.name for layout in LAYOUTS), "fair-esm's .pt files"])


def load_path(path: Path) -> Loaded:
    """The model of a directory or of a fair-esm file, whatever its layout.

    Raises:
        CheckpointError: no known layout, or files that do not fit together.
    """
    fair = None if (path / "config.json").is_file() else find_fair(path)
    if fair is not None:
        file = read_fair(fair)
        return (load_msa if file.settings.get("arch") == ARCH else load_fair)(fair, file)
    if path.is_file():
        raise CheckpointError(
            str(path), "a file", "a directory, or a .pt file of fair-esm", f"`{path.parent}`"
        )
    settings = read_json(path / "config.json")
    for layout in LAYOUTS:
        if layout.fits(settings):
            return layout.load(path)
    raise CheckpointError(
        str(path / "config.json"),
        f"model_type {settings.get('model_type')!r}",
        f"a layout that is read: {KNOWN}",
        "a checkpoint of one of these families",
    )


def model_files(path: Path) -> list[Path]:
    """The files that hold the weights."""
    fair = None if (path / "config.json").is_file() else find_fair(path)
    return weight_paths(path) if fair is None else fair_paths(fair)
