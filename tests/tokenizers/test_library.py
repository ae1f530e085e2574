"""BPE and WordPiece by the library: published examples, policies, masks and spans."""

import pytest

from lexome.errors import CheckpointError, InputError
from lexome.inference.model import load
from lexome.tokenizers.kinds import build_tokenizer
from lexome.tokenizers.library import LibraryTokenizer, word_piece_text
from tests.checkpoints.families import read_fixture

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "gene", "##s", "dna", "."]


@pytest.fixture(scope="module")
def bpe():
    path = read_fixture("dnabert2-tiny").path / "tokenizer.json"
    return LibraryTokenizer(path.read_text(), "dna-bases")


@pytest.fixture(scope="module")
def words():
    return LibraryTokenizer(word_piece_text(WORDS, lower_case=True), "text")


def test_bpe_policies(bpe):
    assert bpe.encode("ATTCCGATTCCGATTCCG") == [1, 2061, 2813, 2813, 13, 7, 2]
    with pytest.raises(InputError, match="the letter 'N' at position 4"):
        bpe.encode("ATTNNCCG")
    assert bpe.encode("ATTNNCCG", "map") == bpe.encode("ATTNNCCG", "reference")
    assert bpe.encode("acgtu", "map") == bpe.encode("ACGTT")


def test_bpe_many_masks_spans_and_back(bpe):
    sequences = ["ACGTAGCATCGGATCTATCTATCGACACTTGG", "", "A", "ACGT[MASK]TTTCGA"]
    batch = bpe.encode_many(sequences)
    for i, sequence in enumerate(sequences):
        ids, spans = bpe.encode(sequence), bpe.spans(sequence)
        assert batch.one(i).tolist() == ids
        assert "".join(sequence[a:b] for a, b in spans) == sequence
        assert bpe.decode(ids) == sequence


def test_word_pieces(words):
    assert words.encode("Genes dna.") == [2, 5, 6, 7, 8, 3]
    assert words.encode_pair("gene", "dna") == ([2, 5, 3, 7, 3], [0, 0, 0, 1, 1])
    assert words.decode([2, 5, 6, 7, 3]) == "genes dna"
    with pytest.raises(InputError, match="an unknown token at characters 6 to 8"):
        words.encode("gene rna")
    with pytest.raises(InputError, match="toy: saw an unknown token"):
        words.encode_many(["gene", "rna"], ids=["fine", "toy"])
    assert words.encode("gene rna", "map") == [2, 5, 1, 3]


def test_transformers_bert_tokenizer_agrees(words, tmp_path):
    from transformers import BertTokenizer

    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    theirs = BertTokenizer(str(tmp_path / "vocab.txt"))
    for text in ("Genes of DNA. [MASK] x-y", "", "  gene\tdna ", "gène", "数 gene"):
        assert words.encode(text, "reference") == theirs(text)["input_ids"], text


def test_broken_files_are_refused():
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        LibraryTokenizer("{}", "text")
    with pytest.raises(CheckpointError, match=r"no \[CLS\]"):
        LibraryTokenizer(word_piece_text(["[PAD]", "[UNK]", "x"], True), "text")


def test_settings_make_the_same_one(bpe, words):
    assert build_tokenizer(bpe.settings()).encode("ACGTACGT") == bpe.encode("ACGTACGT")
    assert build_tokenizer(words.settings()).encode("gene") == words.encode("gene")


PROTBERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"LAGVESIKRDTPNQFYMHCWXUBZO"]


def test_a_vocabulary_of_single_letters_needs_no_spaces(tmp_path):
    import transformers

    (tmp_path / "vocab.txt").write_text("\n".join(PROTBERT))
    peer = transformers.BertTokenizer(str(tmp_path / "vocab.txt"), do_lower_case=False)
    tokenizer = LibraryTokenizer(word_piece_text(PROTBERT, False), "protein")
    protein = "MKTAYIAKQR"
    expected = peer(" ".join(protein))["input_ids"]
    assert tokenizer.encode(protein) == expected
    assert list(tokenizer.encode_many([protein]).ids_T) == expected
    assert tokenizer.encode(" ".join(protein), "reference") == expected
    assert tokenizer.spans(protein)[1:-1] == [(i, i + 1) for i in range(len(protein))]
    with pytest.raises(InputError, match="at position 3"):
        tokenizer.encode("MK1")


def test_a_bert_of_single_letters_takes_proteins(tmp_path):
    import transformers

    config = transformers.BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    transformers.BertForMaskedLM(config).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(PROTBERT))
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    model = load(str(tmp_path), device="cpu")
    assert model.card.alphabet == "protein"
    assert model.run("MKTAYIAKQR")[0].logits.shape == (12, 30)
