"""Stands in where a model's directory has no tokenizer: ids may go in, letters are refused."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lexome.errors import CheckpointError
from lexome.sequence.alphabet import ALPHABETS, UnknownPolicy
from lexome.tokenizers.interface import Piece, PieceTokenizer, TokenBatch, join, name_all


class IdsTokenizer(PieceTokenizer):
    """Knows how many ids there are. Which id a letter has is nowhere written down, so none is
    guessed: `Model.run_ids` works, so do texts of numbers (`5,6,7`), and letters stop.

    Args:
        files: what the directory would have to hold.
    """

    num_before = 0

    def __init__(self, size: int, pad_id: int, eos_id: int, where: str, files: str) -> None:
        self.vocabulary = tuple(f"<id {i}>" for i in range(size))
        self.id_of = {token: i for i, token in enumerate(self.vocabulary)}
        self.alphabet = ALPHABETS["protein"]
        self.pad_id, self.eos_id = pad_id, eos_id
        self.cls_id = self.unk_id = self.mask_id = pad_id  # there are none
        self.where, self.files = where, files

    def settings(self) -> dict[str, Any]:
        """What `build_tokenizer` makes the same one from."""
        ids = {"size": len(self.vocabulary), "pad_id": self.pad_id, "eos_id": self.eos_id}
        return {"kind": "ids", **ids, "where": self.where, "files": self.files}

    def encode_many(
        self,
        sequences: Sequence[str],
        unknown: UnknownPolicy = "refuse",
        ids: Sequence[str] | None = None,
    ) -> TokenBatch:
        """Ids that stand as numbers, with commas between them.

        Raises:
            CheckpointError: letters.
        """
        pairs = zip(sequences, name_all(sequences, ids), strict=True)
        return join([self.encode(text, unknown, name) for text, name in pairs], np.uint32)

    def decode(self, ids: Sequence[int]) -> str:
        """The ids by their numbers: `<id 5><id 7>`."""
        return "".join(self.vocabulary[id] for id in ids)

    def _pieces(self, sequence: str, unknown: UnknownPolicy, name: str) -> list[Piece]:
        pieces, at = [], 0
        for word in sequence.split(","):
            if not (word.isascii() and word.isdecimal() and int(word) < len(self.vocabulary)):
                raise self._refusal()
            pieces.append(Piece(int(word), at, at + len(word)))
            at += len(word) + 1
        return pieces

    def _refusal(self) -> CheckpointError:
        return CheckpointError(
            self.where,
            "letters for a model whose directory has no tokenizer",
            f"{self.files} beside the weights",
            "the whole model directory, or `model.run_ids` with token ids",
        )
