"""What every tokenizer answers, and the values it hands over."""

# Letters: S sequences, T tokens over all of them (special tokens counted).
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lexome.sequence.alphabet import UnknownPolicy


class TokenBatch(NamedTuple):
    """Token ids of many sequences end to end; sequence i is `ids_T[bounds[i]:bounds[i + 1]]`."""

    ids_T: NDArray[np.uint8]
    bounds: NDArray[np.int64]  # S + 1 borders

    def one(self, i: int) -> NDArray[np.uint8]:
        """The ids of sequence i."""
        return self.ids_T[self.bounds[i] : self.bounds[i + 1]]


class Tokenizer(Protocol):
    """Residues to ids and back. `spans` is exact: which residues each token stands for."""

    vocabulary: tuple[str, ...]

    def encode(self, sequence: str, unknown: UnknownPolicy = "refuse") -> list[int]: ...
    def encode_many(
        self,
        sequences: Sequence[str],
        unknown: UnknownPolicy = "refuse",
        ids: Sequence[str] | None = None,
    ) -> TokenBatch: ...
    def decode(self, ids: Sequence[int]) -> str: ...
    def spans(self, sequence: str, unknown: UnknownPolicy = "refuse") -> list[tuple[int, int]]: ...
