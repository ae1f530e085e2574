"""What every tokenizer answers, and the values it hands over."""

# Letters: S sequences, T tokens over all of them (special tokens counted).
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lexome.sequence.alphabet import Alphabet, UnknownPolicy

NONE = -1  # stands for a special token that a vocabulary does not have
# Two control characters stand for the borders while many sequences are one string.
START, END = "\x01", "\x02"
FOREIGN = 255  # in a table of bytes: no letter
TokenIds = NDArray[Any]  # uint8, or uint16 where a vocabulary has more than 256 tokens


class Piece(NamedTuple):
    """One token of a text: its id and the characters [start, end) that it covers."""

    id: int
    start: int
    end: int


class TokenBatch(NamedTuple):
    """Token ids of many sequences end to end; sequence i is `ids_T[bounds[i]:bounds[i + 1]]`."""

    ids_T: TokenIds
    bounds: NDArray[np.int64]  # S + 1 borders

    def one(self, i: int) -> TokenIds:
        """The ids of sequence i."""
        return self.ids_T[self.bounds[i] : self.bounds[i + 1]]


class Tokenizer(Protocol):
    """Residues to ids and back. `spans` is exact: which residues each token stands for.

    Every sequence begins with `num_before` special tokens and ends with `num_after`.
    """

    vocabulary: tuple[str, ...]
    alphabet: Alphabet
    id_of: dict[str, int]
    cls_id: int
    eos_id: int
    pad_id: int
    unk_id: int
    mask_id: int
    num_before: int
    num_after: int
    is_per_letter: bool

    @property
    def num_specials(self) -> int: ...
    @property
    def inner(self) -> slice: ...
    @property
    def unit(self) -> str: ...

    def encode(
        self, sequence: str, unknown: UnknownPolicy = "refuse", name: str = "sequence"
    ) -> list[int]: ...
    def encode_many(
        self,
        sequences: Sequence[str],
        unknown: UnknownPolicy = "refuse",
        ids: Sequence[str] | None = None,
    ) -> TokenBatch: ...
    def decode(self, ids: Sequence[int]) -> str: ...
    def spans(
        self, sequence: str, unknown: UnknownPolicy = "refuse", name: str = "sequence"
    ) -> list[tuple[int, int]]: ...
    def settings(self) -> dict[str, Any]: ...


class PieceTokenizer(ABC):
    """What tokenizers share that can tell the pieces of one text: its ids, and their spans.

    Where `num_before` is 1 every sequence begins with `cls_id`, where `num_after` is 1 it ends with
    `eos_id`.
    """

    num_before, num_after = 1, 1
    is_per_letter = False  # whether every residue is a token of its own
    cls_id: int
    eos_id: int

    @abstractmethod
    def _pieces(self, sequence: str, unknown: UnknownPolicy, name: str) -> list[Piece]:
        """The tokens of one text, special ones left out."""

    @property
    def num_specials(self) -> int:
        """Special tokens of every sequence."""
        return self.num_before + self.num_after

    @property
    def inner(self) -> slice:
        """Where the other tokens stand."""
        return slice(self.num_before, -self.num_after or None)

    @property
    def unit(self) -> str:
        """What lengths are counted in."""
        return "residues" if self.is_per_letter else "tokens"

    def encode(
        self, sequence: str, unknown: UnknownPolicy = "refuse", name: str = "sequence"
    ) -> list[int]:
        """The ids of one sequence with its special ones: the plain twin of `encode_many`."""
        pieces = self._pieces(sequence, unknown, name)
        before, after = [self.cls_id] * self.num_before, [self.eos_id] * self.num_after
        return [*before, *(piece.id for piece in pieces), *after]

    def spans(
        self, sequence: str, unknown: UnknownPolicy = "refuse", name: str = "sequence"
    ) -> list[tuple[int, int]]:
        """The letters [start, end) of `sequence` behind each id of `encode`, 0-based.

        Special tokens that stand for no residue have an empty range. The ranges index the text as
        given, also where letters are mapped, removed or joined.
        """
        pieces, end = self._pieces(sequence, unknown, name), len(sequence)
        before, after = [(0, 0)] * self.num_before, [(end, end)] * self.num_after
        return [*before, *((p.start, p.end) for p in pieces), *after]


def encode_parts(
    tokenizer: Tokenizer, parts: Sequence[str], unknown: UnknownPolicy, name: str
) -> TokenIds:
    """The ids of a sequence of which only parts are left: no token lies across a cut."""
    found = tokenizer.encode_many(parts, unknown, [name] * len(parts))
    first, inner = found.one(0), tokenizer.inner
    kept = [found.one(i)[inner] for i in range(len(parts))]
    after = first[len(first) - tokenizer.num_after :]
    return np.concatenate([first[: tokenizer.num_before], *kept, after])


def join(
    encoded: Sequence[TokenIds | Sequence[int]], dtype: type[np.unsignedinteger[Any]]
) -> TokenBatch:
    """Sequences that were encoded one by one."""
    bounds = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    if not encoded:
        return TokenBatch(np.zeros(0, dtype), bounds)
    return TokenBatch(np.concatenate([np.asarray(ids, dtype) for ids in encoded]), bounds)


def encode_by_table(
    sequences: Sequence[str], table: bytes, num_before: int, num_after: int
) -> TokenBatch | None:
    """The ids of many sequences by a table of their bytes, START and END among these.

    None where a byte is FOREIGN in it, or stands for a border inside of a sequence.
    """
    text = f"{END}{START}".join(sequences)
    raw = f"{START}{text}{END}".encode("latin-1", errors="replace")  # '?' is no residue
    borders = raw.count(START.encode()) + raw.count(END.encode())
    dropped = START * (not num_before) + END * (not num_after)
    codes = np.frombuffer(raw.translate(table, dropped.encode()), np.uint8)
    if codes.max() == FOREIGN or borders != 2 * len(sequences):
        return None
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences)) + num_before + num_after
    return TokenBatch(codes, np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))


def name_all(sequences: Sequence[str], ids: Sequence[str] | None) -> Sequence[str]:
    """What errors call each sequence."""
    return ids if ids is not None else [f"sequence {i + 1}" for i in range(len(sequences))]
