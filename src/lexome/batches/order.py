"""A shuffled order of n things that needs no memory: position in an epoch -> thing."""

# Letters: B positions asked for at once.
import numpy as np
from numpy.typing import NDArray

from lexome.seeds import derive_seed

Numbers = NDArray[np.uint64]
ROUNDS = 6  # of the Feistel network; four already give a pseudo-random permutation


def shuffled(positions_B: NDArray[np.int64], n: int, *seed: int | str) -> NDArray[np.int64]:
    """Which of 0 .. n - 1 stands at each position of the order that `seed` names.

    A Feistel network over the smallest even number of bits that holds n, walked until the
    result is below n (at most four steps on average): a permutation, whatever the seed. Nothing
    is stored, so the order of a hundred billion sequences costs what that of ten costs.

    >>> sorted(shuffled(np.arange(10), 10, "epoch", 0).tolist()) == list(range(10))
    True
    """
    half = max((max(n - 1, 1).bit_length() + 1) // 2, 1)
    keys = np.array([derive_seed("order", *seed, r) for r in range(ROUNDS)], np.uint64)
    out = positions_B.astype(np.uint64)
    walking = np.ones(len(out), bool)
    while walking.any():
        out[walking] = _permute(out[walking], np.uint64(half), keys)
        walking = out >= n
    return out.astype(np.int64)


def draw_below(
    limits_B: NDArray[np.int64], counters_B: NDArray[np.int64], *seed: int | str
) -> NDArray[np.int64]:
    """A number in 0 .. limit - 1 for each counter, a function of the counter and the seed alone."""
    key = np.uint64(derive_seed("draw", *seed))
    drawn = mix(counters_B.astype(np.uint64) * np.uint64(2) + np.uint64(1), key)
    # The upper 32 bits times the limit: for limits below 2**32; of 2**12 numbers some are drawn
    # more often than others by less than one in a million.
    shifted = (drawn >> np.uint64(32)) * limits_B.astype(np.uint64)
    return (shifted >> np.uint64(32)).astype(np.int64)


def mix(values: Numbers, key: np.uint64) -> Numbers:
    """splitmix64's finishing steps over value + key: every bit depends on every bit.

    Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
    """
    with np.errstate(over="ignore"):
        x = values + key
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _permute(values: Numbers, half: np.uint64, keys: Numbers) -> Numbers:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = values >> half, values & mask
    for key in keys:
        left, right = right, left ^ (mix(right, key) & mask)
    return (left << half) | right
