"""Sequence files into a spool: cleaned, filtered by length, counted; a kill costs one file."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lexome.batches.shard_writer import Spool
from lexome.io.sources import read_records
from lexome.progress import show_progress
from lexome.results.files import hash_file, write_json
from lexome.sequence.alphabet import ALPHABETS, clean_sequence
from lexome.sequence.records import Record
from lexome.tokenizers.interface import Tokenizer
from lexome.training.budget import Announce
from lexome.training.pretraining.recipe import DataRecipe

LOT_RECORDS = 2048
LOT_RESIDUES = 4_000_000
GZIP_FACTOR = 4  # residues of a gzipped file for each of its bytes, at most


class Making(NamedTuple):
    """A corpus that is being made, and what from."""

    recipe: DataRecipe
    sources: list[Path]
    exclude: list[Path]
    identity: dict[str, Any]
    spool: Spool
    tokenizer: Tokenizer
    announce: Announce
    quiet: bool


class _Tally(NamedTuple):
    """What is counted in one source."""

    records: Counter[str]  # read, and left out by reason
    mapped: Counter[str]  # letters that were replaced


def spool_sources(making: Making, state: Path) -> list[dict[str, Any]]:
    """Every source into the spool; what was counted in each, as the manifest has it.

    `state` notes the sources that were read whole, so that a killed making goes on behind them.
    """
    done = _done_before(making, state)
    if not done:
        making.spool.clear()
    sizes = [residues_at_most(path) for path in making.sources]
    with show_progress("Reading", sum(sizes), quiet=making.quiet) as progress:
        progress.advance(sum(sizes[: len(done)]))
        progress.restart_clock()
        for number in range(len(done), len(making.sources)):
            done.append(_spool_source(making, number, progress.advance))
            ends = making.spool.flush()
            write_json(state, {"identity": making.identity, "sources": done, "ends": ends})
    return done


def residues_at_most(path: Path) -> int:
    """A bound by the size of the file alone."""
    return path.stat().st_size * (GZIP_FACTOR if path.suffix == ".gz" else 1)


def _done_before(making: Making, state: Path) -> list[dict[str, Any]]:
    """What a killed making had finished, its spool cut back to that."""
    if state.exists():
        found = json.loads(state.read_text(encoding="utf-8"))
        if found.get("identity") == making.identity and making.spool.cut_back(found["ends"]):
            return list(found["sources"])
    return []


def _spool_source(making: Making, number: int, advance: Callable[[float], None]) -> dict[str, Any]:
    path, tally = making.sources[number], _Tally(Counter(), Counter())
    letters = np.zeros(256, np.int64)
    proteins = making.recipe.alphabet == "protein"
    for lot in _lots(read_records(str(path), proteins=proteins)):
        kept = [clean for record in lot if (clean := _keep(record, path, making.recipe, tally))]
        if kept:
            batch = making.tokenizer.encode_many(kept)
            for i in range(len(kept)):
                making.spool.add(batch.one(i)[making.tokenizer.inner].tobytes(), number)
            letters += np.bincount(batch.ids_T, minlength=256)
        advance(sum(len(record.sequence) for record in lot))
    vocabulary = enumerate(making.tokenizer.vocabulary)
    return {
        "source": str(making.recipe.sources[number]),
        "bytes": path.stat().st_size,
        "sha256": hash_file(path),
        "counts": dict(tally.records),
        "mapped_letters": dict(tally.mapped),
        "letters": {
            v: int(letters[i]) for i, v in vocabulary if i < 256 and letters[i] and len(v) == 1
        },
    }


def _keep(record: Record, path: Path, recipe: DataRecipe, tally: _Tally) -> str:
    """The record in the alphabet's letters, or nothing and a count of why."""
    tally.records["read"] += 1
    if len(record.sequence) > recipe.longest:  # before it is looked at: it may be a chromosome
        tally.records["too long"] += 1
        return ""
    where = f"{path}, {record.id}"
    clean, counts = clean_sequence(
        record.sequence, ALPHABETS[recipe.alphabet], recipe.unknown, where
    )
    if not clean:
        tally.records["empty"] += 1
        return ""
    if len(clean) < recipe.shortest:
        tally.records["too short"] += 1
        return ""
    if counts:
        tally.mapped.update(counts)
    return clean


def _lots(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Records a few at a time, bounded in number and in residues."""
    lot: list[Record] = []
    residues = 0
    for record in records:
        lot.append(record)
        residues += len(record.sequence)
        if len(lot) >= LOT_RECORDS or residues > LOT_RESIDUES:
            yield lot
            lot, residues = [], 0
    if lot:
        yield lot
