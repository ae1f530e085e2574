"""FASTQ: four lines a record, and nothing cut short goes by."""

import gzip
import io

import pytest

from lexome.errors import InputError
from lexome.io.fastq import read_fastq
from lexome.sequence.records import Record


def read(data: bytes) -> list[Record]:
    return list(read_fastq(io.BytesIO(data)))


def test_reads_come_with_whole_names_and_without_qualities():
    # a quality may begin with @ or +, which must not pass for a new record
    data = b"@r1 lane 1\r\nGATTACA\r\n+r1\r\n@IIIII+\r\n\r\n@r2\r\nACgtN\r\n+\r\n+!!!!"
    assert read(data) == [Record("r1 lane 1", "GATTACA"), Record("r2", "ACgtN")]


def test_a_read_of_no_letters_is_a_record():
    assert read(b"@r1\n\n+\n\n@r2\nA\n+\nI\n") == [Record("r1", ""), Record("r2", "A")]


def test_gzipped_reads_are_read(tmp_path):
    path = tmp_path / "reads.fq.gz"
    path.write_bytes(gzip.compress(b"@r\nACGT\n+\nIIII\n", mtime=0))
    assert list(read_fastq(path)) == [Record("r", "ACGT")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "saw an empty file"),
        (b"@r1\nACGT\n+\nIIII\n@r2\nAC\n", "line 5: saw a record of 2 lines at the end"),
        (b"@r1\nACGT\n+\nIIII\n@r2\nACGT\n+\nII\n", "line 5: saw 4 letters with 2 qualities"),
        (b"@r1\nACGT\nACGT\n+\nIIII\nIIII\n", "line 1: saw 'ACGT' as the third line"),
        (b">r1\nACGT\n", "line 1: saw '>r1', expected a line that starts with '@'"),
        (b"@r1\nACGT\n+\nII\xffI\n", "line 4: saw the byte 0xff"),
    ],
)
def test_broken_files_are_refused_with_the_line_of_the_record(data, message):
    with pytest.raises(InputError, match=message):
        read(data)
