"""One vector an alignment, or one a column of its query, from a model of alignments."""

# Letters: L columns of the query, D width.
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.inference.alignments import AlignmentModel, read
from lexome.inference.parts import Answer, Kind, Tally, run_in_parts
from lexome.inference.vector_column import check_vector_output, vector_column
from lexome.io.alignments import read_alignments
from lexome.io.unique_ids import Place, UniqueIds
from lexome.progress import show_progress
from lexome.results import columns
from lexome.sequence.alignment import Alignment

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
    _check_recipe(model, pooling, layer)
    return [_embed(model, alignment, pooling, layer, depth) for alignment in read(source)]


def embed_alignment_files(
    model: AlignmentModel,
    source: str | Path,
    output: Path,
    pooling: str,
    layer: int,
    depth: int | None,
    provenance: dict[str, object],
    vector_type: str = "float32",
    quiet: bool = False,
) -> Tally:
    """Write one row an alignment to `output` (.parquet), in parts: a killed run resumes.

    Of the input, one part is held at a time: single alignments, or some small ones.

    Raises:
        InputError: two files of one name, and what the model refuses: both before the first
            alignment is run.
    """
    check_vector_output(output, vector_type)
    _check_recipe(model, pooling, layer)
    place = Place(str(source), "alignment")

    def work(alignment: Alignment) -> int:
        return alignment.columns * min(alignment.depth, depth or alignment.depth)

    total = None
    if Path(source).is_dir() or Path(source).is_file():  # no pipe, which is read only once
        total, seen = 0, UniqueIds(place)
        for alignment in read_alignments(source):
            seen.add([alignment.name])
            model.check(alignment, depth)
            total += work(alignment)

    def compute(alignments: list[Alignment]) -> Answer:
        rows = [_embed(model, alignment, pooling, layer, depth) for alignment in alignments]
        table = pl.DataFrame(
            {
                columns.ID: [row.id for row in rows],
                columns.LENGTH: [row.length for row in rows],
                columns.DEPTH: [row.depth for row in rows],
                columns.ROWS_USED: [row.rows_used for row in rows],
                columns.VECTOR: vector_column(
                    rows, model.network.width, vector_type, pooling == "none"
                ),
            }
        )
        return Answer(table, {})

    recipe = {"pooling": pooling, "layer": layer, "depth": depth, "row": "query"}
    kind: Kind[Alignment] = Kind(
        id=lambda alignment: alignment.name,
        held=lambda alignment: alignment.columns * alignment.depth,
        work=work,
        # The number of rows tells where the next alignment begins.
        content=lambda alignment: [str(alignment.depth), *alignment.rows],
    )
    with show_progress("Embedding", total, unit="letters", quiet=quiet) as progress:
        return run_in_parts(
            read_alignments(source),
            compute,
            output,
            [model.card.sha256, model.dtype, recipe, vector_type],
            lambda tally: provenance | {"recipe": recipe},
            progress,
            kind,
            place,
        )


def _check_recipe(model: AlignmentModel, pooling: str, layer: int) -> None:
    if pooling not in POOLINGS:
        raise InputError("pooling", repr(pooling), " or ".join(POOLINGS), "`--pooling mean`")
    last = int(model.network.config.num_layers)
    if not -last - 1 <= layer <= last:
        raise InputError("layer", str(layer), f"0 to {last}, or -{last + 1} to -1", "`--layer -1`")


def _embed(
    model: AlignmentModel, alignment: Alignment, pooling: str, layer: int, depth: int | None
) -> EmbeddedAlignment:
    last = int(model.network.config.num_layers)
    wanted = "hidden" if layer % (last + 1) == last else "hidden_layers"
    found = model.run(alignment, [wanted], depth)[0]
    values = getattr(found, wanted)
    query = values[0] if wanted == "hidden" else values[layer % (last + 1)][0]
    if not np.isfinite(query).all():
        raise InputError(alignment.name, "a NaN in its vectors", "finite values", "`--dtype fp32`")
    inner = query[1:]
    pooled = {"mean": inner.mean(0), "max": inner.max(0), "cls": query[0], "none": inner}[pooling]
    return EmbeddedAlignment(found.id, pooled, len(inner), found.depth, len(found.ids))
