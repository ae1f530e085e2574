"""CSV and TSV: pyarrow, the plain twin and Python's csv module read the same rows."""

import csv
import gzip
import io
import tracemalloc

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexome.errors import InputError
from lexome.io import delimited, streams
from lexome.io.delimited import read_delimited, split_rows
from lexome.io.streams import open_bytes


def read(data: bytes, delimiter: str = ",") -> tuple[list[str], list[tuple[str, ...]]]:
    columns, frames = read_delimited(open_bytes(io.BytesIO(data)), delimiter)
    return columns, [row for frame in frames for row in frame.rows()]


# a lone carriage return is left out: Python's writer forgets to quote it
pieces = st.sampled_from(["a", "b", ",", ";", '"', "\t", "\n", "é", " ", "\r\n", "7"])
values = st.lists(pieces, max_size=5).map("".join)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(values, values, values), min_size=1, max_size=12),
    st.sampled_from([",", "\t"]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 60),
)
def test_what_pythons_csv_writes_is_read_back_whatever_the_size_of_a_stretch(
    rows, delimiter, newline, size
):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline)
    writer.writerows([("x", "y", "z"), *rows])
    before = delimited.STRETCH_BYTES, streams.BLOCK_BYTES
    delimited.STRETCH_BYTES, streams.BLOCK_BYTES = size, 7
    try:
        columns, found = read(text.getvalue().encode(), delimiter)
    finally:
        delimited.STRETCH_BYTES, streams.BLOCK_BYTES = before
    # line ends within fields become plain newlines too, as everywhere in the house
    expected = [tuple(value.replace("\r\n", "\n") for value in row) for row in rows]
    assert columns == ["x", "y", "z"]
    assert found == expected


def outcome(data: bytes) -> object:
    try:
        return read(data)
    except InputError:
        return "refused"  # which of two faults is named first may differ


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from('a,"\n'), max_size=40), st.integers(1, 30))
def test_stray_quotes_ragged_rows_and_all_are_judged_alike_fast_and_plain(text, size):
    data = b"x,y\n" + text.encode()
    stretch, parse = delimited.STRETCH_BYTES, delimited._parse_fast
    try:
        delimited.STRETCH_BYTES, streams_block = size, streams.BLOCK_BYTES
        streams.BLOCK_BYTES = 5
        fast = outcome(data)
        streams.BLOCK_BYTES = streams_block
        delimited.STRETCH_BYTES, delimited._parse_fast = 1 << 20, lambda *arguments: None
        plain = outcome(data)
    finally:
        delimited.STRETCH_BYTES, delimited._parse_fast = stretch, parse
        streams.BLOCK_BYTES = streams_block
    assert fast == plain


def test_a_quote_within_a_field_is_a_letter():
    rows = read(b'name,sequence\n5" cap,MK\nlong 3" end,LV\n"a ""b""",AC\n')[1]
    assert rows == [('5" cap', "MK"), ('long 3" end', "LV"), ('a "b"', "AC")]


def test_every_value_stays_the_text_that_it_is():
    data = b"id,label,note\n007,1.0,NA\n1e5,TRUE,null\n,, \n"
    assert read(data)[1] == [("007", "1.0", "NA"), ("1e5", "TRUE", "null"), ("", "", " ")]


def test_blank_lines_are_skipped_and_a_missing_last_newline_is_no_loss():
    assert read(b"\n\nid,sequence\n\na,MK\n\n\nb,LV") == (
        ["id", "sequence"],
        [("a", "MK"), ("b", "LV")],
    )


def test_excel_files_with_a_byte_order_mark_and_semicolons_are_read():
    data = "\ufeffid;sequence\r\nä;MK\r\n".encode()
    assert read(data) == (["id", "sequence"], [("ä", "MK")])


def test_the_index_that_pandas_writes_gets_a_name():
    assert read(b",sequence\n0,MK\n")[0] == ["column_1", "sequence"]


def test_rows_longer_than_a_stretch_stay_whole():
    letters = "ACGT" * 3_000_000
    rows = read(f"id,sequence\na,{letters}\nb,AC\n".encode())[1]
    assert rows == [("a", letters), ("b", "AC")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "saw an empty file"),
        (b" \n\n", "saw an empty file"),
        (b"id,sequence\na,MK\nb\n", "line 3: saw 1 fields, expected 2"),
        (b'id,sequence\n"a\nb",MK\nb,LV,1\n', "line 4: saw 3 fields, expected 2"),
        (b"id,sequence,id\na,MK,b\n", "line 1: saw two columns called 'id'"),
        (b"MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ,1\n", "line 1: saw no header but data"),
        (b"A0A1,MKTAYIAKQRQIS,1\n", "line 1: saw no header but data"),
        (b"1,0.5,-2e-3\n", "line 1: saw no header but data"),
        (b"id,sequence\na,M\xe9\n", "line 2: saw the byte 0xe9"),
        (b"id,s\xe9quence\na,M\n", "line 1: saw the byte 0xe9"),
        (b'id,sequence\na,MK\nb,"LV\nc,AC\n', "line 3: saw a row with a quote"),
        (b'id,sequence\na,MK\nb,"LV"x\n', "line 3: saw 'x' behind a closing quote"),
        (b'"id,sequence\n', "line 1: saw a row with a quote"),
    ],
)
def test_broken_tables_are_refused_with_the_line(data, message):
    with pytest.raises(InputError, match=message):
        read(data)


def test_a_ragged_row_far_down_is_found_by_its_line():
    data = b"id,sequence\n" + b"a,MKTAYIAKQR\n" * 800_000 + b"b\n"
    with pytest.raises(InputError, match="line 800002: saw 1 fields"):
        read(data)


def test_the_plain_twin_tells_where_each_row_begins_and_ends():
    text = b'a,b\n\n"c\nd",e\nf'
    assert [tuple(row) for row in split_rows(text, ",", "text")] == [
        (["a", "b"], 1, 4),
        (["c\nd", "e"], 3, 13),
    ]


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "STRETCH_BYTES", 1 << 20)
    path = tmp_path / "large.csv.gz"
    row = b"protein," + b"MKTAYIAKQR" * 30 + b",1\n"
    path.write_bytes(
        gzip.compress(b"id,sequence,label\n" + row * 100_000, 1, mtime=0)
    )  # 31 MB of text
    tracemalloc.start()
    _, frames = read_delimited(open_bytes(path), ",")
    rows = sum(frame.height for frame in frames)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 100_000
    assert peak < 8_000_000


def test_frames_hold_text_only():
    _, frames = read_delimited(open_bytes(io.BytesIO(b"id,n\na,1\n")), ",")
    assert next(frames).schema == pl.Schema({"id": pl.String, "n": pl.String})
