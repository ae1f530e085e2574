"""Measures search among a million vectors of width 320: exact and approximate.

Run `python benchmarks/search.py [--rows 1000000] [--queries 200] [--index-rows ROWS]`; the last
table is in search.txt. There is no million of real embeddings here, so rows are made: each is one
of 14,323 centres, which lie in 40 of the 320 dimensions as those of a family do, moved within
these dimensions by half as much and by noise in all of them; queries are rows moved a little. Two
clocks: wall (what one waits for) and CPU (what the search takes of a core, others at work on the
machine). The file is read anew for every exact search. One thread.
"""

import argparse
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lexome.results.tables import write_table
from lexome.search import approximate
from lexome.search.exact import Nearest, search_exactly
from lexome.search.vectors import VectorFile

WIDTH, DIMENSIONS, CENTRES, BLOCK, TOP = 320, 40, 14_323, 20_000, 10
EVERY = 997  # one row in so many is moved a little and asked about


def make_frames(rows: int) -> Iterator[pl.DataFrame]:
    """The rows, with ids."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((CENTRES, DIMENSIONS), dtype=np.float32)
    basis = random.standard_normal((DIMENSIONS, WIDTH), dtype=np.float32)
    basis *= np.geomspace(1, 0.1, DIMENSIONS, dtype=np.float32)[:, None]
    offset = 3 * random.standard_normal(WIDTH, dtype=np.float32)  # embeddings share a direction
    for start in range(0, rows, BLOCK):
        size = min(BLOCK, rows - start)
        place = centres[random.integers(0, CENTRES, size)]
        place = place + 0.5 * random.standard_normal((size, DIMENSIONS), dtype=np.float32)
        block = place @ basis + offset
        block += 0.3 * random.standard_normal((size, WIDTH), dtype=np.float32)
        vector = pl.Series(block, dtype=pl.Array(pl.Float32, WIDTH))
        yield pl.DataFrame({"id": [f"row_{start + i}" for i in range(size)], "vector": vector})


def open_rows(rows: int, path: Path) -> VectorFile:
    """The file of so many rows, made where it is not there."""
    if not path.exists():
        write_table(make_frames(rows), path, {"made_by": "benchmarks/search.py"})
    return VectorFile(path)


def make_queries(vectors: VectorFile, count: int) -> np.ndarray:
    # Copies: a view would hold its whole block.
    kept = [block[-start % EVERY :: EVERY].copy() for start, block in vectors.blocks()]
    rows = np.concatenate(kept)
    random = np.random.default_rng(1)
    some = rows[random.integers(0, len(rows), count)]
    return some + 0.1 * random.standard_normal(some.shape, dtype=np.float32)


def recall(found: Nearest, true: Nearest) -> float:
    """Share of the true nearest rows that were found."""
    pairs = zip(found.rows_QK, true.rows_QK, strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in pairs]))


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it gives, and the seconds by either clock."""
    wall, cpu = time.perf_counter(), time.process_time()
    given = work()
    return given, time.perf_counter() - wall, time.process_time() - cpu


def show(name: str, number: int, seconds: tuple[float, float], share: float) -> None:
    wall, cpu = (1000 * s / number for s in seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{name:<42}{wall:>12.2f}{cpu:>12.2f}{share:>11.4f}{peak:>9.2f}", flush=True)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rows", type=int, default=1_000_000)
    words.add_argument("--queries", type=int, default=200)
    words.add_argument("--index-rows", type=int, default=None, help="rows of the index; else all")
    words.add_argument("--folder", type=Path, default=None, help="files there are used again")
    asked = words.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp())
    approximate.num_cores = lambda: 1
    vectors = open_rows(asked.rows, folder / f"{asked.rows}.parquet")
    queries = make_queries(vectors, asked.queries)
    size = vectors.path.stat().st_size / 1e9
    print(f"{vectors.count:,} rows of width {WIDTH}, {size:.2f} GB of Parquet; top {TOP}, cosine")
    threads = os.environ.get("OMP_NUM_THREADS")
    print(f"{platform.machine()}, {os.cpu_count()} cores, OMP_NUM_THREADS={threads}")
    print(f"load of the machine at the start: {os.getloadavg()[0]:.1f}\n")
    head = f"{'search':<42}{'wall ms':>12}{'CPU ms':>12}{'recall@10':>11}{'peak GB':>9}"
    print(f"{head}   (ms a query)", flush=True)
    for number in (1, asked.queries, 5 * asked.queries):
        some = np.resize(queries, (number, WIDTH))
        _, *seconds = timed(lambda some=some: search_exactly(some, vectors, TOP))
        show(f"exact, {number:,} queries in a pass", number, tuple(seconds), 1.0)
    if asked.index_rows and asked.index_rows != asked.rows:
        vectors = open_rows(asked.index_rows, folder / f"{asked.index_rows}.parquet")
        queries = make_queries(vectors, asked.queries)
    true = search_exactly(queries, vectors, TOP)
    print(f"\nindex of {vectors.count:,} rows", flush=True)
    index, *seconds = timed(lambda: approximate.open_index(vectors))
    size = approximate.index_path(vectors.path, "cosine").stat().st_size / 1e9
    print(
        f"built and saved in {seconds[0]:.0f} s (CPU {seconds[1]:.0f} s): {size:.2f} GB", flush=True
    )
    index, *seconds = timed(lambda: approximate.open_index(vectors))
    print(f"opened again, its embeddings hashed, in {seconds[0]:.1f} s", flush=True)
    for view in (16, 32, 64, 128):
        index.settings = approximate.IndexSettings(searched_with=view)
        found, *seconds = timed(lambda: index.search(queries, TOP))
        show(
            f"approximate, one by one, {view} in view",
            len(queries),
            tuple(seconds),
            recall(found, true),
        )


if __name__ == "__main__":
    main()
