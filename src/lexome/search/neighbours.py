"""The nearest neighbours of sequences, or of vectors, among saved embeddings."""

# Letters: S queries, D width.
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl

from lexome.errors import InputError
from lexome.inference.embed import Recipe, embed_records
from lexome.inference.model import Model, load
from lexome.io.sources import read_records
from lexome.io.unique_ids import find_place, refuse_repeats
from lexome.progress import show_progress
from lexome.results import columns
from lexome.results.tables import find_writer, read_provenance, write_table
from lexome.results.types import Embeddings
from lexome.search.approximate import build_index, open_index
from lexome.search.exact import METRICS, FloatArray, Nearest, check_search, search_exactly
from lexome.search.vectors import (
    VectorArray,
    VectorFile,
    Vectors,
    as_vectors,
    is_embeddings,
    read_schema,
)

Metric = Literal["cosine", "euclidean"]
How = Literal["exact", "approximate"]
HOWS = ("exact", "approximate")
QUERIES_A_PASS = 65_536  # 84 MB at a width of 320; the embeddings are read once for so many


class SearchSummary(NamedTuple):
    """What a run of `search_file` did."""

    queries: int
    rows: int  # among which the search was
    hits: int
    same_model: bool | None  # whether query and embeddings are of one model; None: not recorded


def find_neighbours(
    query: Any,
    embeddings: str | Path | Embeddings,
    top: int = 10,
    metric: Metric = "cosine",
    index: How = "exact",
    model: Model | str | None = None,
) -> pl.DataFrame:
    """The `top` nearest rows of each query: query_id, rank, id, and cosine or distance.

    A query that is itself among the embeddings finds itself. Cosines and distances are computed in
    float64 and rounded to float32; equal ones stand in input order.

    Args:
        query: sequences in any form that `lexome.embed` takes, embedded as the embeddings were; or
            embeddings: a Parquet file with vectors, or what `lexome.embed` gave.
        embeddings: a Parquet file of `lexome embed`, read in blocks; or what `lexome.embed` gave.
        top: rows for each query; all of them where there are fewer.
        metric: cosine, or euclidean.
        index: exact, or approximate: a graph beside the file, made at the first search.
        model: for sequences; else the one that the embeddings name.

    Raises:
        InputError: embeddings of another model, width or recipe than the query's, an index of other
            embeddings, vectors that are not finite, and what `lexome.embed` refuses.
    """
    vectors = as_vectors(embeddings)
    recipe = embeddings.recipe if isinstance(embeddings, Embeddings) else None
    asked = _open_query(query, vectors, model, recipe)
    frames = list(_hits(asked.vectors, vectors, top, metric, index, quiet=True))
    return pl.concat(frames)


def search_file(
    query: Any,
    embeddings: Path,
    output: Path,
    provenance: dict[str, object],
    top: int = 10,
    metric: str = "cosine",
    index: str = "exact",
    model: Model | str | None = None,
    quiet: bool = False,
) -> SearchSummary:
    """Write what `search` finds to a table by its ending, in bounded memory.

    Raises:
        InputError: as `search`.
    """
    find_writer(output)
    vectors = VectorFile(embeddings)
    asked = _open_query(query, vectors, model, None)
    facts = {"metric": metric, "index": index, "top": top, "rows": vectors.count}
    frames = _hits(asked.vectors, vectors, top, metric, index, quiet)
    write_table(frames, output, provenance | facts | asked.facts)
    hits = asked.vectors.count * min(top, vectors.count)
    return SearchSummary(asked.vectors.count, vectors.count, hits, asked.same_model)


def query_model(
    query: Any,
    embeddings: Path,
    model: str | None = None,
    device: str = "auto",
    offline: bool = False,
) -> Model | None:
    """The model that a query of sequences is embedded with; None for a query of embeddings.

    Raises:
        InputError: no model is known, or it is not the one that made the embeddings.
    """
    vectors = VectorFile(embeddings)
    if _is_vector_file(query):
        return None
    return _load_model(model, vectors, _notes(vectors), device, offline)


class _Query(NamedTuple):
    """The vectors that are asked about, and how sure it is that they are of the same model."""

    vectors: Vectors
    same_model: bool | None
    facts: dict[str, object]


def _open_query(
    query: Any, vectors: Vectors, model: Model | str | None, recipe: dict[str, object] | None
) -> _Query:
    notes = _notes(vectors)
    recipe = recipe or notes.get("recipe")
    if isinstance(query, Embeddings):
        _check_same("recipe", _essence(query.recipe), _essence(recipe), vectors.where)
        return _Query(VectorArray(query.ids, query.vectors, "query"), None, {})
    if _is_vector_file(query):
        asked = VectorFile(Path(query))
        own = _notes(asked)
        for key in ("sha256", "recipe"):
            seen, expected = own.get(key), notes.get(key)
            if key == "recipe":
                seen, expected = _essence(seen), _essence(recipe)
            _check_same(key, seen, expected, f"{asked.where} and {vectors.where}")
        known = bool(own.get("sha256")) and bool(notes.get("sha256"))
        return _Query(asked, True if known else None, {"query_model": own.get("model")})
    loaded = _load_model(model, vectors, notes)
    if recipe is None:
        raise InputError(
            vectors.where,
            "no recipe in its notes",
            "embeddings that Lexome wrote, so that a sequence can be embedded as they were",
            "embeddings as QUERY, or `lexome embed` anew",
        )
    embedded = _embed(loaded, query, Recipe(**recipe))
    same = loaded.card.sha256 == notes["sha256"] if "sha256" in notes else None
    return _Query(embedded, same, {"model": loaded.card.name, "sha256": loaded.card.sha256})


def _load_model(
    model: Model | str | None,
    vectors: Vectors,
    notes: dict[str, Any],
    device: str = "auto",
    offline: bool = False,
) -> Model:
    """The model given, or the one that the notes name; never another than made the embeddings."""
    if model is None and not notes.get("source"):
        raise InputError(
            vectors.where,
            "no model in its notes",
            "the model that made them, to embed the query with",
            "-m MODEL",
        )
    if model is None or isinstance(model, str):
        dtype = str(notes.get("dtype", "fp32"))
        model = load(model or str(notes["source"]), dtype, device, offline)
    held = notes.get("sha256")
    if held is not None and held != model.card.sha256:
        raise InputError(
            vectors.where,
            f"embeddings of {notes.get('model')} (weights {str(held)[:12]})",
            f"those of the model of the query, {model.card.name} ({model.card.sha256[:12]})",
            f"-m with the model that made them, or `lexome embed ... -m {model.card.name}` anew",
        )
    return model


def _embed(model: Model, query: Any, recipe: Recipe) -> VectorArray:
    if recipe.pooling == "none":
        raise InputError("embeddings", "a vector a residue", "one a sequence", "`lexome embed`")
    records = read_records(query, proteins=model.tokenizer.alphabet.is_protein)
    rows = list(embed_records(model, refuse_repeats(records, find_place(query)), recipe))
    if not rows:
        raise InputError("query", "no sequences", "at least one", "checking the file")
    return VectorArray([row.id for row in rows], np.stack([row.values for row in rows]), "query")


def _hits(
    asked: Vectors, vectors: Vectors, top: int, metric: str, how: str, quiet: bool
) -> Iterator[pl.DataFrame]:
    """Frames of hits, the queries in their order."""
    if how not in HOWS:
        raise InputError("index", repr(how), " or ".join(HOWS), "--index exact")
    # Before an index is made, which may take long.
    check_search(np.ones((1, asked.width), np.float32), vectors, top, metric)
    graph = None
    if how == "approximate":
        is_file = isinstance(vectors, VectorFile)
        graph = (
            open_index(vectors, metric, quiet=quiet)  # type: ignore[arg-type]
            if is_file
            else build_index(vectors, metric, quiet=quiet)
        )
    yield _frame([], Nearest(np.empty((0, 0), np.int64), np.empty((0, 0), np.float32)), {}, metric)
    for start, queries_SD in asked.blocks(QUERIES_A_PASS):
        if graph is not None:
            nearest = graph.search(queries_SD, top)
        else:
            nearest = _search_with_progress(queries_SD, vectors, top, metric, quiet)
        names = asked.ids(range(start, start + len(queries_SD)))
        yield _frame(
            [names[start + i] for i in range(len(queries_SD))],
            nearest,
            vectors.ids(np.unique(nearest.rows_QK).tolist()),
            metric,
        )


def _search_with_progress(
    queries_SD: FloatArray, vectors: Vectors, top: int, metric: str, quiet: bool
) -> Nearest:
    with show_progress("Searching", vectors.count, "rows", quiet) as progress:
        return search_exactly(queries_SD, vectors, top, metric, progress)


def _frame(
    query_ids: list[str], nearest: Nearest, names: dict[int, str], metric: str
) -> pl.DataFrame:
    num_ranks = nearest.rows_QK.shape[1]
    ranks = np.tile(np.arange(1, num_ranks + 1, dtype=np.int32), len(query_ids))
    return pl.DataFrame(
        {
            columns.QUERY_ID: pl.Series(
                [id for id in query_ids for _ in range(num_ranks)], dtype=pl.String
            ),
            columns.RANK: pl.Series(ranks, dtype=pl.Int32),
            columns.ID: pl.Series(
                [names[row] for row in nearest.rows_QK.ravel().tolist()], dtype=pl.String
            ),
            METRICS[metric]: pl.Series(nearest.scores_QK.ravel(), dtype=pl.Float32),
        }
    )


def _is_vector_file(query: Any) -> bool:
    """Whether a query is a Parquet file with vectors, rather than one with sequences."""
    if not isinstance(query, str | Path) or Path(query).suffix not in (".parquet", ".pq"):
        return False
    schema = read_schema(Path(query))
    return is_embeddings(schema) or columns.VECTOR in schema.names


def _notes(vectors: Vectors) -> dict[str, Any]:
    """The provenance of a file; nothing where another program made it."""
    if not isinstance(vectors, VectorFile):
        return {}
    try:
        return read_provenance(vectors.path)
    except InputError:
        return {}


def _essence(recipe: Any) -> dict[str, Any] | None:
    """What of a recipe makes vectors comparable: not how letters and lengths were handled."""
    return {key: recipe.get(key) for key in ("pooling", "layer")} if recipe else None


def _check_same(what: str, seen: Any, expected: Any, where: str) -> None:
    if seen and expected and seen != expected:
        raise InputError(
            where,
            f"vectors of {what} {str(seen)[:60]}",
            f"{str(expected)[:60]}, the {what} of the embeddings",
            "embedding both with the same model and recipe",
        )
