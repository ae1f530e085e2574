"""Character tokens: published ids, exact spans, explicit policies, fast == plain."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexome.errors import InputError
from lexome.tokenizers.character import CharacterTokenizer, check_vocabulary, esm_vocabulary
from tests.shared_data import shared

TOKENIZER = CharacterTokenizer()


def test_the_reference_policy_gives_the_published_ids():
    """Including `<mask>` in the text, unknown runs, lower case and the empty sequence."""
    folder = shared("reference/fixtures/esm2-hf-tiny")
    expected = json.loads((folder / "expected.json").read_text())
    for sequence, ids in zip(expected["sequences"], expected["input_ids"], strict=True):
        assert TOKENIZER.encode(sequence, "reference") == ids


@given(st.lists(st.text("LAGVSERTIDPKQNFYMHWCXBUZO.-", max_size=40), max_size=6))
def test_many_at_once_equals_one_by_one(sequences):
    batch = TOKENIZER.encode_many(sequences)
    assert [batch.one(i).tolist() for i in range(len(sequences))] == [
        TOKENIZER.encode(s) for s in sequences
    ]


@given(st.text(max_size=30))
def test_reference_spans_cover_what_each_token_was_made_of(text):
    ids = TOKENIZER.encode(text, "reference")
    for i, (start, end) in list(zip(ids, TOKENIZER.spans(text, "reference"), strict=True))[1:-1]:
        if i == TOKENIZER.unk_id and text[start:end] != "<unk>":
            assert not any(c in TOKENIZER.alphabet.letters for c in text[start:end])
        else:
            assert text[start:end] == TOKENIZER.vocabulary[i]


def test_an_unknown_letter_is_refused_with_id_position_and_letter():
    with pytest.raises(InputError, match=r"P1: saw the letter 'J' at position 3 and 1 more.*map"):
        TOKENIZER.encode_many(["MK", "MKJJ"], ids=["P0", "P1"])


@pytest.mark.parametrize("bad", ["MK1", "MK T", "MK<pad>", "M\x01K", "M\x02", "MKé", "<cls>M"])
def test_what_is_no_residue_is_refused_under_both_strict_policies(bad):
    for policy in ("refuse", "map"):
        with pytest.raises(InputError):
            TOKENIZER.encode_many([bad], policy)


def test_mapping_keeps_length_but_for_a_trailing_stop():
    assert TOKENIZER.decode(TOKENIZER.encode("mkJ*L*", "map")) == "MKXXL"


def test_a_mask_may_be_written_and_spans_its_six_characters():
    assert TOKENIZER.encode("M<mask>K") == [0, 20, 32, 15, 2]
    assert TOKENIZER.spans("M<mask>K") == [(0, 0), (0, 1), (1, 7), (7, 8), (8, 8)]
    assert TOKENIZER.encode_many(["M<mask>K"]).ids_T.tolist() == [0, 20, 32, 15, 2]


def test_empty_input_gives_an_empty_batch():
    batch = TOKENIZER.encode_many([])
    assert batch.ids_T.size == 0
    assert np.array_equal(batch.bounds, [0])


def test_another_vocabulary_is_refused_naming_the_first_difference():
    other = list(esm_vocabulary())
    other[4], other[5] = other[5], other[4]
    with pytest.raises(InputError, match="saw 'A' as token 4, expected 'L'"):
        check_vocabulary(other, "vocab.txt")
