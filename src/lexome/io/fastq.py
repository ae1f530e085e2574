"""Reads FASTQ: names and sequences of reads; of the qualities only the number is checked."""

from collections.abc import Iterator

from lexome.errors import InputError
from lexome.io.streams import Source, empty_file, open_bytes, read_lines
from lexome.sequence.records import Record


def read_fastq(source: Source) -> Iterator[Record]:
    r"""Yield the reads of a FASTQ file of four lines a record; .gz and "-" (stdin) may be given.

    Raises InputError with the line at which the record begins when a record is cut short, when its
    third line is no `+`, and when sequence and qualities differ in length (as they do where a
    sequence is wrapped over lines).

    >>> import io
    >>> list(read_fastq(io.BytesIO(b"@read1 lane 2\nGATTACA\n+\nIIIIIII\n")))
    [Record(name='read1 lane 2', sequence='GATTACA')]
    """
    stream = open_bytes(source)
    with stream:
        lines = read_lines(stream)
        line = 0
        is_empty = True
        for header in lines:
            line += 1
            if not header.strip():
                continue
            is_empty = False
            where = f"{stream.where}, line {line}"
            if not header.startswith("@"):
                raise InputError(
                    where,
                    repr(header[:40]),
                    "a line that starts with '@' and a name",
                    "a FASTQ file of four lines a record",
                )
            record = [text.rstrip() for _, text in zip(range(3), lines, strict=False)]
            line += 3
            if len(record) < 3:
                raise InputError(
                    where,
                    f"a record of {1 + len(record)} lines at the end of the file",
                    "4 lines (name, sequence, +, qualities)",
                    "to copy or download the file again",
                )
            sequence, plus, qualities = record
            if not plus.startswith("+"):
                raise InputError(
                    where,
                    f"{plus[:40]!r} as the third line of the record",
                    "a line that starts with '+'",
                    "a file whose sequences are not wrapped over lines",
                )
            if len(sequence) != len(qualities):
                raise InputError(
                    where,
                    f"{len(sequence)} letters with {len(qualities)} qualities",
                    "as many qualities as letters",
                    "to copy or download the file again",
                )
            yield Record(header[1:].strip(), sequence)
        if is_empty:
            raise empty_file(stream.where, "FASTQ")
