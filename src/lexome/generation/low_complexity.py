"""The share of a sequence that is of low complexity, by a published measure for each alphabet."""

import math
from collections import Counter

PROTEIN_WINDOW, PROTEIN_BITS = 12, 2.2
DNA_WINDOW, DNA_SCORE = 64, 2.0
FLAGGED = 0.5  # of the letters, from which on a sequence is flagged
PROTEIN_DEFINITION = (
    "share of residues in windows of 12 whose Shannon entropy is at most 2.2 bits: the trigger of "
    "SEG (Wootton and Federhen 1993)"
)
DNA_DEFINITION = (
    "share of bases in windows of 64 whose triplets score at least 2: sum c (c - 1) / 2 over the "
    "counts c of all triplets, by their number less one, as DUST does at its level 20 "
    "(Morgulis et al. 2006)"
)


def low_complexity(sequence: str, is_dna: bool) -> float:
    """The share of letters that lie in a window of low complexity; 0 for less than three letters.

    >>> low_complexity("MKTAYIAKQRQISFVKSHFSRQ", False), low_complexity("GSGSGSGSGSGSGSGS", False)
    (0.0, 1.0)
    """
    length = len(sequence)
    if length < 3:
        return 0.0
    window = min(DNA_WINDOW if is_dna else PROTEIN_WINDOW, length)
    units = [sequence[i : i + 3] for i in range(length - 2)] if is_dna else list(sequence)
    size = window - 2 if is_dna else window  # units in a window
    counts = Counter(units[:size])
    covered, end = 0, 0  # letters covered, and behind the last of them
    for start in range(length - window + 1):
        if start:
            counts[units[start - 1]] -= 1
            counts[units[start + size - 1]] += 1
        if _is_triplets_low(counts, size) if is_dna else _is_entropy_low(counts, size):
            covered += start + window - max(start, end)
            end = start + window
    return covered / length


def _is_entropy_low(counts: Counter[str], size: int) -> bool:
    shares = [count / size for count in counts.values() if count]
    # A window shorter than 12 cannot have the bits of one of 12: the bar falls with it.
    bar = PROTEIN_BITS * math.log2(size) / math.log2(PROTEIN_WINDOW)
    return -sum(share * math.log2(share) for share in shares) <= bar + 1e-12


def _is_triplets_low(counts: Counter[str], size: int) -> bool:
    pairs = sum(count * (count - 1) / 2 for count in counts.values())
    return pairs / max(size - 1, 1) >= DNA_SCORE
