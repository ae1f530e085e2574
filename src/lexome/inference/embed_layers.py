"""Vectors of many layers and poolings from one pass over a model, to a file that resumes."""

# Letters: N records, L tokens of one, D width, K layers, P plain poolings.
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.batches.packing import Packed
from lexome.batches.windows import Window, parse_long
from lexome.errors import InputError
from lexome.inference.embed import Recipe, kept_part, prepare, windows_of
from lexome.inference.model import Model
from lexome.inference.parts import SEQUENCES, Answer, Tally, run_in_parts
from lexome.inference.poolings import pool
from lexome.inference.runner import Piece, run_batches
from lexome.progress import Progress
from lexome.results.tables import read_provenance
from lexome.sequence.records import Record

Vectors = NDArray[np.float32]


class Cell(NamedTuple):
    """One layer, pooled one plain way."""

    layer: int
    pooling: str

    @property
    def column(self) -> str:
        """Where its vectors stand in the file."""
        return f"vector_{self.layer}_{self.pooling}"


def embed_layers(
    model: Model,
    records: Iterable[Record],
    cells: Sequence[Cell],
    long: str = "refuse",
    max_tokens: int | None = None,
) -> Iterator[dict[Cell, Vectors]]:
    """Every cell's vector (D,) of each record, in order, from one pass over the model.

    What is held at once is a batch with all its layers. Windows are joined as they come.
    """
    recipe, policy = Recipe(long=long), parse_long(long)
    tokenizer = model.tokenizer
    waiting: list[tuple[str, list[Window]]] = []

    def pieces() -> Iterator[Piece]:
        for record in records:
            tokens = prepare(model, record, recipe, policy).tokens
            inner = tokens[tokenizer.inner]
            windows = windows_of(model, len(inner), policy)
            waiting.append((record.id, windows))
            for window in windows:
                parts = [tokens[: tokenizer.num_before], inner[window.start : window.end]]
                parts.append(tokens[len(tokens) - tokenizer.num_after :])
                yield Piece(record.id, np.concatenate(parts))

    by_windows = policy.kind == "window"
    compute = _residues(model, cells) if by_windows else _pooled(model, cells)
    results = run_batches(pieces(), compute, model.device, max_tokens)
    for first in results:
        id, windows = waiting.pop(0)
        found = first
        if by_windows:
            rest = ((next(results), window) for window in windows[1:])
            found = _joined([(first, windows[0]), *rest], cells)
        if not all(np.isfinite(values).all() for values in found.values()):
            raise InputError(id, "a NaN in its vector", "finite values", "`--dtype fp32`")
        yield found


def write_layers(
    model: Model,
    records: Sequence[Record],
    cells: Sequence[Cell],
    output: Path,
    long: str,
    provenance: dict[str, object],
    progress: Progress,
) -> Tally:
    """One row a record: id, and a column of vectors a cell. Killed, the same call goes on."""

    def compute(part: list[Record]) -> Answer:
        rows = list(embed_layers(model, part, cells, long))
        width = pl.Array(pl.Float32, int(model.network.width))
        table = {"id": pl.Series([record.id for record in part], dtype=pl.String)}
        for cell in cells:
            stacked = np.stack([row[cell] for row in rows])
            table[cell.column] = pl.Series(stacked, dtype=width)
        return Answer(pl.DataFrame(table), {})

    asked = [model.card.sha256, model.dtype, long, [cell.column for cell in cells], provenance]
    return run_in_parts(
        records, compute, output, asked, lambda tally: provenance, progress, SEQUENCES
    )


def read_cell(path: Path, cell: Cell) -> Vectors:
    """The vectors (N, D) of one cell; no other is read."""
    column = pl.read_parquet(path, columns=[cell.column])[cell.column]
    vectors: Vectors = column.to_numpy()
    return vectors


def find_layers(folder: Path, provenance: dict[str, object]) -> dict[Cell, Path]:
    """The cells that finished files of a folder hold, of those with this provenance."""
    found: dict[Cell, Path] = {}
    for path in sorted(folder.glob("layers-*.parquet")):
        if read_provenance(path) == provenance:
            for name in pl.read_parquet_schema(path):
                _, _, rest = name.partition("vector_")
                layer, _, pooling = rest.partition("_")
                if pooling:
                    found[Cell(int(layer), pooling)] = path
    return found


def _traced(model: Model, packed: Packed, cells: Sequence[Cell]) -> dict[int, list[Tensor]]:
    """For each layer that is asked for, the vectors (L, D) of each sequence."""
    layers = model.network.trace(*packed).layers
    asked = sorted({cell.layer for cell in cells})
    return {layer: list(packed.layout.split(layers[layer].float())) for layer in asked}


def _pooled(model: Model, cells: Sequence[Cell]) -> Callable[[Packed], list[dict[Cell, Vectors]]]:
    inner = model.tokenizer.inner

    def compute(packed: Packed) -> list[dict[Cell, Vectors]]:
        traced = _traced(model, packed, cells)
        made = {
            cell: torch.stack([pool(one, inner, cell.pooling) for one in traced[cell.layer]])
            for cell in cells
        }
        arrays = {cell: pooled_ND.cpu().numpy() for cell, pooled_ND in made.items()}
        num = len(packed.layout.lengths)
        return [{cell: array[i] for cell, array in arrays.items()} for i in range(num)]

    return compute


def _residues(model: Model, cells: Sequence[Cell]) -> Callable[[Packed], list[dict[Cell, Vectors]]]:
    inner = model.tokenizer.inner

    def compute(packed: Packed) -> list[dict[Cell, Vectors]]:
        traced = _traced(model, packed, cells)
        arrays = {
            layer: [one[inner].cpu().numpy() for one in sequences]
            for layer, sequences in traced.items()
        }
        num = len(packed.layout.lengths)
        return [{cell: arrays[cell.layer][i] for cell in cells} for i in range(num)]

    return compute


def _joined(
    windows: Iterable[tuple[dict[Cell, Vectors], Window]], cells: Sequence[Cell]
) -> dict[Cell, Vectors]:
    """Mean and maximum over the residues that each window is the one for."""
    sums: dict[Cell, Vectors] = {}
    count = 0
    for found, window in windows:
        count += window.keep_end - window.keep_start
        for cell in cells:
            kept_LD = kept_part(found[cell], window)
            one = kept_LD.max(0) if cell.pooling == "max" else kept_LD.sum(0)
            if cell not in sums:
                sums[cell] = one
            else:
                sums[cell] = (
                    np.maximum(sums[cell], one) if cell.pooling == "max" else sums[cell] + one
                )
    return {
        cell: total if cell.pooling == "max" else (total / count).astype(np.float32)
        for cell, total in sums.items()
    }
