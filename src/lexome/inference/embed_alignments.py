"""One vector an alignment, or one a column of its query, from a model of alignments."""

# Letters: L columns of the query, D width.
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.inference.alignments import AlignmentModel, read
from lexome.io.alignments import read_alignments
from lexome.progress import show_progress
from lexome.results import columns
from lexome.results.tables import write_table

POOLINGS = ("mean", "max", "cls", "none")


class EmbeddedAlignment(NamedTuple):
    """The query's vectors as its alignment makes them."""

    id: str
    values: NDArray[np.float32]  # (D,), or (L, D) with pooling "none"
    length: int  # columns of the query
    depth: int  # rows that were read
    rows_used: int  # fewer where it was thinned


def embed_alignments(
    model: AlignmentModel,
    source: Any,
    pooling: str = "mean",
    layer: int = -1,
    depth: int | None = None,
) -> list[EmbeddedAlignment]:
    """The query's row of a hidden layer, pooled over its columns.

    Args:
        model: from `lexome.load_alignment_model`.
        source: an A3M or A2M file, a directory of them, an alignment or its rows.
        pooling: mean or max over columns, the `<cls>` column, or none.
        layer: 0 the embeddings, -1 after the final norm.
        depth: rows at most; of a deeper alignment those that differ most are taken.
    """
    return [_embed(model, alignment, pooling, layer, depth) for alignment in read(source)]


def embed_alignment_files(
    model: AlignmentModel,
    source: str | Path,
    output: Path,
    pooling: str,
    layer: int,
    depth: int | None,
    provenance: dict[str, object],
    quiet: bool = False,
) -> int:
    """Write one row an alignment to `output`; returns how many."""
    alignments = list(read_alignments(source))
    found = []
    total = sum(alignment.columns for alignment in alignments)
    with show_progress("Embedding", total, unit="columns", quiet=quiet) as progress:
        for alignment in alignments:
            found.append(_embed(model, alignment, pooling, layer, depth))
            progress.advance(alignment.columns)
    element = pl.Array(pl.Float32, model.network.width)
    if pooling == "none":
        vectors = pl.Series([pl.Series(one.values, dtype=element) for one in found])
    else:
        vectors = pl.Series(np.stack([one.values for one in found]), dtype=element)
    table = pl.DataFrame(
        {
            columns.ID: [one.id for one in found],
            columns.LENGTH: [one.length for one in found],
            columns.DEPTH: [one.depth for one in found],
            columns.ROWS_USED: [one.rows_used for one in found],
            columns.VECTOR: vectors,
        }
    )
    recipe = {"pooling": pooling, "layer": layer, "depth": depth, "row": "query"}
    write_table(table, output, provenance | {"recipe": recipe})
    return len(found)


def _embed(
    model: AlignmentModel, alignment: Any, pooling: str, layer: int, depth: int | None
) -> EmbeddedAlignment:
    if pooling not in POOLINGS:
        raise InputError("pooling", repr(pooling), " or ".join(POOLINGS), "`--pooling mean`")
    last = int(model.network.config.num_layers)
    if not -last - 1 <= layer <= last:
        raise InputError("layer", str(layer), f"0 to {last}, or -{last + 1} to -1", "`--layer -1`")
    wanted = "hidden" if layer % (last + 1) == last else "hidden_layers"
    found = model.run(alignment, [wanted], depth)[0]
    values = getattr(found, wanted)
    query = values[0] if wanted == "hidden" else values[layer % (last + 1)][0]
    if not np.isfinite(query).all():
        raise InputError(alignment.name, "a NaN in its vectors", "finite values", "`--dtype fp32`")
    inner = query[1:]
    pooled = {"mean": inner.mean(0), "max": inner.max(0), "cls": query[0], "none": inner}[pooling]
    return EmbeddedAlignment(found.id, pooled, len(inner), found.depth, len(found.ids))
