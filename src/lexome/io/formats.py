"""The formats that are read, by the ending of a file and by its first bytes."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from lexome.errors import InputError


class Format(NamedTuple):
    """One file format: its name and who reads it."""

    name: str
    reader: str  # "module:function"; yields records, or for a table takes the columns as well
    is_table: bool


FASTA = Format("FASTA", "lexome.io.fasta:read_fasta", False)
FASTQ = Format("FASTQ", "lexome.io.fastq:read_fastq", False)
GENBANK = Format("GenBank", "lexome.io.genbank:read_genbank", False)
CSV = Format("CSV", "lexome.io.tables:read_table_records", True)
TSV = Format("TSV", "lexome.io.tables:read_table_records", True)
PARQUET = Format("Parquet", "lexome.io.tables:read_table_records", True)

FORMATS = {  # a new format is one line here; nothing is imported until it is asked for
    "fasta": FASTA,
    "fa": FASTA,
    "faa": FASTA,
    "fna": FASTA,
    "ffn": FASTA,
    "fas": FASTA,
    "fastq": FASTQ,
    "fq": FASTQ,
    "gb": GENBANK,
    "gbk": GENBANK,
    "gbff": GENBANK,
    "genbank": GENBANK,
    "csv": CSV,
    "tsv": TSV,
    "tab": TSV,
    "parquet": PARQUET,
    "pq": PARQUET,
}
LISTED = ", ".join(f".{ending}" for ending in FORMATS) + " (all but .parquet and .pq also with .gz)"

# Files that people hand over and that are not sequences yet: first bytes, what it is, the remedy.
FOREIGN = {
    b"PK\x03\x04": ("a zip archive (or an Excel file)", "to unpack it, or to save it as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel or Word file", "to save it as CSV"),
    b"BZh": ("a bzip2 file", "`bunzip2` first"),
    b"\xfd7zXZ": ("an xz file", "`unxz` first"),
    b"\x28\xb5\x2f\xfd": ("a zstandard file", "`unzstd` first"),
    b"\xff\xfe": ("UTF-16 text", "to save it as UTF-8"),
    b"\xfe\xff": ("UTF-16 text", "to save it as UTF-8"),
}


def ending_of(path: str | Path) -> str:
    """The ending that names the format, in lower case, without `.gz`.

    >>> ending_of("proteins.FASTA.gz"), ending_of("proteins")
    ('fasta', '')
    """
    endings = [suffix.lower().lstrip(".") for suffix in Path(path).suffixes]
    if endings and endings[-1] == "gz":
        endings.pop()
    return endings[-1] if endings else ""


def format_by_ending(path: str | Path) -> Format:
    """The format that the ending of a file stands for.

    >>> format_by_ending("genes.fna.gz").name
    'FASTA'
    """
    ending = ending_of(path)
    if ending in FORMATS:
        return FORMATS[ending]
    raise _unknown_ending(path)


def format_by_content(start: bytes) -> Format | None:
    """The format that the first bytes of a file (unzipped) speak of, None when they speak of none.

    >>> format_by_content(b">one\\nMKT\\n").name
    'FASTA'
    """
    if start.startswith(b"PAR1"):
        return PARQUET
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b">"):
        return FASTA
    if re.match(rb"@[^\n]*\n[A-Za-z.*-]*\r?\n\+", text):
        return FASTQ
    if text.startswith(b"LOCUS "):
        return GENBANK
    first_line = text.split(b"\n", 1)[0]
    if b"\t" in first_line:
        return TSV
    return CSV if b"," in first_line else None


def find_format(where: str, start: bytes) -> Format:
    """The format of a file by its ending, else by its first bytes, else InputError."""
    if ending_of(where) in FORMATS:
        return FORMATS[ending_of(where)]
    if not start.strip():
        raise InputError(where, "an empty file", "sequences", "checking how it was made")
    found = format_by_content(start)
    if found is not None:
        return found
    error = _unknown_ending(where)
    line = start.split(b"\n", 1)[0][:40].decode(errors="replace")
    seen = f"{error.seen}, and a first line {line!r} that is of no known format"
    raise InputError(where, seen, error.expected, error.remedy)


def refuse_foreign(start: bytes, where: str) -> None:
    """Raise InputError when the first bytes are those of an archive, a workbook or UTF-16 text."""
    for mark, (seen, remedy) in FOREIGN.items():
        if start.startswith(mark):
            raise InputError(where, seen, "plain or gzipped UTF-8 text, or Parquet", remedy)


def load_reader(file_format: Format) -> Callable[..., Any]:
    """The function that reads a format; its module is imported now."""
    module, _, name = file_format.reader.partition(":")
    reader: Callable[..., Any] = getattr(import_module(module), name)
    return reader


def _unknown_ending(path: str | Path) -> InputError:
    ending = ending_of(path)
    near = get_close_matches(ending, FORMATS, n=1, cutoff=0.5)
    return InputError(
        str(path),
        f"the ending .{ending}" if ending else "no ending",
        f"one of {LISTED}",
        f"the ending .{near[0]}" if near else "renaming it by its format",
    )
