"""Alleles of a genome in their normal form: split, trimmed, left-aligned, with an anchor base."""

from collections.abc import Callable
from typing import NamedTuple

from lexome.sequence.agreement import shared_end, shared_start

Fetch = Callable[[int, int], str]  # the bases [start, end) of the contig, 0-based, in capitals

BASES = frozenset("ACGT")
NO_ALLELE, OVERLAPPED = ".", "*"
LOOK_BACK = 256  # bases that are fetched at once while an indel is moved to the left


class Allele(NamedTuple):
    """The bases `ref` from `start` (0-based) on become `alt`; an insertion has no `ref`."""

    start: int
    ref: str
    alt: str

    @property
    def end(self) -> int:
        """Behind the last base that is replaced."""
        return self.start + len(self.ref)


def find_flaw(ref: str, alt: str) -> str:
    """Why a pair of alleles as a VCF writes them cannot be scored, in words; empty: it can.

    >>> find_flaw("A", "<DEL>"), find_flaw("A", "AT")
    ('the allele <DEL> is symbolic: its bases are not given', '')
    """
    if BASES.issuperset(ref) and BASES.issuperset(alt) and ref and alt:
        return "the allele is the reference itself" if ref == alt else ""
    if alt in (NO_ALLELE, ""):
        return "no alternate allele"
    if alt == OVERLAPPED:
        return "the allele * is a deletion that is told in another row"
    if alt.startswith("<"):
        return f"the allele {alt} is symbolic: its bases are not given"
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return f"the allele {alt[:40]} is a breakend: its bases are not given"
    for name, letters in (("reference", ref), ("alternate", alt)):
        foreign = next((letter for letter in letters if letter not in BASES), "")
        if foreign or not letters:
            return f"the {name} allele holds {foreign or 'nothing'!r}, which is no base"
    return ""


def trim(start: int, ref: str, alt: str) -> Allele:
    """Without the bases that both alleles share, first at their ends, then at their starts.

    >>> trim(10, "CAA", "CA"), trim(10, "GCT", "GTT")
    (Allele(start=11, ref='A', alt=''), Allele(start=11, ref='C', alt='T'))
    """
    if len(ref) == len(alt) == 1:
        return Allele(start, ref, alt)
    end = shared_end(ref, alt, min(len(ref), len(alt)))
    ref, alt = ref[: len(ref) - end], alt[: len(alt) - end]
    front = shared_start(ref, alt)
    return Allele(start + front, ref[front:], alt[front:])


def left_align(allele: Allele, fetch: Fetch) -> Allele:
    """A trimmed allele as far to the left as it can be written.

    Only what is inserted or deleted alone can move: by a base to the left wherever the base
    before it is the last one of it. The same place as by Tan, Abecasis and Kang 2015
    (Bioinformatics 31:2202) and `bcftools norm`.

    >>> genome = "GGCACACAT"
    >>> left_align(Allele(6, "CA", ""), lambda start, end: genome[start:end])
    Allele(start=2, ref='CA', alt='')
    """
    moving = allele.ref or allele.alt
    if allele.ref and allele.alt:
        return allele
    moves, start, size = 0, allele.start, len(moving)
    while start - moves > 0:
        end = start - moves
        before = fetch(max(end - LOOK_BACK, 0), end)
        for base in reversed(before):
            if base != moving[(size - 1 - moves) % size]:
                break
            moves += 1
        else:
            continue
        break
    turn = moves % size
    moved = moving[size - turn :] + moving[: size - turn]
    return Allele(start - moves, moved if allele.ref else "", moved if allele.alt else "")


def anchor(allele: Allele, fetch: Fetch) -> Allele:
    """The same as a VCF writes it: with the base before an insertion or a deletion.

    Before the first base of a contig there is none: there it is the base behind.

    >>> anchor(Allele(2, "CA", ""), lambda start, end: "GGCACACAT"[start:end])
    Allele(start=1, ref='GCA', alt='G')
    """
    if allele.ref and allele.alt:
        return allele
    if allele.start > 0:
        base = fetch(allele.start - 1, allele.start)
        return Allele(allele.start - 1, base + allele.ref, base + allele.alt)
    base = fetch(allele.end, allele.end + 1)
    return Allele(0, allele.ref + base, allele.alt + base)
