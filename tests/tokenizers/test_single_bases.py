"""Bases as bytes (Evo) and as letters (HyenaDNA): published ids, policies, spans."""

import pytest

from lexome.errors import InputError
from lexome.tokenizers.kinds import build_tokenizer
from lexome.tokenizers.single_bases import ByteTokenizer, HyenaTokenizer
from tests.checkpoints.causal import HYENA, read_causal

KINDS = [ByteTokenizer(), HyenaTokenizer(), HyenaTokenizer(begin=True)]


@pytest.mark.parametrize("tokenizer", KINDS)
def test_many_are_encoded_as_one_is(tokenizer):
    texts = ["ACGTN", "", "A", "GATTACA" * 50]
    found = tokenizer.encode_many(texts)
    for i, text in enumerate(texts):
        assert found.one(i).tolist() == tokenizer.encode(text)
        assert len(tokenizer.spans(text)) == len(found.one(i))
        assert tokenizer.decode(found.one(i).tolist()) == text


@pytest.mark.parametrize("tokenizer", KINDS)
@pytest.mark.parametrize("letter", ["a", "R", "-", "é", "U"])
def test_other_letters_are_refused_with_their_place(tokenizer, letter):
    for encode in (tokenizer.encode, lambda text: tokenizer.encode_many([text])):
        with pytest.raises(InputError, match="position 3"):
            encode(f"AC{letter}GT")


@pytest.mark.parametrize("tokenizer", KINDS)
def test_letters_are_mapped_where_that_is_asked_for(tokenizer):
    assert tokenizer.encode("acgurA", "map") == tokenizer.encode("ACGTNA")
    assert tokenizer.encode_many(["acgurA"], "map").one(0).tolist() == tokenizer.encode("ACGTNA")


@pytest.mark.parametrize("tokenizer", KINDS)
def test_settings_build_the_same_tokenizer_again(tokenizer):
    again = build_tokenizer(tokenizer.settings())
    assert again.encode("ACGT") == tokenizer.encode("ACGT")
    assert again.vocabulary == tokenizer.vocabulary


def test_bytes_of_one_character_share_its_span():
    tokenizer = ByteTokenizer()
    assert len(tokenizer.vocabulary) == 512
    assert tokenizer.encode("aé;", "reference") == [97, 195, 169, 59]
    assert tokenizer.spans("aé;", "reference") == [(0, 1), (1, 2), (1, 2), (2, 3)]
    assert tokenizer.decode([0, 97, 195, 169, 59, 300]) == "aé;"


@pytest.mark.parametrize("name", HYENA)
def test_the_published_ids_of_hyenadna(name):
    for case in read_causal(name).facts["tokenizer_cases"]:
        text = case["text"]
        assert HyenaTokenizer().encode(text, "reference") == case["ids_hf_default_with_SEP"]
        whole = HyenaTokenizer(begin=True).encode(text, "reference")
        assert whole == case["ids_standalone_tutorial_CLS_SEP"]


def test_ends_have_empty_spans():
    assert HyenaTokenizer(begin=True).spans("AC") == [(0, 0), (0, 1), (1, 2), (2, 2)]
    assert HyenaTokenizer().spans("AC") == [(0, 1), (1, 2), (2, 2)]
