"""The graph: what it finds of what there is, kept beside the file, refused when stale."""

import numpy as np
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.results.tables import write_table
from lexome.search.approximate import IndexSettings, build_index, index_path, open_index
from lexome.search.exact import search_exactly
from lexome.search.vectors import VectorArray, VectorFile


def rows_of(seed, count=2000, width=32):
    random = np.random.default_rng(seed)
    centres = random.standard_normal((50, width))
    near = centres[random.integers(0, 50, count)]
    return (near + 0.4 * random.standard_normal((count, width))).astype(np.float32)


def write(path, rows):
    ids = [f"r{i}" for i in range(len(rows))]
    column = pl.Series(rows, dtype=pl.Array(pl.Float32, rows.shape[1]))
    write_table(pl.DataFrame({"id": ids, "vector": column}), path, {})
    return VectorFile(path)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_nineteen_of_twenty_nearest_are_found_with_the_very_scores_of_exact_search(metric):
    rows = rows_of(0)
    vectors = VectorArray([str(i) for i in range(len(rows))], rows)
    queries = rows[:100] + np.float32(0.05)
    exact = search_exactly(queries, vectors, 10, metric)
    found = build_index(vectors, metric).search(queries, 10)
    shared = 0
    for a, x, b, y in zip(
        found.rows_QK, found.scores_QK, exact.rows_QK, exact.scores_QK, strict=True
    ):
        true = dict(zip(b.tolist(), y.tolist(), strict=True))
        both = {
            row: score for row, score in zip(a.tolist(), x.tolist(), strict=True) if row in true
        }
        assert both == {row: true[row] for row in both}
        shared += len(both)
    assert shared / 1000 >= 0.95


def test_an_index_is_kept_and_reused_and_refused_for_other_embeddings(tmp_path):
    vectors = write(tmp_path / "v.parquet", rows_of(1, 300))
    first = open_index(vectors).search(rows_of(1, 300)[:3], 5)
    path = index_path(vectors.path, "cosine")
    written = path.stat().st_mtime_ns
    again = open_index(vectors).search(rows_of(1, 300)[:3], 5)
    assert path.stat().st_mtime_ns == written
    assert np.array_equal(first.rows_QK, again.rows_QK)
    with pytest.raises(InputError, match="another settings"):
        open_index(vectors, settings=IndexSettings(connectivity=8))
    other = write(tmp_path / "v.parquet", rows_of(2, 300))
    with pytest.raises(InputError, match=r"an index of another embeddings.*removing"):
        open_index(other)


def test_a_damaged_index_is_refused(tmp_path):
    vectors = write(tmp_path / "v.parquet", rows_of(1, 300))
    open_index(vectors)
    path = index_path(vectors.path, "cosine")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="a damaged index"):
        open_index(vectors)
    path.with_name(f"{path.name}.json").write_text("{")
    with pytest.raises(InputError, match="no JSON"):
        open_index(vectors)
