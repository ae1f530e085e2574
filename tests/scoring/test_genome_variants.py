"""Alleles checked against the genome, and their windows: on paper and against a plain twin."""

import csv
import gzip
from pathlib import Path
from random import Random

import pytest

from lexome.errors import InputError
from lexome.io.genome import Genome
from lexome.io.vcf import VcfRow
from lexome.scoring.genomes.coordinates import check_coordinates, find_shift
from lexome.scoring.genomes.variants import Variant, make_pair, make_pairs, read_variants, spell
from lexome.scoring.pairs.pair import Pair
from tests.shared_data import shared

PAPER = "ACGTTGCA" + "N" * 4 + "GATTACAGATCC"


@pytest.fixture
def genome(tmp_path: Path):
    path = tmp_path / "g.fa"
    path.write_text(f">c\n{PAPER}\n>repeat\n{'CA' * 20}\n")
    with Genome(path) as found:
        yield found


def row(position: object, ref: str, alt: str, contig: str = "c", number: int = 1) -> VcfRow:
    fields = [contig, str(position), ".", ref, alt, ".", ".", "."]
    return VcfRow(number, number, "\t".join(fields), fields)


def one_pair(
    genome: Genome, position: int, ref: str, alt: str, size: int, contig: str = "c"
) -> Pair | str:
    (variant,) = read_variants(genome, row(position, ref, alt, contig))
    return make_pair(genome, variant, size)


def test_a_window_has_the_change_in_its_middle(genome):
    assert one_pair(genome, 4, "T", "A", 4) == Pair("c:4 T>A", "CGTT", "CGAT", 2)
    assert one_pair(genome, 4, "t", "a", 5) == Pair("c:4 t>a", "CGTTG", "CGATG", 2)
    assert one_pair(genome, 4, "T", "A", 1) == Pair("c:4 T>A", "T", "A", 0)


def test_at_an_end_or_before_n_the_window_is_shifted_and_then_shorter(genome):
    assert one_pair(genome, 1, "A", "C", 4)[1:] == ("ACGT", "CCGT", 0)
    assert one_pair(genome, 8, "A", "C", 4)[1:] == ("TGCA", "TGCC", 3)
    assert one_pair(genome, 8, "A", "C", 100)[1:] == ("ACGTTGCA", "ACGTTGCC", 7)
    assert one_pair(genome, 24, "C", "G", 6)[1:] == ("AGATCC", "AGATCG", 5)
    assert one_pair(genome, 13, "G", "C", 6)[1:] == ("GATTAC", "CATTAC", 0)


def test_windows_of_indels_are_equally_long(genome):
    # ACGTTGCA: a T is deleted; further bases of the genome come in behind it
    assert one_pair(genome, 3, "GT", "G", 4)[1:] == ("CGTT", "CGTG", 3)
    assert one_pair(genome, 3, "G", "GAA", 4)[1:] == ("CGTT", "CGAA", 2)
    # at the end nothing could come in: the window is shorter by what is deleted
    assert "too near to the end of the bases at 8" in one_pair(genome, 7, "CA", "C", 100)
    assert one_pair(genome, 3, "GTT", "G", 100)[1:] == ("ACGTTG", "ACGGCA", 3)
    assert "do not fit" in one_pair(genome, 3, "G", "G" + "ACGT" * 3, 4)
    assert "too near to the end of the bases at 8" in one_pair(genome, 7, "C", "CGGG", 6)


def test_in_a_repeat_the_first_difference_is_found(genome):
    # CACACA...: one CA less: the windows agree until the repeat ends
    assert one_pair(genome, 1, "CAC", "C", 10, "repeat") == "both windows of 10 bases are the same"
    assert one_pair(genome, 1, "C", "CCC", 10, "repeat")[1:] == ("CACACACACA", "CCCACACACA", 1)


def test_a_window_is_that_of_a_plain_twin(genome, tmp_path: Path):
    """Cutting the mutated genome itself, a letter at a time."""
    draw = Random(3)
    bases = "".join(draw.choices("ACGT", k=400))
    path = tmp_path / "plain.fa"
    path.write_text(f">c\n{bases}\n")
    made = 0
    with Genome(path) as plain:
        for _ in range(3_000):
            start = draw.randrange(1, 380)
            ref = bases[start : start + draw.randrange(1, 6)]
            alt = "".join(draw.choices("ACGT", k=draw.randrange(1, 6)))
            size = draw.choice([6, 17, 64, 1000])
            if ref == alt:
                continue
            (variant,) = read_variants(plain, row(start + 1, ref, alt))
            pair = make_pair(plain, variant, size)
            if isinstance(pair, str):
                assert "too near" in pair or "same" in pair
                continue
            made += 1
            mutated = bases[:start] + alt + bases[start + len(ref) :]
            assert len(pair.ref) == len(pair.alt) <= size
            # Somewhere both are cut from the same place, and the change lies within.
            first = [
                i
                for i in range(len(bases))
                if bases[i : i + len(pair.ref)] == pair.ref
                and mutated[i : i + len(pair.alt)] == pair.alt
                and i <= variant.allele.start
            ]
            assert first
            differing = [
                i for i, (a, b) in enumerate(zip(pair.ref, pair.alt, strict=True)) if a != b
            ]
            assert pair.start == differing[0]
            if len(ref) == len(alt) == 1 and size < 100 and size // 2 < start < 300:
                assert (len(pair.ref), pair.start) == (size, size // 2)
    assert made > 2_500


@pytest.mark.parametrize(
    ("position", "ref", "alt", "contig", "words"),
    [
        (4, "A", "C", "c", "the FASTA has T at 4, not A"),
        (4, "T", "C", "17", "the FASTA has no contig 17"),
        (0, "T", "C", "c", "position 0 lies outside the FASTA's c, which has 1 to 24"),
        (24, "CC", "C", "c", "position 24 lies outside"),
        ("x", "T", "C", "c", "the position 'x' is no whole number"),
        ("-4", "T", "C", "c", "the position '-4' is no whole number"),
        (9, "N", "C", "c", "the reference allele holds 'N'"),
        (4, "T", "<DEL>", "c", "symbolic"),
        (4, "T", "*", "c", "another row"),
        (4, "T", ".", "c", "no alternate allele"),
    ],
)
def test_an_allele_that_cannot_be_used_says_why(
    genome, position, ref: str, alt: str, contig: str, words: str
):
    (variant,) = read_variants(genome, row(position, ref, alt, contig))
    assert words in variant.reason
    assert make_pair(genome, variant, 8) == variant.reason
    assert spell(variant, genome) == ""


def test_each_allele_of_a_row_stands_for_itself(genome):
    found = read_variants(genome, row(2, "CG", "C,CT,<DEL>,CGG"))
    assert [bool(one.reason) for one in found] == [False, False, True, False]
    assert [spell(one, genome) for one in found] == ["2:CG:C", "3:G:T", "", "2:C:CG"]


def test_pairs_come_in_bounded_runs(genome):
    variants: list[Variant] = []
    for number in range(1, 9):
        variants += read_variants(genome, row(number, PAPER[number - 1], "A,C", number=number))
    runs = list(make_pairs(genome, variants, 4, most_bases=16))
    assert [i for run in runs for i, _ in run] == list(range(16))
    assert max(sum(isinstance(pair, Pair) for _, pair in run) for run in runs) == 2


def brca1_rows(shift: int = 0) -> list[VcfRow]:
    with gzip.open(shared("data/variants/brca1_findlay2018_sge.csv.gz"), "rt") as file:
        return [
            row(
                int(one["pos_GRCh38"]) + shift,
                one["reference"],
                one["alt"],
                one["chromosome"],
                number,
            )
            for number, one in enumerate(csv.DictReader(file), start=1)
        ]


def test_all_3893_reference_bases_of_brca1_agree_with_its_region():
    region = shared("data/variants/brca1_region_GRCh38_chr17_42425000_43600000.fa.gz")
    rows = brca1_rows()
    with Genome(region, "17:42425000") as genome:
        check_coordinates(genome, rows, "brca1.vcf")
        variants = [variant for one in rows for variant in read_variants(genome, one)]
        assert (len(variants), {variant.reason for variant in variants}) == (3893, {""})
        pairs = [make_pair(genome, variant, 8192) for variant in variants]
    assert {(len(pair.ref), pair.start) for pair in pairs} == {(8192, 4096)}
    assert all(
        pair.ref[4096] == one.fields[3] and pair.alt[4096] == one.fields[4]
        for pair, one in zip(pairs, rows, strict=True)
    )


@pytest.mark.parametrize(
    ("region", "shift", "words"),
    [
        ("17:42425000", -1, r"3,8\d\d|2,\d\d\d of 3,893 .*with \+1 added"),
        ("17:42425000", 5, r"with -5 added to the positions 100\.0%"),
        # hg19's positions: the distance of the two assemblies at this place
        ("17:42425000", -1_847_983 + 1_000_000, r"with \+847983 added .* 100\.0%"),
        ("17:1", 0, r"with -42424999 added .*`--offset 17:42425000`"),
    ],
)
def test_shifted_coordinates_are_refused_with_the_offset_that_fits(
    region: str, shift: int, words: str
):
    fasta = shared("data/variants/brca1_region_GRCh38_chr17_42425000_43600000.fa.gz")
    with Genome(fasta, region) as genome, pytest.raises(InputError, match=words):
        check_coordinates(genome, brca1_rows(shift), "brca1.vcf")


def test_the_header_of_the_region_is_no_contig_of_the_vcf():
    fasta = shared("data/variants/brca1_region_GRCh38_chr17_42425000_43600000.fa.gz")
    with (
        Genome(fasta) as genome,
        pytest.raises(InputError, match="contigs such as '17', of which none"),
    ):
        check_coordinates(genome, brca1_rows(), "brca1.vcf")


def test_names_that_differ_by_chr_are_refused_with_the_remedy(tmp_path: Path):
    path = tmp_path / "g.fa"
    path.write_text(">chr1\nACGT\n>2\nACGT\n")
    with Genome(path) as genome:
        with pytest.raises(InputError, match="`--contigs add-chr`"):
            check_coordinates(genome, [row(1, "A", "C", "1")], "a.vcf")
        with pytest.raises(InputError, match="`--contigs remove-chr`"):
            check_coordinates(genome, [row(1, "A", "C", "chr2")], "a.vcf")
        check_coordinates(genome, [row(1, "A", "C", "chr1"), row(1, "A", "C", "chr2")], "a.vcf")
        check_coordinates(genome, [], "a.vcf")


def test_no_offset_is_named_by_chance(tmp_path: Path):
    draw = Random(4)
    bases = "".join(draw.choices("ACGT", k=20_000))
    path = tmp_path / "g.fa"
    path.write_text(f">c\n{bases}\n")
    with Genome(path) as genome:
        contig = genome.contigs["c"]
        few = [(1_000 + 50 * i, bases[1_007 + 50 * i]) for i in range(8)]
        assert find_shift(genome, contig, few) is None  # eight bases agree somewhere by chance
        many = [(1_000 + 50 * i, bases[1_007 + 50 * i]) for i in range(60)]
        assert find_shift(genome, contig, many)[1:] == (7, 1.0, 60)
        noisy = [
            (start, "ACGT"["ACGT".index(base) - 1] if i % 15 == 0 else base)
            for i, (start, base) in enumerate(many)
        ]
        assert find_shift(genome, contig, noisy)[1] == 7
        wrong = [(1_000 + 50 * i, draw.choice("ACGT")) for i in range(60)]
        assert find_shift(genome, contig, wrong) is None
        # Most rows disagree, but for no one cause: each row says so by itself.
        check_coordinates(genome, [row(start + 1, base, "A") for start, base in wrong], "a.vcf")
