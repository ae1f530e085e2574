"""Formats: told by the ending, else by the first bytes, else refused with a hint."""

import pytest

from lexome.errors import InputError
from lexome.io.formats import (
    CSV,
    FASTA,
    FASTQ,
    FORMATS,
    GENBANK,
    PARQUET,
    TSV,
    find_format,
    format_by_content,
    format_by_ending,
    load_reader,
)


@pytest.mark.parametrize("ending", FORMATS)
def test_every_format_of_the_table_has_a_reader(ending):
    assert callable(load_reader(format_by_ending(f"proteins.v2.{ending.upper()}")))


def test_an_unknown_ending_names_the_known_ones_and_the_nearest():
    with pytest.raises(InputError) as caught:
        format_by_ending("proteins.fsta.gz")
    assert caught.value.seen == "the ending .fsta"
    assert ".fasta, .fa, .faa" in caught.value.expected
    assert caught.value.remedy == "the ending .fasta"


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"\xef\xbb\xbf\n>a\nMK", FASTA),
        (b"@r 1\nACGT\n+\nIIII", FASTQ),
        (b"@r 1\r\nACGT\r\n+\r\nIIII", FASTQ),
        (b"LOCUS       X 3 bp", GENBANK),
        (b"id\tsequence, in full\na\tMK", TSV),
        (b"id,sequence\na,MK", CSV),
        (b"PAR1\x15\x04", PARQUET),
        (b"MKTAYIAKQR\n", None),
        (b"", None),
    ],
)
def test_the_first_bytes_speak_of_a_format(start, expected):
    assert format_by_content(start) == expected


def test_the_ending_goes_before_the_content():
    assert find_format("table.csv", b"id\tsequence\n") == CSV


def test_a_file_of_no_format_is_refused_by_ending_and_by_first_line():
    with pytest.raises(InputError) as caught:
        find_format("notes.doc", b"Dear colleague\nplease find")
    assert "the ending .doc" in caught.value.seen
    assert "'Dear colleague'" in caught.value.seen


def test_an_empty_file_without_a_known_ending_is_refused():
    with pytest.raises(InputError, match="saw an empty file"):
        find_format("notes", b" \n")
