"""A fine-tuned model on disk: one directory that predicts the same after it is loaded again."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lexome.architectures.families import build, settings_of
from lexome.architectures.predictor import HeadConfig, Predictor
from lexome.checkpoints.load import Checkpoint, ModelCard
from lexome.checkpoints.weight_files import read_json
from lexome.devices import Reasoned, choose_device
from lexome.errors import CheckpointError, LexomeError
from lexome.results.files import atomic_path, write_json
from lexome.tokenizers.kinds import build_tokenizer
from lexome.training.adapters import Adapter, moving_tensors, put_on
from lexome.training.budget import MOST_VECTORS, TokenBudget
from lexome.training.fitted import Fitted
from lexome.training.frozen import FrozenModel
from lexome.training.objectives import objective_facts, objective_of
from lexome.training.recipes import TrainRecipe
from lexome.training.run_folder import unfinished_folder
from lexome.training.settings import FinetuneSettings
from lexome.training.setup import Setup, bare_copy

CONFIG, BASE, BASELINE = "config.json", "base.safetensors", "baseline.json"
FORMAT = "lexome-run 1"


def save_artefact(fitted: Fitted, directory: Path) -> None:
    """Write config.json, what every seed has learned and, where the base stands still, the base."""
    for i, network in enumerate(fitted.networks):
        _save_weights(moving_tensors(network), directory / weights_name(i))
    if fitted.setup.backbone is not None and fitted.setup.keeps_base:
        _save_weights(fitted.setup.backbone.network.state_dict(), directory / BASE)
    write_json(directory / CONFIG, _config(fitted))


def weights_name(index: int) -> str:
    """The file of the network at `index`."""
    return f"weights-{index + 1}.safetensors"


def load_artefact(directory: Path, device: str = "auto") -> Fitted:
    """The model that `save_artefact` wrote.

    Raises:
        CheckpointError: not a run of Lexome, an unfinished one, or weights that do not fit.
    """
    if not directory.is_dir() or not (directory / CONFIG).exists():
        seen, remedy = "no such directory", "the directory that `lexome finetune -o` was given"
        if directory.exists():
            seen = "no config.json"
        if unfinished_folder(directory).exists():
            seen = "an unfinished run"
            remedy = "the same `lexome finetune` command again, which resumes"
        raise CheckpointError(str(directory), seen, "a finished run of `lexome finetune`", remedy)
    config = read_json(directory / CONFIG)
    try:
        return _load(directory, config, device)
    except LexomeError:
        raise
    except (KeyError, TypeError, ValueError, AssertionError) as problem:
        raise CheckpointError(
            str(directory / CONFIG),
            f"a damaged config ({problem!r})",
            "what `lexome finetune` wrote",
            "an unchanged copy of the run",
        ) from problem


def _load(directory: Path, config: dict[str, Any], device: str) -> Fitted:
    if config.get("format") != FORMAT:
        raise CheckpointError(
            str(directory / CONFIG),
            f"format {config.get('format')!r}",
            repr(FORMAT),
            "a directory that `lexome finetune` made",
        )
    chosen = choose_device(device)
    settings = _settings(config["settings"])
    setup = _setup(config, settings, chosen, directory)
    networks = []
    for i in range(int(str(config["num_networks"]))):
        backbone = None
        if setup.adapter is not None and setup.backbone is not None:
            backbone = bare_copy(setup.backbone)
            put_on(backbone, setup.adapter)
        elif not setup.is_frozen:
            backbone = build(setup.family, _dict(config["backbone"]))
        network = Predictor(backbone, HeadConfig(**_dict(config["head"])))
        _load_weights(network, directory / weights_name(i), set(moving_tensors(network)))
        networks.append(network.to(chosen.choice).eval())
    return Fitted(
        settings,
        setup,
        objective_of(_dict(config["objective"])),
        tuple(_list(config["labels"])),
        networks,
        config["threshold"],
    )


def _config(fitted: Fitted) -> dict[str, Any]:
    network, setup = fitted.networks[0], fitted.setup
    backbone = network.backbone if network.backbone is not None else None
    base = setup.backbone.network if setup.backbone is not None else None
    return {
        "format": FORMAT,
        "family": setup.family,
        "backbone": settings_of(backbone) if backbone is not None else None,
        "base": settings_of(base) if setup.keeps_base and base is not None else None,
        "adapter": setup.adapter._asdict() if setup.adapter is not None else None,
        "dtype": setup.dtype.choice if setup.is_frozen else "fp32",
        "card": setup.card._asdict() if setup.card is not None else None,
        "context": setup.context,
        "tokenizer": setup.tokenizer.settings(),
        "head": asdict(network.config),
        "objective": objective_facts(fitted.objective),
        "labels": list(fitted.labels),
        "threshold": fitted.threshold,
        "num_networks": len(fitted.networks),
        "settings": asdict(fitted.settings),
    }


def _setup(
    config: dict[str, Any], settings: FinetuneSettings, device: Reasoned, directory: Path
) -> Setup:
    tokenizer = build_tokenizer(_dict(config["tokenizer"]))
    card = ModelCard(**_dict(config["card"])) if config["card"] else None
    checkpoint = None
    if config["base"] is not None and card is not None:
        base = build(card.family, _dict(config["base"]))
        _load_weights(base, directory / BASE, set(base.state_dict()))
        checkpoint = Checkpoint(base.eval(), tokenizer, card)
    # A head that learned from a backbone in bf16 goes on reading it so.
    dtype = Reasoned(str(config["dtype"]), "the dtype of the run's predictions")
    context = config["context"]
    budget = TokenBudget(settings.recipe.micro_tokens)
    if config["family"] == "residues":
        budget.limit(MOST_VECTORS)
    adapter = Adapter(**_dict(config["adapter"])) if config.get("adapter") else None
    return Setup(
        str(config["family"]),
        card,
        tokenizer,
        device,
        dtype,
        context,
        checkpoint,
        budget,
        FrozenModel(),
        adapter,
    )


def _settings(saved: Any) -> FinetuneSettings:
    plain: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in _dict(saved).items() if k != "recipe"
    }
    return FinetuneSettings(**plain, recipe=TrainRecipe(**_dict(_dict(saved)["recipe"])))


def _save_weights(state: dict[str, Tensor], path: Path) -> None:
    tensors = {k: v.detach().cpu().contiguous() for k, v in state.items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)


def _load_weights(network: nn.Module, path: Path, wanted: set[str]) -> None:
    """Fill the tensors that a file must hold, no more and no less."""
    if not path.exists():
        raise CheckpointError(
            str(path.parent), f"no {path.name}", "the whole run", "copying the whole directory"
        )
    try:
        tensors = load_file(path)
    except SafetensorError as problem:
        raise CheckpointError(
            str(path), f"a broken file ({problem})", "whole safetensors", "an unchanged copy"
        ) from problem
    try:
        standing = {k: v for k, v in network.state_dict().items() if k not in wanted}
        network.load_state_dict(standing | tensors)
    except RuntimeError as problem:
        first = str(problem).splitlines()[1].strip() if "\n" in str(problem) else str(problem)
        raise CheckpointError(
            str(path), first, "the tensors of config.json", "an unchanged copy of the run"
        ) from problem


def _dict(value: Any) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value


def _list(value: Any) -> list[str]:
    assert isinstance(value, list)
    return value
