"""Nucleotide Transformer's tokens: fixtures, transformers itself, and the fast way beside the plain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexome.errors import CheckpointError, InputError
from lexome.tokenizers.kinds import build_tokenizer
from lexome.tokenizers.kmers import all_kmers
from lexome.tokenizers.six_mers import SixMerTokenizer

V1 = ["<unk>", "<pad>", "<mask>", "<cls>", *all_kmers(6), *"ATCGN", "<eos>", "<bos>"]
V2 = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>", *all_kmers(6), *"ATCGN"]
CODONS = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>", *all_kmers(3), *"ATCGN"]


@pytest.fixture(scope="module", params=[V1, V2, CODONS], ids=["v1", "v2", "codons"])
def tokenizer(request):
    return SixMerTokenizer(request.param)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    from transformers import EsmTokenizer

    path = tmp_path_factory.mktemp("nt") / "vocab.txt"
    path.write_text("\n".join(V1))
    return EsmTokenizer(str(path), eos_token=None)


def test_the_published_examples():
    one = SixMerTokenizer(V1)
    assert one.encode("ATTCCGATTCCGAT") == [3, 367, 367, 4100, 4101]
    assert one.encode("ACGTAC<mask>TTTCGA") == [3, 726, 2, 1392]
    assert one.encode("") == [3]
    words = [one.vocabulary[i] for i in one.encode("ATTNNCCGATTCCGAAN")[1:]]
    assert words == ["A", "T", "T", "N", "N", "CCGATT", "C", "C", "G", "A", "A", "N"]


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="ACGTNacgR *-<mask>", max_size=60))
def test_the_reference_policy_is_what_transformers_does(reference, text):
    wanted = reference(text, add_special_tokens=True)["input_ids"]
    assert SixMerTokenizer(V1).encode(text, "reference") == wanted


@settings(max_examples=200, deadline=None)
@given(data=st.data(), eos=st.booleans())
def test_many_at_once_are_what_one_by_one_are(data, eos):
    made = SixMerTokenizer(V2, append_eos=eos)
    texts = st.lists(st.text(alphabet="ACGTN", max_size=80), max_size=8)
    sequences = data.draw(texts)
    batch = made.encode_many(sequences)
    assert [batch.one(i).tolist() for i in range(len(sequences))] == [
        made.encode(s) for s in sequences
    ]


def test_long_sequences_take_the_other_way_to_the_same_ids(tokenizer):
    generator = np.random.default_rng(1)
    long = ["".join(generator.choice(list("ACGT"), n)) for n in (9_001, 20_003)]
    long.append(long[0][:5_000] + "NN" + long[1][:4_000])
    batch = tokenizer.encode_many(long)
    for i, sequence in enumerate(long):
        assert batch.one(i).tolist() == tokenizer.encode(sequence)


@given(st.text(alphabet="ACGTN", max_size=70))
def test_spans_cut_the_sequence_without_gap_and_decode_gives_it_back(text):
    made = SixMerTokenizer(V1)
    ids, spans = made.encode(text), made.spans(text)
    assert len(ids) == len(spans)
    assert [text[a:b] for a, b in spans[1:]] == [made.vocabulary[i] for i in ids[1:]]
    assert made.decode(ids) == text


def test_foreign_letters_are_refused_or_mapped_one_for_one(tokenizer):
    with pytest.raises(InputError, match="the letter 'R' at position 3"):
        tokenizer.encode("ACRT", name="x")
    with pytest.raises(InputError, match=r"toy.*the letter 'a'"):
        tokenizer.encode_many(["ACGT", "acgt"], ids=["fine", "toy"])
    assert tokenizer.encode("acguR", "map") == tokenizer.encode("ACGTN")
    assert tokenizer.spans("acguR", "map") == tokenizer.spans("ACGTN")


def test_a_vocabulary_in_another_order_is_refused():
    other = list(V1)
    other[5], other[6] = other[6], other[5]
    with pytest.raises(CheckpointError, match="no run of all 6-mers"):
        SixMerTokenizer(other)


def test_settings_make_the_same_one(tokenizer):
    again = build_tokenizer(tokenizer.settings())
    assert again.encode("ACGTACGNAC") == tokenizer.encode("ACGTACGNAC")
