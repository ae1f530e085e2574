"""Two sequences that belong together, such as both chains of an antibody: one row of a table."""

from collections.abc import Sequence
from typing import NamedTuple, TypeGuard


class Pair(NamedTuple):
    """Both sequences of a row, in the order of their columns."""

    first: str
    second: str


Content = str | Pair  # what a row holds: one sequence, or two


class PairRecord(NamedTuple):
    """A named pair, exactly as its table wrote it."""

    id: str
    sequence: str
    second: str


def are_pairs(contents: Sequence[Content]) -> TypeGuard[Sequence[Pair]]:
    """Whether rows hold two sequences each: all of a table do, or none."""
    return bool(contents) and isinstance(contents[0], Pair)


def are_single(contents: Sequence[Content]) -> TypeGuard[Sequence[str]]:
    """Whether rows hold one sequence each."""
    return not are_pairs(contents)


def letters_of(content: Content) -> tuple[str, ...]:
    """The sequences of a row.

    >>> letters_of("MKT"), letters_of(Pair("MKT", "GAV"))
    (('MKT',), ('MKT', 'GAV'))
    """
    return tuple(content) if isinstance(content, Pair) else (content,)


def in_one_order(content: Content) -> Content:
    """The same for a pair and the swapped pair.

    >>> in_one_order(Pair("MKT", "GAV"))
    Pair(first='GAV', second='MKT')
    """
    return Pair(*sorted(content)) if isinstance(content, Pair) else content
