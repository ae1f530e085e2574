"""A model by name: the catalogue's, a directory, or a hub repository."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from lexome import __version__
from lexome.checkpoints.catalogue import RECIPE, RECIPES, Entry, catalogue, ensembles
from lexome.checkpoints.hashes import hash_weights
from lexome.checkpoints.hub import fetch, fetch_file
from lexome.checkpoints.layouts import load_path, model_files
from lexome.checkpoints.loaded import Loaded, count_parameters
from lexome.errors import EnvironmentProblem, InputError
from lexome.io.streams import suggest_paths
from lexome.tokenizers.interface import Tokenizer


class ModelCard(NamedTuple):
    """What a model is and where it came from."""

    name: str
    family: str
    layout: str
    alphabet: str
    context: int  # tokens
    parameters: int
    licence: str
    source: str  # directory or hub id
    revision: str
    sha256: str  # over the weight files
    embedding_recipe: str
    unused: Mapping[str, str]  # tensors of the file that the model does not need -> reason
    notes: tuple[str, ...] = ()  # what else the files hold and was not read


class Checkpoint(NamedTuple):
    """A network in fp32 on the CPU, its tokenizer and its card."""

    network: Any  # of architectures/, see its family
    tokenizer: Tokenizer
    card: ModelCard


class Source(NamedTuple):
    """Where a model's files lie on this machine."""

    path: Path  # a directory, or a file of fair-esm
    name: str
    revision: str
    licence: str


def load_checkpoint(name: str, offline: bool = False, revision: str | None = None) -> Checkpoint:
    """Load a model strictly: every tensor used, known-unused with its reason, or refused.

    Raises:
        InputError: no such catalogue name or directory.
        EnvironmentProblem: the hub cannot be reached, or `offline` and not in the cache.
        CheckpointError: files that do not fit together or another architecture.
    """
    source = find_source(name, offline, revision)
    return describe(name, source, load_path(source.path))


def describe(name: str, source: Source, loaded: Loaded) -> Checkpoint:
    """What was loaded, with its card."""
    card = ModelCard(
        name=source.name,
        family=loaded.family,
        layout=loaded.layout,
        alphabet=loaded.tokenizer.alphabet.name,
        context=loaded.network.config.context,
        parameters=count_parameters(loaded.network),
        licence=source.licence,
        source=name,
        revision=source.revision,
        sha256=hash_weights(model_files(source.path)),
        embedding_recipe=RECIPES.get(loaded.layout, RECIPE),
        unused=dict(loaded.accounting.unused),
        notes=loaded.notes,
    )
    return Checkpoint(loaded.network, loaded.tokenizer, card)


def find_source(name: str, offline: bool, revision: str | None) -> Source:
    """The directory of a model, fetched from the hub where it has to be."""
    path = Path(name)
    if path.is_dir():
        return Source(path, path.resolve().name, "directory", "unknown")
    if path.suffix == ".pt" and path.is_file():
        return Source(path, path.stem, "file", "unknown")
    if name in ensembles():
        raise InputError(
            f"model {name!r}",
            f"{len(ensembles()[name])} models that answer together",
            f"one of {', '.join(ensembles()[name])}",
            f"`--model {ensembles()[name][0]}`, or `lexome.load_ensemble` in Python",
        )
    entry = catalogue().get(name)
    if entry is not None:
        return _known_source(name, entry, offline, revision)
    if path.exists() or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(
            f"model {name!r}",
            "a file" if path.exists() else "no directory and no catalogue name",
            "a directory, a hub id (owner/name), new:..., or one of " + ", ".join(catalogue()),
            suggest_model(name),
        )
    try:
        directory = fetch(name, offline, revision)
    except EnvironmentProblem as problem:
        if not path.parent.is_dir():
            raise
        # `models/esm2-8m` mistyped rather than a hub id
        remedy = f"{suggest_paths(path, models=True)}, or {problem.remedy}"
        where, seen, expected, _ = problem.args
        raise EnvironmentProblem(where, seen, expected, remedy) from problem
    return Source(directory, name, directory.name, "unknown")


def suggest_model(name: str) -> str:
    """What a model's name that stands for nothing could have been meant to be."""
    near = get_close_matches(name, catalogue(), n=1)
    if near:
        return f"`--model {near[0]}`"
    path = Path(name)
    if path.is_file():
        return f"the directory that it lies in: `--model {path.parent}`"
    if "/" in name:
        return suggest_paths(path, models=True)
    return "`--model esm2-8m`, or `lexome models`, which lists the names"


def _known_source(name: str, entry: Entry, offline: bool, revision: str | None) -> Source:
    if entry.shipped:
        shipped = Path(str(files("lexome.weights").joinpath(name)))
        return Source(shipped, name, f"lexome {__version__}", entry.licence)
    if entry.hub is None:
        return Source(fetch_file(name, entry, offline), name, "unknown", entry.licence)
    directory = fetch(entry.hub, offline, revision)
    return Source(directory, name, directory.name, entry.licence)
