"""Finds out before the work whether a VCF and a FASTA file count positions from the same base."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError
from lexome.io.genome import Contig, Genome
from lexome.io.vcf import VcfRow
from lexome.scoring.genomes.variants import check_reference
from lexome.sequence.alleles import BASES

MOST_ROWS = 10_000  # that are looked at
PROBES = 24  # reference bases that every shift is tried with first
SHARE = 0.9  # of the reference alleles that a shift must make right
CHANCE = 0.4  # of a base to agree at a wrong place, in genomes poor in G and C
MOST_BY_CHANCE = 0.01  # wrong shifts that are expected to fit
BLOCK = 1 << 22

Bytes = NDArray[np.uint8]


class Shift(NamedTuple):
    """What, added to all positions of a contig, makes `share` of `tried` alleles agree."""

    contig: Contig
    offset: int
    share: float
    tried: int


def check_coordinates(genome: Genome, rows: Iterable[VcfRow], where: str) -> None:
    """Refuse a file of which most of the first rows disagree with the FASTA for one cause.

    Raises:
        InputError: no row's contig is in the FASTA; or most reference alleles are wrong and all
            positions moved by one number would make nine of ten right: that number is named.
    """
    seen: Counter[str] = Counter()
    right, wrong = 0, list[tuple[Contig, int, str]]()
    for row in islice(rows, MOST_ROWS):
        seen[row.fields[0]] += 1
        contig, reason = check_reference(genome, row)
        position, ref = row.fields[1], row.fields[3].upper()
        if contig is None or not position.isdigit() or not ref or not BASES.issuperset(ref):
            continue
        if reason:
            wrong.append((contig, int(position) - 1, ref))
        else:
            right += 1
    if seen and not any(genome.find(name) for name in seen):
        raise _no_contig(genome, next(iter(seen)), where)
    if len(wrong) <= right:
        return
    name = Counter(contig.name for contig, _, _ in wrong).most_common(1)[0][0]
    mine = [one for one in wrong if one[0].name == name]
    found = find_shift(genome, mine[0][0], [(start, ref) for _, start, ref in mine])
    if found is not None:
        raise _shifted(found, len(wrong), right, where)


def find_shift(genome: Genome, contig: Contig, alleles: list[tuple[int, str]]) -> Shift | None:
    """The shift by which at least SHARE of the reference alleles agree, tried over a whole contig.

    Every shift that leaves the probes inside the contig is tried, so none is overlooked; None
    where none fits, and where so few bases are known that one might fit by chance.

    Args:
        alleles: (0-based start, bases) as the VCF has them.
    """
    alleles = sorted(set(alleles))
    step = max(len(alleles) // PROBES, 1)
    probes = alleles[::step][:PROBES]
    low = max(contig.first - start for start, _ in probes)
    high = min(contig.last - start - len(ref) for start, ref in probes)
    if high < low:
        return None
    if (high - low + 1) * _by_chance(len(alleles)) > MOST_BY_CHANCE:
        return None
    best: Shift | None = None
    for offset in _candidates(genome, contig, probes, low, high):
        agree = sum(
            genome.fetch(contig, start + offset, start + offset + len(ref)) == ref
            for start, ref in alleles
        )
        share = agree / len(alleles)
        key = (share, -abs(offset))
        if share >= SHARE and (best is None or key > (best.share, -abs(best.offset))):
            best = Shift(contig, offset, share, len(alleles))
    return best


def _by_chance(num: int) -> float:
    """How likely a wrong shift makes SHARE of so many first bases agree."""
    from scipy.stats import binom

    return float(binom.sf(np.ceil(SHARE * num) - 1, num, CHANCE))


def _candidates(
    genome: Genome, contig: Contig, probes: list[tuple[int, str]], low: int, high: int
) -> list[int]:
    """Shifts from `low` to `high` that make enough probes' first bases agree, block by block."""
    least = int(len(probes) * SHARE * SHARE)  # the probes are a sample: they may do a bit worse
    found: list[int] = []
    for begin in range(low, high + 1, BLOCK):
        end = min(begin + BLOCK, high + 1)
        agree: Bytes = np.zeros(end - begin, np.uint8)
        for start, ref in probes:
            text = genome.fetch(contig, start + begin, start + end)
            agree += np.frombuffer(text.encode("latin-1"), np.uint8) == ord(ref[0])
        found += (np.flatnonzero(agree >= least) + begin).tolist()
    return sorted(found, key=abs)[:MOST_ROWS]


def _no_contig(genome: Genome, name: str, where: str) -> InputError:
    there = list(genome.contigs)
    if name.startswith("chr") and name.removeprefix("chr") in there:
        remedy = "`--contigs remove-chr`"
    elif f"chr{name}" in there:
        remedy = "`--contigs add-chr`"
    else:
        remedy = (
            f"the FASTA file of that assembly, or `--offset {name}:POSITION` where its one record "
            "is a region that begins there"
        )
    return InputError(
        where,
        f"contigs such as {name!r}, of which none is in the FASTA",
        f"names such as {', '.join(repr(one) for one in there[:3])}",
        remedy,
    )


def _shifted(shift: Shift, wrong: int, right: int, where: str) -> InputError:
    offset, contig = shift.offset, shift.contig
    first = contig.first + 1 - offset
    region = f", or `--offset {contig.name}:{first}` if the FASTA begins there" if first > 0 else ""
    return InputError(
        where,
        f"{wrong:,} of {wrong + right:,} reference alleles that the FASTA does not have there; "
        f"with {offset:+d} added to the positions {shift.share:.1%} of {shift.tried:,} on "
        f"{contig.name} would agree",
        "positions that count from the FASTA's first base",
        f"adding {offset:+d} to the positions (0-based ones need +1){region}",
    )
