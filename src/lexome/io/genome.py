"""Regions of the contigs of a FASTA file, plain or gzipped, in bounded memory."""

import mmap
import tempfile
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

import numpy as np

from lexome.errors import InputError
from lexome.io.streams import ByteStream, missing_file, open_bytes, read_blocks
from lexome.results.files import translate_disk_errors

BLOCK = 1 << 22
RENAMES = ("as-is", "add-chr", "remove-chr")
_IS_BASE = np.zeros(256, bool)
_IS_BASE[list(b"ACGTacgt")] = True


class Contig(NamedTuple):
    """Where the bases of a record lie: lines of `width` bases and `step` bytes, from `at` on.

    `first` is the 0-based position of its first base in the genome: not 0 where the record is
    only a region.
    """

    name: str
    length: int
    at: int
    width: int
    step: int
    first: int = 0

    @property
    def last(self) -> int:
        """Behind its last base, in the genome."""
        return self.first + self.length


class Genome:
    """The contigs of a FASTA file by name; use it in a `with` block.

    Nothing is written beside the file. A plain file whose records have lines of one length is
    mapped into memory as it is; another (gzipped, uneven) is unpacked to a nameless temporary
    file, which is gone when this is closed, or the process is killed.

    Args:
        region: "CONTIG:POSITION" where the file is a region of a genome: the name of the contig
            and the position, from 1, of the first base of its one record.
        rename: how a contig is looked up: "as-is", "add-chr" (17 is the record chr17) or
            "remove-chr". Nothing is tried besides.

    Raises:
        InputError: no FASTA, two records of one name, a region of a file with several records.
    """

    def __init__(self, path: str | Path, region: str | None = None, rename: str = "as-is") -> None:
        if rename not in RENAMES:
            raise InputError("contigs", repr(rename), ", ".join(RENAMES), "`--contigs as-is`")
        self.path, self.rename = Path(path), rename
        if not self.path.is_file():
            raise missing_file(self.path)
        self._file, found = _open_mapped(self.path)
        self._bytes = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self.contigs: dict[str, Contig] = {}
        self._gaps: dict[str, tuple[list[int], list[int]]] = {}
        try:
            for contig in found:
                if contig.name in self.contigs:
                    raise InputError(
                        str(path),
                        f"two records called {contig.name!r}",
                        "a record a contig",
                        "removing one of them",
                    )
                self.contigs[contig.name] = contig
            if not any(contig.length for contig in found):
                raise InputError(str(path), "no base", "a genome", "another file")
            if region is not None:
                self._place(region)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Genome":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file; what was unpacked for it is gone."""
        self._bytes.close()
        self._file.close()

    def find(self, name: str) -> Contig | None:
        """The contig that a VCF or a GFF calls by this name; None where there is none."""
        if self.rename == "add-chr":
            name = f"chr{name}"
        elif self.rename == "remove-chr":
            name = name.removeprefix("chr")
        return self.contigs.get(name)

    def fetch(self, contig: Contig, start: int, end: int) -> str:
        """The bases [start, end) in capitals; 0-based in the genome, cut off at the record's ends.

        Soft-masked bases (small letters) come as any other.
        """
        start, end = max(start - contig.first, 0), min(end - contig.first, contig.length)
        if start >= end:
            return ""
        lines, rest = divmod(start, contig.width)
        low = contig.at + lines * contig.step + rest
        lines, rest = divmod(end, contig.width)
        taken = self._bytes[low : contig.at + lines * contig.step + rest]
        if contig.step != contig.width:
            taken = taken.replace(b"\n", b"").replace(b"\r", b"")
        return taken.decode("latin-1").upper()

    def blocks(self, contig: Contig) -> Iterator[tuple[int, str]]:
        """(position of the first base, bases) over a whole contig, in order."""
        for start in range(contig.first, contig.last, BLOCK):
            yield start, self.fetch(contig, start, start + BLOCK)

    def stretch(self, contig: Contig, position: int) -> tuple[int, int]:
        """The longest run [start, end) of A, C, G and T only that holds a position; else empty.

        The runs are found once for each contig.
        """
        if contig.name not in self._gaps:
            self._gaps[contig.name] = self._find_runs(contig)
        starts, ends = self._gaps[contig.name]
        i = bisect_right(starts, position) - 1
        if i < 0 or ends[i] <= position:
            return position, position
        return starts[i], ends[i]

    def _find_runs(self, contig: Contig) -> tuple[list[int], list[int]]:
        borders = []
        before = False
        for start, bases in self.blocks(contig):
            is_base = _IS_BASE[np.frombuffer(bases.encode("latin-1"), np.uint8)]
            changes = np.flatnonzero(np.diff(is_base, prepend=before))
            borders.append(changes + start)
            before = bool(is_base[-1])
        found = np.concatenate(borders).tolist() if borders else []
        if before:
            found.append(contig.last)
        return found[::2], found[1::2]

    def _place(self, region: str) -> None:
        name, colon, number = region.rpartition(":")
        position = number.split("-")[0].replace(",", "")
        if not (colon and name and position.isdigit() and int(position) > 0):
            raise InputError(
                f"offset {region!r}",
                "no CONTIG:POSITION",
                "the contig, and the position (from 1) of the FASTA's first base in it",
                "a text such as chr17:42425000",
            )
        if len(self.contigs) != 1:
            raise InputError(
                str(self.path),
                f"{len(self.contigs):,} records",
                f"one, where it is the region {region}",
                "a FASTA file of that record alone",
            )
        only = next(iter(self.contigs.values()))
        self.contigs = {name: only._replace(name=name, first=int(position) - 1)}


def _open_mapped(path: Path) -> tuple[IO[bytes], list[Contig]]:
    """An open file, to be mapped, and the contigs in it."""
    with open_bytes(path) as stream:
        if not stream.first_bytes().lstrip().startswith(b">"):
            raise InputError(
                str(path), "a file without '>' at its start", "FASTA", "the genome's FASTA file"
            )
        if stream.origin is not None:
            file = path.open("rb")
            contigs = _index(file)
            if contigs is not None:
                return file, contigs
            file.close()
        with translate_disk_errors(Path(tempfile.gettempdir())):
            return _unpack(stream)


def _index(file: IO[bytes]) -> list[Contig] | None:
    """The contigs of a plain FASTA file; None where lines within a record differ in length."""
    contigs = []
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        at = 0 if text[:1] == b">" else -1
        while at >= 0:
            end = text.find(b"\n", at)
            following = text.find(b"\n>", at)
            stop = following + 1 if following >= 0 else len(text)
            if end < 0 or end + 1 > stop:
                return None
            contig = _index_record(text, at, end + 1, stop)
            if contig is None:
                return None
            contigs.append(contig)
            at = following + 1 if following >= 0 else -1
    return contigs or None


def _index_record(text: mmap.mmap, at: int, start: int, stop: int) -> Contig | None:
    name = _name(text[at + 1 : start])
    while stop > start and text[stop - 1] in b"\r\n":  # blank lines at the end count for nothing
        stop -= 1
    first = text.find(b"\n", start, stop)
    if first < 0:
        width = step = max(stop - start, 1)
    else:
        step = first + 1 - start
        width = step - 2 if text[first - 1 : first] == b"\r" else step - 1
    if width < 1 or not _is_even(text, start, stop, width, step):
        return None
    lines, rest = divmod(stop - start, step)
    return Contig(name, lines * width + min(rest, width), start, width, step)


def _is_even(text: mmap.mmap, start: int, stop: int, width: int, step: int) -> bool:
    """Whether all that is no base stands just where lines of one length end."""
    size = max(BLOCK // step, 1) * step
    ends = np.tile(np.arange(step) >= width, size // step)
    for low in range(start, stop, size):
        is_space = np.frombuffer(text[low : min(low + size, stop)], np.uint8) <= ord(" ")
        if not np.array_equal(is_space, ends[: is_space.size]):
            return False
    return True


def _unpack(stream: ByteStream) -> tuple[IO[bytes], list[Contig]]:
    """The bases alone, a record after the other, in a temporary file without a name."""
    file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - the genome closes it
    headers: list[tuple[bytes, int]] = []  # and where the record begins
    at, carry, is_new_line = 0, b"", True
    try:
        for block in read_blocks(stream):
            text = (b"\n" if is_new_line else b"") + carry + block
            is_new_line, carry = block.endswith(b"\n"), b""
            for i, piece in enumerate(text.split(b"\n>")):
                if i:
                    header, newline, piece = piece.partition(b"\n")
                    if not newline:  # the header goes on in the next block
                        carry, is_new_line = b">" + header, True
                        break
                    headers.append((header, at))
                bases = b"".join(piece.split())
                file.write(bases)
                at += len(bases)
        if at == 0:
            raise InputError(stream.where, "no base", "a genome", "another file")
        file.flush()
    except BaseException:
        file.close()
        raise
    starts = [start for _, start in headers]
    sizes = [end - start for start, end in zip(starts, [*starts[1:], at], strict=True)]
    contigs = [
        Contig(_name(header), size, start, max(size, 1), max(size, 1))
        for (header, start), size in zip(headers, sizes, strict=True)
    ]
    return file, contigs


def _name(header: bytes) -> str:
    words = header.decode("utf-8", "replace").split()
    return words[0] if words else ""
