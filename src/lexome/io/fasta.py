"""Reads FASTA: fast and in bounded memory, beside a slow plain twin that says what is meant."""

from collections.abc import Iterable, Iterator

import numpy as np

from lexome.errors import InputError
from lexome.io.streams import (
    NEWLINE,
    ByteStream,
    Source,
    count_lines,
    decode_text,
    empty_file,
    open_bytes,
    read_blocks,
)
from lexome.sequence.records import Record

GREATER = ord(">")
NO_LAYOUT = str.maketrans("", "", " \t")


def read_fasta(source: Source) -> Iterator[Record]:
    r"""Yield the records of a FASTA file in its order; .gz and "-" (stdin) may be given.

    A record begins with a line whose first character is `>`; the rest of that line is its name.
    Spaces, tabs and line ends within a sequence are layout and are left out; every letter is kept
    as written (lower case too), for the alphabet of a model to judge, and so is `;`, which starts
    no comment here. A header without residues gives a record with an empty sequence. Memory is
    bounded by a block of 128 kB, or by the largest record where that is larger.

    Raises InputError, with the line, for an empty file, residues before the first header and text
    that is not UTF-8.

    >>> import io
    >>> list(read_fasta(io.BytesIO(b">sp|P69905|HBA_HUMAN alpha\nMVLSPADK\nTNVKAAW\n")))
    [Record(name='sp|P69905|HBA_HUMAN alpha', sequence='MVLSPADKTNVKAAW')]
    """
    # Every step of this loop is paid once a record: what could be done once a block is done there.
    new = tuple.__new__  # builds the same Record in half the time
    stream = open_bytes(source)
    with stream:
        for block, line in _whole_records(stream):
            for piece in _split_records(block, decode_text(block, stream.where, line)):
                header, _, lines = piece.partition("\n")
                sequence = lines.replace("\n", "")
                if " " in sequence or "\t" in sequence:
                    sequence = sequence.translate(NO_LAYOUT)
                yield new(Record, (header.strip(), sequence))


def read_fasta_plain(lines: Iterable[str], where: str = "text") -> Iterator[Record]:
    """Yield the records of lines of FASTA text: the meaning of `read_fasta`, line by line."""
    name: str | None = None
    chunks: list[str] = []
    for number, line in enumerate(lines, start=1):
        if line.startswith(">"):
            if name is not None:
                yield Record(name, "".join(chunks))
            name, chunks = line[1:].strip(), []
        elif name is not None:
            chunks.append(line.rstrip("\n").translate(NO_LAYOUT))
        elif line.strip(" \t\n\v\f"):
            raise _no_header(where, number, line)
    if name is None:
        raise empty_file(where, "FASTA")
    yield Record(name, "".join(chunks))


def _split_records(block: bytes, text: str) -> list[str]:
    """The records of a stretch of text, each without its `>`.

    Splitting at one letter is three times as fast as splitting at two, and right where every `>`
    of the stretch begins a line.
    """
    places = np.flatnonzero(np.frombuffer(block, np.uint8) == GREATER)
    before = np.frombuffer(b"\n" + block, np.uint8)[places]
    if (before == NEWLINE).all():
        return text.split(">")[1:]
    return text[1:].split("\n>")


def _whole_records(stream: ByteStream) -> Iterator[tuple[bytes, int]]:
    """Stretches of whole records, each from a `>` on, with the number of its first line."""
    waiting: list[bytes] = []  # blocks of a record that has not ended; joined once, when it has
    line = 1  # number of the line at which `waiting` begins
    at_line_start = True
    for block in read_blocks(stream):
        if not waiting:
            start = block.lstrip()
            blank = block[: len(block) - len(start)]
            line += count_lines(blank)
            at_line_start = blank.endswith(b"\n") if blank else at_line_start
            if not start:
                continue
            if not (start.startswith(b">") and at_line_start):
                raise _no_header(stream.where, line, start[:80].decode(errors="replace"))
            block = start
        cut = block.rfind(b"\n>") + 1
        if cut == 0 and not (block.startswith(b">") and waiting and waiting[-1].endswith(b"\n")):
            waiting.append(block)
            continue
        records = b"".join([*waiting, block[:cut]])
        waiting = [block[cut:]]
        if records:
            yield records, line
            line += count_lines(records)
    if not waiting:
        raise empty_file(stream.where, "FASTA")
    yield b"".join(waiting), line


def _no_header(where: str, line: int, text: str) -> InputError:
    return InputError(
        f"{where}, line {line}",
        f"{text.split()[0][:40]!r} before any header",
        "a line that starts with '>' and a name",
        "adding a line such as '>protein_1' above it",
    )
