"""A long table made in parts that survive a kill: the same command resumes.

Each part answers a fixed run of consecutive items (records, or alignments) and is written under a
temporary name, then renamed; a part is done when it is there. The folder of parts carries a
fingerprint of what makes the answers (model, recipe) in its name, and each part the hash of the
items that it answers, so that parts are never mixed up with another model's or another input's.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import polars as pl

from lexome.errors import InputError
from lexome.io.unique_ids import Place, UniqueIds
from lexome.progress import Progress
from lexome.results.tables import find_writer, read_provenance, write_table
from lexome.sequence.letter_counts import LetterCounts
from lexome.sequence.records import Record

Item = TypeVar("Item")

# A part is some seconds of work for a small model, so a kill costs little.
PART_RESIDUES, PART_RECORDS = 250_000, 2_000
PARTS_ENDING = ".parts"
LAYOUT = 2  # of the tables made here: parts of other columns are not taken up
# How counts of replaced letters are told from the other counts.
MAPPED, MAPPED_ROWS = "mapped:", "mapped_rows"
UNNAMED = Place("the input", "record")


class Kind(NamedTuple, Generic[Item]):
    """What is asked of the items of an input, whatever they are."""

    id: Callable[[Item], str]
    held: Callable[[Item], int]  # letters in memory: they bound a part
    work: Callable[[Item], int]  # what progress counts
    content: Callable[[Item], Iterable[str]]  # all else of it that an answer depends on


SEQUENCES: Kind[Record] = Kind(
    id=lambda record: record.id,
    held=lambda record: len(record.sequence),
    work=lambda record: len(record.sequence),
    content=lambda record: [record.sequence],
)


class Part(NamedTuple, Generic[Item]):
    """A run of consecutive items and the hash of what they hold."""

    items: list[Item]
    digest: str


class Answer(NamedTuple):
    """The rows for one part, and counts (such as letters replaced) that add up over parts."""

    table: pl.DataFrame
    counts: dict[str, int]


class Tally(NamedTuple):
    """What a run in parts did."""

    rows: int
    resumed_rows: int
    counts: dict[str, int]


def run_in_parts(
    items: Iterable[Item],
    compute: Callable[[list[Item]], Answer],
    output: Path,
    fingerprint: Sequence[object],
    provenance: Callable[[Tally], dict[str, object]],
    progress: Progress,
    kind: Kind[Item],
    place: Place = UNNAMED,
) -> Tally:
    """Answer all items, part by part, and join the parts to `output`.

    Args:
        items: in input order; read once, held one part at a time.
        compute: the answer to some items, a row each; must give the same rows on every call.
        output: a table by its ending (see `write_table`).
        fingerprint: everything besides the items that the answers depend on.
        provenance: what goes into the output's metadata, from the tally.
        progress: counts the work of the input.
        kind: of the items: `SEQUENCES`, or one of the caller's.
        place: what messages call the input and its rows.

    Raises:
        InputError: an id that stands twice, before the part that holds its second row is answered.
    """
    check_output(output)
    seen = UniqueIds(place)
    folder = parts_folder(output, fingerprint)
    paths: list[Path] = []
    rows, resumed, counts = 0, 0, {}  # type: int, int, dict[str, int]
    for number, part in enumerate(cut_parts(items, kind)):
        seen.add([kind.id(item) for item in part.items])
        path = folder / f"part-{number:06d}.parquet"
        paths.append(path)
        work = sum(kind.work(item) for item in part.items)
        notes = read_provenance(path) if path.exists() else {}
        if notes.get("records") == part.digest:
            resumed += len(part.items)
            progress.advance(work)
            progress.restart_clock()
        else:
            answer = compute(part.items)
            notes = {"records": part.digest, "counts": answer.counts}
            write_table(answer.table, path, notes)
            progress.advance(work)
        rows += len(part.items)
        for name, count in notes["counts"].items():
            counts[name] = counts.get(name, 0) + count
    tally = Tally(rows, resumed, counts)
    write_table((pl.read_parquet(path) for path in paths), output, provenance(tally))
    for left in output.parent.iterdir():  # also what was begun for it by another recipe
        if left.name.startswith(f".{output.name}.") and left.name.endswith(PARTS_ENDING):
            shutil.rmtree(left)
    return tally


def count_mapped(letters: LetterCounts) -> dict[str, int]:
    """Replaced letters as counts of an Answer."""
    counts = {f"{MAPPED}{letter}": n for letter, n in letters.letters.items()}
    return counts | {MAPPED_ROWS: letters.rows}


def find_mapped(tally: Tally) -> LetterCounts:
    """The replaced letters of all parts, as `count_mapped` gave them for each."""
    counts = tally.counts
    letters = {k.removeprefix(MAPPED): n for k, n in counts.items() if k.startswith(MAPPED)}
    return LetterCounts(Counter(letters), counts.get(MAPPED_ROWS, 0))


def check_output(output: Path) -> None:
    """Refuse before the work an output that could not be written after it.

    Raises:
        InputError: a folder, or an ending of no table.
    """
    if output.is_dir():
        raise InputError(str(output), "a folder", "the name of a file to write", f"{output}/NAME")
    find_writer(output)


def cut_parts(items: Iterable[Item], kind: Kind[Item]) -> Iterator[Part[Item]]:
    """Runs of consecutive items, bounded in letters and in number; the same on every reading."""
    batch: list[Item] = []
    held, digest = 0, hashlib.blake2b(digest_size=16)
    for item in items:
        batch.append(item)
        held += kind.held(item)
        for text in (kind.id(item), *kind.content(item)):
            digest.update(f"{text}\0".encode())
        if held >= PART_RESIDUES or len(batch) >= PART_RECORDS:
            yield Part(batch, digest.hexdigest())
            batch, held, digest = [], 0, hashlib.blake2b(digest_size=16)
    if batch:
        yield Part(batch, digest.hexdigest())


def parts_folder(output: Path, fingerprint: Sequence[object]) -> Path:
    """The hidden folder beside `output` that holds its parts while they are made."""
    digest = hashlib.blake2b(
        json.dumps([LAYOUT, *fingerprint], default=str).encode(), digest_size=6
    )
    return output.parent / f".{output.name}.{digest.hexdigest()}{PARTS_ENDING}"
