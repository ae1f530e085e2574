"""Reads VCF files a row at a time and writes them again with further INFO fields."""

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

from lexome.errors import InputError
from lexome.io.streams import ByteStream, Source, empty_file, open_bytes, read_blocks
from lexome.results.files import atomic_path

COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
INFO = COLUMNS.index("INFO")
FEWEST = COLUMNS.index("ALT") + 1  # columns of a file without a header
MISSING = "."
ENDINGS = (".vcf", ".vcf.gz", ".vcf.bgz")
# VCF is UTF-8; bytes that are none pass through unchanged.
ENCODING, ERRORS = "utf-8", "surrogateescape"
_INFO_ID = re.compile(r"##INFO=<ID=([^,>]+)")
_ESCAPED = str.maketrans({c: f"%{ord(c):02X}" for c in "%;=,\r\n\t "})
# A block of BGZF: gzip with its compressed size in an extra field, at most 64 KiB (SAM 4.1).
_BGZF_BYTES = 0xFF00
_BGZF_HEAD = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0"
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

Write = Callable[[str], None]


class InfoField(NamedTuple):
    """A line of the header that tells of a field; `number` is A for one value an allele."""

    name: str
    number: str
    type: str
    meaning: str

    def __str__(self) -> str:
        meaning = self.meaning.replace("\\", "\\\\").replace('"', '\\"')
        return (
            f'##INFO=<ID={self.name},Number={self.number},Type={self.type},Description="{meaning}">'
        )


class VcfHeader(NamedTuple):
    """The lines `##...` as they stand (none: there was no header), and the names of the columns."""

    lines: tuple[str, ...]
    columns: tuple[str, ...]

    def info_names(self) -> set[str]:
        """The INFO fields that are told of."""
        return {found[1] for line in self.lines if (found := _INFO_ID.match(line))}


class VcfRow(NamedTuple):
    """A row as it stands: its first eight columns, and the rest as one text."""

    number: int  # from 1, headers not counted
    line: int  # in the file, from 1
    text: str
    fields: list[str]

    @property
    def alts(self) -> list[str]:
        """The alternate alleles in order; `.` alone where there is none."""
        return self.fields[4].split(",")


class Vcf(NamedTuple):
    """An open file: its header, and its rows in order."""

    header: VcfHeader
    rows: Iterator[VcfRow]


def is_vcf(path: str | Path) -> bool:
    """Whether the ending is a VCF's.

    >>> is_vcf("a.vcf.gz"), is_vcf("a.csv")
    (True, False)
    """
    return str(path).lower().endswith(ENDINGS)


@contextmanager
def open_vcf(source: Source, needs_header: bool = True) -> Iterator[Vcf]:
    """Open a VCF, plain, gzipped or bgzipped; one row at a time is held.

    Rows need not be sorted. With `needs_header=False` a file may do without its header, and its
    rows have at least the columns up to ALT in VCF's order.

    Raises:
        InputError: BCF, no header, columns in another order, a row with another number of columns
            (each with the line); the rest of a row is not judged here.
    """
    with open_bytes(source) as stream:
        if stream.first_bytes().startswith(b"BCF"):
            raise InputError(
                stream.where, "BCF, the binary form", "VCF", f"`bcftools view {stream.where}`"
            )
        lines = enumerate(_read_lines(stream), start=1)
        header, first = _read_header(lines, stream.where, needs_header)
        yield Vcf(header, _read_rows(header, first, lines, stream.where))


def annotate_header(header: VcfHeader, fields: list[InfoField], notes: list[str]) -> str:
    """The header with lines for further fields and notes, as text, above the row of columns.

    Raises:
        InputError: a field that the file has already.
    """
    taken = [field.name for field in fields if field.name in header.info_names()]
    if taken:
        raise InputError(
            "the VCF's header",
            f"an INFO field {taken[0]} that is there already",
            "a file without it",
            f"`bcftools annotate -x {','.join(f'INFO/{name}' for name in taken)}`",
        )
    lines = list(header.lines)
    if not lines or not lines[0].startswith("##fileformat="):
        lines.insert(0, "##fileformat=VCFv4.2")
    columns = "\t".join([*header.columns, *COLUMNS[len(header.columns) :]])
    return "".join(f"{line}\n" for line in [*lines, *map(str, fields), *notes, columns])


def annotate_row(row: VcfRow, info: str) -> str:
    """A row with fields added to its INFO; every other column is kept byte for byte.

    Columns that a file without a header lacks are filled with `.`.
    """
    fields = row.fields
    if len(fields) <= INFO:
        fields = fields + [MISSING] * (INFO + 1 - len(fields))
    if not info:
        return "\t".join(fields) + "\n"
    old = fields[INFO]
    new = info if old in (MISSING, "") else f"{old.removesuffix(';')};{info}"
    return "\t".join([*fields[:INFO], new, *fields[INFO + 1 :]]) + "\n"


def escape(value: str) -> str:
    """A text as INFO takes it: signs with a meaning there, and blanks, as percent codes.

    >>> escape("p.Ala12=; a, b")
    'p.Ala12%3D%3B%20a%2C%20b'
    """
    return value.translate(_ESCAPED)


@contextmanager
def write_vcf(path: Path) -> Iterator[Write]:
    """A function that writes text to a VCF that appears whole or not at all.

    `.vcf.gz` and `.vcf.bgz` are blocked gzip, as bgzip makes and tabix indexes it.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        if path.suffix.lower() == ".vcf":
            yield lambda text: _write(file, text.encode(ENCODING, ERRORS))
            return
        waiting = bytearray()

        def write(text: str) -> None:
            waiting.extend(text.encode(ENCODING, ERRORS))
            while len(waiting) >= _BGZF_BYTES:
                _write(file, _bgzf_block(bytes(waiting[:_BGZF_BYTES])))
                del waiting[:_BGZF_BYTES]

        yield write
        if waiting:
            _write(file, _bgzf_block(bytes(waiting)))
        _write(file, _BGZF_END)


def _write(file: IO[bytes], data: bytes) -> None:
    file.write(data)


def _bgzf_block(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    if len(packed) + 26 > 0x10000:  # what cannot be made smaller is stored as it is
        packer = zlib.compressobj(0, zlib.DEFLATED, -15)
        packed = packer.compress(data) + packer.flush()
    size = struct.pack("<H", len(packed) + 25)
    return _BGZF_HEAD + size + packed + struct.pack("<II", zlib.crc32(data), len(data))


def _read_lines(stream: ByteStream) -> Iterator[str]:
    waiting: list[bytes] = []
    for block in read_blocks(stream):
        cut = block.rfind(b"\n") + 1
        waiting.append(block[:cut] or block)
        if cut:
            yield from b"".join(waiting).decode(ENCODING, ERRORS).split("\n")[:-1]
            waiting = [block[cut:]] if cut < len(block) else []
    if waiting:
        yield b"".join(waiting).decode(ENCODING, ERRORS)


def _read_header(
    lines: Iterator[tuple[int, str]], where: str, needs_header: bool
) -> tuple[VcfHeader, tuple[int, str] | None]:
    """The header, and the first line behind it."""
    kept: list[str] = []
    number = 0
    for number, line in lines:
        if line.startswith("##"):
            kept.append(line)
        elif line.startswith("#"):
            columns = tuple(line.split("\t"))
            if columns[: len(COLUMNS)] != COLUMNS:
                raise InputError(
                    f"{where}, line {number}",
                    repr(line[:80]),
                    f"{' '.join(COLUMNS)} with tabs between",
                    "that line above the rows",
                )
            return VcfHeader(tuple(kept), columns), next(lines, None)
        elif line.strip():
            if needs_header or kept:
                break
            return VcfHeader((), _name_columns(line, f"{where}, line {number}")), (number, line)
    if number == 0:
        raise empty_file(where, "VCF")
    seen = f"a row {line[:60]!r}" if not line.startswith("##") else "no row of column names"
    raise InputError(
        f"{where}, line {number}",
        f"{seen} before the header has ended",
        "##fileformat=VCFv4.2 and the line #CHROM POS ID REF ALT QUAL FILTER INFO above the rows",
        "adding them, or `--no-header` where the columns stand in that order",
    )


def _name_columns(first: str, where: str) -> tuple[str, ...]:
    """Names for the columns of a file without a header."""
    num = first.count("\t") + 1
    if num < FEWEST:
        raise _odd_row(where, first, f"at least {FEWEST}")
    samples = (f"sample_{i}" for i in range(1, num - len(COLUMNS)))
    return (*COLUMNS, "FORMAT", *samples)[:num]


def _read_rows(
    header: VcfHeader, first: tuple[int, str] | None, lines: Iterator[tuple[int, str]], where: str
) -> Iterator[VcfRow]:
    tabs, row = len(header.columns) - 1, 0
    for number, text in chain([first] if first else [], lines):
        if not text.strip():
            continue
        if text.count("\t") != tabs or text.startswith("#"):
            raise _odd_row(f"{where}, line {number}", text, str(tabs + 1))
        row += 1
        yield VcfRow(row, number, text, text.split("\t", INFO + 1))


def _odd_row(where: str, text: str, columns: str) -> InputError:
    if text.startswith("#"):
        return InputError(
            where, "a line of a header among the rows", "one header", "removing the second one"
        )
    return InputError(
        where,
        f"{text.count(chr(9)) + 1} columns in {text[:60]!r}",
        f"{columns}, with tabs between",
        "checking that line: were tabs made spaces, or was the file cut short?",
    )
