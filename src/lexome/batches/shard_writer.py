"""Writes token shards in bounded memory: spooled by hash, made free of copies, then written."""

# Letters: N rows (sequences) of one bucket.
import hashlib
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.batches.shards import Shard
from lexome.results.files import translate_disk_errors

# What is remembered of a spooled sequence beside its residues: a hash of 128 bits, ...
ROW = np.dtype([("high", "<u8"), ("low", "<u8"), ("length", "<i8"), ("source", "<i4")])
PACKED_ROW = struct.Struct("<16sqi")  # the same, one at a time
FLUSH_BYTES = 1 << 26  # that wait in memory, over all buckets
OBJECT_BYTES = 200  # what Python adds to a sequence that waits
CHUNK_ROWS = 1 << 19  # rows read at a time
COPY_BYTES = 1 << 22  # residues copied at a time


class Spool:
    """Sequences on their way into shards. Copies have the same hash, so they meet in one bucket."""

    def __init__(self, folder: Path, buckets: int) -> None:
        self.folder, self.buckets = folder, buckets
        self._tokens: list[list[bytes]] = [[] for _ in range(buckets)]
        self._rows: list[list[bytes]] = [[] for _ in range(buckets)]
        self._waiting = 0

    def clear(self) -> None:
        """Begin with nothing, whatever an earlier making has left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.flush()

    def add(self, ids: bytes, source: int) -> None:
        """One sequence as the bytes of its token ids; `source` is a number of the caller's."""
        digest = hashlib.blake2b(ids, digest_size=16).digest()
        bucket = int.from_bytes(digest[:4], "little") % self.buckets
        self._tokens[bucket].append(ids)
        self._rows[bucket].append(PACKED_ROW.pack(digest, len(ids), source))
        self._waiting += len(ids) + OBJECT_BYTES
        if self._waiting > FLUSH_BYTES:
            self.flush()

    def flush(self) -> list[list[int]]:
        """Write out what waits; returns the bytes that each bucket's two files have."""
        sizes = []
        for bucket, waiting in enumerate(zip(self._tokens, self._rows, strict=True)):
            pair = []
            for path, pieces in zip(self.paths(bucket), waiting, strict=True):
                with translate_disk_errors(path), path.open("ab") as file:
                    file.writelines(pieces)
                    pair.append(file.tell())
                pieces.clear()
            sizes.append(pair)
        self._waiting = 0
        return sizes

    def cut_back(self, sizes: list[list[int]]) -> bool:
        """Take back what was written after `flush` had returned `sizes`; False where less is left.

        A machine that loses power may keep the caller's note of the sizes and lose the bytes.
        """
        wanted = {
            path: size
            for bucket, pair in enumerate(sizes)
            for path, size in zip(self.paths(bucket), pair, strict=True)
        }
        if any(not path.is_file() or path.stat().st_size < n for path, n in wanted.items()):
            return False
        for path, size in wanted.items():
            os.truncate(path, size)
        return True

    def paths(self, bucket: int) -> tuple[Path, Path]:
        """The files of a bucket: residues, and rows of `ROW`."""
        return self.folder / f"{bucket:05d}.tokens", self.folder / f"{bucket:05d}.rows"


class Sequences(NamedTuple):
    """The sequences of a bucket that are no copies of an earlier one, in order of arrival."""

    rows: NDArray[Any]
    starts: NDArray[np.int64]  # in the bucket's tokens
    copies: int  # left out


def first_ones(spool: Spool, bucket: int) -> Sequences:
    """Leave out exact copies. Memory follows the sequences that differ, not their copies."""
    rows, starts = np.zeros(0, ROW), np.zeros(0, np.int64)
    position = total = 0
    with spool.paths(bucket)[1].open("rb") as file:
        while len(more := np.frombuffer(file.read(CHUNK_ROWS * ROW.itemsize), ROW)):
            ends = position + np.cumsum(more["length"], dtype=np.int64)
            rows = np.concatenate([rows, more])
            starts = np.concatenate([starts, ends - more["length"]])
            firsts = _first_of_each(rows)
            rows, starts = rows[firsts], starts[firsts]
            position, total = int(ends[-1]), total + len(more)
    return Sequences(rows, starts, total - len(rows))


def read_bucket(spool: Spool, bucket: int, found: Sequences) -> Iterator[bytes]:
    """The ids of a bucket's sequences, one by one."""
    with spool.paths(bucket)[0].open("rb") as file:
        at = 0
        for start, length in zip(found.starts.tolist(), found.rows["length"].tolist(), strict=True):
            if start != at:
                file.seek(start)
            yield file.read(length)
            at = start + length


class ShardWriter:
    """Writes `PATH.tokens` and `PATH.index`; hashes both on the way."""

    def __init__(self, path: Path) -> None:
        self.path, self.sequences, self.residues = path, 0, 0
        self._tokens = _HashedFile(path.with_suffix(".tokens"))
        self._index = _HashedFile(path.with_suffix(".index"))
        self._index.write(bytes(8))

    def add(self, spool: Spool, bucket: int, found: Sequences, kept_N: NDArray[np.bool_]) -> None:
        """The kept sequences of a bucket, behind those that are there."""
        starts, lengths = found.starts[kept_N], found.rows["length"][kept_N].astype(np.int64)
        with spool.paths(bucket)[0].open("rb") as source:
            for start, stop in _runs(starts, lengths):
                source.seek(start)
                for piece in range(start, stop, COPY_BYTES):
                    self._tokens.write(source.read(min(COPY_BYTES, stop - piece)))
        self._index.write((self.residues + np.cumsum(lengths)).astype("<i8").tobytes())
        self.sequences += len(lengths)
        self.residues += int(lengths.sum())

    def close(self) -> Shard:
        """What the manifest says of it; both files have reached the disk."""
        hashes = [file.close() for file in (self._tokens, self._index)]
        return Shard(self.path.name, self.sequences, self.residues, *hashes)


class _HashedFile:
    """A file that is written from its start to its end."""

    def __init__(self, path: Path) -> None:
        self.path, self.digest = path, hashlib.sha256()
        with translate_disk_errors(path):
            self.file: BinaryIO = path.open("wb")

    def write(self, block: bytes) -> None:
        self.digest.update(block)
        with translate_disk_errors(self.path):
            self.file.write(block)

    def close(self) -> str:
        with translate_disk_errors(self.path), self.file:
            self.file.flush()
            os.fsync(self.file.fileno())  # the manifest must not outlive what it speaks of
        return self.digest.hexdigest()


def _first_of_each(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Where each hash stands first, ascending."""
    order = np.lexsort((rows["low"], rows["high"]))  # stable: of equal ones the first comes first
    ordered = rows[["high", "low"]][order]
    is_first = np.ones(len(rows), bool)
    is_first[1:] = ordered[1:] != ordered[:-1]
    return np.sort(order[is_first])


def _runs(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Neighbouring sequences as one stretch [start, stop)."""
    if not len(starts):
        return
    ends = starts + lengths
    breaks = np.flatnonzero(starts[1:] != ends[:-1]) + 1
    firsts = np.concatenate([[0], breaks])
    lasts = np.concatenate([breaks, [len(starts)]]) - 1
    yield from zip(starts[firsts].tolist(), ends[lasts].tolist(), strict=True)
