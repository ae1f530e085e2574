"""Tokenizers of decoders in the `tokenizers` library's format: nothing is put around a text."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from lexome.errors import CheckpointError, InputError
from lexome.sequence.alphabet import ALPHABETS, UnknownPolicy, clean_sequence
from lexome.tokenizers.interface import NONE, Piece, PieceTokenizer, TokenBatch, join, name_all
from lexome.tokenizers.library import open_library


class PlainTokenizer(PieceTokenizer):
    """Tokens of the text as it stands: byte pairs (GPT-2), or a letter each (ProGen2).

    Special tokens are written in the text by whoever wants them: ProGen2's terminals `1` and `2`,
    `<|endoftext|>` of ProtGPT2. ProGen2's published tokenizer drops what it does not know without
    a word; here that is refused, unless `unknown` is "reference".

    Args:
        text: the JSON of the library's own format.
        alphabet: the letters that sequences may have; "text" for any.
        bos: the token that begins a text where a model was trained so; whoever generates or scores
            puts it in front, `encode` does not.
        eos: the token that ends a text, where there is one.
        pad: the token that fills up, where there is one.
    """

    num_before, num_after = 0, 0

    def __init__(
        self,
        text: str,
        alphabet: str,
        bos: str | None = None,
        eos: str | None = None,
        pad: str | None = None,
    ) -> None:
        self._library = open_library(text)
        self._text, self.alphabet = text, ALPHABETS[alphabet]
        self.is_per_letter = alphabet != "text"
        ids = self._library.get_vocab(with_added_tokens=True)
        self.vocabulary = tuple(sorted(ids, key=lambda token: ids[token]))
        self.id_of: dict[str, int] = ids
        if [ids[token] for token in self.vocabulary] != list(range(len(ids))):
            raise CheckpointError(
                "tokenizer.json", "numbers of tokens with gaps", "0, 1, 2, ...", "a fresh copy"
            )
        if self._library.encode("").ids:
            raise CheckpointError(
                "tokenizer.json",
                f"{self._library.encode('').tokens} for an empty text",
                "no token",
                "the tokenizer of the published model",
            )
        self._ends = {"bos": bos, "eos": eos, "pad": pad}
        absent = [token for token in self._ends.values() if token is not None and token not in ids]
        if absent:
            raise CheckpointError(
                "tokenizer.json", f"no {absent[0]}", "the model's own tokens", "a fresh copy"
            )
        self.mask_id = self.unk_id = NONE
        self.cls_id, self.eos_id, self.pad_id = (
            NONE if token is None else ids[token] for token in self._ends.values()
        )

    def settings(self) -> dict[str, Any]:
        """What `build_tokenizer` makes the same one from."""
        kept = {"text": self._text, "alphabet": self.alphabet.name}
        return {"kind": "plain", **kept, **self._ends}

    def encode_many(
        self,
        sequences: Sequence[str],
        unknown: UnknownPolicy = "refuse",
        ids: Sequence[str] | None = None,
    ) -> TokenBatch:
        """The ids of many sequences; the library works on several cores."""
        names = name_all(sequences, ids)
        pairs = list(zip(sequences, names, strict=True))
        cleaned = [self._clean(sequence, unknown, name) for sequence, name in pairs]
        found = self._library.encode_batch(cleaned)
        if unknown != "reference":
            for one, text, name in zip(found, cleaned, names, strict=True):
                _check_whole(one.offsets, text, name)
        return join([one.ids for one in found], np.uint32)

    def decode(self, ids: Sequence[int]) -> str:
        """The text behind ids, special tokens among it."""
        text: str = self._library.decode(list(ids), skip_special_tokens=False)
        return "".join(self.vocabulary[i] for i in ids) if self.is_per_letter else text

    def _pieces(self, sequence: str, unknown: UnknownPolicy, name: str) -> list[Piece]:
        cleaned = self._clean(sequence, unknown, name)
        found = self._library.encode(cleaned)
        if unknown != "reference":
            _check_whole(found.offsets, cleaned, name)
        return [Piece(id, *span) for id, span in zip(found.ids, found.offsets, strict=True)]

    def _clean(self, sequence: str, unknown: UnknownPolicy, name: str) -> str:
        if unknown == "reference":
            return sequence
        return clean_sequence(sequence, self.alphabet, unknown, name).sequence


def _check_whole(offsets: Sequence[tuple[int, int]], text: str, name: str) -> None:
    """Raise where the library has dropped a letter."""
    reached = 0
    for start, end in offsets:
        if start > reached:
            break
        reached = max(reached, end)
    if reached < len(text):
        raise InputError(
            name,
            f"{text[reached]!r} at position {reached + 1}, for which there is no token",
            "text that the vocabulary covers",
            "to leave it out, or `--unknown reference`, which drops it as the published tokenizer",
        )


def letters_text(vocabulary: Sequence[str]) -> str:
    """The library's JSON of a tokenizer with a token a letter; longer ones are special."""
    ids = {token: i for i, token in enumerate(vocabulary)}
    kinds = ("single_word", "lstrip", "rstrip", "normalized")
    special = [
        {"id": i, "content": token, "special": True} | dict.fromkeys(kinds, False)
        for token, i in ids.items()
        if len(token) > 1
    ]
    bytes_each = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": special,
            "normalizer": None,
            "pre_tokenizer": bytes_each | {"use_regex": False},
            "post_processor": None,
            "decoder": bytes_each | {"use_regex": False},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "vocab": ids,
                "merges": [],
            },
        }
    )
