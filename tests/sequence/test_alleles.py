"""Normal forms of alleles: on paper, and against bcftools."""

from pathlib import Path
from random import Random

import pysam
import pysam.bcftools
import pytest

from lexome.sequence.agreement import shared_end, shared_start
from lexome.sequence.alleles import Allele, anchor, find_flaw, left_align, trim


def slow_left_align(allele: Allele, genome: str) -> Allele:
    """The plain twin: a base at a time, as the definition says."""
    start, ref, alt = allele
    while not (ref and alt) and start > 0:
        moving = ref or alt
        if genome[start - 1] != moving[-1]:
            break
        turned = moving[-1] + moving[:-1]
        start, ref, alt = start - 1, turned if ref else "", turned if alt else ""
    return Allele(start, ref, alt)


def random_case(draw: Random, genome: str) -> tuple[int, str, str]:
    start = draw.randrange(1, len(genome) - 12)
    ref = genome[start : start + draw.randrange(1, 9)]
    alt = draw.choice(
        [
            genome[start : start + draw.randrange(1, 9)],
            "".join(draw.choices("AC", k=draw.randrange(1, 7))),
        ]
    )
    return start, ref, alt


def test_left_alignment_is_that_of_its_plain_twin():
    draw = Random(0)
    genome = "".join(draw.choices("AC", k=60)) + "CA" * 400 + "G"
    for _ in range(2_000):
        start, ref, alt = random_case(draw, genome)
        if ref != alt:
            allele = trim(start, ref, alt)
            assert left_align(allele, lambda a, b: genome[a:b]) == slow_left_align(allele, genome)


def test_normal_forms_are_those_of_bcftools(tmp_path: Path):
    draw = Random(1)
    genome = "G" + "".join(draw.choices("AC", k=300)) + "CACACACACAAAAAAAAACCCC" * 9 + "T" * 20
    fasta, vcf = tmp_path / "g.fa", tmp_path / "in.vcf"
    fasta.write_text(f">c\n{genome}\n")
    rows, ours = [], []
    while len(rows) < 600:
        start, ref, alt = random_case(draw, genome)
        if ref == alt:
            continue
        name = f"v{len(rows)}"
        rows.append(f"c\t{start + 1}\t{name}\t{ref}\t{alt}\t.\t.\t.")
        full = anchor(
            left_align(trim(start, ref, alt), lambda a, b: genome[a:b]), lambda a, b: genome[a:b]
        )
        ours.append((name, full.start + 1, full.ref, full.alt))
    vcf.write_text(
        f"##fileformat=VCFv4.2\n##contig=<ID=c,length={len(genome)}>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        + "\n".join(rows)
        + "\n"
    )
    out = pysam.bcftools.norm("-f", str(fasta), str(vcf))
    theirs = [line.split("\t")[:5] for line in out.splitlines() if not line.startswith("#")]
    assert sorted(ours) == sorted((name, int(pos), ref, alt) for _, pos, name, ref, alt in theirs)


def test_before_the_first_base_the_anchor_stands_behind():
    genome = "AAACG"
    deleted = left_align(Allele(2, "A", ""), lambda a, b: genome[a:b])
    assert anchor(deleted, lambda a, b: genome[a:b]) == Allele(0, "AA", "A")


@pytest.mark.parametrize(
    ("ref", "alt", "word"),
    [
        ("A", "<DEL>", "symbolic"),
        ("A", "<*>", "symbolic"),
        ("A", "*", "another row"),
        ("A", "A]17:198982]", "breakend"),
        ("A", "[17:198982[A", "breakend"),
        ("A", "A.", "breakend"),
        ("A", ".", "no alternate"),
        ("A", "", "no alternate"),
        ("A", "A", "reference itself"),
        ("N", "A", "reference allele holds 'N'"),
        ("A", "R", "alternate allele holds 'R'"),
        ("", "A", "reference allele holds 'nothing'"),
    ],
)
def test_an_allele_that_cannot_be_scored_says_why(ref: str, alt: str, word: str):
    assert word in find_flaw(ref, alt)


def test_agreement_is_that_of_a_plain_loop():
    draw = Random(2)
    for _ in range(3_000):
        one, other = ("".join(draw.choices("AB", k=draw.randrange(12))) for _ in range(2))
        most = draw.randrange(12)
        start = next(
            (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
            min(len(one), len(other)),
        )
        end = 0
        while end < min(len(one), len(other), most) and one[-1 - end] == other[-1 - end]:
            end += 1
        assert (shared_start(one, other), shared_end(one, other, most)) == (start, end)
