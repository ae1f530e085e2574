"""The door of every rule that compares a changed window with its reference."""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Pair(NamedTuple):
    """A reference and a changed window of equal length; also where residues come or go."""

    name: str
    ref: str
    alt: str
    start: int  # where they first differ, from 0


class PairScorer(NamedTuple):
    """A rule made ready for pairs of windows: a score each, or the reason in words why not.

    Natural logarithms where a score has a unit; higher: the change is more likely, or changes less.
    Answers do not depend on which pairs stand together.
    """

    rule: str
    definition: str  # with its source and what the sign means
    fingerprint: tuple[object, ...]  # all that a score depends on besides the pair
    compute: Callable[[Sequence[Pair]], list[float | str]]
