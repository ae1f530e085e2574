"""A corpus on disk: what is asked for comes back, and every way to damage it is noticed."""

import json
import resource
from pathlib import Path

import numpy as np
import pytest

from lexome.batches.shards import MANIFEST, Corpus, open_corpus, verify_shards
from lexome.errors import InputError
from tests.toy_shards import decode, proteins, write_corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return write_corpus(tmp_path / "corpus", proteins(60), shards=4)


def test_lengths_and_residues_agree_for_every_sequence_of_every_shard(corpus):
    train = corpus.train
    numbers = np.random.default_rng(0).permutation(train.sequences)
    lengths = train.lengths(numbers)
    assert train.sequences == 60
    assert int(lengths.sum()) == train.residues
    for number, length in zip(numbers.tolist(), lengths.tolist(), strict=True):
        whole = decode(train.residues_of(number))
        assert len(whole) == length
        assert decode(train.residues_of(number, 3, 9)) == whole[3:9]
    found = {decode(train.residues_of(i)) for i in range(60)}
    assert found == set(proteins(60))


def test_the_tokens_cannot_be_written_to(corpus):
    with pytest.raises(ValueError, match="read-only"):
        corpus.train.residues_of(0)[0] = 0


def test_whole_shards_pass_and_each_is_looked_at_by_one_rank(corpus):
    hashed = []
    for rank in range(3):
        verify_shards(corpus, rank, 3, hashed.append)
    files = [p for p in corpus.folder.iterdir() if p.suffix in (".tokens", ".index")]
    assert len(files) == 10
    assert sum(hashed) == sum(path.stat().st_size for path in files)


@pytest.mark.parametrize("name", ["train-00002.tokens", "train-00000.index", "heldout-00000.index"])
def test_one_changed_bit_is_noticed_by_the_rank_that_has_the_file(corpus, name):
    path = corpus.folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    failed = []
    for rank in range(4):
        try:
            verify_shards(open_corpus(corpus.folder), rank, 4)
        except InputError as problem:
            failed.append(str(problem))
    assert len(failed) == 1
    assert name in failed[0]
    assert "contents with the hash" in failed[0]
    assert "`lexome pretrain` makes the corpus again" in failed[0]


@pytest.mark.parametrize("change", [b"", b"x"])
def test_a_shorter_or_longer_file_is_refused_when_the_corpus_is_opened(corpus, change):
    path = corpus.folder / "train-00001.tokens"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1] if not change else path.read_bytes() + change)
    with pytest.raises(InputError, match=f"saw {path.stat().st_size:,} bytes, expected {size:,}"):
        open_corpus(corpus.folder)


def test_a_missing_shard_is_named(corpus):
    (corpus.folder / "train-00003.index").unlink()
    with pytest.raises(InputError, match=r"train-00003\.index: saw no such file"):
        open_corpus(corpus.folder)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("", "no readable manifest"),
        ("{", "no readable manifest"),
        ("[]", "no readable manifest"),
        ('{"format": 1}', "no readable manifest"),
        (
            '{"format": 1, "parts": {"train": [{"name": "x"}], "heldout": []}}',
            "no readable manifest",
        ),
        ('{"format": 2, "anything": 0}', "format 2"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path, text, seen):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(InputError, match=f"saw {seen}"):
        open_corpus(tmp_path)


def test_a_folder_without_a_manifest_is_no_corpus(corpus):
    (corpus.folder / MANIFEST).unlink()
    with pytest.raises(InputError, match=r"saw no manifest\.json, expected a corpus"):
        open_corpus(corpus.folder)


def test_the_fingerprint_is_that_of_the_shards(corpus, tmp_path):
    same = write_corpus(tmp_path / "same", proteins(60), shards=4)
    other = write_corpus(tmp_path / "other", proteins(60, seed=1), shards=4)
    assert corpus.fingerprint == same.fingerprint != other.fingerprint
    manifest = json.loads((corpus.folder / MANIFEST).read_text())
    assert len(manifest["parts"]["train"]) == 4


def test_more_shards_than_a_process_may_open_at_first(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    corpus = write_corpus(tmp_path / "corpus", proteins(300), shards=150)
    del corpus
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        assert open_corpus(tmp_path / "corpus").train.sequences == 300
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
