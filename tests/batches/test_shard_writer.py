"""What is spooled comes out once, in order of arrival, however it was cut into pieces."""

from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexome.batches import shard_writer
from lexome.batches.shard_writer import ShardWriter, Spool, first_ones, read_bucket
from lexome.batches.shards import Part
from lexome.results.files import hash_file
from tests.toy_shards import decode, encode, proteins, read_part

# few letters and lengths, so that copies are common
SEQUENCES = st.lists(st.text("MKT", min_size=1, max_size=3), max_size=40)


def spool_of(folder: Path, sequences: list[str], buckets: int) -> Spool:
    spool = Spool(folder, buckets)
    spool.clear()
    for number, sequence in enumerate(sequences):
        spool.add(encode(sequence), number)
    spool.flush()
    return spool


def everything(spool: Spool) -> list[list[str]]:
    buckets = range(spool.buckets)
    return [[decode(ids) for ids in read_bucket(spool, b, first_ones(spool, b))] for b in buckets]


@settings(max_examples=30)
@given(SEQUENCES, st.integers(1, 4), st.integers(1, 7), st.integers(1, 60))
def test_the_first_of_all_copies_stays_whatever_the_pieces(
    tmp_path_factory, sequences, buckets, chunk, flush
):
    folder = tmp_path_factory.mktemp("spool")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_writer, "CHUNK_ROWS", chunk)
        patch.setattr(shard_writer, "FLUSH_BYTES", flush * 10)
        spool = spool_of(folder, sequences, buckets)
        found = [first_ones(spool, bucket) for bucket in range(buckets)]
        read = everything(spool)
    firsts = list(dict.fromkeys(sequences))
    assert sorted(chain.from_iterable(read)) == sorted(firsts)
    for one in read:  # order of arrival
        assert one == [s for s in firsts if s in one]
    assert sum(one.copies for one in found) == len(sequences) - len(firsts)
    sources = {
        s: n
        for one, f in zip(read, found, strict=True)
        for s, n in zip(one, f.rows["source"], strict=True)
    }
    assert sources == {s: sequences.index(s) for s in firsts}


def test_a_shard_holds_the_kept_sequences_of_all_its_buckets_and_their_hashes(tmp_path):
    sequences = [*proteins(50), *proteins(20)]
    spool = spool_of(tmp_path / "spool", sequences, 3)
    writer, expected = ShardWriter(tmp_path / "all"), []
    for bucket in range(3):
        found = first_ones(spool, bucket)
        kept = np.arange(len(found.rows)) % 3 != 1
        read = [decode(ids) for ids in read_bucket(spool, bucket, found)]
        expected += [s for s, is_kept in zip(read, kept, strict=True) if is_kept]
        writer.add(spool, bucket, found, kept)
    shard = writer.close()
    assert read_part(Part(tmp_path, [shard])) == expected
    assert (shard.sequences, shard.residues) == (len(expected), sum(map(len, expected)))
    assert shard.sha256_tokens == hash_file(tmp_path / "all.tokens")
    assert shard.sha256_index == hash_file(tmp_path / "all.index")


def test_a_long_stretch_is_copied_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_writer, "COPY_BYTES", 7)
    sequences = proteins(20)
    spool = spool_of(tmp_path / "spool", sequences, 1)
    writer = ShardWriter(tmp_path / "one")
    writer.add(spool, 0, first_ones(spool, 0), np.ones(20, bool))
    assert read_part(Part(tmp_path, [writer.close()])) == sequences


def test_what_was_spooled_behind_a_note_is_taken_back(tmp_path):
    first, second = proteins(30, seed=1), proteins(30, seed=2)
    spool = spool_of(tmp_path / "spool", first, 2)
    ends, before = spool.flush(), everything(spool)
    for sequence in second:
        spool.add(encode(sequence), 1)
    spool.flush()
    assert everything(spool) != before
    again = Spool(tmp_path / "spool", 2)  # as another process would
    assert again.cut_back(ends)
    assert everything(again) == before


def test_a_spool_that_has_lost_bytes_is_not_gone_on_with(tmp_path):
    spool = spool_of(tmp_path / "spool", proteins(30), 2)
    ends = spool.flush()
    tokens, rows = spool.paths(1)
    tokens.write_bytes(tokens.read_bytes()[:-1])
    assert not spool.cut_back(ends)
    rows.unlink()
    assert not spool.cut_back(ends)


def test_an_empty_bucket_makes_an_empty_shard(tmp_path):
    spool = spool_of(tmp_path / "spool", [], 1)
    found = first_ones(spool, 0)
    writer = ShardWriter(tmp_path / "none")
    writer.add(spool, 0, found, np.zeros(0, bool))
    part = Part(tmp_path, [writer.close()])
    assert (part.sequences, part.residues, found.copies) == (0, 0, 0)
