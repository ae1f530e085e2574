"""FASTA: the fast reader means what its plain twin means, and refuses what is none."""

import gzip
import io
import tracemalloc

import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser
from hypothesis import given, settings
from hypothesis import strategies as st

from lexome.errors import InputError
from lexome.io import streams
from lexome.io.fasta import read_fasta, read_fasta_plain
from lexome.sequence.records import Record
from tests.shared_data import shared


def read(data: bytes) -> list[Record]:
    return list(read_fasta(io.BytesIO(data)))


def outcome(reader, *arguments):
    """The records, or the place of the refusal without the name of the source."""
    try:
        return list(reader(*arguments))
    except InputError as error:
        return error.where.replace("stream", "text"), error.expected


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from([">", "\n", "\r\n", "\r", " ", "\t", ";", "a", "MK", "é", ">p1 x>y\n"])
    )
    .map("".join)
    .map(lambda text: text.encode()),
    st.integers(1, 9),
)
def test_fast_and_plain_agree_on_any_text_whatever_the_size_of_a_block(data, block):
    before = streams.BLOCK_BYTES
    streams.BLOCK_BYTES = block
    try:
        fast = outcome(read_fasta, io.BytesIO(data))
    finally:
        streams.BLOCK_BYTES = before
    plain = outcome(read_fasta_plain, io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    assert fast == plain


def test_a_file_of_every_awkward_kind_reads_as_written():
    data = b"\n\n>a first > one\r\nMK\r\n\r\nlv\r\n>b\n>c;d\n AC DE \tX\n;no comment*"
    assert read(data) == [
        Record("a first > one", "MKlv"),
        Record("b", ""),
        Record("c;d", "ACDEX;nocomment*"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_file():
    assert read(b"\xef\xbb\xbf>a\nMK\n") == [Record("a", "MK")]


def test_line_ends_of_old_macs_end_lines():
    assert read(b">a\rMK\r>b\rLV") == [Record("a", "MK"), Record("b", "LV")]


@pytest.mark.parametrize("data", [b"", b"\n \n\n"])
def test_an_empty_file_is_refused(data):
    with pytest.raises(InputError, match="stream: saw an empty file, expected a FASTA file"):
        read(data)


def test_residues_before_a_header_are_refused_with_their_line():
    with pytest.raises(InputError, match="line 3: saw 'MKT' before any header"):
        read(b"\n\nMKT\n>a\nMK\n")


def test_text_that_is_not_utf8_is_refused_with_its_line_beyond_the_first_block():
    fill = b">fill\n" + b"A" * 59 + b"\n"
    lines_before = 2 * 10_000
    with pytest.raises(InputError, match=f"line {lines_before + 2}: saw the byte 0xe9"):
        read(fill * 10_000 + b">b\nMK\xe9\n")


def test_a_record_larger_than_many_blocks_stays_whole():
    letters = "ACGT" * 500_000
    wrapped = "\n".join(letters[i : i + 80] for i in range(0, len(letters), 80))
    records = read(f">small\nMK\n>chr1\n{wrapped}\n>end\nLV".encode())
    assert records == [Record("small", "MK"), Record("chr1", letters), Record("end", "LV")]


def test_a_real_proteome_reads_as_biopython_reads_it():
    path = shared("data/proteomes/UP000002311-S.cerevisiae.fasta.gz")
    with gzip.open(path, "rt") as lines:
        expected = [Record(*pair) for pair in SimpleFastaParser(lines)]
    assert list(read_fasta(path)) == expected
    assert len(expected) > 6000


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "large.fasta"
    path.write_bytes((b">protein\n" + b"MKTAYIAKQR" * 30 + b"\n") * 60_000)  # 18 MB
    tracemalloc.start()
    count = sum(1 for _ in read_fasta(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 3_000_000
