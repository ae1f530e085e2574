"""What happens to a sequence that is longer than a model's context: never a silent cut."""

from itertools import pairwise
from typing import Literal, NamedTuple, TypeVar

from lexome.errors import InputError

Residues = TypeVar("Residues", str, list[int])


class LongPolicy(NamedTuple):
    """How long sequences are treated; `head` and `tail` are residues kept by "crop"."""

    kind: Literal["refuse", "whole", "window", "crop"]
    head: int = 0
    tail: int = 0

    def __str__(self) -> str:
        return f"crop:{self.head}+{self.tail}" if self.kind == "crop" else self.kind


class Window(NamedTuple):
    """Residues [start, end) go through the model; of those, [keep_start, keep_end) are kept."""

    start: int
    end: int
    keep_start: int
    keep_end: int


def parse_long(text: str) -> LongPolicy:
    """Read `refuse`, `whole`, `window` or `crop:HEAD+TAIL`.

    >>> parse_long("crop:511+511")
    LongPolicy(kind='crop', head=511, tail=511)
    """
    kind, _, sizes = text.partition(":")
    head, plus, tail = sizes.partition("+")
    if kind == "crop" and plus and head.isdecimal() and tail.isdecimal() and int(head + tail):
        return LongPolicy("crop", int(head), int(tail))
    if sizes == "" and text in ("refuse", "whole", "window"):
        return LongPolicy(text)  # type: ignore[arg-type]
    raise InputError(
        "long", repr(text), "refuse, whole, window or crop:HEAD+TAIL", "`--long crop:511+511`"
    )


def crop(sequence: Residues, head: int, tail: int) -> Residues:
    """The first `head` and the last `tail` residues, joined; shorter sequences stay whole.

    Residues are the letters of a text or the ids of a list.

    >>> crop("ABCDEFGH", 2, 3)
    'ABFGH'
    """
    if len(sequence) <= head + tail:
        return sequence
    return sequence[:head] + sequence[len(sequence) - tail :]


def ends(sequence: str, head: int, tail: int) -> list[str]:
    """What `crop` leaves, not joined: both ends, or the whole sequence where it is short.

    >>> ends("ABCDEFGH", 2, 3), ends("ABC", 2, 3)
    (['AB', 'FGH'], ['ABC'])
    """
    if len(sequence) <= head + tail:
        return [sequence]
    return [part for part in (sequence[:head], sequence[len(sequence) - tail :]) if part]


def plan_windows(length: int, size: int) -> list[Window]:
    """Windows of `size` residues that overlap by half; each residue is kept from one window.

    A residue is taken from the window in which it stands furthest from a cut edge.

    >>> [(w.start, w.end, w.keep_start, w.keep_end) for w in plan_windows(10, 6)]
    [(0, 6, 0, 4), (3, 9, 4, 6), (4, 10, 6, 10)]
    """
    if length <= size:
        return [Window(0, length, 0, length)]
    step = max(size // 2, 1)
    starts = [*range(0, length - size, step), length - size]
    middles = [(a + b + size) // 2 for a, b in pairwise(starts)]
    borders = [0, *middles, length]
    return [
        Window(start, start + size, borders[i], borders[i + 1]) for i, start in enumerate(starts)
    ]


def check_length(length: int, limit: int, name: str, unit: str = "residues") -> None:
    """Refuse a sequence that is longer than the model's limit in residues, or in tokens."""
    if length > limit:
        raise InputError(
            name,
            f"{length:,} {unit}",
            f"at most {limit:,}, the model's context without special tokens",
            "`--long window` (overlapping windows) or `--long crop:511+511` (both ends)",
        )
