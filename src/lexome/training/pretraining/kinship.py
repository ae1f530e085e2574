"""Which sequences of a corpus are held out, and which are too like them or excluded ones."""

# Letters: N sequences of one bucket, H held-out candidates ("seeds") of the whole corpus.
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray

from lexome.batches.order import mix
from lexome.batches.shard_writer import Sequences, first_ones, read_bucket
from lexome.evaluation.kin import SEARCHES
from lexome.io.sources import read_records
from lexome.progress import show_progress
from lexome.results.files import atomic_path, hash_file, translate_disk_errors
from lexome.seeds import derive_seed
from lexome.sequence.alphabet import clean_sequence
from lexome.tokenizers.interface import Tokenizer
from lexome.training.pretraining.spooling import Making

MOST_HELDOUT = 20_000  # sequences; more would not sharpen a figure
Flags = NDArray[np.bool_]


class Bucket(NamedTuple):
    """What becomes of the sequences of a bucket that are no copies."""

    found: Sequences
    seeds_N: Flags  # held out, unless excluded
    excluded_N: Flags  # similar to an excluded sequence
    kin_N: Flags  # similar to a held-out one
    groups: list[int]  # of its seeds, in their order


class Kin(NamedTuple):
    """The answer for a whole corpus; what belongs to a bucket stays on disk until asked for."""

    making: Making
    folder: Path
    share: float  # of the sequences that are held out
    firsts: list[int]  # number of each bucket's first seed, and at last how many there are
    groups: list[int]  # of each seed
    excluded_queries: int
    searched: bool

    def bucket(self, bucket: int) -> Bucket:
        """One bucket."""
        found = first_ones(self.making.spool, bucket)
        excluded, kin = np.zeros((2, len(found.rows)), bool)
        if self.searched:
            with np.load(_result(self.folder, bucket)) as saved:
                excluded, kin = saved["excluded"], saved["kin"]
        groups = self.groups[self.firsts[bucket] : self.firsts[bucket + 1]]
        return Bucket(found, is_seed(found, self.share), excluded, kin, groups)


class _Found(NamedTuple):
    """What the search of one bucket has shown."""

    excluded_N: Flags
    kin_N: Flags
    parent_H: list[int]  # seeds joined to groups, this bucket's and all before it


def find_kin(making: Making, folder: Path) -> Kin:
    """Search every bucket for kin of the excluded and the held-out sequences.

    A bucket is searched at a time, so disk and memory follow a bucket and the queries, and a
    killed making goes on behind the last bucket that was searched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    queries = folder / "queries.fasta"
    with translate_disk_errors(queries), queries.open("w", encoding="ascii") as asked:
        num_excluded = _write_excluded(making, asked)
        share = _share(making)
        firsts = _write_seeds(making, share, asked)
    parent = list(range(firsts[-1]))
    searched = queries.stat().st_size > 0
    if searched:
        recipe = making.recipe
        making.announce(
            "Similar",
            f"{recipe.similarity}: >= {recipe.identity:.0%} identity over "
            f">= {recipe.coverage:.0%} of either, to {num_excluded:,} excluded and "
            f"{firsts[-1]:,} held-out sequences",
        )
        parent = _search_all(making, folder, queries, share, firsts)
    groups = [_root(parent, i) for i in range(len(parent))]
    return Kin(making, folder, share, firsts, groups, num_excluded, searched)


def is_seed(found: Sequences, share: float) -> Flags:
    """Which sequences are held out: decided by their residues, so copies always go together."""
    drawn = mix(found.rows["low"], np.uint64(derive_seed("heldout")))
    chosen: Flags = drawn.astype(np.float64) < share * 2.0**64
    return chosen


def _share(making: Making) -> float:
    """How much is held out: as asked for, but of a large corpus no more than can be of use."""
    if not making.recipe.heldout:
        return 0.0
    buckets = range(making.spool.buckets)
    different = sum(len(first_ones(making.spool, bucket).rows) for bucket in buckets)
    return min(making.recipe.heldout, MOST_HELDOUT / max(different, 1))


def _write_excluded(making: Making, asked: TextIO) -> int:
    number = 0
    for path in making.exclude:
        for record in read_records(str(path), proteins=True):
            where = f"{path}, {record.id}"
            clean = clean_sequence(record.sequence, making.tokenizer.alphabet, "map", where)
            if clean.sequence:
                number += 1
                asked.write(f">x{number}\n{clean.sequence}\n")
    return number


def _write_seeds(making: Making, share: float, asked: TextIO) -> list[int]:
    """The seeds as queries; the number of each bucket's first one."""
    firsts = [0]
    for bucket in range(making.spool.buckets):
        found = first_ones(making.spool, bucket)
        seeds_N = is_seed(found, share)
        chosen = found._replace(rows=found.rows[seeds_N], starts=found.starts[seeds_N])
        for number, letters in enumerate(_texts(making, bucket, chosen), start=firsts[-1]):
            asked.write(f">h{number}\n{letters}\n")
        firsts.append(firsts[-1] + len(chosen.rows))
    return firsts


def _search_all(
    making: Making, folder: Path, queries: Path, share: float, firsts: list[int]
) -> list[int]:
    """Search what an earlier, killed making has not; the seeds joined to groups."""
    parent, key, stale = list(range(firsts[-1])), _key(making, queries), False
    buckets = range(making.spool.buckets)
    total = sum(making.spool.paths(bucket)[0].stat().st_size for bucket in buckets)
    with show_progress("Searching", total, quiet=making.quiet) as progress:
        for bucket in buckets:
            found = first_ones(making.spool, bucket)
            own = hashlib.sha256(key + found.rows["high"].tobytes()).hexdigest()
            known = None if stale else _load(_result(folder, bucket), own)
            if known is None:
                stale = True  # groups build on the buckets before
                seeds_N = is_seed(found, share)
                known = _search(making, folder, bucket, found, seeds_N, firsts[bucket], parent)
                _save(_result(folder, bucket), own, known)
            parent = known.parent_H
            progress.advance(making.spool.paths(bucket)[0].stat().st_size)
    return parent


def _search(
    making: Making,
    folder: Path,
    bucket: int,
    found: Sequences,
    seeds_N: Flags,
    first: int,
    parent: list[int],
) -> _Found:
    """The kin within one bucket."""
    targets, recipe = folder / "targets.fasta", making.recipe
    with translate_disk_errors(targets), targets.open("w", encoding="ascii") as file:
        for row, letters in enumerate(_texts(making, bucket, found)):
            file.write(f">t{row}\n{letters}\n")
    numbers_N = first + np.cumsum(seeds_N) - 1
    excluded, kin = np.zeros((2, len(found.rows)), bool)
    search = SEARCHES[recipe.similarity]
    queries, work = folder / "queries.fasta", folder / "search"
    for hit in search(queries, targets, recipe.identity, recipe.coverage, work):
        row = int(hit.target[1:])
        if hit.query.startswith("x"):
            excluded[row] = True
        elif seeds_N[row]:
            _join(parent, int(hit.query[1:]), int(numbers_N[row]))
        else:
            kin[row] = True
    targets.unlink()
    return _Found(excluded, kin, parent)


def _texts(making: Making, bucket: int, found: Sequences) -> Iterator[str]:
    letters = _letters(making.tokenizer)
    for ids in read_bucket(making.spool, bucket, found):
        yield ids.translate(letters).decode("ascii")


def _letters(tokenizer: Tokenizer) -> bytes:
    """The letter of each id; a token that is no letter cannot stand in a spool."""
    codes = tokenizer.vocabulary[:256]
    letters = [code if len(code) == 1 and code.isascii() else "X" for code in codes]
    return "".join(letters).encode("ascii").ljust(256, b"X")


def _key(making: Making, queries: Path) -> bytes:
    """What the answer depends on, beside the bucket."""
    return f"{hash_file(queries)} {json.dumps(making.identity)} {MOST_HELDOUT}".encode()


def _result(folder: Path, bucket: int) -> Path:
    return folder / f"{bucket:05d}.npz"


def _save(path: Path, key: str, found: _Found) -> None:
    with atomic_path(path) as temporary:
        np.savez(
            temporary,
            key=np.array(key),
            excluded=found.excluded_N,
            kin=found.kin_N,
            parent=np.array(found.parent_H, np.int64),
        )


def _load(path: Path, key: str) -> _Found | None:
    if not path.exists():
        return None
    with np.load(path) as saved:
        if str(saved["key"]) != key:
            return None
        return _Found(saved["excluded"], saved["kin"], saved["parent"].tolist())


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


def _join(parent: list[int], one: int, other: int) -> None:
    parent[_root(parent, one)] = _root(parent, other)
