"""Tables on disk: every format gives the rows back, with how they were made, whole or not at all."""

import errno
import gzip
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from lexome.errors import EnvironmentProblem, InputError
from lexome.results import tables
from lexome.results.tables import print_table, read_provenance, write_table

FRAME = pl.DataFrame(
    {
        "id": ["007", 'b "x", y', "é\nz"],
        "length": [3, 20, 1],
        "probability_Golgi": [0.25, 1.0, None],
    }
)
MADE_BY = {"model": "protein-mini", "seed": 0, "path": Path("runs/a"), "mcc": float("nan")}
MADE_BY_AS_READ = {"model": "protein-mini", "seed": 0, "path": "runs/a", "mcc": None}


def read(path: Path) -> pl.DataFrame:
    name = path.name.removesuffix(".gz")
    data = path.read_bytes()
    data = gzip.decompress(data) if path.name.endswith(".gz") else data
    schema = {"id": pl.String}
    if name.endswith(("parquet", "pq")):
        return pl.read_parquet(io.BytesIO(data))
    if name.endswith("jsonl"):
        return pl.read_ndjson(io.BytesIO(data))
    return pl.read_csv(data, separator="\t" if "tsv" in name else ",", schema_overrides=schema)


ENDINGS = ["parquet", "pq", "csv", "tsv", "jsonl", "csv.gz", "tsv.gz", "jsonl.gz", "CSV"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("in_pieces", [False, True])
def test_every_format_gives_rows_and_provenance_back(tmp_path, ending, in_pieces):
    path = tmp_path / f"t.{ending}"
    write_table(FRAME.iter_slices(1) if in_pieces else FRAME, path, MADE_BY)
    assert read(path).equals(FRAME)
    assert read_provenance(path) == MADE_BY_AS_READ
    assert json.loads((tmp_path / f"t.{ending}.meta.json").read_text()) == MADE_BY_AS_READ
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_table_without_rows_keeps_its_columns_where_the_format_can(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    write_table(FRAME.clear(), path, {})
    if "jsonl" in ending:
        data = path.read_bytes()
        assert (gzip.decompress(data) if "gz" in ending else data) == b""
    else:
        assert read(path).columns == FRAME.columns


def test_the_provenance_of_a_parquet_file_travels_within_it(tmp_path):
    write_table(FRAME, tmp_path / "t.parquet", MADE_BY)
    (tmp_path / "t.parquet.meta.json").unlink()
    assert read_provenance(tmp_path / "t.parquet") == MADE_BY_AS_READ
    assert json.loads(pq.read_schema(tmp_path / "t.parquet").metadata[b"lexome"]) == MADE_BY_AS_READ


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_vectors_keep_their_width_and_their_precision(tmp_path, kind):
    vectors = np.arange(6, dtype=kind).reshape(2, 3)
    frame = pl.DataFrame({"id": ["a", "b"], "vector": vectors})
    write_table(frame, tmp_path / "t.parquet", {})
    field = pq.read_schema(tmp_path / "t.parquet").field("vector")
    assert field.type.list_size == 3
    assert field.type.value_type.bit_width == kind().nbytes * 8
    assert np.array_equal(pl.read_parquet(tmp_path / "t.parquet")["vector"].to_numpy(), vectors)


@pytest.mark.parametrize("ending", ["csv", "tsv.gz"])
def test_vectors_are_refused_where_a_format_has_no_lists(tmp_path, ending):
    frame = pl.DataFrame({"id": ["a"], "vector": [[1.0, 2.0]]})
    with pytest.raises(
        InputError, match=r"saw lists in the column 'vector', .*Try -o FILE.parquet"
    ):
        write_table(frame, tmp_path / f"t.{ending}", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["t", "t.xlsx", "t.parquet.gz", "t.gz"])
def test_an_unknown_ending_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(InputError, match=r"expected one of .parquet, .pq, .csv, .tsv, .jsonl"):
        write_table(FRAME, tmp_path / name, {})
    assert list(tmp_path.iterdir()) == []


def test_a_column_that_nobody_explained_is_our_mistake(tmp_path):
    with pytest.raises(AssertionError, match=r"does not know: \['Probability'\]"):
        write_table(pl.DataFrame({"Probability": [1.0]}), tmp_path / "t.csv", {})


def test_frames_of_different_columns_are_our_mistake(tmp_path):
    frames = [pl.DataFrame({"id": ["a"]}), pl.DataFrame({"id": [1]})]
    with pytest.raises(AssertionError, match="a frame of"):
        write_table(frames, tmp_path / "t.csv", {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failure_on_the_way_leaves_the_older_table_with_its_provenance(tmp_path, ending):
    path = tmp_path / f"t.{ending}"
    write_table(FRAME, path, {"run": 1})

    def frames():
        yield FRAME
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(EnvironmentProblem, match="saw a full disk"):
        write_table(frames(), path, {"run": 2})
    assert read(path).equals(FRAME)
    assert read_provenance(path) == {"run": 1}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_stream_of_frames_is_never_held_as_a_whole(tmp_path):
    """The writer asks for the next frame only when the one before is written."""
    alive = 0

    class Watched(pl.DataFrame):
        def __init__(self):
            nonlocal alive
            super().__init__({"id": ["a"] * 1000})
            alive += 1

        def __del__(self):
            nonlocal alive
            alive -= 1

    most = 0

    def frames():
        nonlocal most
        for _ in range(50):
            yield Watched()
            most = max(most, alive)

    for ending in ("parquet", "csv"):
        write_table(frames(), tmp_path / f"t.{ending}", {})
    assert most <= 3


def test_gzipped_tables_are_the_same_bytes_at_every_run(tmp_path):
    for name in ("a.csv.gz", "b.csv.gz"):
        write_table(FRAME, tmp_path / name, {})
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


def test_provenance_that_is_not_there_is_said(tmp_path):
    FRAME.write_parquet(tmp_path / "t.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="saw no such file"):
        read_provenance(tmp_path / "missing.csv")
    with pytest.raises(InputError, match=r"saw no provenance \(no t.parquet.meta.json beside it\)"):
        read_provenance(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="saw a damaged Parquet file"):
        read_provenance(tmp_path / "bad.parquet")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_csv_and_all_rows():
    file = io.StringIO()
    frame = pl.DataFrame({"id": [f"p{i}" for i in range(100)], "length": range(100)})
    print_table(frame, file=file)
    assert pl.read_csv(file.getvalue().encode()).equals(frame)


def test_a_terminal_gets_a_table_that_says_what_it_leaves_out():
    file = Terminal()
    shown = tables.MAX_ROWS_SHOWN
    frame = pl.DataFrame(
        {"id": [f"[p{i}]" for i in range(shown + 5)], "score": [0.123456789] * (shown + 5)}
    )
    print_table(frame, title="Scores [all]", file=file)
    text = file.getvalue()
    assert "Scores [all]" in text
    assert "[p0]" in text
    assert "0.1235" in text
    assert f"[p{shown}]" not in text
    assert "5 more rows" in text


def test_a_pipe_cannot_take_lists():
    with pytest.raises(InputError, match="standard output: saw lists in the column 'vector'"):
        print_table(pl.DataFrame({"vector": [[1.0]]}), file=io.StringIO())
