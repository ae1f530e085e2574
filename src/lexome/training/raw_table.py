"""Reads a table of sequences with labels as it stands: which column plays which part."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from lexome.errors import InputError
from lexome.evaluation.grouping import Blocks, read_blocks
from lexome.io.roles import find_column, guess_column
from lexome.io.sources import can_be_read_twice, is_table
from lexome.io.tables import open_table, table_columns
from lexome.results.types import ColumnChoice
from lexome.training.target import JOINT, SEPARATORS, spell


class Columns(NamedTuple):
    """Which columns play which part, as asked for; None means to guess."""

    sequence: str | None = None
    label: Sequence[str] | None = None
    id: str | None = None
    split: Sequence[str] = ()  # one column, or those that name places of a genome
    second: str | None = None  # of pairs, never guessed
    symmetric: bool = False  # whether a pair is the same as the swapped pair
    block_size: int | None = None  # in bases, where the split is by places


class Raw(NamedTuple):
    """Rows of a table before anything is dropped or changed."""

    where: str
    columns: dict[str, str]
    guessed: list[str]
    sequences: list[str]
    ids: list[str]
    has_ids: bool
    label_names: list[str]
    labels: list[list[object]]
    split: list[str] | None  # values of the split's column, or names of blocks
    seconds: list[str] | None = None  # of pairs
    symmetric: bool = False  # whether a pair is the same as the swapped pair
    blocks: Blocks | None = None

    def num_empty(self) -> int:
        """Rows without a sequence."""
        return sum(not sequence for sequence in self.sequences)

    def num_unlabelled(self, num_kept: int) -> int:
        """Rows that have a sequence and no label."""
        return len(self.sequences) - num_kept - self.num_empty()


def columns_of_run(
    own: Mapping[str, Any], source: Any, sequence: str | None, id: str | None
) -> tuple[str | None, str | None]:
    """The columns of sequence and id: those asked for, else the run's own where a table has them.

    Args:
        own: `columns` of the run's facts.
        source: what is to be read; None stands for a column that will be guessed.
    """
    if (sequence is None or id is None) and is_table(source) and can_be_read_twice(source):
        there = table_columns(source)
        sequence = sequence or (own["sequence"] if own.get("sequence") in there else None)
        if id is None and own.get("id") in there:
            id = own["id"]
    return sequence, id


def read_raw(source: Any, asked: Columns) -> Raw:
    """Every row of a table, with the columns that were asked for or guessed.

    Raises:
        InputError: a missing column, or an empty table.
    """
    table = open_table(source)
    frame = pl.concat(list(table.batches))
    where, names = table.where, table.columns
    second = None
    if asked.second is not None:
        second = find_column(names, "sequence", asked.second, where=where)
    others = [name for name in names if name != asked.second or name == asked.sequence]
    sequence = find_column(others, "sequence", asked.sequence, sample=frame.head(1000), where=where)
    if second is not None and sequence.name == second.name:
        raise InputError(
            where,
            f"the column {second.name!r} as first and as second sequence",
            "two columns",
            "another `--second`",
        )
    if asked.label:
        labels = [find_column(names, "label", name, where=where) for name in asked.label]
    else:
        labels = [find_column(names, "label", None, where=where)]
    splits = [find_column(names, "label", name, where=where).name for name in asked.split]
    values, blocks = [_text(v) for v in frame[splits[0]].to_list()] if splits else None, None
    if asked.block_size is not None:
        blocks = read_blocks(frame, splits, asked.block_size, where)
        values = [str(block) for block in blocks.group_N.tolist()]
    id_column = guess_column(names, "id", asked.id, where=where)
    taken = (sequence.name, asked.second, *splits, *(choice.name for choice in labels))
    if id_column is not None and (id_column.name in taken or _is_no_key(frame, id_column)):
        id_column = None
    roles = {"sequence": sequence, "second": second, "id": id_column, "label": labels[0]}
    num = frame.height
    return Raw(
        where=where,
        columns={role: choice.name for role, choice in roles.items() if choice is not None},
        guessed=[r for r, choice in roles.items() if choice is not None and choice.is_guessed],
        sequences=[_text(value) for value in frame[sequence.name].to_list()],
        ids=[_text(v) or f"row_{i + 1}" for i, v in enumerate(frame[id_column.name].to_list())]
        if id_column
        else [f"row_{i + 1}" for i in range(num)],
        has_ids=id_column is not None,
        label_names=[choice.name for choice in labels],
        labels=[_cells(frame[choice.name], where) for choice in labels],
        split=values,
        seconds=[_text(v) for v in frame[second.name].to_list()] if second else None,
        symmetric=asked.symmetric,
        blocks=blocks,
    )


def _cells(column: pl.Series, where: str) -> list[object]:
    """Labels as they stand; lists of them as text with ";" between, as other tables have it.

    An empty list, or one of nulls alone, says that there is no label.
    """
    if not column.dtype.is_nested():
        return column.to_list()
    where = f"{where}, column {column.name!r}"
    inner = getattr(column.dtype, "inner", None)
    if inner is None or inner.is_nested():
        raise InputError(where, str(column.dtype), "texts, numbers or lists of them", "one field")
    lists = [[] if cell is None else list(cell) for cell in column.to_list()]
    known = [[spell(v) for v in cell if v is not None and v == v] for cell in lists]
    # where no cell has two labels, a further separator within one would be taken for it
    meant = JOINT if any(len(cell) > 1 for cell in known) else SEPARATORS
    for row, cell in enumerate(known, start=1):
        for item in cell:
            if any(one in item for one in meant):
                seen, expected = f"the label {item!r} in a list", f"none with {' '.join(meant)}"
                raise InputError(f"{where}, row {row}", seen, expected, "another spelling")
    return [JOINT.join(cell) or None for cell in known]


# Guessed columns of these names must hold each id once; others, such as genes, may repeat.
KEY_NAMES = ("id", "ids", "acc", "accession", "sid", "identifier", "entry", "uniprot")


def _is_no_key(frame: pl.DataFrame, choice: ColumnChoice) -> bool:
    """Whether a column that was only guessed to hold ids holds something that repeats."""
    if not choice.is_guessed or choice.name.lower() in KEY_NAMES:
        return False
    return bool(frame[choice.name].drop_nulls().is_duplicated().any())


def _text(value: object) -> str:
    return "" if value is None else spell(value)
