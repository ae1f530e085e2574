"""Published checkpoints by short name: `catalogue.toml`, read."""

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any

from lexome.errors import InputError

UNKNOWN = "unknown"  # what no source at hand states
# How each layout's vectors are made where nobody asks for another way.
RECIPES = {
    "fair-msa": "the query's row of the last layer after the final norm, mean over its columns, "
    "<cls> left out",
}
RECIPE = "mean over the tokens of the last layer after its final norm, special tokens left out"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the catalogue says of one checkpoint."""

    layout: str
    alphabet: str
    layers: int
    width: int
    heads: int
    ffn_width: int
    vocabulary: int
    context: int  # tokens, special ones among them
    parameters: int
    code_licence: str
    licence: str  # of the weights
    hub: str | None = None  # id on the hub, or
    url: str | None = None  # address of a file of fair-esm, with
    contacts_url: str | None = None
    shipped: bool = False  # in the package
    revision: str | None = None  # of the hub's repository, where its default is not the right one
    head_width: int | None = None  # where heads together are not as wide as the model
    decoder_layers: int = 0  # beside the encoder's, which make the vectors

    @property
    def inner_width(self) -> int:
        """Of all heads together."""
        return self.heads * self.head_width if self.head_width else self.width

    @property
    def source(self) -> str:
        """Where it comes from."""
        return self.hub or self.url or "the package"

    @property
    def known_as(self) -> str | None:
        """What its hashes are held under, where it comes from the hub."""
        return held_name(self.hub, self.revision) if self.hub else None

    @property
    def recipe(self) -> str:
        """How its vectors are made."""
        return RECIPES.get(self.layout, RECIPE)


def held_name(hub_id: str, pinned: str | None) -> str:
    """What the hashes of a repository are held under: those of a pinned revision by themselves."""
    return f"{hub_id}@{pinned}" if pinned else hub_id


def pinned_revision(hub_id: str) -> str | None:
    """The revision that the catalogue names for a repository, however it is asked for."""
    return next((e.revision for e in catalogue().values() if e.hub == hub_id), None)


@cache
def catalogue() -> dict[str, Entry]:
    """Every checkpoint by its short name."""
    return {name: Entry(**entry) for name, entry in _read().items() if "members" not in entry}


@cache
def ensembles() -> dict[str, list[str]]:
    """Names that stand for several checkpoints, which were published to answer together."""
    return {name: entry["members"] for name, entry in _read().items() if "members" in entry}


def members_of(name: str) -> list[str]:
    """The checkpoints that a name stands for: several, or itself."""
    return ensembles().get(name, [name])


@cache
def _read() -> dict[str, Any]:
    text = files("lexome.checkpoints").joinpath("catalogue.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def find_entry(name: str) -> Entry:
    """One checkpoint.

    Raises:
        InputError: no such name.
    """
    known = catalogue()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        raise InputError(
            f"model {name!r}",
            "no such name in the catalogue",
            ", ".join(known),
            f"`{near[0]}`" if near else "`lexome models`",
        )
    return known[name]
