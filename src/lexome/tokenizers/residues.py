"""One token a residue with nothing before it and `</s>` behind: ProtT5, ProstT5 and Ankh."""

# Letters: S sequences, T tokens over all of them (special tokens counted).
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from lexome.errors import CheckpointError
from lexome.sequence.alphabet import Alphabet, UnknownPolicy, check_letters, map_letters
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

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
RARE = "UZOB"  # made X before ProtT5 saw them, in training as well
TO_STRUCTURE, TO_RESIDUES = "<AA2fold>", "<fold2AA>"  # the directions of ProstT5
MASK = "<extra_id_0>"


class ResidueTokenizer(PieceTokenizer):
    """Residues `</s>`, one id a residue; with a direction of ProstT5 before them.

    Letters that are not known follow `unknown`: "refuse" raises with id, position and letter;
    "map" applies the alphabet's table; "reference" does what the published use does, in which
    residues are parted by spaces (white space vanishes, what has no token becomes `<unk>`, and
    with `rare_as_x` U, Z, O and B become X).
    Source: the model cards of ProtT5 and ProstT5; transformers `T5Tokenizer`.

    Args:
        vocabulary: tokens in order of id; a residue's is named by its letter.
        rare_as_x: whether U, Z, O and B are no letters of the model.
        prefix: the direction that every sequence begins with. From structure to residues, letters
            are the lower-case ones of 3Di.

    >>> tokenizer = ResidueTokenizer(["<pad>", "</s>", "<unk>", *"ALGVSERDTIPKQFNYMHWCX"])
    >>> tokenizer.encode("MKT"), tokenizer.spans("MKT")
    ([19, 14, 11, 1], [(0, 1), (1, 2), (2, 3), (3, 3)])
    >>> tokenizer.encode("MU", "map") == tokenizer.encode("MX")
    True
    """

    is_per_letter = True

    def __init__(
        self, vocabulary: Sequence[str], rare_as_x: bool = False, prefix: str | None = None
    ) -> None:
        self.vocabulary = tuple(vocabulary)
        self.rare_as_x, self.prefix, self.num_before = rare_as_x, prefix, int(prefix is not None)
        self.id_of = {token: i for i, token in enumerate(self.vocabulary)}
        is_structure = prefix == TO_RESIDUES
        needed = ["<pad>", "</s>", "<unk>", *(RESIDUES.lower() if is_structure else RESIDUES)]
        needed += ["X"] * (rare_as_x and not is_structure) + [prefix] * (prefix is not None)
        missing = [token for token in needed if token not in self.id_of]
        if missing or len(self.id_of) != len(self.vocabulary):
            raise CheckpointError(
                "vocabulary",
                f"no {missing[0]}" if missing else "a token twice",
                "a token for each of 20 residues, <pad>, </s> and <unk>",
                "the tokenizer of the published model",
            )
        self.pad_id, self.eos_id = self.id_of["<pad>"], self.id_of["</s>"]
        self.unk_id = self.id_of["<unk>"]
        self.cls_id = self.id_of.get(prefix or "", self.pad_id)
        # Only the sentinels of T5 stand for something hidden.
        self.mask_id = self.id_of.get(MASK, self.unk_id)
        letters = [t for t in self.vocabulary if len(t) == 1 and t.isascii() and t.isalpha()]
        self.alphabet = _alphabet(letters, rare_as_x, is_structure)
        table = bytearray([FOREIGN]) * 256
        for letter in self.alphabet.letters:
            table[ord(letter)] = min(self.id_of[letter], FOREIGN)
        table[ord(START)], table[ord(END)] = self.cls_id, self.eos_id
        self._table = bytes(table)
        self._dtype = np.uint8 if len(self.vocabulary) <= 256 else np.uint16
        sentinels = sorted(t for t in self.vocabulary if t.startswith("<extra_id_"))
        self._special = re.compile("|".join(map(re.escape, sentinels)) or r"(?!)")

    def settings(self) -> dict[str, Any]:
        """What `build_tokenizer` makes the same one from."""
        return {
            "kind": "residues",
            "vocabulary": list(self.vocabulary),
            "rare_as_x": self.rare_as_x,
            "prefix": self.prefix,
        }

    def turned(self) -> "ResidueTokenizer":
        """For the other direction of ProstT5: 3Di letters instead of residues, or the reverse."""
        other = TO_RESIDUES if self.prefix == TO_STRUCTURE else TO_STRUCTURE
        return ResidueTokenizer(self.vocabulary, self.rare_as_x, other)

    def encode_many(
        self,
        sequences: Sequence[str],
        unknown: UnknownPolicy = "refuse",
        ids: Sequence[str] | None = None,
    ) -> TokenBatch:
        """The ids of many sequences, vectorised over bytes."""
        if not sequences:
            return TokenBatch(np.zeros(0, self._dtype), np.zeros(1, np.int64))
        found = encode_by_table(sequences, self._table, self.num_before, self.num_after)
        if found is None:
            pairs = zip(sequences, name_all(sequences, ids), strict=True)
            return join([self.encode(s, unknown, name) for s, name in pairs], self._dtype)
        return found._replace(ids_T=found.ids_T.astype(self._dtype, copy=False))

    def decode(self, ids: Sequence[int]) -> str:
        """The residues behind ids; `</s>`, `<pad>` and a direction are left out."""
        silent = {self.eos_id, self.pad_id, self.cls_id}
        return "".join(self.vocabulary[i] for i in ids if i not in silent)

    def _pieces(self, sequence: str, unknown: UnknownPolicy, name: str) -> list[Piece]:
        pieces: list[Piece] = []
        at = 0
        for match in self._special.finditer(sequence):
            pieces += self._letters(sequence[at : match.start()], at, unknown, name)
            pieces.append(Piece(self.id_of[match.group()], *match.span()))
            at = match.end()
        return pieces + self._letters(sequence[at:], at, unknown, name)

    def _letters(self, part: str, at: int, unknown: UnknownPolicy, name: str) -> list[Piece]:
        if unknown == "reference":
            return [
                Piece(self._reference_id(letter), i, i + 1)
                for i, letter in enumerate(part, start=at)
                if not letter.isspace()
            ]
        if unknown == "map":
            part = map_letters(part, self.alphabet, name).sequence
        else:
            check_letters(part, self.alphabet, name)
        return [Piece(self.id_of[letter], i, i + 1) for i, letter in enumerate(part, start=at)]

    def _reference_id(self, letter: str) -> int:
        if self.rare_as_x and letter in RARE:
            letter = "X"
        return self.id_of.get(letter, self.unk_id)


def _alphabet(letters: Sequence[str], rare_as_x: bool, is_structure: bool) -> Alphabet:
    """The letters of one direction, and what becomes of others under "map"."""
    if is_structure:
        own = [letter for letter in letters if letter.islower()]
        return Alphabet("structure", "".join(own), {letter.upper(): letter for letter in own})
    own = [a for a in letters if a.isupper() and not (rare_as_x and a in RARE)]
    mapped = {letter.lower(): letter for letter in own}
    if "X" in own:
        rest = [letter for letter in "BJOUZ" if letter not in own]
        mapped |= dict.fromkeys([*rest, *(letter.lower() for letter in rest), "*"], "X")
    return Alphabet("protein", "".join(own), mapped)
