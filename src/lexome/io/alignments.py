"""Reads alignments: A3M and A2M (HHblits, jackhmmer, ColabFold), Stockholm, aligned FASTA."""

from collections.abc import Iterator
from pathlib import Path
from string import ascii_lowercase

from lexome.errors import InputError
from lexome.io.fasta import read_fasta
from lexome.io.stockholm import read_stockholm
from lexome.sequence.alignment import Alignment, check_alignment
from lexome.sequence.focus import GAP, FocusAlignment, focus_on_query

INSERTING = (".a3m", ".a2m")  # lower case and dots are insertions
WHOLE = (".sto", ".stk", ".afa")  # every letter stands in a column
ENDINGS = (*INSERTING, *WHOLE)
LISTED = "*.a3m, *.a2m, *.sto, *.stk or *.afa (.gz)"
# Letters that stand in no column of the query: insertions, and the dots that make room for them.
NO_COLUMN = str.maketrans("", "", ascii_lowercase + ".*")


def read_alignment(path: Path) -> Alignment:
    """One alignment; its first sequence is the query, insertions are left out.

    Of Stockholm and of aligned FASTA, the columns are those in which the query has a capital.

    Raises:
        InputError: no such file, none of these endings, or rows of unequal length.
    """
    name, ids, rows = read_rows(path)
    return check_alignment(Alignment(name, ids, [row.translate(NO_COLUMN) for row in rows]))


def read_focus_alignment(path: Path) -> FocusAlignment:
    """The same with insertions kept, in the columns in which the query has a residue.

    Raises:
        InputError: as of `read_alignment`, or a query without a capital letter.
    """
    name, ids, rows = read_rows(path)
    check_alignment(Alignment(name, ids, [row.translate(NO_COLUMN) for row in rows]))
    return focus_on_query(name, ids, [row.replace("*", "") for row in rows])


def read_rows(path: Path) -> tuple[str, list[str], list[str]]:
    """Name, ids and rows as A3M spells them: insertions in lower case, gaps as `-`.

    Raises:
        InputError: no such file, or none of these endings.
    """
    if not is_alignment(path):
        raise InputError(str(path), f"the ending {path.suffix!r}", LISTED, "an alignment file")
    bare = path.name.removesuffix(".gz")
    name, ending = Path(bare).stem, Path(bare).suffix.lower()
    if ending in (".sto", ".stk"):
        ids, rows = read_stockholm(path)
    else:
        records = list(read_fasta(path))
        ids, rows = [r.id for r in records], [r.sequence for r in records]
    if ending in WHOLE:
        rows = _in_columns_of_query(check_alignment(Alignment(name, ids, rows)))
    return name, ids, rows


def _in_columns_of_query(alignment: Alignment) -> list[str]:
    """Rows whose every letter stands in a column, spelled as A3M spells them.

    Capitals of the query make columns; whatever stands elsewhere is an insertion. Letters of
    either case in a column are residues of it, and a dot there is a gap.
    """
    query = alignment.rows[0]
    is_column = [letter.isupper() for letter in query]
    if not any(is_column):
        raise InputError(
            f"{alignment.name} ({alignment.ids[0]})",
            "a first row without a capital letter",
            "the query, its residues as capitals",
            "putting the query first",
        )
    made = []
    for row in alignment.rows:
        letters = (
            (letter.upper() if letter.isalpha() else GAP)
            if column
            else (letter.lower() if letter.isalpha() else "")
            for letter, column in zip(row, is_column, strict=True)
        )
        made.append("".join(letters))
    return made


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
        raise InputError(str(path), "no alignment", f"files {LISTED}", "another directory")
    for file in files:
        yield read_alignment(file)


def is_alignment(path: Path) -> bool:
    """Whether a file's name is that of an alignment."""
    return path.name.lower().removesuffix(".gz").endswith(ENDINGS)
