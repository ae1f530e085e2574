"""Reads alignments: A3M and A2M files, as HHblits, jackhmmer and ColabFold write them."""

from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase

from lexome.errors import InputError
from lexome.io.fasta import read_fasta
from lexome.sequence.alignment import Alignment, check_alignment

ENDINGS = (".a3m", ".a2m")
# Letters that stand in no column of the query: insertions, and the dots that make room for them.
NO_COLUMN = str.maketrans("", "", ascii_lowercase + ".*")


def read_alignment(path: Path) -> Alignment:
    """One alignment; its first sequence is the query, insertions are left out.

    Raises:
        InputError: no such file, none of these endings, or rows of unequal length.
    """
    if not is_alignment(path):
        raise InputError(
            str(path), f"the ending {path.suffix!r}", ".a3m or .a2m (.gz)", "an alignment file"
        )
    records = list(read_fasta(path))
    ids = [record.id for record in records]
    rows = [record.sequence.translate(NO_COLUMN) for record in records]
    name = Path(path.name.removesuffix(".gz")).stem
    return check_alignment(Alignment(name, ids, rows))


def read_alignments(source: str | Path) -> Iterator[Alignment]:
    """The alignments of a file, or of all files of a directory by name.

    Raises:
        InputError: nothing there.
    """
    path = Path(source)
    if not path.is_dir():
        yield read_alignment(path)
        return
    files = sorted(file for file in path.iterdir() if is_alignment(file))
    if not files:
        raise InputError(str(path), "no alignment", "files *.a3m or *.a2m", "another directory")
    for file in files:
        yield read_alignment(file)


def is_alignment(path: Path) -> bool:
    """Whether a file's name is that of an alignment."""
    return path.name.lower().removesuffix(".gz").endswith(ENDINGS)
