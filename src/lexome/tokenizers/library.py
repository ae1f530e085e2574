"""Tokenizers in the `tokenizers` library's own format: BPE (DNABERT-2), WordPiece (BERT)."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from lexome.errors import CheckpointError, InputError
from lexome.sequence.alphabet import ALPHABETS, UnknownPolicy, clean_sequence
from lexome.tokenizers.interface import Piece, PieceTokenizer, TokenBatch, join, name_all

MASK = "[MASK]"


class LibraryTokenizer(PieceTokenizer):
    """`[CLS]` tokens `[SEP]`, as the `tokenizers` library makes them from a model's own file.

    Letters outside the alphabet follow `unknown`: "refuse" raises, also where the library would
    answer `[UNK]`; "map" applies the alphabet's table, and what is still no token becomes `[UNK]`;
    "reference" takes the text as it is.

    Args:
        text: the JSON of the library's own format.
        alphabet: the letters that sequences may have; "text" for any.
    """

    def __init__(self, text: str, alphabet: str) -> None:
        self._library = open_library(text)
        self._text, self.alphabet = text, ALPHABETS[alphabet]
        ids = self._library.get_vocab(with_added_tokens=True)
        self.vocabulary = tuple(sorted(ids, key=lambda token: ids[token]))
        self.id_of: dict[str, int] = ids
        wanted = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", MASK)
        missing = [token for token in wanted if token not in ids]
        if missing or [ids[t] for t in self.vocabulary] != list(range(len(ids))):
            raise CheckpointError(
                "tokenizer",
                f"no {missing[0]}" if missing else "numbers of tokens with gaps",
                "[CLS], [SEP], [PAD], [UNK], [MASK] among tokens numbered from 0",
                "the tokenizer of the published model",
            )
        self.cls_id, self.eos_id, self.pad_id = ids["[CLS]"], ids["[SEP]"], ids["[PAD]"]
        self.unk_id, self.mask_id = ids["[UNK]"], ids[MASK]
        if self._library.encode("").ids != [self.cls_id, self.eos_id]:
            raise CheckpointError(
                "tokenizer",
                f"{self._library.encode('').tokens} for an empty text",
                "[CLS] and [SEP]",
                "the tokenizer of the published model",
            )

    def settings(self) -> dict[str, Any]:
        """What `build_tokenizer` makes the same one from."""
        return {"kind": "library", "text": self._text, "alphabet": self.alphabet.name}

    def encode_pair(self, first: str, second: str) -> tuple[list[int], list[int]]:
        """Ids and token types of `[CLS] first [SEP] second [SEP]`, as the reference has them."""
        found = self._library.encode(first, second)
        return found.ids, found.type_ids

    def encode_many(
        self,
        sequences: Sequence[str],
        unknown: UnknownPolicy = "refuse",
        ids: Sequence[str] | None = None,
    ) -> TokenBatch:
        """The ids of many sequences; the library works on several cores."""
        names = name_all(sequences, ids)
        pairs = list(zip(sequences, names, strict=True))
        if unknown != "reference" and any(MASK in sequence for sequence in sequences):
            return join([self.encode(s, unknown, n) for s, n in pairs], np.uint32)
        cleaned = [self._clean(s, unknown, n) for s, n in pairs]
        found = self._library.encode_batch(cleaned)
        for one, name in zip(found, names, strict=True):
            self._check_known(one, unknown, name)
        return join([one.ids for one in found], np.uint32)

    def decode(self, ids: Sequence[int]) -> str:
        """The text behind ids; `[CLS]`, `[SEP]` and `[PAD]` are left out."""
        silent = {self.cls_id, self.eos_id, self.pad_id}
        tokens = [self.vocabulary[i] for i in ids if i not in silent]
        text = "" if self.alphabet.letters else " "
        return text.join(tokens).replace(" ##", "")

    def _pieces(self, sequence: str, unknown: UnknownPolicy, name: str) -> list[Piece]:
        if unknown == "reference" or MASK not in sequence:
            found = self._library.encode(self._clean(sequence, unknown, name))
            self._check_known(found, unknown, name)
            inner = zip(found.ids[1:-1], found.offsets[1:-1], strict=True)
            return [Piece(id, *offsets) for id, offsets in inner]
        pieces: list[Piece] = []
        at = 0
        for number, part in enumerate(sequence.split(MASK)):
            if number:
                pieces.append(Piece(self.mask_id, at, at + len(MASK)))
                at += len(MASK)
            inner_pieces = self._pieces(part, unknown, name)
            pieces += [Piece(p.id, p.start + at, p.end + at) for p in inner_pieces]
            at += len(part)
        return pieces

    def _clean(self, sequence: str, unknown: UnknownPolicy, name: str) -> str:
        if unknown == "reference":
            return sequence
        return clean_sequence(sequence, self.alphabet, unknown, name).sequence

    def _check_known(self, found: Any, unknown: UnknownPolicy, name: str) -> None:
        """Of an open alphabet, only the library knows what it does not know."""
        if unknown != "refuse" or self.unk_id not in found.ids:
            return
        start, end = found.offsets[found.ids.index(self.unk_id)]
        raise InputError(
            name,
            f"an unknown token at characters {start + 1} to {end}",
            "text that the vocabulary covers",
            "`--unknown map` (unknown='map' in Python), which makes it [UNK]",
        )


def open_library(text: str) -> Any:
    """A tokenizer of the library from its JSON, which neither cuts nor fills up unseen.

    Raises:
        CheckpointError: no such JSON.
    """
    from tokenizers import Tokenizer

    try:
        library = Tokenizer.from_str(text)
    except Exception as problem:  # the library raises plain Exception
        raise CheckpointError(
            "tokenizer.json", str(problem)[:200], "a tokenizer of the library", "a fresh copy"
        ) from problem
    library.no_truncation()
    library.no_padding()
    return library


def word_piece_text(vocabulary: Sequence[str], lower_case: bool) -> str:
    """The library's JSON of BERT's tokenizer, for models that only have its word list.

    Where every word is a single letter (ProtBERT), residues need no spaces between them, as they
    would with the published tokenizer.
    Source: Devlin et al. 2019; transformers `BertTokenizer`.
    """
    ids = {token: i for i, token in enumerate(vocabulary)}
    special = {"[CLS]": ids.get("[CLS]", 0), "[SEP]": ids.get("[SEP]", 0)}
    named = [t for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", MASK) if t in ids]
    cls, sep = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}, "[SEP]"
    one = [
        cls,
        {"Sequence": {"id": "A", "type_id": 0}},
        {"SpecialToken": {"id": sep, "type_id": 0}},
    ]
    split: list[dict[str, object]] = [{"type": "BertPreTokenizer"}]
    if has_single_letters(vocabulary):
        each: dict[str, object] = {"type": "Split", "pattern": {"Regex": "."}}
        split.append(each | {"behavior": "Isolated", "invert": False})
    two = [{"Sequence": {"id": "B", "type_id": 1}}, {"SpecialToken": {"id": sep, "type_id": 1}}]
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [
                {
                    "id": ids[token],
                    "content": token,
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for token in named
            ],
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": None,
                "lowercase": lower_case,
            },
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": split},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": one,
                "pair": [*one, *two],
                "special_tokens": {
                    name: {"id": name, "ids": [id], "tokens": [name]}
                    for name, id in special.items()
                },
            },
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {
                "type": "WordPiece",
                "unk_token": "[UNK]",
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": ids,
            },
        }
    )


def has_single_letters(vocabulary: Sequence[str]) -> bool:
    """Whether all words but the bracketed ones are single letters."""
    words = [token for token in vocabulary if not (token.startswith("[") and token.endswith("]"))]
    return bool(words) and all(len(word) == 1 and word.isalpha() for word in words)
