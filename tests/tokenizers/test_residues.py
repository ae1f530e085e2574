"""Residues as ProtT5, ProstT5 and Ankh number them; the files that say so, read by hand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexome.checkpoints.t5_tokens import read_tokens
from lexome.errors import CheckpointError, InputError
from lexome.tokenizers.ids_only import IdsTokenizer
from lexome.tokenizers.kinds import build_tokenizer
from lexome.tokenizers.residues import ResidueTokenizer
from lexome.tokenizers.sentencepiece_file import read_pieces
from tests.checkpoints.t5_models import (
    LETTERS,
    SPECIALS,
    piece_bytes,
    prost_tokens,
    residue_pieces,
)

WORDS = [*SPECIALS, *LETTERS, *(f"<extra_id_{i}>" for i in reversed(range(100)))]


def read(folder, size=128, rare_as_x=True):
    return read_tokens(folder, size, rare_as_x, pad_id=0, eos_id=1)


@pytest.fixture
def prott5(tmp_path):
    (tmp_path / "spiece.model").write_bytes(piece_bytes(residue_pieces()))
    return tmp_path


def library_text(letters=LETTERS, space="▁"):
    """A tokenizer.json as transformers writes it for T5."""
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = [(t, 0.0) for t in SPECIALS] + [(space + a, -3.0) for a in letters]
    made = tokenizers.Tokenizer(tokenizers.models.Unigram(vocabulary, 2))
    if space:
        split = tokenizers.pre_tokenizers
        made.pre_tokenizer = split.Sequence([split.WhitespaceSplit(), split.Metaspace()])
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single=["$A", "</s>"], special_tokens=[("</s>", 1)]
    )
    return made.to_str()


def test_ids_by_hand(prott5):
    """A is the first residue, behind three special tokens; </s> is 1 and nothing stands before."""
    tokenizer = read(prott5)
    assert tokenizer.encode("ALC") == [3, 4, 22, 1]
    assert tokenizer.encode_many(["ALC", "A"]).ids_T.tolist() == [3, 4, 22, 1, 3, 1]
    assert tokenizer.spans("ALC") == [(0, 1), (1, 2), (2, 3), (3, 3)]
    assert tokenizer.decode([3, 4, 22, 1, 0]) == "ALC"
    assert (tokenizer.num_before, tokenizer.num_after) == (0, 1)
    # facts: extra_id_0..99 are 127..28
    assert tokenizer.vocabulary[127] == "<extra_id_0>"
    assert tokenizer.vocabulary[28] == "<extra_id_99>"
    assert tokenizer.encode("A<extra_id_0>L") == [3, 127, 4, 1]


def test_rare_residues_become_x_only_where_asked(prott5):
    tokenizer = read(prott5)
    x = tokenizer.id_of["X"]
    for letter in "UZOB":
        with pytest.raises(InputError, match=f"the letter '{letter}' at position 2"):
            tokenizer.encode(f"A{letter}")
        assert tokenizer.encode(f"A{letter}", "map") == [3, x, 1]
        assert tokenizer.encode(f"A{letter}", "reference") == [3, x, 1]
    assert tokenizer.encode("aJ*", "map") == [3, x, 1]
    assert tokenizer.encode("aJ A", "reference") == [2, 2, 3, 1]
    kept = read(prott5, rare_as_x=False)
    assert kept.encode("AU") == [3, kept.id_of["U"], 1]
    assert kept.encode("AU", "reference") == [3, kept.id_of["U"], 1]


def test_prostt5_begins_with_its_direction(prott5):
    (prott5 / "added_tokens.json").write_text(json.dumps(prost_tokens()))
    tokenizer = read(prott5, size=150)
    assert tokenizer.encode("AL") == [149, 3, 4, 1]
    assert tokenizer.spans("AL") == [(0, 0), (0, 1), (1, 2), (2, 2)]
    assert tokenizer.encode_many(["AL", "C"]).ids_T.tolist() == [149, 3, 4, 1, 149, 22, 1]
    structure = tokenizer.turned()
    # facts: a128 l129 ... c147, <fold2AA> 148
    assert structure.encode("alc") == [148, 128, 129, 147, 1]
    assert structure.alphabet.name == "structure"
    assert structure.encode("AL", "map") == [148, 128, 129, 1]
    assert structure.turned().encode("AL") == [149, 3, 4, 1]
    with pytest.raises(InputError, match="the letter 'a'"):
        tokenizer.encode("al")


def test_added_tokens_are_read_from_the_tokenizers_config_too(prott5):
    added = {str(i): {"content": token} for token, i in prost_tokens().items()}
    told = {"added_tokens_decoder": added, "extra_ids": 100}
    (prott5 / "tokenizer_config.json").write_text(json.dumps(told))
    assert read(prott5, size=150).encode("AL") == [149, 3, 4, 1]


def test_the_librarys_file_gives_the_same(prott5, tmp_path_factory):
    other = tmp_path_factory.mktemp("library")
    (other / "tokenizer.json").write_text(library_text())
    ours, theirs = read(prott5, size=28), read(other, size=28)
    assert ours.vocabulary == theirs.vocabulary
    assert ours.encode("MKTX") == theirs.encode("MKTX")
    # pieces without a space before them, as characters of a word
    (other / "tokenizer.json").write_text(library_text(space=""))
    assert read(other, size=28).encode("MKTX") == ours.encode("MKTX")


def test_transformers_numbers_parted_residues_alike(tmp_path, prott5):
    transformers = pytest.importorskip("transformers")
    (tmp_path / "tokenizer.json").write_text(library_text())
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    ours = read(prott5)
    for text in ("MKTAYIAK", "XLQ", "UZOBA", "AJA"):
        mapped = "".join("X" if a in "UZOB" else a for a in text)
        assert ours.encode(text, "reference") == theirs(" ".join(mapped))["input_ids"]


def test_sentencepiece_numbers_parted_residues_alike(tmp_path):
    sentencepiece = pytest.importorskip("sentencepiece")
    generator = np.random.default_rng(0)
    lines = [" ".join(generator.choice(list(LETTERS), 50)) for _ in range(200)]
    for kind in ("unigram", "word"):
        (tmp_path / "corpus.txt").write_text("\n".join(lines))
        sentencepiece.SentencePieceTrainer.train(
            input=str(tmp_path / "corpus.txt"), model_prefix=str(tmp_path / "spiece"),
            vocab_size=29 if kind == "unigram" else 28, model_type=kind, pad_id=0, eos_id=1,
            unk_id=2, bos_id=-1, hard_vocab_limit=False, minloglevel=2,
        )  # fmt: skip
        theirs = sentencepiece.SentencePieceProcessor(str(tmp_path / "spiece.model"))
        found = read_pieces((tmp_path / "spiece.model").read_bytes(), "toy")
        assert [piece.text for piece in found.pieces] == [
            theirs.id_to_piece(i) for i in range(len(theirs))
        ]
        scores = [theirs.get_score(i) for i in range(len(theirs))]
        assert [piece.score for piece in found.pieces] == scores
        alone = [theirs.encode(letter) for letter in "ACDEFGHIKLMNPQRSTVWY"]
        if any(len(ids) != 1 for ids in alone):  # split into a space and a letter
            with pytest.raises(CheckpointError, match="no token for the residue"):
                read(tmp_path, size=200)
            continue
        ours = read(tmp_path, size=200)
        for text in ("MKTAYIAKQR", "XLQ", "W"):
            assert ours.encode(text) == [*theirs.encode(" ".join(text)), 1]
    assert kind == "word"
    assert all(len(ids) == 1 for ids in alone)  # so at least words were compared


def test_letters_that_are_no_single_piece_are_refused(tmp_path):
    """A space and a letter together likelier than the word: two tokens a residue."""
    pieces = [*residue_pieces(), ("▁", -1.0, 1), ("A", -1.0, 1)]
    (tmp_path / "spiece.model").write_bytes(piece_bytes(pieces))
    with pytest.raises(CheckpointError, match="no token for the residue A alone"):
        read(tmp_path)
    pieces[-1] = ("A", -9.0, 1)
    (tmp_path / "spiece.model").write_bytes(piece_bytes(pieces))
    assert read(tmp_path, size=200).encode("A") == [3, 1]
    (tmp_path / "spiece.model").write_bytes(piece_bytes(pieces, model_type=4))
    with pytest.raises(CheckpointError, match="type 4"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("pieces", "match"),
    [
        (residue_pieces()[1:], "<pad> elsewhere"),
        ([residue_pieces()[i] for i in (1, 0, *range(2, 28))], "<pad> elsewhere"),
        (residue_pieces(LETTERS.replace("W", "")), "residue W"),
        (residue_pieces() + [(f"word{i}", -9.0, 1) for i in range(200)], "228 tokens for 128"),
        ([("<pad>", 0.0, 3)], "residue A"),
    ],
)
def test_other_vocabularies_are_refused(tmp_path, pieces, match):
    (tmp_path / "spiece.model").write_bytes(piece_bytes(pieces))
    with pytest.raises(CheckpointError, match=match):
        read(tmp_path)


@pytest.mark.parametrize(
    ("added", "match"),
    [({"odd": 300}, "'odd' as 300"), ({"odd": 5}, "token 5"), ({"odd": "5"}, "'odd' as '5'")],
)
def test_added_tokens_leave_no_gap_and_take_no_place(prott5, added, match):
    (prott5 / "added_tokens.json").write_text(json.dumps(added))
    with pytest.raises(CheckpointError, match=match):
        read(prott5, size=150)


def test_broken_libraries_files_are_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        read(tmp_path)


def test_without_files_ids_may_go_in_and_letters_are_refused(tmp_path):
    tokenizer = read(tmp_path)
    assert isinstance(tokenizer, IdsTokenizer)
    assert len(tokenizer.vocabulary) == 128
    for ask in (tokenizer.encode, lambda t: tokenizer.encode_many([t]), tokenizer.spans):
        with pytest.raises(CheckpointError, match=r"tokenizer\.json or spiece\.model"):
            ask("MKT")
    assert build_tokenizer(tokenizer.settings()).vocabulary == tokenizer.vocabulary


@given(st.lists(st.text("ACDEFGHIKLMNPQRSTVWYX", min_size=0, max_size=30), max_size=5))
def test_many_at_once_are_the_same_as_one_by_one(texts):
    for prefix in (None, "<AA2fold>"):
        words = [*WORDS, "<AA2fold>"] if prefix else WORDS
        tokenizer = ResidueTokenizer(words, rare_as_x=True, prefix=prefix)
        found = tokenizer.encode_many(texts)
        assert [found.one(i).tolist() for i in range(len(texts))] == [
            tokenizer.encode(text) for text in texts
        ]
        again = build_tokenizer(tokenizer.settings())
        assert again.encode_many(texts).ids_T.tolist() == found.ids_T.tolist()


def test_control_characters_and_other_scripts_are_refused_at_their_place():
    tokenizer = ResidueTokenizer(WORDS)
    for odd in ("\x01", "\x02", "ß", "☃", "1"):
        with pytest.raises(InputError, match="at position 3"):
            tokenizer.encode_many(["MKT", f"MK{odd}"])


def check_read_or_refused(data):
    """Nothing else may be raised."""
    try:
        pieces = read_pieces(data, "toy").pieces
    except CheckpointError:
        return
    assert pieces


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data):
    check_read_or_refused(data)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_cut_or_changed_file_is_read_or_refused(at, byte):
    whole = bytearray(piece_bytes(residue_pieces()))
    for data in (bytes(whole[:at]), bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])):
        check_read_or_refused(data)
