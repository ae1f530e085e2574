"""Variants of a genome made ready for a DNA model: checked, left-aligned, with equal windows."""

from collections.abc import Iterator
from typing import NamedTuple

from lexome.io.genome import Contig, Genome
from lexome.io.vcf import VcfRow
from lexome.scoring.pairs.pair import Pair
from lexome.sequence.agreement import shared_start
from lexome.sequence.alleles import Allele, anchor, find_flaw, left_align, trim

SHOWN = 20  # bases of an allele that a reason quotes


class Variant(NamedTuple):
    """One alternate allele of a row; where it cannot be used, `reason` says why."""

    row: VcfRow
    alt: str  # as the file writes it
    contig: Contig | None
    allele: Allele | None  # trimmed and left-aligned
    reason: str = ""

    @property
    def name(self) -> str:
        """What messages call it: 17:43124118 T>G."""
        fields = self.row.fields
        return f"{fields[0]}:{fields[1]} {fields[3][:SHOWN]}>{self.alt[:SHOWN]}"


def read_variants(genome: Genome, row: VcfRow) -> list[Variant]:
    """One variant for each alternate allele of a row, in the row's order.

    The reference allele must be what the FASTA has at the position, else no allele of the row is
    used; case does not matter.
    """
    contig, reason = check_reference(genome, row)
    if reason or contig is None:
        return [Variant(row, alt, contig, None, reason) for alt in row.alts]
    found = []
    start, ref = int(row.fields[1]) - 1, row.fields[3].upper()
    for alt in row.alts:
        upper = alt.upper()
        flaw = find_flaw(ref, upper)
        if flaw:
            found.append(Variant(row, alt, contig, None, flaw))
            continue
        allele = trim(start, ref, upper)
        if not (allele.ref and allele.alt):
            allele = left_align(allele, lambda low, high: genome.fetch(contig, low, high))
        found.append(Variant(row, alt, contig, allele))
    return found


def check_reference(genome: Genome, row: VcfRow) -> tuple[Contig | None, str]:
    """The contig of a row, and what of its place or reference allele is wrong, in words."""
    name, position, _, ref = row.fields[:4]
    contig = genome.find(name)
    if contig is None:
        return None, f"the FASTA has no contig {name}"
    if not (position.isascii() and position.isdigit()):
        return contig, f"the position {position!r} is no whole number"
    start = int(position) - 1
    if start < contig.first or start + len(ref) > contig.last:
        return contig, (
            f"position {position} lies outside the FASTA's {contig.name}, which has "
            f"{contig.first + 1} to {contig.last}"
        )
    there = genome.fetch(contig, start, start + len(ref))
    if there != ref.upper():
        return contig, f"the FASTA has {there[:SHOWN]} at {position}, not {ref[:SHOWN]}"
    return contig, ""


def spell(variant: Variant, genome: Genome) -> str:
    """POS:REF:ALT of the left-aligned allele as VCF writes it; empty where there is none."""
    contig, allele = variant.contig, variant.allele
    if contig is None or allele is None:
        return ""
    full = anchor(allele, lambda low, high: genome.fetch(contig, low, high))
    return f"{full.start + 1}:{full.ref}:{full.alt}"


def make_pair(genome: Genome, variant: Variant, size: int) -> Pair | str:
    """The windows of a variant on the plus strand, or why there are none.

    Both have the same length: `size`, or less where the run of A, C, G and T around the variant
    (to the contig's end, or to the next N) is shorter. The first changed base stands at
    `size // 2`, as far as the run allows; else the window is shifted into the run. Behind a
    deletion the alternate window takes further bases of the genome, behind an insertion fewer.
    """
    contig, allele = variant.contig, variant.allele
    if contig is None or allele is None:
        return variant.reason
    start, longer = allele.start, max(len(allele.ref), len(allele.alt))
    inside = start if allele.ref or start == contig.first else start - 1
    low, high = genome.stretch(contig, inside)
    taken = max(len(allele.ref) - len(allele.alt), 0)  # bases that come in behind a deletion
    width = min(size, high - low - taken)
    if longer > width:
        return f"alleles of {longer:,} bases do not fit into a window of {max(width, 0):,}"
    first = start - size // 2 + (longer - 1) // 2
    first = min(max(first, start + longer - width, low), high - taken - width)
    if start + longer > first + width:
        return (
            f"too near to the end of the bases at {high:,}: windows with all {longer:,} changed "
            "ones would not be equally long"
        )
    bases = genome.fetch(contig, first, first + width + taken)
    at = start - first
    ref = bases[:width]
    alt = bases[:at] + allele.alt + bases[at + len(allele.ref) :]
    alt = alt[:width]
    if len(allele.ref) != len(allele.alt):
        at = shared_start(ref, alt)
        if at == width:
            return f"both windows of {width:,} bases are the same"
    return Pair(variant.name, ref, alt, at)


def make_pairs(
    genome: Genome, variants: list[Variant], size: int, most_bases: int
) -> Iterator[list[tuple[int, Pair | str]]]:
    """(number of the variant, its pair or reason) in runs that hold at most so many bases."""
    batch: list[tuple[int, Pair | str]] = []
    held = 0
    for i, variant in enumerate(variants):
        pair = make_pair(genome, variant, size)
        batch.append((i, pair))
        held += 2 * len(pair.ref) if isinstance(pair, Pair) else 0
        if held >= most_bases:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
