"""The other strand: every base, and every IUPAC code of several bases, with its partner."""

_CAPITALS = dict(zip("ACGTURYSWKMBDHVN", "TGCAAYRSWMKVHDBN", strict=True))
PARTNERS = _CAPITALS | {one.lower(): two.lower() for one, two in _CAPITALS.items()}
_TABLE = str.maketrans(PARTNERS)


def reverse_complement(bases: str) -> str:
    """The other strand, read in its direction; IUPAC codes and small letters are kept.

    >>> reverse_complement("AACGn")
    'nCGTT'
    """
    return bases.translate(_TABLE)[::-1]
