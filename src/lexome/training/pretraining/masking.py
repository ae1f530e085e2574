"""What a language model learns from tokens: to fill in what was hidden, or to go on."""

# Letters: T tokens end to end, C positions that count in the loss, V vocabulary.
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.batches.order import mix
from lexome.batches.stream import Tokens
from lexome.seeds import derive_seed
from lexome.tokenizers.interface import Tokenizer

STANDARD = "ACDEFGHIKLMNPQRSTVWY"
STRIDE = np.uint64(0x9E3779B97F4A7C15)  # splitmix64's: 2**64 over the golden ratio, odd


class Task(NamedTuple):
    """Tokens that the model sees, and what it has to say where."""

    inputs_T: NDArray[np.uint8]
    positions_C: NDArray[np.int64]  # where the loss is taken
    targets_C: NDArray[np.uint8]


class Masking(NamedTuple):
    """BERT's corruption: of the chosen residues most become `<mask>`, some another residue.

    ESM-2 was trained with 15 %, of which 80 % masked, 10 % replaced, 10 % left as they are.
    Chosen are the twenty standard residues only: what stands for "unknown" teaches nothing.
    """

    rate: float = 0.15
    masked: float = 0.8
    replaced: float = 0.1

    def make(self, tokens: Tokens, tokenizer: Tokenizer, seed: int) -> Task:
        """Hide residues. What is hidden depends on the seed and on each token's counter alone.

        So it is the same however windows are put together to micro-batches, on any devices.
        """
        ids_T = tokens.ids_T
        standard = np.array([tokenizer.id_of[letter] for letter in STANDARD], np.uint8)
        is_standard = np.zeros(256, bool)
        is_standard[standard] = True
        bits_T = mix(tokens.counters_T * STRIDE, np.uint64(derive_seed("mask", seed)))
        is_chosen_T = (bits_T < np.uint64(self.rate * 2.0**64)) & is_standard[ids_T]
        positions_C = np.flatnonzero(is_chosen_T)
        targets_C = ids_T[positions_C]
        # That a residue was chosen says something about its bits, so it gets new ones.
        second_C = mix(bits_T[positions_C], np.uint64(derive_seed("mask, kind", seed)))
        kind_C = (second_C >> np.uint64(32)).astype(np.float64) / 2.0**32
        others_C = standard[(second_C & np.uint64(0xFFFFFFFF)) * np.uint64(20) >> np.uint64(32)]
        hidden_C = np.where(kind_C < self.masked, np.uint8(tokenizer.mask_id), targets_C)
        is_replaced_C = (kind_C >= self.masked) & (kind_C < self.masked + self.replaced)
        inputs_T = ids_T.copy()
        inputs_T[positions_C] = np.where(is_replaced_C, others_C, hidden_C)
        return Task(inputs_T, positions_C, targets_C)


def next_tokens(tokens: Tokens) -> Task:
    """Every token but the last of its sequence has to name the one behind it."""
    ids_T = tokens.ids_T
    is_last_T = np.zeros(len(ids_T), bool)
    is_last_T[np.cumsum(tokens.lengths) - 1] = True
    positions_C = np.flatnonzero(~is_last_T)
    return Task(ids_T, positions_C, ids_T[positions_C + 1])
