"""Tables: the same rows from every format, in batches, and records by named or guessed columns."""

import gzip
import io

import pandas as pd
import polars as pl
import pytest

from lexome.errors import InputError
from lexome.io.tables import open_table, read_table, read_table_records, table_columns
from lexome.sequence.records import Record
from tests.shared_data import shared

FRAME = pl.DataFrame(
    {"id": ["007", "b", "c"], "sequence": ["MK", "LV", "AC"], "label": ["0", "1", "0"]}
)


def every_form(folder):
    """The same table as a file of each format, and as a value in Python."""
    FRAME.write_csv(folder / "t.csv")
    FRAME.write_csv(folder / "t.tsv", separator="\t")
    (folder / "t.csv.gz").write_bytes(gzip.compress(FRAME.write_csv().encode()))
    FRAME.write_parquet(folder / "t.parquet")
    (folder / "no_ending").write_bytes((folder / "t.parquet").read_bytes())
    names = ["t.csv", "t.tsv", "t.csv.gz", "t.parquet", "no_ending"]
    values = [
        FRAME,
        FRAME.lazy(),
        FRAME.to_arrow(),
        FRAME.to_pandas(),
        pd.DataFrame(FRAME.to_dict()),
    ]
    return [folder / name for name in names] + [str(folder / "t.csv")] + values[:4]


def test_every_form_of_a_table_gives_the_same_rows_and_columns(tmp_path):
    for source in every_form(tmp_path):
        assert table_columns(source) == FRAME.columns
        assert pl.concat(read_table(source)).equals(FRAME), source


def test_batches_are_no_longer_than_asked(tmp_path):
    for source in every_form(tmp_path):
        assert [batch.height for batch in read_table(source, batch_rows=2)] == [2, 1], source


def test_only_the_columns_asked_for_come(tmp_path):
    for source in every_form(tmp_path):
        table = open_table(source, columns=["label", "id"])
        assert table.columns == ["label", "id"]
        assert pl.concat(table.batches).equals(FRAME.select("label", "id")), source


def test_a_column_asked_for_in_vain_is_named_with_its_likes(tmp_path):
    FRAME.write_csv(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"t.csv: saw no column 'Lable', .*'label'"):
        open_table(tmp_path / "t.csv", columns=["Lable"])


def test_parquet_and_frames_keep_their_types(tmp_path):
    frame = pl.DataFrame({"id": [7], "vector": [[1.5, 2.0]], "flag": [True]})
    frame.write_parquet(tmp_path / "t.parquet")
    assert pl.concat(read_table(tmp_path / "t.parquet")).equals(frame)
    assert pl.concat(read_table(frame)).equals(frame)


def test_pandas_frames_with_odd_indexes_names_and_gaps_are_read():
    frame = pd.DataFrame({0: ["MK", None], "n": [1.0, float("nan")]}, index=["x", "x"])
    assert pl.concat(read_table(frame)).rows() == [("MK", 1.0), (None, None)]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", b"id,sequence\n", "saw no rows"),
        ("t.fasta", b">a\nMK\n", "saw a FASTA file, expected a table"),
        ("t.parquet", b"PAR1 but not really", "saw a damaged Parquet file"),
        ("t.parquet", b"id,sequence\na,MK\n", "saw a damaged Parquet file"),
        ("t.parquet", b"", "saw a damaged Parquet file"),
        ("t.parquet.gz", gzip.compress(b"PAR1", mtime=0), "saw Parquet in a pipe or gzipped"),
        (
            "t.csv.gz",
            gzip.compress(b"id,sequence\na,MK\n" * 99, mtime=0)[:-9],
            "gzip file that ends in the",
        ),
        ("t.csv", b"PK\x03\x04", "saw a zip archive"),
    ],
)
def test_what_is_no_whole_table_is_refused(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=message):
        list(read_table(tmp_path / name))


def test_a_truncated_gzip_is_refused_after_the_rows_that_are_there(tmp_path):
    rows = "".join(f"p{i},MKTAYIAKQR{i}\n" for i in range(900_000))
    whole = gzip.compress(f"id,sequence\n{rows}".encode(), 1, mtime=0)
    (tmp_path / "t.csv.gz").write_bytes(whole[: len(whole) // 2])
    batches = read_table(tmp_path / "t.csv.gz")
    assert next(batches).height > 0
    with pytest.raises(InputError, match="saw a gzip file that ends in the middle"):
        list(batches)


def test_a_parquet_file_that_lost_its_middle_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    frame = pl.DataFrame({"sequence": [f"MK{i}" for i in range(50_000)]})
    frame.write_parquet(path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[100:20_000] = bytes(19_900)
    path.write_bytes(data)
    with pytest.raises(InputError, match="saw a damaged Parquet file"):
        list(read_table(path))


def test_a_frame_with_values_of_mixed_types_is_refused():
    with pytest.raises(InputError, match="one type of value in each column"):
        list(read_table(pd.DataFrame({"sequence": ["MK", 3, ["x"]]})))


class Upload(io.BytesIO):
    """An open stream with a name, as web pages hand it over."""

    name = "t.csv"


def records(text: str, **columns) -> list[Record]:
    return list(read_table_records(Upload(text.encode()), **columns))


def test_records_take_the_guessed_columns_and_keep_ids_as_text():
    text = "n,Accession,Protein_Sequence\n1,007,MK\n2,008,LV\n"
    assert records(text) == [Record("007", "MK"), Record("008", "LV")]


def test_without_an_id_the_row_number_serves():
    assert records("sequence\nMK\nLV\n") == [Record("row_1", "MK"), Record("row_2", "LV")]
    assert records("id,sequence\na,MK\n,LV\n")[1] == Record("row_2", "LV")


def test_missing_sequences_are_empty_ones():
    frame = pl.DataFrame({"id": [1, 2], "sequence": ["MK", None]})
    assert list(read_table_records(frame)) == [Record("1", "MK"), Record("2", "")]


def test_an_unnamed_column_of_sequences_is_found_by_its_letters():
    rows = [f"{i},Mitochondrion,MKTAYIAKQRQISFV" for i in range(5)]
    found = records("\n".join(["n,place,chain", *rows]))
    assert found[0] == Record("row_1", "MKTAYIAKQRQISFV")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (pl.DataFrame({"sequence": [1, 2]}), "column 'sequence': saw values of type Int64"),
        (pl.DataFrame({"a": ["x"], "b": ["y"]}), "saw the columns a, b, expected one that holds"),
        (pl.DataFrame({"a": ["MKTAYIAKQRQISFV"], "b": ["MKTAYIAKQRQISFV"]}), "the columns a, b"),
        (pl.DataFrame({"sequence": []}), "saw no rows"),
    ],
)
def test_tables_without_one_column_of_sequences_are_refused(source, message):
    with pytest.raises(InputError, match=message):
        list(read_table_records(source))


def test_the_deeploc_tables_are_read_whole():
    folder = shared("data/protein_localization")
    found = list(read_table_records(folder / "deeploc2_swissprot_train_val.csv.gz"))
    assert len(found) == 28_303
    assert found[0].name == "A0A023PZB3"
    assert found[0].sequence.startswith("MYYFSRVAARTFCCCIFFCL")
    assert sum(1 for _ in read_table_records(folder / "deeploc2_hpa_test_1717.csv.gz")) == 1717
