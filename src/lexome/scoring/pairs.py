"""The door of every rule for pairs of DNA windows: a score or a reason each."""

from collections.abc import Callable, Sequence
from typing import NamedTuple


class Pair(NamedTuple):
    """A window of the reference and the same window with a variant, equally long."""

    name: str
    ref: str
    alt: str
    start: int  # where they first differ, from 0


class PairScorer(NamedTuple):
    """A rule made ready for a DNA model: a score for each pair, or the reason in words."""

    rule: str
    definition: str
    fingerprint: tuple[object, ...]
    compute: Callable[[Sequence[Pair]], list[float | str]]
