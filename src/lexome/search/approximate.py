"""An index for quick, approximate search (usearch's HNSW graph), saved beside its embeddings.

Malkov & Yashunin 2020, IEEE TPAMI 42:824. The graph proposes rows; how near they are is computed
as in exact search from the vectors that it holds, so a row that both searches find has one score
in both. What it may do is miss a row.
"""

# Letters: Q queries, K nearest rows, C rows that the graph proposes, D width.
import json
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from lexome.devices import num_cores
from lexome.errors import EnvironmentProblem, InputError
from lexome.progress import show_progress
from lexome.results.files import atomic_path, hash_file, write_json
from lexome.search.exact import FloatArray, Nearest, check_search, closeness_of, refuse_zeros
from lexome.search.vectors import VectorFile, Vectors

KINDS = {"cosine": "cos", "euclidean": "l2sq"}  # usearch's names of our metrics
PROPOSED = 2  # rows that the graph proposes for each that is kept


@dataclass(frozen=True, kw_only=True)
class IndexSettings:
    """How a graph is made and searched; more of anything finds more and takes longer."""

    connectivity: int = 16  # edges of a row
    built_with: int = 64  # rows kept in view while one is added
    searched_with: int = 128  # rows kept in view while one is sought

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 2:
                raise InputError(name, str(value), "at least 2", "the default")


class Index:
    """A graph over some vectors, ready to be searched."""

    def __init__(self, graph: Any, vectors: Vectors, metric: str, settings: IndexSettings) -> None:
        self.graph, self.vectors, self.metric, self.settings = graph, vectors, metric, settings

    def search(self, queries_QD: FloatArray, top: int = 10) -> Nearest:
        """The nearest rows that the graph finds, `top` of them or all where there are fewer.

        Raises:
            InputError: as `search_exactly`.
        """
        check_search(queries_QD, self.vectors, top, self.metric)
        top = min(top, self.vectors.count)
        proposed = min(self.vectors.count, PROPOSED * top)
        self.graph.expansion_search = max(self.settings.searched_with, proposed)
        rows_QK = np.empty((len(queries_QD), top), np.int64)
        scores_QK = np.empty((len(queries_QD), top), np.float32)
        for i, query_D in enumerate(queries_QD):
            rows_C = self.graph.search(query_D, proposed, threads=1).keys.astype(np.int64)
            if len(rows_C) < top:  # parts of a graph may be out of reach
                raise InputError(
                    self.vectors.where,
                    f"{len(rows_C)} rows within reach of a query",
                    f"{top}",
                    "--index exact",
                )
            found_CD = np.asarray(self.graph.get(rows_C), np.float32)
            near_C = closeness_of(np.broadcast_to(query_D, found_CD.shape), found_CD, self.metric)
            best = np.lexsort((rows_C, -near_C))[:top]
            rows_QK[i], scores_QK[i] = rows_C[best], near_C[best]
        return Nearest(rows_QK, scores_QK if self.metric == "cosine" else -scores_QK)


def build_index(
    vectors: Vectors,
    metric: str = "cosine",
    settings: IndexSettings | None = None,
    quiet: bool = True,
) -> Index:
    """A graph over all rows, made block by block; the graph itself is held in memory."""
    settings = settings or IndexSettings()
    check_search(np.ones((1, vectors.width), np.float32), vectors, 1, metric)
    graph = _empty_graph(vectors.width, metric, settings)
    with show_progress("Indexing", vectors.count, "rows", quiet) as progress:
        for start, block_ND in vectors.blocks():
            if metric == "cosine":
                refuse_zeros(block_ND, start, vectors.where)
            keys = np.arange(start, start + len(block_ND), dtype=np.uint64)
            graph.add(keys, block_ND, threads=num_cores())
            progress.advance(len(block_ND))
    return Index(graph, vectors, metric, settings)


def open_index(
    vectors: VectorFile,
    metric: str = "cosine",
    settings: IndexSettings | None = None,
    quiet: bool = True,
) -> Index:
    """The index beside an embeddings file, mapped from the disk; made first where there is none.

    Raises:
        InputError: there lies an index of other embeddings, of other settings, or a damaged one.
    """
    settings = settings or IndexSettings()
    check_search(np.ones((1, vectors.width), np.float32), vectors, 1, metric)
    path = index_path(vectors.path, metric)
    notes = path.with_name(f"{path.name}.json")
    facts = _fingerprint(vectors, metric, settings)
    remedy = f"removing {path} and {notes.name}, to have it made anew; or --index exact"
    if not path.exists() or not notes.exists():
        index = build_index(vectors, metric, settings, quiet)
        with atomic_path(path) as temporary:
            index.graph.save(str(temporary))
        write_json(notes, facts | {"bytes": path.stat().st_size})
    held = _read_notes(notes, remedy)
    stale = [name for name in facts if held.get(name) != facts[name]]
    if stale:
        raise InputError(
            str(path),
            f"an index of another {' and '.join(stale)}",
            f"one of {vectors.path} as it is now, by these settings",
            remedy,
        )
    if held.get("bytes") != path.stat().st_size:
        raise InputError(str(path), "a damaged index", f"{held.get('bytes')} bytes", remedy)
    graph = _empty_graph(vectors.width, metric, settings)
    graph.view(str(path))
    if len(graph) != vectors.count:
        raise InputError(str(path), f"{len(graph)} rows", f"{vectors.count}", remedy)
    return Index(graph, vectors, metric, settings)


def index_path(embeddings: Path, metric: str) -> Path:
    """Where the index of a file for a metric lies: beside it."""
    return embeddings.with_name(f"{embeddings.name}.{metric}.usearch")


def _fingerprint(vectors: VectorFile, metric: str, settings: IndexSettings) -> dict[str, Any]:
    made_with = {k: v for k, v in asdict(settings).items() if k != "searched_with"}
    return {
        "embeddings": hash_file(vectors.path),
        "metric": metric,
        "width": vectors.width,
        "settings": made_with,
        "usearch": _usearch().__version__,
    }


def _read_notes(notes: Path, remedy: str) -> dict[str, Any]:
    try:
        return dict(json.loads(notes.read_text(encoding="utf-8")))
    except ValueError as error:
        raise InputError(str(notes), "no JSON", "the notes of an index", remedy) from error


def _empty_graph(width: int, metric: str, settings: IndexSettings) -> Any:
    return _usearch().index.Index(
        ndim=width,
        metric=KINDS[metric],
        dtype="f32",  # scores are computed from what the graph holds
        connectivity=settings.connectivity,
        expansion_add=settings.built_with,
        expansion_search=settings.searched_with,
    )


def _usearch() -> Any:
    try:
        import_module("usearch.index")
        return import_module("usearch")
    except ImportError as error:
        raise EnvironmentProblem(
            "approximate search",
            "no package `usearch`",
            "the extra `neighbours`",
            "`pip install 'lexome[neighbours]'`, or --index exact",
        ) from error
