"""Each published detail of the tokenizers, turned the wrong way: published ids must notice."""

import re

import pytest

from lexome.checkpoints import from_bert
from lexome.checkpoints.layouts import load_path
from lexome.errors import InputError
from lexome.tokenizers import kmers, overlapping, six_mers
from lexome.tokenizers.character import CharacterTokenizer
from lexome.tokenizers.interface import Piece
from lexome.tokenizers.library import LibraryTokenizer
from lexome.tokenizers.overlapping import OverlappingTokenizer
from lexome.tokenizers.six_mers import SixMerTokenizer
from tests.checkpoints.families import read_fixture
from tests.checkpoints.mutated_tokens import (
    exchanged,
    ids_are_off,
    in_capitals,
    makes,
    masks_unknown,
    no_end,
    of_the_library,
    one_unknown_a_letter,
    pattern_of,
    reads,
    tokens_are_off,
    unknown_left_out,
    white_space_unknown,
    without_white_space,
)

ESM, SIX, KMERS = CharacterTokenizer, SixMerTokenizer, OverlappingTokenizer


def parameters(names, mutations):
    """Parameters, with readable ids."""
    return [
        pytest.param(name, mutate, id=f"{name}-{label}")
        for name in names
        for label, mutate in mutations.items()
    ]


PROTEINS = {
    "leucine and alanine exchanged": exchanged("L", "A"),
    "U and Z exchanged": exchanged("U", "Z"),
    "X and B exchanged": exchanged("X", "B"),
    "dot and gap exchanged": exchanged(".", "-"),
    "no <eos>": no_end(ESM),
}
PROTEINS_AS_TRANSFORMERS = {
    "in capitals": in_capitals(ESM),
    "unknown left out": unknown_left_out(ESM),
    "one unknown a letter": one_unknown_a_letter(ESM, "_reference_pattern"),
    "white space unknown": white_space_unknown(ESM),
    "masks unknown": masks_unknown(ESM),
}


def letters_in_alphabetical_order(patch):
    patch.setattr(kmers, "BASES", "ACGT")


def codes_in_alphabetical_order(patch):
    """Only where many sequences are encoded at once."""
    table = bytes.maketrans(b"\1\2\3", b"\3\1\2")  # of A, T, C, G to that of A, C, G, T
    honest = six_mers.base_table
    patch.setattr(six_mers, "base_table", lambda others: honest(others).translate(table))


def k_mers_two_rows_on(patch):
    """Those of v1 begin at 4 and those of v2 at 6, behind <eos> and <bos>."""
    honest = SIX.__init__

    def init(self, *args, **more):
        honest(self, *args, **more)
        self._first = self._first + 2

    patch.setattr(SIX, "__init__", init)


def letters_a_row_before(patch):
    honest = SIX.__init__

    def init(self, *args, **more):
        honest(self, *args, **more)
        self._single = self._single - 1

    patch.setattr(SIX, "__init__", init)


def end_appended(patch):
    """As the library's default has it, where the file says null."""
    honest = SIX.__init__
    patch.setattr(SIX, "__init__", lambda self, words, append_eos: honest(self, words, True))


def windows_of_jax(patch):
    """Six letters of any piece without N, known or not."""

    def change(found):
        return r"(?P<token>N|(?:[ATCG]{6}|[ATCG](?![^N]{5})))|(?P<space>\s)|(?P<unknown>[^N]{6}|.)"

    pattern_of(SIX, "_pattern", change)(patch)


def rest_in_front(patch):
    """Six-mers counted from the end of a run of bases."""

    def change(found):
        six = "[ATCG]{6}"
        return found.pattern.replace(six, f"{six}(?=(?:{six})*(?![ATCG]))")

    pattern_of(SIX, "_pattern", change)(patch)


def letters_only(patch):
    pattern_of(SIX, "_pattern", lambda found: found.pattern.replace("[ATCG]{6}|", ""))(patch)


def rest_unknown(patch):
    def change(self, pieces):
        rest = {self.id_of[letter] for letter in "ACGT"}
        return [p._replace(id=self.unk_id) if p.id in rest else p for p in pieces]

    makes(SIX, change)(patch)


def frame_kept_over_n(patch):
    """Six-mers go on behind an N, which comes last of its window."""

    def change(text):
        return re.sub(r"([ATCG]{1,5})(N+)([ATCG]+)", r"\1\3\2", text)

    reads(SIX, change)(patch)


NUCLEOTIDES = {
    "letters in alphabetical order": letters_in_alphabetical_order,
    "codes in alphabetical order": codes_in_alphabetical_order,
    "k-mers two rows on": k_mers_two_rows_on,
    "single letters a row before": letters_a_row_before,
    "end appended": end_appended,
    "windows of jax": windows_of_jax,
    "rest in front": rest_in_front,
    "rest unknown": rest_unknown,
    "letters only": letters_only,
    "frame kept over n": frame_kept_over_n,
    "in capitals": in_capitals(SIX),
    "U read as T": reads(SIX, lambda text: text.replace("U", "T")),
    "unknown left out": unknown_left_out(SIX),
    "one unknown a letter": one_unknown_a_letter(SIX, "_pattern"),
    "white space left out": without_white_space(SIX),
    "white space unknown": white_space_unknown(SIX),
    "masks unknown": masks_unknown(SIX),
}


def numbered_in_alphabetical_order(patch):
    honest = overlapping.all_kmers
    patch.setattr(overlapping, "all_kmers", lambda k: sorted(honest(k)))


def codes_of_other_letters_kept(patch):
    patch.setattr(overlapping, "has_other", lambda codes, k: codes[k - 1 :] > 999)


def read_as_words(patch):
    """By BERT's own tokenizer, as the files name it."""
    patch.setattr(from_bert, "find_k", lambda words: None)


DNABERT = {
    "numbered in alphabetical order": numbered_in_alphabetical_order,
    "codes of other letters kept": codes_of_other_letters_kept,
    "read as words": read_as_words,
    "stride of k": makes(KMERS, lambda self, pieces: pieces[:: self.k]),
    "last k-mer dropped": makes(KMERS, lambda self, pieces: pieces[:-1]),
    "unknown left out": unknown_left_out(KMERS),
    "masks unknown": masks_unknown(KMERS),
    "in capitals": in_capitals(KMERS),
    "in small letters": reads(KMERS, str.lower),
    "no [SEP]": no_end(KMERS),
    "[PAD] and [UNK] exchanged": lambda patch: patch.setattr(KMERS, "unk_id", 0),
    "[CLS] and [SEP] exchanged": lambda patch: patch.setattr(KMERS, "cls_id", 3),
}


def specials_as_in_bert(told):
    names = {"[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[PAD]": 0}
    told["model"]["vocab"] |= names
    for token in told["added_tokens"]:
        token["id"] = names.get(token["content"], token["id"])
    for name, special in told["post_processor"]["special_tokens"].items():
        special["ids"] = [names[name]]


DNABERT2 = {
    "unknown ones fused": of_the_library(lambda told: told["model"].update(fuse_unk=True)),
    "in capitals": in_capitals(LibraryTokenizer),
    "U read as T": reads(LibraryTokenizer, lambda text: text.replace("U", "T")),
    "merges in another order": of_the_library(lambda told: told["model"]["merges"].reverse()),
    "no merges": of_the_library(lambda told: told["model"]["merges"].clear()),
    "punctuation not split": of_the_library(lambda told: told.update(pre_tokenizer=None)),
    "specials as in bert": of_the_library(specials_as_in_bert),
    "no [SEP]": of_the_library(lambda told: told["post_processor"]["single"].pop()),
    "masks unknown": masks_unknown(LibraryTokenizer),
}


def as_given(patch):
    honest = from_bert.word_piece_text
    patch.setattr(from_bert, "word_piece_text", lambda words, lower: honest(words, not lower))


BERT = {
    "capitals kept": as_given,
    "pieces without ##": of_the_library(
        lambda told: told["model"].update(continuing_subword_prefix="")
    ),
    "punctuation not split": of_the_library(
        lambda told: told.update(pre_tokenizer={"type": "WhitespaceSplit"})
    ),
    "masks unknown": masks_unknown(LibraryTokenizer),
}


@pytest.mark.parametrize(
    ("name", "mutate"),
    [
        *parameters(["esm2-fair-tiny", "esm2-hf-tiny"], PROTEINS),
        *parameters(["esm2-hf-tiny"], PROTEINS_AS_TRANSFORMERS),
        *parameters(["nt-v1-tiny", "nt-v2-tiny"], NUCLEOTIDES),
        *parameters(["dnabert-tiny"], DNABERT),
        *parameters(["dnabert2-tiny"], DNABERT2),
        *parameters(["bert-tiny"], BERT),
    ],
)
def test_published_ids_notice(name, mutate, monkeypatch):
    assert not tokens_are_off(name)
    mutate(monkeypatch)
    assert tokens_are_off(name)


def short_ones_unknown(patch):
    """Below k letters nothing stands between [CLS] and [SEP]."""
    makes(KMERS, lambda self, pieces: pieces or [Piece(self.unk_id, 0, 0)])(patch)


@pytest.mark.parametrize(
    ("k", "mutate"),
    [
        *((k, numbered_in_alphabetical_order) for k in (3, 4, 5, 6)),
        *((k, short_ones_unknown) for k in (4, 5, 6)),  # of a case of three letters
    ],
)
def test_published_k_mers_notice(k, mutate, monkeypatch):
    """Of every k, where only one has a fixture with weights."""
    cases = [c for c in read_fixture("dnabert-tiny").facts["kmer_cases"] if c["k"] == k]
    assert len(cases) >= 5

    def are_off():
        made = OverlappingTokenizer(k)
        return any(ids_are_off(made, case["sequence"], case["input_ids"]) for case in cases)

    assert not are_off()
    mutate(monkeypatch)
    assert are_off()


def test_a_k_mer_stands_for_the_letters_from_its_own_on():
    assert OverlappingTokenizer(4).spans("ACGTAC") == [(0, 0), (0, 4), (1, 5), (2, 6), (6, 6)]


def test_the_pairs_of_a_fixture_notice_their_types(monkeypatch):
    fixture = read_fixture("bert-tiny")
    pairs = [(i, text) for i, text in enumerate(fixture.facts["sequences"]) if type(text) is list]
    assert len(pairs) == 2

    def are_off():
        tokenizer = load_path(fixture.path).tokenizer
        return any(
            tokenizer.encode_pair(*pair) != (fixture.single[i].ids, fixture.single[i].types)
            for i, pair in pairs
        )

    def one_type(told):
        for part in told["post_processor"]["pair"]:
            next(iter(part.values()))["type_id"] = 0

    assert not are_off()
    of_the_library(one_type)(monkeypatch)
    assert are_off()


@pytest.mark.parametrize("name", ["esm2-fair-tiny", "esm1b-fair-tiny", "esm1v-fair-tiny"])
def test_letters_that_fair_esm_does_not_know_are_refused(name):
    fixture = read_fixture(name)
    texts = fixture.facts["encode_of_unknown_letters"]
    assert len(texts) == 3
    for text, said in texts.items():
        assert said.startswith("KeyError")
        with pytest.raises(InputError):
            load_path(fixture.path).tokenizer.encode(text)
