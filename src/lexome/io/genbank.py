"""Reads GenBank flat files: the sequences, or the proteins that their features translate to."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from lexome.errors import InputError
from lexome.io.streams import Source, empty_file, open_bytes, read_lines
from lexome.sequence.records import Record

FIELD_COLUMN = 12  # lines indented at least as far go on with what stands above them
NOT_LETTERS = re.compile(r"[\d\s]+")
# /key="text over lines, with "" for a quote" or /key=word
QUALIFIER = re.compile(r'^/(\w+)=("(?:[^"]|"")*+"|.*)', re.MULTILINE)
LENGTH = re.compile(r"LOCUS\s+\S+\s+(\d+)\s+(?:bp|aa)\b")


class Entry(NamedTuple):
    """The lines of one GenBank record, and the number of its first line."""

    line: int
    lines: list[str]


def read_genbank(source: Source, proteins: bool = False) -> Iterator[Record]:
    """Yield the sequence of each record, or with `proteins` each translated coding region.

    A record is named by its version (or accession, or locus) and its definition, a protein by its
    protein_id (or locus_tag, or gene) and its product; a coding region without /translation
    (a pseudogene) is no protein. Sequences come in capitals: the lower case in which the format
    writes them says nothing. Memory is bounded by the largest record.

    Raises InputError with the line of LOCUS when a record is cut short, has no sequence of its own
    (CONTIG) or has not the length that LOCUS gives.
    """
    stream = open_bytes(source)
    with stream:
        for entry in _split_entries(read_lines(stream), stream.where):
            if proteins:
                yield from _translations(entry)
            else:
                yield _whole_sequence(entry, f"{stream.where}, line {entry.line}")


def _split_entries(lines: Iterator[str], where: str) -> Iterator[Entry]:
    """Records from LOCUS to `//`; what stands outside (the header of a release) is none."""
    entry: Entry | None = None
    first_text = ""
    is_found = False
    for number, line in enumerate(lines, start=1):
        first_text = first_text or line.strip()
        if line.startswith("LOCUS"):
            if entry is not None:
                raise _cut_short(entry, where)
            entry, is_found = Entry(number, [line]), True
        elif entry is not None and line.startswith("//"):
            yield entry
            entry = None
        elif entry is not None:
            entry.lines.append(line)
    if entry is not None:
        raise _cut_short(entry, where)
    if not first_text:
        raise empty_file(where, "GenBank")
    if not is_found:
        raise InputError(
            where, repr(first_text[:40]), "a line that begins with LOCUS", "another file"
        )


def _cut_short(entry: Entry, where: str) -> InputError:
    return InputError(
        f"{where}, line {entry.line}",
        f"a record of {len(entry.lines)} lines without its end",
        "a last line '//'",
        "to copy or download the file again",
    )


def _whole_sequence(entry: Entry, where: str) -> Record:
    starts = [index for index, line in enumerate(entry.lines) if line.startswith("ORIGIN")]
    if not starts:
        raise InputError(
            where,
            "a record without ORIGIN",
            "the sequence itself",
            "to download it with its sequence (NCBI: 'GenBank (full)')",
        )
    sequence = NOT_LETTERS.sub("", "".join(entry.lines[starts[0] + 1 :])).upper()
    declared = LENGTH.match(entry.lines[0])
    if declared is not None and int(declared[1]) != len(sequence):
        raise InputError(
            where,
            f"{len(sequence)} letters",
            f"{declared[1]}, as LOCUS says",
            "to copy or download the file again",
        )
    names = (_field(entry, key) for key in ("VERSION", "ACCESSION", "LOCUS"))
    name = next(name.split()[0] for name in names if name)
    return Record(f"{name} {_field(entry, 'DEFINITION').removesuffix('.')}".strip(), sequence)


def _field(entry: Entry, keyword: str) -> str:
    """The text of a header field with its continuation lines, "" where there is none."""
    words: list[str] = []
    for line in entry.lines:
        if line.startswith(keyword):
            words.append(line.removeprefix(keyword).strip())
        elif words and line.startswith(" " * FIELD_COLUMN):
            words.append(line.strip())
        elif words:
            break
    return " ".join(words).strip()


def _translations(entry: Entry) -> Iterator[Record]:
    for qualifiers in _coding_regions(entry):
        if "translation" not in qualifiers:
            continue
        names = (qualifiers.get(key) for key in ("protein_id", "locus_tag", "gene"))
        name = next((name for name in names if name), "unnamed")
        sequence = NOT_LETTERS.sub("", qualifiers["translation"])
        yield Record(f"{name} {qualifiers.get('product', '')}".strip(), sequence)


def _coding_regions(entry: Entry) -> Iterator[dict[str, str]]:
    """The qualifiers of each CDS feature."""
    lines: list[str] = []  # of the CDS that is being read, location first
    in_features = False
    for line in [*entry.lines, "//"]:
        if line.startswith("FEATURES"):
            in_features = True
        elif in_features and line.startswith(" " * FIELD_COLUMN):
            if lines:
                lines.append(line.strip())
        elif in_features and line.strip():  # the next feature, or the end of them
            if lines:
                yield _parse_qualifiers("\n".join(lines))
            lines = [line] if line.split()[0] == "CDS" else []
            in_features = line.startswith(" ")


def _parse_qualifiers(text: str) -> dict[str, str]:
    """Values by key; of a key that stands twice (db_xref) the first."""
    values: dict[str, str] = {}
    for key, value in QUALIFIER.findall(text):
        value = value.removeprefix('"').removesuffix('"').replace('""', '"')
        values.setdefault(key, " ".join(value.split()))
    return values
