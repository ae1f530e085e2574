"""How often each residue occurs: the plainest description of a sequence, and a hard one to beat."""

# Letters: S sequences, G features.
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.sequence.alphabet import AMINO_ACIDS


class Region(NamedTuple):
    """Residues [start, end) of a sequence, from 0; `end` None is the sequence's own end."""

    start: int = 0
    end: int | None = None


WHOLE = (Region(),)
# The whole, and the two stretches in which targeting peptides lie.
WHOLE_AND_START = (Region(), Region(0, 30), Region(30, 60))


def compositions(
    sequences: Sequence[str], regions: Sequence[Region] = WHOLE
) -> NDArray[np.float32]:
    """Frequencies of the 20 amino acids in each region, then the log of the length, (S, G).

    Other letters count in the length only; a region without residues gives zeros.

    >>> compositions(["AAC"])[0, :3].round(2).tolist()
    [0.6700000166893005, 0.33000001311302185, 0.0]
    """
    rows = np.zeros((len(sequences), 20 * len(regions) + 1), dtype=np.float32)
    code_of = np.full(256, 20)
    code_of[[ord(letter) for letter in AMINO_ACIDS]] = np.arange(20)
    for row, sequence in zip(rows, sequences, strict=True):
        codes = code_of[np.frombuffer(sequence.encode("latin-1", "replace"), np.uint8)]
        for i, region in enumerate(regions):
            part = codes[region.start : region.end]
            if len(part):
                row[20 * i : 20 * (i + 1)] = np.bincount(part, minlength=21)[:20] / len(part)
        row[-1] = np.log(max(len(sequence), 1))
    return rows
