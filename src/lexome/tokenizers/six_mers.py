"""Six letters a token: the tokenizer of Nucleotide Transformer, v1 and v2."""

# Letters: L letters of a text, G runs of bases in it, T tokens.
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lexome.errors import CheckpointError, InputError
from lexome.sequence.alphabet import ALPHABETS, UnknownPolicy, check_letters, map_letters
from lexome.tokenizers.interface import Piece, PieceTokenizer, TokenBatch, TokenIds, join, name_all
from lexome.tokenizers.kmers import BASES, OTHER, all_kmers, base_table, roll

_BORDER = "\x01"  # stands between sequences while many are one text
_LONG = 1_000  # letters of a run from which a loop over runs is the faster way
_MASK = "<mask>"


class SixMerTokenizer(PieceTokenizer):
    """`<cls>`, then k-mers (six letters) from left to right, and what is left letter by letter.

    N is a token of its own and the next k-mer begins behind it. Source: Dalla-Torre et al. 2023;
    agrees with transformers' `EsmTokenizer` on the published vocabularies. Other letters follow
    `unknown`: "refuse" raises; "map" puts them in capitals, U as T, IUPAC codes as N; "reference"
    makes one `<unk>` of every run of unknown characters, as transformers does.
    """

    def __init__(self, vocabulary: Sequence[str], append_eos: bool = False) -> None:
        self.vocabulary = tuple(vocabulary)
        self.alphabet = ALPHABETS["dna"]
        self.id_of = {token: i for i, token in enumerate(self.vocabulary)}
        needed = ["<unk>", "<pad>", _MASK, "<cls>", *BASES, "N", *(["<eos>"] if append_eos else [])]
        missing = [token for token in needed if token not in self.id_of]
        if missing or len(self.id_of) != len(self.vocabulary):
            _refuse(f"no {missing[0]}" if missing else "a token twice")
        letters = [token for token in self.vocabulary if set(token) <= set(BASES)]
        self.k = max(map(len, letters))
        first = self.id_of.get("A" * self.k, 0)
        if self.k < 2 or self.vocabulary[first : first + 4**self.k] != tuple(all_kmers(self.k)):
            _refuse(f"no run of all {self.k}-mers in the order A, T, C, G")
        self.cls_id, self.pad_id = self.id_of["<cls>"], self.id_of["<pad>"]
        self.unk_id, self.mask_id = self.id_of["<unk>"], self.id_of[_MASK]
        self.append_eos, self.num_after = append_eos, int(append_eos)
        self.eos_id = self.id_of.get("<eos>", -1)
        self._first = np.uint16(first)
        self._single = np.array([self.id_of[letter] for letter in BASES + "N"], np.uint16)
        self._table = base_table("N" + _BORDER)

    def settings(self) -> dict[str, Any]:
        """What `build_tokenizer` makes the same one from."""
        return {
            "kind": "six-mers",
            "vocabulary": list(self.vocabulary),
            "append_eos": self.append_eos,
        }

    def encode_many(
        self,
        sequences: Sequence[str],
        unknown: UnknownPolicy = "refuse",
        ids: Sequence[str] | None = None,
    ) -> TokenBatch:
        """The ids of many sequences, by arithmetic on whole texts."""
        if not sequences:
            return TokenBatch(np.zeros(0, np.uint16), np.zeros(1, np.int64))
        raw = _BORDER.join(sequences).encode("latin-1", errors="replace")
        codes_L = np.frombuffer(raw.translate(self._table), np.uint8)
        is_plain = not len(codes_L) or codes_L.max() < 255
        if not is_plain or raw.count(_BORDER.encode()) != len(sequences) - 1:
            names = name_all(sequences, ids)
            found = [self.encode(s, unknown, n) for s, n in zip(sequences, names, strict=True)]
            return join(found, np.uint16)
        return self._encode_codes(codes_L)

    def decode(self, ids: Sequence[int]) -> str:
        """The letters behind ids; `<cls>`, `<eos>`, `<bos>` and `<pad>` are left out."""
        silent = {"<cls>", "<pad>", "<eos>", "<bos>"}
        return "".join(t for i in ids if (t := self.vocabulary[i]) not in silent)

    def _encode_codes(self, codes_L: NDArray[np.uint8]) -> TokenBatch:
        """Runs of bases end at an N or at a sequence's border, each of which is a token as well.

        A border's token is the next sequence's `<cls>`, with what ends a sequence before it.
        """
        ends_G = np.append(np.flatnonzero(codes_L >= OTHER), len(codes_L))
        starts_G = np.concatenate([[0], ends_G[:-1] + 1])
        whole_G, rest_G = np.divmod(ends_G - starts_G, self.k)
        closing_G = np.append(codes_L[ends_G[:-1]], OTHER + 1)  # what each run ends with
        is_border_G = closing_G > OTHER
        specials_G = np.where(is_border_G, self.num_after + 1, 1)
        counts_G = whole_G + rest_G + specials_G
        places_G = np.cumsum(np.append(1, counts_G))  # behind the first <cls>
        ids_T = np.full(places_G[-1], self.cls_id, np.uint16)
        kmers_K = roll(codes_L, self.k) if len(codes_L) >= self.k else np.zeros(0, np.uint16)
        if len(codes_L) > _LONG * len(ends_G):
            self._fill_by_run(ids_T, codes_L, kmers_K, starts_G, whole_G, rest_G, places_G)
        else:
            self._fill_at_once(ids_T, codes_L, kmers_K, starts_G, whole_G, rest_G, places_G)
        behind_G = places_G[:-1] + whole_G + rest_G
        ids_T[behind_G[~is_border_G]] = self._single[OTHER]
        if self.append_eos:
            ids_T[behind_G[is_border_G]] = self.eos_id
        borders = behind_G[is_border_G] + self.num_after
        # The last border's <cls> belongs to no sequence.
        return TokenBatch(ids_T[:-1], np.concatenate([[0], borders]))

    def _fill_by_run(
        self,
        ids_T: TokenIds,
        codes_L: NDArray[np.uint8],
        kmers_K: NDArray[np.uint16],
        starts_G: NDArray[np.int64],
        whole_G: NDArray[np.int64],
        rest_G: NDArray[np.int64],
        places_G: NDArray[np.int64],
    ) -> None:
        """Few long runs: each a strided copy."""
        runs = zip(starts_G, whole_G, rest_G, places_G[:-1], strict=True)
        for start, whole, rest, place in runs:
            middle, end = start + self.k * whole, place + whole
            np.add(kmers_K[start : middle : self.k], self._first, out=ids_T[place:end])
            ids_T[end : end + rest] = self._single[codes_L[middle : middle + rest]]

    def _fill_at_once(
        self,
        ids_T: TokenIds,
        codes_L: NDArray[np.uint8],
        kmers_K: NDArray[np.uint16],
        starts_G: NDArray[np.int64],
        whole_G: NDArray[np.int64],
        rest_G: NDArray[np.int64],
        places_G: NDArray[np.int64],
    ) -> None:
        """Many short runs: first all k-mers, then all single letters, by index."""
        for counts_G, offset_G, step, table, values in (
            (whole_G, np.zeros_like(whole_G), self.k, None, kmers_K),
            (rest_G, whole_G, 1, self._single, codes_L),
        ):
            before_G = np.cumsum(counts_G) - counts_G
            number = np.arange(counts_G.sum()) - np.repeat(before_G, counts_G)
            place = np.repeat(places_G[:-1] + offset_G, counts_G) + number
            start = np.repeat(starts_G + self.k * offset_G, counts_G) + step * number
            ids_T[place] = values[start] + self._first if table is None else table[values[start]]

    def _pieces(self, sequence: str, unknown: UnknownPolicy, name: str) -> list[Piece]:
        if unknown == "reference":
            return self._matches(sequence, 0)
        pieces: list[Piece] = []
        at = 0
        for part in re.split(f"({_MASK})", sequence):  # the one special token a user may write
            if part == _MASK:
                pieces.append(Piece(self.mask_id, at, at + len(part)))
            elif unknown == "map":
                pieces += self._matches(map_letters(part, self.alphabet, name).sequence, at)
            else:
                check_letters(part, self.alphabet, name)
                pieces += self._matches(part, at)
            at += len(part)
        return pieces

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """The longest token, white space, or a run of characters that begin no token."""
        others = [t for t in self.vocabulary if not set(t) <= set(BASES)]
        named = "|".join(re.escape(t) for t in sorted(others, key=len, reverse=True))
        token = rf"[{BASES}]{{{self.k}}}|[{BASES}]|{named}"
        return re.compile(rf"(?P<token>{token})|(?P<space>\s+)|(?P<unknown>(?:(?!{token})\S)+)")

    def _matches(self, text: str, at: int) -> list[Piece]:
        pieces = []
        for match in self._pattern.finditer(text):
            if match.lastgroup != "space":
                id = self.id_of[match.group()] if match.lastgroup == "token" else self.unk_id
                pieces.append(Piece(id, match.start() + at, match.end() + at))
        return pieces


def _refuse(seen: str) -> None:
    raise CheckpointError(
        "vocab.txt",
        seen,
        "the vocabulary of Nucleotide Transformer: special tokens, all k-mers, A T C G N",
        "the vocab.txt of the published model",
    )


def check_rows(tokenizer: SixMerTokenizer, rows: int, where: str) -> None:
    """Refuse a tokenizer that would ask for rows that the embedding does not have.

    Early revisions say nothing of `<eos>`, which then is appended, and v1 has no row for it.
    """
    ends = [tokenizer.eos_id] * tokenizer.num_after
    used = [tokenizer.cls_id, tokenizer.mask_id, *ends, int(tokenizer._single.max())]
    used.append(int(tokenizer._first) + 4**tokenizer.k - 1)
    if max(used) >= rows:
        token = tokenizer.vocabulary[max(used)]
        raise InputError(
            where,
            f"{token!r} as token {max(used)} and {rows:,} rows in the embedding",
            "a row for every token that is used",
            '"eos_token": null in tokenizer_config.json, as later revisions have it',
        )
