"""One token a base, as the long DNA models have it: Evo's bytes, HyenaDNA's letters."""

# Letters: T tokens.
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from lexome.sequence.alphabet import ALPHABETS, UnknownPolicy, clean_sequence
from lexome.tokenizers.interface import (
    NONE,
    Piece,
    PieceTokenizer,
    TokenBatch,
    TokenIds,
    join,
    name_all,
)


class SingleBaseTokenizer(PieceTokenizer):
    """What both share: A, C, G, T and N are known; other letters follow `unknown`.

    "refuse" raises; "map" writes capitals, U as T and IUPAC codes as N; "reference" does what the
    published tokenizer does.
    """

    is_per_letter = True
    alphabet = ALPHABETS["dna"]
    vocabulary: tuple[str, ...]
    id_of: dict[str, int]

    def __init__(self) -> None:
        self.id_of = {token: i for i, token in enumerate(self.vocabulary)}
        table = bytearray(256)
        for letter in self.alphabet.letters:
            table[ord(letter)] = self.id_of[letter]
        self._table = bytes(table)

    def encode_many(
        self,
        sequences: Sequence[str],
        unknown: UnknownPolicy = "refuse",
        ids: Sequence[str] | None = None,
    ) -> TokenBatch:
        """The ids of many sequences, each by a table of its bytes."""
        names = name_all(sequences, ids)
        found = [self._encode_fast(s, unknown, n) for s, n in zip(sequences, names, strict=True)]
        return join(found, np.uint8)

    @abstractmethod
    def _reference_pieces(self, sequence: str) -> list[Piece]:
        """What the published tokenizer makes of any text."""

    def _encode_fast(self, sequence: str, unknown: UnknownPolicy, name: str) -> TokenIds:
        if unknown == "reference":
            return np.array(self.encode(sequence, unknown, name), np.uint8)
        cleaned = clean_sequence(sequence, self.alphabet, unknown, name).sequence
        ids_T = np.full(len(cleaned) + self.num_specials, self.cls_id % 256, np.uint8)
        inner = np.frombuffer(cleaned.encode("ascii").translate(self._table), np.uint8)
        ids_T[self.num_before : self.num_before + len(inner)] = inner
        ids_T[self.num_before + len(inner) :] = self.eos_id
        return ids_T

    def _pieces(self, sequence: str, unknown: UnknownPolicy, name: str) -> list[Piece]:
        if unknown == "reference":
            return self._reference_pieces(sequence)
        sequence = clean_sequence(sequence, self.alphabet, unknown, name).sequence
        return [Piece(self.id_of[letter], i, i + 1) for i, letter in enumerate(sequence)]


class ByteTokenizer(SingleBaseTokenizer):
    """Evo's: the id of a letter is its byte, and nothing is added. 512 ids, of which 256 are used.

    Id 0 ends a text and, for scoring, stands in front of one; id 1 is padding. "reference" takes
    the bytes of any text in UTF-8; all bytes of a character have its span.
    Source: evo-design/evo tokenizer.py.

    >>> ByteTokenizer().encode("ACGT")
    [65, 67, 71, 84]
    >>> ByteTokenizer().spans("ACGT")
    [(0, 1), (1, 2), (2, 3), (3, 4)]
    """

    num_before, num_after = 0, 0
    cls_id = eos_id = 0
    pad_id, unk_id, mask_id = 1, NONE, NONE
    vocabulary: tuple[str, ...] = (
        "<eod>",
        "<pad>",
        *map(chr, range(2, 256)),
        *(f"<{i}>" for i in range(256, 512)),
    )

    def settings(self) -> dict[str, Any]:
        """What `build_tokenizer` makes the same one from."""
        return {"kind": "bytes"}

    def decode(self, ids: Sequence[int]) -> str:
        """The text behind ids; what is no byte of a text is left out, broken UTF-8 is marked."""
        return bytes(i for i in ids if 1 < i < 256).decode("utf-8", errors="replace")

    def _reference_pieces(self, sequence: str) -> list[Piece]:
        return [
            Piece(byte, i, i + 1)
            for i, letter in enumerate(sequence)
            for byte in letter.encode("utf-8")
        ]


class HyenaTokenizer(SingleBaseTokenizer):
    """HyenaDNA's: a letter a token, then `[SEP]`; `[CLS]` in front only with `begin`.

    Its training and its tokenizer on the hub append `[SEP]` and never write `[CLS]`; a tutorial of
    its authors writes both, which changes vectors and scores. "reference" makes `[UNK]` of every
    other character, lower case among them. Source: HazyResearch/hyena-dna.

    >>> HyenaTokenizer().encode("ACGTN")
    [7, 8, 9, 10, 11, 1]
    >>> HyenaTokenizer(begin=True).encode("ACGTN")
    [0, 7, 8, 9, 10, 11, 1]
    """

    num_after = 1
    cls_id, eos_id, mask_id, pad_id, unk_id = 0, 1, 3, 4, 6
    vocabulary: tuple[str, ...] = (
        "[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]",
        "A", "C", "G", "T", "N",
    )  # fmt: skip

    def __init__(self, begin: bool = False) -> None:
        super().__init__()
        self.begin, self.num_before = begin, int(begin)

    def settings(self) -> dict[str, Any]:
        """What `build_tokenizer` makes the same one from."""
        return {"kind": "hyenadna", "begin": self.begin}

    def decode(self, ids: Sequence[int]) -> str:
        """The letters behind ids; `[CLS]`, `[SEP]`, `[BOS]` and `[PAD]` are left out."""
        silent = {self.cls_id, self.eos_id, 2, self.pad_id}
        return "".join(self.vocabulary[i] for i in ids if i not in silent)

    def _reference_pieces(self, sequence: str) -> list[Piece]:
        bases = {letter: self.id_of[letter] for letter in self.alphabet.letters}
        return [Piece(bases.get(c, self.unk_id), i, i + 1) for i, c in enumerate(sequence)]
