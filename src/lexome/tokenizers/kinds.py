"""The table of tokenizers: one is built again from what its `settings` wrote down."""

from collections.abc import Mapping
from typing import Any

from lexome.errors import InputError
from lexome.sequence.alphabet import ALPHABETS
from lexome.tokenizers.character import CharacterTokenizer
from lexome.tokenizers.ids_only import IdsTokenizer
from lexome.tokenizers.interface import Tokenizer
from lexome.tokenizers.library import LibraryTokenizer
from lexome.tokenizers.overlapping import OverlappingTokenizer
from lexome.tokenizers.plain import PlainTokenizer
from lexome.tokenizers.residues import ResidueTokenizer
from lexome.tokenizers.single_bases import ByteTokenizer, HyenaTokenizer
from lexome.tokenizers.six_mers import SixMerTokenizer

KINDS: dict[str, Any] = {
    "character": CharacterTokenizer,
    "six-mers": SixMerTokenizer,
    "overlapping": OverlappingTokenizer,
    "library": LibraryTokenizer,
    "plain": PlainTokenizer,
    "residues": ResidueTokenizer,
    "ids": IdsTokenizer,
    "bytes": ByteTokenizer,
    "hyenadna": HyenaTokenizer,
}


# What a model that is trained from nothing reads, by the alphabet of its sequences.
NEW: dict[str, Any] = {"protein": CharacterTokenizer, "dna": ByteTokenizer}


def new_tokenizer(alphabet: str) -> Tokenizer:
    """The tokenizer of a new model."""
    made: Tokenizer = NEW[alphabet]()
    return made


SPECIALS = ("<cls>", "<pad>", "<eos>", "<unk>", "<mask>")


def letter_tokenizer(alphabet: str) -> Tokenizer:
    """A letter a token, for a classifier that is trained from nothing.

    >>> letter_tokenizer("rna").encode("GAUC")
    [0, 7, 5, 8, 6, 2]
    """
    if alphabet == "protein":
        return CharacterTokenizer()
    return CharacterTokenizer((*SPECIALS, *ALPHABETS[alphabet].letters), alphabet)


def build_tokenizer(settings: Mapping[str, Any]) -> Tokenizer:
    """A tokenizer from its settings."""
    kind = settings.get("kind")
    if kind not in KINDS:
        raise InputError(f"tokenizer {kind!r}", "no such kind", ", ".join(KINDS), "one of these")
    made: Tokenizer = KINDS[kind](**{k: v for k, v in settings.items() if k != "kind"})
    return made
