"""Codes of all k-mers of a nucleotide text at once."""

# Letters: L letters of a text, K windows of k letters in it.
from itertools import product

import numpy as np
from numpy.typing import NDArray

BASES = "ATCG"  # in this order, the first letter slowest, in every published k-mer vocabulary
OTHER = 4  # and above: no base


def base_table(others: str = "") -> bytes:
    """A table for `bytes.translate`: A, T, C, G to 0-3, `others` to 4, 5, ..., the rest to 255."""
    table = bytearray([255]) * 256
    for code, letter in enumerate(BASES + others):
        table[ord(letter)] = code
    return bytes(table)


def all_kmers(k: int) -> list[str]:
    """Every k-mer in the order of its code.

    >>> all_kmers(2)[:5]
    ['AA', 'AT', 'AC', 'AG', 'TA']
    """
    return ["".join(letters) for letters in product(BASES, repeat=k)]


def roll(codes_L: NDArray[np.uint8], k: int) -> NDArray[np.uint16]:
    """The code of the k-mer that begins at each letter (K,); nonsense where it holds no base.

    Put together from the codes of half as long ones. `k` is 8 at the most.

    >>> [int(code) for code in roll(np.array([0, 1, 2, 3], np.uint8), 2)]
    [1, 6, 11]
    """
    if k == 1:
        return codes_L.astype(np.uint16)
    half = k // 2
    parts = roll(codes_L, half)
    joined = parts[:-half] * np.uint16(4**half) + parts[half:]
    if k % 2:
        joined = joined[: len(codes_L) - k + 1] * np.uint16(4) + codes_L[k - 1 :]
    return joined


def has_other(codes_L: NDArray[np.uint8], k: int) -> NDArray[np.bool_]:
    """Whether the window of k letters from each letter (K,) holds one that is no base."""
    counts = np.concatenate([[0], np.cumsum(codes_L >= OTHER)])
    return np.asarray(counts[k:] > counts[:-k])
