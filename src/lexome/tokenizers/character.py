"""One token a residue: the tokenizer of ESM-1b, ESM-1v, ESM-2 and of the models made here."""

# Letters: S sequences, T tokens over all of them (special tokens counted).
import re
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from typing import Any

import numpy as np

from lexome.errors import CheckpointError, InputError
from lexome.sequence.alphabet import ALPHABETS, UnknownPolicy, check_letters, map_letters
from lexome.tokenizers.interface import (
    END,
    FOREIGN,
    START,
    Piece,
    PieceTokenizer,
    TokenBatch,
    encode_by_table,
    join,
    name_all,
)


class CharacterTokenizer(PieceTokenizer):
    """`<cls>` residues `<eos>`, one id a residue.

    Source: facebookresearch/esm `Alphabet` and transformers `EsmTokenizer`, which agree on every
    sequence of known letters. Letters that are not known follow `unknown`: "refuse" raises
    with id, position and letter; "map" applies the alphabet's table; "reference" does what
    `EsmTokenizer` does (a run of unknown characters becomes one `<unk>`, white space vanishes).

    >>> tokenizer = CharacterTokenizer()
    >>> tokenizer.encode("MKT")
    [0, 20, 15, 11, 2]
    >>> tokenizer.decode([0, 20, 15, 11, 2])
    'MKT'
    >>> tokenizer.spans("MKT")
    [(0, 0), (0, 1), (1, 2), (2, 3), (3, 3)]
    """

    is_per_letter = True

    def __init__(self, vocabulary: Sequence[str] | None = None, alphabet: str = "protein") -> None:
        self.vocabulary = tuple(vocabulary) if vocabulary is not None else esm_vocabulary()
        self.alphabet = ALPHABETS[alphabet]
        id_of = {token: i for i, token in enumerate(self.vocabulary)}
        missing = {"<cls>", "<pad>", "<eos>", "<unk>", "<mask>"} - set(id_of)
        if missing or len(id_of) != len(self.vocabulary):
            raise CheckpointError(
                "vocabulary",
                f"a list without {sorted(missing)}" if missing else "a token twice",
                "one line for every token, <cls> <pad> <eos> <unk> <mask> among them",
                "the vocab.txt of the published model",
            )
        self.id_of = id_of
        self.cls_id, self.pad_id, self.eos_id = id_of["<cls>"], id_of["<pad>"], id_of["<eos>"]
        self.unk_id, self.mask_id = id_of["<unk>"], id_of["<mask>"]
        table = bytearray([FOREIGN]) * 256
        for token, i in id_of.items():
            if len(token) == 1:
                table[ord(token)] = i
        table[ord(START)], table[ord(END)] = self.cls_id, self.eos_id
        self._table = bytes(table)

    def settings(self) -> dict[str, Any]:
        """What `build_tokenizer` makes the same one from."""
        made = {"kind": "character", "vocabulary": list(self.vocabulary)}
        return made if self.alphabet.is_protein else made | {"alphabet": self.alphabet.name}

    def encode_many(
        self,
        sequences: Sequence[str],
        unknown: UnknownPolicy = "refuse",
        ids: Sequence[str] | None = None,
    ) -> TokenBatch:
        """The ids of many sequences, vectorised over bytes (over 200 million residues a second)."""
        if not sequences:
            return TokenBatch(np.zeros(0, np.uint8), np.zeros(1, np.int64))
        found = encode_by_table(sequences, self._table, self.num_before, self.num_after)
        return self._encode_one_by_one(sequences, unknown, ids) if found is None else found

    def _encode_one_by_one(
        self, sequences: Sequence[str], unknown: UnknownPolicy, ids: Sequence[str] | None
    ) -> TokenBatch:
        pairs = zip(sequences, name_all(sequences, ids), strict=True)
        return join([self.encode(sequence, unknown, name) for sequence, name in pairs], np.uint8)

    def decode(self, ids: Sequence[int]) -> str:
        """The residues behind ids; `<cls>`, `<eos>` and `<pad>` are left out."""
        silent = {self.cls_id, self.eos_id, self.pad_id}
        return "".join(self.vocabulary[i] for i in ids if i not in silent)

    def _pieces(self, sequence: str, unknown: UnknownPolicy, name: str) -> list[Piece]:
        if unknown == "reference":
            return self._reference_pieces(sequence)
        if "<mask>" in sequence:  # the one special token that a user may write
            return self._masked_pieces(sequence, unknown, name)
        return self._letter_pieces(sequence, unknown, name)

    def _masked_pieces(self, sequence: str, unknown: UnknownPolicy, name: str) -> list[Piece]:
        pieces: list[Piece] = []
        at = 0
        for part in re.split(r"(<mask>)", sequence):
            if part == "<mask>":
                pieces.append(Piece(self.mask_id, at, at + len(part)))
            else:
                letters = self._letter_pieces(part, unknown, name)
                pieces += [Piece(p.id, p.start + at, p.end + at) for p in letters]
            at += len(part)
        return pieces

    def _letter_pieces(self, part: str, unknown: UnknownPolicy, name: str) -> list[Piece]:
        if unknown == "map":
            part = map_letters(part, self.alphabet, name).sequence
        else:
            check_letters(part, self.alphabet, name)
        return [Piece(self.id_of[letter], i, i + 1) for i, letter in enumerate(part)]

    @cached_property
    def _reference_pattern(self) -> re.Pattern[str]:
        """A token, white space, or a run of characters that begin no token."""
        tokens = "|".join(re.escape(t) for t in sorted(self.vocabulary, key=len, reverse=True))
        return re.compile(rf"(?P<token>{tokens})|(?P<space>\s+)|(?P<unknown>(?:(?!{tokens})\S)+)")

    def _reference_pieces(self, sequence: str) -> list[Piece]:
        pieces = []
        for match in self._reference_pattern.finditer(sequence):
            if match.lastgroup == "token":
                pieces.append(Piece(self.id_of[match.group()], *match.span()))
            elif match.lastgroup == "unknown":
                pieces.append(Piece(self.unk_id, *match.span()))
        return pieces


def esm_vocabulary() -> tuple[str, ...]:
    """The 33 tokens shared by ESM-1b, ESM-1v, ESM-2 and the MSA Transformer, in order of id."""
    text = files("lexome.tokenizers").joinpath("vocabularies/esm.txt").read_text()
    return tuple(text.splitlines())


def check_vocabulary(found: Sequence[str], where: str) -> None:
    """Raise where a model's vocabulary is not the one that its family was published with."""
    expected = esm_vocabulary()
    if tuple(found) == expected:
        return
    shorter = min(len(found), len(expected))
    differing = next((i for i in range(shorter) if found[i] != expected[i]), shorter)
    seen = repr(found[differing]) if differing < len(found) else "the end of the file"
    wanted = repr(expected[differing]) if differing < len(expected) else "the end of the file"
    raise InputError(where, f"{seen} as token {differing}", wanted, "the vocab.txt of an ESM model")
