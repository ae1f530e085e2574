"""Windows of a stretch of a chromosome around single-base variants, the reference checked first."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lexome.errors import InputError
from lexome.io.fasta import read_fasta
from lexome.io.streams import open_bytes

# Windows (name, reference, alternate, place of the change from 0) -> scores, or reasons in words.
ScorePairs = Callable[[Sequence[tuple[str, str, str, int]]], list[float | str]]


class Region(NamedTuple):
    """Bases of a chromosome from `start` (1-based) on."""

    chromosome: str
    start: int
    bases: str


class Snv(NamedTuple):
    """A change of one base; the position counts from 1."""

    chromosome: str
    position: int
    ref: str
    alt: str

    def __str__(self) -> str:
        return f"{self.chromosome}:{self.position}{self.ref}>{self.alt}"


def read_region(path: Path) -> Region:
    """The one record of a FASTA file whose name begins with `chr17:42425000-43600000`.

    Raises:
        InputError: no such name, or another number of bases than it says.
    """
    with open_bytes(path) as stream:
        record = next(iter(read_fasta(stream)))
    place = record.name.split()[0]
    chromosome, _, span = place.partition(":")
    start, _, end = span.replace(",", "").partition("-")
    if not (start.isdigit() and end.isdigit()):
        raise InputError(
            str(path), f"the name {place!r}", "one such as chr17:42425000-43600000",
            "the region's own file",
        )  # fmt: skip
    if int(end) - int(start) + 1 != len(record.sequence):
        raise InputError(
            str(path), f"{len(record.sequence):,} bases", f"those of {place}", "a whole copy"
        )
    return Region(chromosome.removeprefix("chr"), int(start), record.sequence.upper())


def check_references(region: Region, variants: Sequence[Snv]) -> None:
    """Refuse variants whose reference base is not the region's, naming the offset that would fit.

    Raises:
        InputError: a base that disagrees.
    """
    wrong = [v for v in variants if find_problem(region, v)]
    if not wrong:
        return
    offset, share = find_fit(region, variants)
    fit = f"positions {offset:+,} fit {share:.1%} of them" if share > 0.9 and offset else ""
    raise InputError(
        f"variant {wrong[0]}",
        f"{find_problem(region, wrong[0])} ({len(wrong):,} of {len(variants):,} variants disagree)",
        "the reference's own base",
        fit or "the coordinates of the assembly that the region is of",
    )


def find_problem(region: Region, variant: Snv) -> str:
    """Why a variant does not lie on the region as it says, in words; empty: it does."""
    at = variant.position - region.start
    if variant.chromosome.removeprefix("chr") != region.chromosome:
        return f"chromosome {variant.chromosome}: no sequence at hand"
    if not 0 <= at < len(region.bases):
        return f"position {variant.position:,}: no sequence at hand"
    if region.bases[at] != variant.ref:
        return f"the reference has {region.bases[at]} at {variant.position:,}, not {variant.ref}"
    if variant.alt not in "ACGT" or len(variant.alt) != 1:
        return f"{variant.alt} is no single base"
    return ""


def find_fit(region: Region, variants: Sequence[Snv]) -> tuple[int, float]:
    """The number that, added to all positions, makes most references agree; and which share.

    Every shift that keeps the first and the last variant on the region is tried.
    """
    letters = np.frombuffer(region.bases.encode(), np.uint8)
    place = np.array([v.position for v in variants], np.int64)
    wanted = np.frombuffer("".join(v.ref for v in variants).encode(), np.uint8)
    shifts = np.arange(region.start - place.min(), region.start + len(letters) - place.max())
    if not len(shifts):
        return 0, 0.0
    alive = shifts
    agree = np.zeros(len(shifts), np.int64)
    probes = np.linspace(0, len(place) - 1, min(len(place), 200)).astype(np.int64)
    for i in probes:
        agree += letters[place[i] + alive - region.start] == wanted[i]
    best = int(shifts[np.lexsort((np.abs(shifts), -agree))[0]])
    return best, float((letters[place + best - region.start] == wanted).mean())


def cut_windows(
    region: Region, variants: Sequence[Snv], size: int
) -> list[tuple[str, str, str, int]]:
    """Reference and alternate of `size` bases each, the change in the middle (place size // 2).

    At the ends of the region the window is cut short there, as in Evo 2's published notebook.
    """
    found = []
    for variant in variants:
        at = variant.position - region.start
        begin = max(0, at - size // 2)
        ref = region.bases[begin : min(len(region.bases), at + size - size // 2)]
        place = at - begin
        alt = ref[:place] + variant.alt + ref[place + 1 :]
        found.append((str(variant), ref, alt, place))
    return found
