"""Overlapping k-mers, a token a letter: the tokenizer of DNABERT."""

# Letters: L letters of a text.
from collections.abc import Sequence
from typing import Any

import numpy as np

from lexome.errors import CheckpointError
from lexome.sequence.alphabet import ALPHABETS, UnknownPolicy, clean_sequence
from lexome.tokenizers.interface import Piece, PieceTokenizer, TokenBatch, TokenIds, join, name_all
from lexome.tokenizers.kmers import all_kmers, base_table, has_other, roll

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
KS = (3, 4, 5, 6)


class OverlappingTokenizer(PieceTokenizer):
    """`[CLS]`, the k-mer from every letter on, `[SEP]`: L - k + 1 of them.

    A k-mer with any letter but A, C, G, T is `[UNK]`. Source: Ji et al. 2021; agrees with BERT's
    tokenizer on the k-mers that DNABERT's scripts write. Other letters follow `unknown`: "refuse"
    raises; "map" puts letters in capitals, U as T, and IUPAC codes as N, which no k-mer has;
    "reference" takes the text as it is, or, where it holds white space, as k-mers already.

    >>> OverlappingTokenizer(4).encode("ACGTA")
    [2, 50, 185, 3]
    """

    pad_id, unk_id, cls_id, eos_id, mask_id = range(5)

    def __init__(self, k: int) -> None:
        if k not in KS:
            raise ValueError(f"k = {k}; DNABERT was published for 3 to 6")
        self.k, self.alphabet = k, ALPHABETS["dna-bases"]
        self.vocabulary = (*SPECIALS, *all_kmers(k))
        self.id_of = {token: i for i, token in enumerate(self.vocabulary)}
        self._table = base_table()

    def settings(self) -> dict[str, Any]:
        """What `build_tokenizer` makes the same one from."""
        return {"kind": "overlapping", "k": self.k}

    def encode_many(
        self,
        sequences: Sequence[str],
        unknown: UnknownPolicy = "refuse",
        ids: Sequence[str] | None = None,
    ) -> TokenBatch:
        """The ids of many sequences, by arithmetic on their letters."""
        names = name_all(sequences, ids)
        found = [self._encode_fast(s, unknown, n) for s, n in zip(sequences, names, strict=True)]
        return join(found, np.uint16)

    def decode(self, ids: Sequence[int]) -> str:
        """The letters behind ids; N where every k-mer over a letter is `[UNK]` or `[MASK]`."""
        inner = [id for id in ids if id not in (self.cls_id, self.eos_id, self.pad_id)]
        letters = ["N"] * (len(inner) + self.k - 1) if inner else []
        for i, id in enumerate(inner):
            if id >= len(SPECIALS):
                letters[i : i + self.k] = self.vocabulary[id]
        return "".join(letters)

    def _encode_fast(self, sequence: str, unknown: UnknownPolicy, name: str) -> TokenIds:
        if unknown == "reference" and any(letter.isspace() for letter in sequence):
            return np.array(self.encode(sequence, unknown, name), np.uint16)
        if unknown != "reference":
            sequence = clean_sequence(sequence, self.alphabet, unknown, name).sequence
        raw = sequence.encode("latin-1", errors="replace")
        codes_L = np.frombuffer(raw.translate(self._table), np.uint8)
        ids = np.full(max(len(codes_L) - self.k + 1, 0) + 2, self.cls_id, np.uint16)
        if len(codes_L) >= self.k:
            first = np.uint16(len(SPECIALS))
            kmers = roll(codes_L, self.k) + first
            ids[1:-1] = np.where(has_other(codes_L, self.k), np.uint16(self.unk_id), kmers)
        ids[-1] = self.eos_id
        return ids

    def _pieces(self, sequence: str, unknown: UnknownPolicy, name: str) -> list[Piece]:
        if unknown == "reference" and any(letter.isspace() for letter in sequence):
            pieces, at = [], 0
            for word in sequence.split():
                at = sequence.index(word, at)
                pieces.append(Piece(self.id_of.get(word, self.unk_id), at, at + len(word)))
                at += len(word)
            return pieces
        if unknown != "reference":
            sequence = clean_sequence(sequence, self.alphabet, unknown, name).sequence
        return [
            Piece(self.id_of.get(sequence[i : i + self.k], self.unk_id), i, i + self.k)
            for i in range(len(sequence) - self.k + 1)
        ]


def find_k(vocabulary: Sequence[str]) -> int | None:
    """The k of a DNABERT vocabulary; None where it is another one."""
    return next((k for k in KS if tuple(vocabulary) == (*SPECIALS, *all_kmers(k))), None)


def check_dnabert(vocabulary: Sequence[str], where: str) -> int:
    """The k of a DNABERT vocabulary.

    Raises:
        CheckpointError: it is another one.
    """
    k = find_k(vocabulary)
    if k is None:
        raise CheckpointError(
            where,
            f"{len(vocabulary):,} tokens that are not DNABERT's",
            "five special tokens and all k-mers in the order A, T, C, G, for k = 3 to 6",
            "the vocab.txt of the published model",
        )
    return k
