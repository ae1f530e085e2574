"""DNABERT's tokens: published examples, BERT's own tokenizer, fast beside plain."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexome.errors import InputError
from lexome.tokenizers.kinds import build_tokenizer
from lexome.tokenizers.overlapping import KS, OverlappingTokenizer, find_k


@pytest.mark.parametrize(("k", "size"), [(3, 69), (4, 261), (5, 1029), (6, 4101)])
def test_vocabularies_have_the_published_sizes(k, size):
    made = OverlappingTokenizer(k)
    assert len(made.vocabulary) == size
    assert find_k(made.vocabulary) == k
    assert find_k(made.vocabulary[:-1]) is None


@settings(max_examples=150, deadline=None)
@given(k=st.sampled_from(KS), text=st.text(alphabet="ACGTNac", max_size=40))
def test_the_reference_policy_is_what_bert_makes_of_the_k_mers(k, text):
    made = OverlappingTokenizer(k)
    words = [text[i : i + k] for i in range(len(text) - k + 1)]
    wanted = [2, *(made.id_of.get(word, 1) for word in words), 3]
    assert made.encode(text, "reference") == wanted
    assert made.encode_many([text], "reference").one(0).tolist() == wanted
    if words:
        assert made.encode(" ".join(words), "reference") == wanted


@given(k=st.sampled_from(KS), texts=st.lists(st.text(alphabet="ACGT", max_size=30), max_size=5))
def test_many_at_once_spans_and_back(k, texts):
    made = OverlappingTokenizer(k)
    batch = made.encode_many(texts)
    for i, text in enumerate(texts):
        ids = made.encode(text)
        assert batch.one(i).tolist() == ids
        spans = made.spans(text)
        assert len(spans) == len(ids) == max(len(text) - k + 1, 0) + 2
        assert all(b - a == k for a, b in spans[1:-1])
        assert made.decode(ids) == (text if len(text) >= k else "")


def test_an_unknown_letter_shows_in_every_k_mer_over_it():
    made = OverlappingTokenizer(4)
    with pytest.raises(InputError, match="the letter 'N' at position 5"):
        made.encode("ACGTNACGTAC")
    ids = made.encode("ACGTNACGTAC", "map")
    assert ids == [2, 50, 1, 1, 1, 1, 50, 185, 215, 3]
    assert made.decode(ids) == "ACGTNACGTAC"
    assert made.encode("acgu", "map") == made.encode("ACGT")


def test_settings_make_the_same_one():
    made = OverlappingTokenizer(5)
    assert build_tokenizer(made.settings()).vocabulary == made.vocabulary
