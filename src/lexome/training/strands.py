"""Both strands of DNA: a sequence's tokens read from the other end, each base as its partner."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.sequence.complement import PARTNERS
from lexome.tokenizers.interface import Tokenizer


class Complement(NamedTuple):
    """What turns a sequence of tokens around."""

    partner_V: NDArray[np.uint8]  # of each token; special ones and N stay
    num_before: int  # special tokens, which keep their places
    num_after: int


def complement_ids(tokenizer: Tokenizer) -> Complement:
    """For a tokenizer that has a token for each base.

    Raises:
        InputError: one whose tokens are several bases, or no bases of DNA.
    """
    if not tokenizer.is_per_letter or not tokenizer.alphabet.name.startswith("dna"):
        raise InputError(
            "both_strands",
            f"tokens of {'other letters' if tokenizer.is_per_letter else 'several bases'}",
            "a model of DNA that reads single bases",
            "without `--strands both`, or a table that holds both strands",
        )
    partner_V = np.arange(len(tokenizer.vocabulary), dtype=np.uint8)
    for base in "ACGT":
        partner_V[tokenizer.id_of[base]] = tokenizer.id_of[PARTNERS[base]]
    return Complement(partner_V, tokenizer.num_before, tokenizer.num_after)


def other_strand(ids_L: NDArray[Any], complement: Complement) -> NDArray[Any]:
    """The tokens of the reverse complement.

    >>> from lexome.tokenizers.kinds import letter_tokenizer
    >>> dna = letter_tokenizer("dna")
    >>> ids = np.array(dna.encode("AACGN"), np.uint8)
    >>> dna.decode(other_strand(ids, complement_ids(dna)))
    'NCGTT'
    """
    turned_L: NDArray[Any] = complement.partner_V[ids_L].astype(ids_L.dtype)
    inner = slice(complement.num_before, len(ids_L) - complement.num_after)
    turned_L[inner] = turned_L[inner][::-1].copy()
    return turned_L


def draw_strands(
    inputs: list[NDArray[Any]], complement: Complement, generator: np.random.Generator
) -> list[NDArray[Any]]:
    """Each sequence as it is or from the other strand, by a coin."""
    turned = generator.random(len(inputs)) < 0.5
    return [
        other_strand(ids_L, complement) if turn else ids_L
        for ids_L, turn in zip(inputs, turned, strict=True)
    ]
