"""A run of pairs answers new ones: both columns are read, cleaned and told of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from lexome.batches.windows import check_length, parse_long, plan_windows
from lexome.errors import InputError
from lexome.inference.parts import Kind
from lexome.io.roles import find_column, guess_column
from lexome.io.sources import is_table
from lexome.io.tables import open_table
from lexome.sequence.alphabet import UnknownPolicy, clean_sequence
from lexome.sequence.letter_counts import LetterCounts
from lexome.sequence.pairs import Content, Pair, PairRecord
from lexome.training.fitted import Fitted
from lexome.training.pair_inputs import joint_room, share_room

PAIRS: Kind[Any] = Kind(
    id=lambda record: record.id,
    held=lambda record: len(record.sequence) + len(record.second),
    work=lambda record: len(record.sequence) + len(record.second),
    content=lambda record: [record.sequence, record.second],
)


class Asked(NamedTuple):
    """Columns of a table of pairs; None means those of the run."""

    sequence: str | None
    second: str | None
    id: str | None


def pair_reader(
    source: Any, asked: Asked, own: Mapping[str, str]
) -> Callable[[], Iterator[PairRecord]]:
    """What reads a table of pairs from its start, by the columns asked for or the run's own.

    Raises:
        InputError: a source without columns, or one that lacks them.
    """
    is_stream = str(source) == "-" or hasattr(source, "read")
    if not is_table(source) and not is_stream:
        raise InputError(
            str(source)[:80],
            "no table",
            "one with both sequences of each pair: "
            f"{own.get('sequence')} and {own.get('second')} when this run was made",
            "a CSV, TSV or Parquet file, or a frame",
        )
    return lambda: _read(source, asked, own)


def _read(source: Any, asked: Asked, own: Mapping[str, str]) -> Iterator[PairRecord]:
    table = open_table(source)
    both = (asked.sequence or own.get("sequence"), asked.second or own.get("second"))
    if both[0] == both[1]:
        raise InputError(
            table.where, f"the column {both[0]!r} twice", "two columns", "another `--second`"
        )
    first, second = (
        find_column(table.columns, "sequence", name, where=table.where).name for name in both
    )
    is_own = asked.id is None and own.get("id") in table.columns
    name = own["id"] if is_own else asked.id
    id_column = guess_column(table.columns, "id", name, where=table.where)
    if id_column is not None and id_column.name in (first, second):
        id_column = None
    row = 0
    for batch in table.batches:
        ids = _texts(batch, id_column.name) if id_column else [""] * batch.height
        for id, one, other in zip(ids, _texts(batch, first), _texts(batch, second), strict=True):
            row += 1
            yield PairRecord(id or f"row_{row}", one, other)


def _texts(batch: pl.DataFrame, column: str) -> list[str]:
    return batch[column].cast(pl.String).str.strip_chars().fill_null("").to_list()


def clean_text(
    fitted: Fitted, letters: str, name: str, unknown: UnknownPolicy, counts: LetterCounts
) -> str:
    """Clean letters of one sequence; InputError where none is left."""
    alphabet = fitted.setup.tokenizer.alphabet
    sequence, found = clean_sequence(letters, alphabet, unknown, name)
    counts.add(found)
    if not sequence:
        raise InputError(name, "0 residues", "at least one", "to drop this record")
    return sequence


def clean_pair(
    fitted: Fitted, record: PairRecord, unknown: UnknownPolicy, counts: LetterCounts
) -> Pair:
    """Both sequences in clean letters, neither too long where the run refuses such."""
    names = [f"{record.id}, {which} sequence" for which in ("first", "second")]
    both = zip((record.sequence, record.second), names, strict=True)
    pair = Pair(*(clean_text(fitted, text, name, unknown, counts) for text, name in both))
    setup = fitted.setup
    if parse_long(fitted.settings.recipe.long).kind != "refuse":
        return pair
    if fitted.settings.pairs == "towers":
        for sequence, name in zip(pair, names, strict=True):
            setup.check_length(sequence, name)
    elif setup.context is not None:
        tokens = sum(setup.num_tokens(sequence, record.id) for sequence in pair)
        tokens += setup.tokenizer.num_after
        check_length(tokens, setup.context, record.id, setup.tokenizer.unit)
    return pair


def trace_pairs(
    fitted: Fitted, ids: Sequence[str], contents: Sequence[Content]
) -> dict[str, list[int]]:
    """Length and residues used of both sequences of each pair; windows of the one with more."""
    pairs = [content for content in contents if isinstance(content, Pair)]
    lengths = [(len(first), len(second)) for first, second in pairs]
    policy, setup = parse_long(fitted.settings.recipe.long), fitted.setup
    used = lengths
    if policy.kind == "crop" and fitted.settings.pairs == "joint":
        room = joint_room(policy, setup.tokenizer, setup.context)
        used = [share_room(room, *both) for both in lengths]
    elif policy.kind == "crop":
        most = policy.head + policy.tail
        used = [(min(one, most), min(other, most)) for one, other in lengths]
    columns = {
        "length": [one for one, _ in lengths],
        "residues_used": [one for one, _ in used],
        "second_length": [other for _, other in lengths],
        "second_residues_used": [other for _, other in used],
    }
    if policy.kind == "window" and setup.context:
        most_tokens = [
            max(setup.num_tokens(s, id) for s in pair) for id, pair in zip(ids, pairs, strict=True)
        ]
        columns["windows"] = [len(plan_windows(n, setup.context)) for n in most_tokens]
    return columns


def count_cropped(trace: Mapping[str, Sequence[int]]) -> int:
    """Rows of which the model saw less than all."""
    pairs = [("length", "residues_used"), ("second_length", "second_residues_used")]
    there = [zip(trace[a], trace[b], strict=True) for a, b in pairs if a in trace]
    return sum(any(used < length for length, used in row) for row in zip(*there, strict=True))
