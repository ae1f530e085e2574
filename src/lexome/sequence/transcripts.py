"""Where the exons and the coding parts of a transcript lie in its genome, and what lies where."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

Span = tuple[int, int]  # [start, end) in the genome, 0-based
SHORTEST_INTRON = 13  # a smaller gap is no intron but a slip of the ribosome or of the assembly
_BIN = 1 << 14  # bases of the index's bins


class Transcript(NamedTuple):
    """A coding transcript; all spans ascend in the genome, whatever its strand.

    `phase` is how many bases lie before its first whole codon. `recoded` are codons (by the genome
    position of their lowest base) that are read as another amino acid. `flaw` is what in the
    annotation makes it unusable, in words.
    """

    name: str
    gene: str
    contig: str
    strand: str  # + or -
    exons: tuple[Span, ...]
    cds: tuple[Span, ...]
    phase: int = 0
    code: int | None = None  # genetic code, where the annotation says so
    recoded: tuple[tuple[int, str], ...] = ()
    flaw: str = ""

    @property
    def start(self) -> int:
        """The first base."""
        return min(self.exons[0][0], self.cds[0][0])

    @property
    def end(self) -> int:
        """Behind the last base."""
        return max(self.exons[-1][1], self.cds[-1][1])

    def introns(self) -> list[Span]:
        """What lies between exons and is long enough to be spliced out."""
        pairs = ((a[1], b[0]) for a, b in pairwise(self.exons))
        return [(low, high) for low, high in pairs if high - low >= SHORTEST_INTRON]

    def coding_place(self, start: int, end: int) -> list[tuple[int, int]]:
        """(first, length) in the coding bases of what stands at [start, end), for every coding part
        that holds it whole; an insertion (start == end) lies within a part, never at its border.

        More than one where the ribosome slips back and reads bases twice.

        >>> Transcript("t", "g", "I", "-", ((0, 9),), ((0, 9),)).coding_place(1, 2)
        [(7, 1)]
        """
        places, before = [], 0
        for low, high in self.cds if self.strand == "+" else reversed(self.cds):
            holds = low <= start and end <= high if start < end else low < start < high
            if holds:
                inside = start - low if self.strand == "+" else high - end
                places.append((before + inside, end - start))
            before += high - low
        return places


def touches(span: Span, start: int, end: int) -> bool:
    """Whether [start, end) overlaps a span; an insertion must lie within it, not at its border."""
    if start < end:
        return start < span[1] and end > span[0]
    return span[0] < start < span[1]


class TranscriptIndex:
    """Finds the transcripts over a place; they come in the order in which they were given."""

    def __init__(self, transcripts: Iterable[Transcript]) -> None:
        self.transcripts = list(transcripts)
        self._bins: dict[tuple[str, int], list[int]] = {}
        for i, one in enumerate(self.transcripts):
            for number in range(one.start // _BIN, (one.end - 1) // _BIN + 1):
                self._bins.setdefault((one.contig, number), []).append(i)

    @property
    def contigs(self) -> set[str]:
        """Where there are transcripts."""
        return {contig for contig, _ in self._bins}

    def find(self, contig: str, start: int, end: int) -> list[Transcript]:
        """Those that [start, end) overlaps."""
        low, high = start // _BIN, max(end - 1, start) // _BIN
        if low == high:
            found: Iterable[int] = self._bins.get((contig, low), ())
        else:
            bins = (self._bins.get((contig, number), ()) for number in range(low, high + 1))
            found = sorted({i for one in bins for i in one})
        near = (self.transcripts[i] for i in found)
        return [one for one in near if touches((one.start, one.end), start, end)]
