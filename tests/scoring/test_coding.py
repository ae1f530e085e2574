"""What variants do to proteins: on paper, and on real genes against an independent translation."""

import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from Bio.Data.CodonTable import unambiguous_dna_by_id
from Bio.Seq import Seq
from Bio.SeqIO.FastaIO import SimpleFastaParser

from lexome.errors import InputError
from lexome.io.genome import Genome
from lexome.io.gff import read_transcripts
from lexome.scoring.genomes.coding import RANK, Annotation, Effect
from lexome.sequence.alleles import Allele, left_align, trim
from lexome.sequence.mutations import apply_mutant, parse_mutant
from lexome.sequence.transcripts import Transcript
from tests.shared_data import shared

# Two coding exons around an intron of 20 bases; 5 bases of UTR before, 7 behind with a stop in it.
#        MetAlaLys    ... intron ...       TrpGluTer
PAPER = "CCCCC" + "ATGGCAAAG" + "GTAAGTCCCCCCCCCCCTAG" + "TGGGAATAA" + "GCTGACC"
EXONS, CDS = ((0, 14), (34, 50)), ((5, 14), (34, 43))


@pytest.fixture
def paper(tmp_path: Path) -> Iterator[tuple[Annotation, Annotation]]:
    """The gene of above, and the same on the other strand."""
    other = str(Seq(PAPER).reverse_complement())
    path = tmp_path / "paper.fa"
    path.write_text(f">forward\n{PAPER}\n>backward\n{other}\n")
    size = len(PAPER)

    def turn(spans: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        return tuple((size - high, size - low) for low, high in reversed(spans))

    forward = Transcript("t", "g", "forward", "+", EXONS, CDS)
    backward = Transcript("t", "g", "backward", "-", turn(EXONS), turn(CDS))
    with Genome(path) as genome:
        yield Annotation(genome, [forward]), Annotation(genome, [backward])


def effects(paper: tuple[Annotation, Annotation], start: int, ref: str, alt: str) -> Effect:
    """The effect of a change of PAPER, which must be the same on the other strand."""
    assert PAPER[start : start + len(ref)] == ref
    forward, backward = paper
    contigs = forward.genome.contigs
    one = forward.find_effects(contigs["forward"], Allele(start, ref, alt))[0]
    place = len(PAPER) - start - len(ref)
    turned = [str(Seq(bases).reverse_complement()) for bases in (ref, alt)]
    other = backward.find_effects(contigs["backward"], Allele(place, *turned))[0]
    assert other[1:] == (one.terms if set(other.terms) == set(one.terms) else None, *one[2:])
    return one


@pytest.mark.parametrize(
    ("start", "ref", "alt", "consequence", "change"),
    [
        (8, "G", "C", "missense_variant", "p.Ala2Pro"),
        (10, "A", "T", "synonymous_variant", "p.Ala2="),
        (11, "A", "T", "splice_region_variant&stop_gained", "p.Lys3Ter"),
        (12, "A", "G", "missense_variant&splice_region_variant", "p.Lys3Arg"),
        (5, "A", "G", "start_lost", "p.Met1?"),
        (3, "C", "G", "5_prime_UTR_variant", ""),
        (45, "T", "G", "3_prime_UTR_variant", ""),
        (14, "G", "A", "splice_donor_variant", "p.?"),
        (33, "G", "A", "splice_acceptor_variant", "p.?"),
        (17, "A", "G", "splice_region_variant&intron_variant", ""),
        (24, "C", "G", "intron_variant", ""),
        (36, "G", "A", "stop_gained&splice_region_variant", "p.Trp4Ter"),
        (42, "A", "G", "stop_retained_variant", "p.Ter6="),
        (41, "A", "G", "stop_retained_variant", "p.Ter6="),
        # CAA GCT GAC C: no stop in the rest of the exon
        (40, "T", "C", "stop_lost", "p.Ter6GlnextTer?"),
        (8, "GCA", "", "inframe_deletion", "p.Ala2del"),
        (8, "", "GCA", "inframe_insertion", "p.Ala2dup"),
        (8, "", "GGG", "inframe_insertion", "p.Met1_Ala2insGly"),
        (40, "", "GGG", "inframe_insertion", "p.Glu5_Ter6insGly"),
        (9, "C", "", "frameshift_variant", "p.Ala2GlufsTer?"),
        # ATG CAA AGT GGG AAT AAG CTG ACC: without its G it never ends
        (8, "G", "", "frameshift_variant", "p.Ala2GlnfsTer?"),
        # ATG GCT AAA: a stop at once is a stop
        (8, "", "TA", "frameshift_variant&stop_gained", "p.Ala2Ter"),
        (9, "CA", "GG", "missense_variant", "p.Ala2Gly"),
        (10, "AA", "TT", "splice_region_variant&stop_gained", "p.Lys3Ter"),
        (8, "GCAA", "CCAG", "missense_variant&splice_region_variant", "p.Ala2_Lys3delinsProGlu"),
        (12, "AGGT", "", "splice_donor_variant&coding_sequence_variant", "p.?"),
        (14, "", "A", "splice_region_variant", "p.?"),
        (5, "", "G", "5_prime_UTR_variant", ""),
        (4, "CA", "", "start_lost&5_prime_UTR_variant", "p.Met1?"),
        (42, "AG", "", "stop_lost&3_prime_UTR_variant", "p.?"),
        (43, "", "C", "3_prime_UTR_variant", ""),
    ],
)
def test_a_gene_on_paper(paper, start: int, ref: str, alt: str, consequence: str, change: str):
    effect = effects(paper, start, ref, alt)
    terms = sorted(consequence.split("&"), key=lambda term: RANK[term])
    assert (effect.consequence, effect.change) == ("&".join(terms), change)


def test_the_mutant_is_what_hgvs_spells(paper):
    effect = effects(paper, 8, "GCAA", "CCAG")
    assert effect.protein == "MAKWE"
    assert str(effect.mutant) == "A2P:K3E"
    assert str(effects(paper, 11, "A", "T").mutant) == "K3*"
    assert effects(paper, 10, "A", "T").mutant.edits == ()  # synonymous: the wild type
    assert effects(paper, 14, "G", "A").mutant is None
    assert effects(paper, 14, "G", "A").reason.startswith("it changes a splice site")
    assert effects(paper, 9, "C", "").reason.startswith("no stop codon was found")


def flaw(tmp_path: Path, bases: str, code: int = 1, phase: int = 0) -> str:
    path = tmp_path / "one.fa"
    path.write_text(f">c\n{bases}\n")
    transcript = Transcript("t", "g", "c", "+", ((0, 9),), ((0, 9),), phase)
    with Genome(path) as genome:
        annotation = Annotation(genome, [transcript], code)
        found = annotation.find_effects(genome.contigs["c"], Allele(4, bases[4], "N"))[0]
        assert found.terms == ("coding_sequence_variant",)
        return found.reason


def test_what_is_wrong_with_a_reference_protein_is_the_reason(tmp_path: Path):
    assert "begins with GGG, no start codon" in flaw(tmp_path, "GGGGCATAA")
    assert "a stop within it, at residue 2" in flaw(tmp_path, "ATGTAATAA")
    assert "ends with GCA, no stop codon" in flaw(tmp_path, "ATGGCAGCAGG")
    assert "leave out the stop codon" in flaw(tmp_path, "ATGGCAGCATAA")
    assert "first codon is cut off (phase 1)" in flaw(tmp_path, "ATGGCATAA", phase=1)
    assert "beyond the FASTA's record" in flaw(tmp_path, "ATGGC")
    assert "begins with GTG" in flaw(tmp_path, "GTGGCATAA")
    transcript = Transcript("t", "g", "c", "+", ((0, 8),), ((0, 8),))
    with Genome(tmp_path / "one.fa") as genome:
        annotation = Annotation(genome, [transcript])
        found = annotation.find_effects(genome.contigs["c"], Allele(4, "C", "T"))[0]
        assert "8 coding bases are no multiple of 3" in found.reason


def test_a_gff_of_another_genome_is_refused(tmp_path: Path):
    path = tmp_path / "one.fa"
    path.write_text(">chr1\nACGT\n")
    transcript = Transcript("t", "g", "1", "+", ((0, 3),), ((0, 3),))
    with Genome(path) as genome, pytest.raises(InputError, match=r"contigs such as '1'.*'chr1'"):
        Annotation(genome, [transcript])


def read_fasta(path: Path) -> dict[str, str]:
    with gzip.open(path, "rt") as file:
        return {name.split()[0]: bases.upper() for name, bases in SimpleFastaParser(file)}


def translate_by_biopython(genome: str, transcript: Transcript, allele: Allele | None) -> str:
    """Splice and translate a genome that holds the allele: nothing of ours is used.

    With an allele, the rest of the exons behind the stop codon is translated too.
    """
    spans = list(transcript.cds)
    if allele is not None:
        exons = transcript.exons
        if exons == transcript.cds:  # no UTR is annotated: the genome itself is read on
            exons = ((max(spans[0][0] - 6000, 0), spans[-1][1] + 6000),)
        if transcript.strand == "+":
            end = spans[-1][1]
            spans += [(max(low, end), high) for low, high in exons if high > end]
        else:
            end = spans[0][0]
            spans = [(low, min(high, end)) for low, high in exons if low < end] + spans
        genome = genome[: allele.start] + allele.alt + genome[allele.start + len(allele.ref) :]
        shift = len(allele.alt) - len(allele.ref)
        moved = []
        for low, high in spans:
            low += shift if low > allele.start else 0
            high += shift if high > allele.start else 0
            moved.append((low, high))
        spans = moved
    bases = Seq("".join(genome[low:high] for low, high in spans))
    if transcript.strand == "-":
        bases = bases.reverse_complement()
    bases = bases[: len(bases) - len(bases) % 3]
    return str(bases.translate(table=transcript.code or 1))


ANNOTATED = {
    "C.elegans": ("genomes/C.elegans_slice.fa.gz", "genomes/C.elegans_slice.gff.gz", 300),
    "A.thaliana": ("genomes/A.thaliana_slice.fa.gz", "genomes/A.thaliana_slice.gff.gz", 450),
}


@pytest.mark.parametrize("organism", list(ANNOTATED))
def test_every_protein_of_a_slice_is_biopythons(organism: str):
    fasta, gff, least = (
        shared(f"data/{one}") if i < 2 else one for i, one in enumerate(ANNOTATED[organism])
    )
    bases = read_fasta(fasta)
    whole = 0
    with Genome(fasta) as genome:
        transcripts = read_transcripts(gff)
        annotation = Annotation(genome, transcripts)
        for transcript in transcripts:
            coding, _ = annotation.read(transcript, genome.contigs[transcript.contig])
            expected = translate_by_biopython(bases[transcript.contig], transcript, None)
            ends = expected.endswith("*") and "*" not in expected[:-1]
            if coding.flaw:
                starts = transcript.phase == 0 and expected[0] == "M"
                assert not (ends and starts), (transcript.name, coding.flaw)
            else:
                assert coding.protein + "*" == "M" + expected[1:]
                whole += 1
    assert whole >= least


@pytest.mark.parametrize("strand", ["+", "-"])
def test_changes_in_spliced_genes_are_those_of_an_independent_translation(strand: str):
    """Real C. elegans genes with introns: the genome is changed, spliced and translated anew."""
    fasta, gff = (
        shared("data/genomes/C.elegans_slice.fa.gz"),
        shared("data/genomes/C.elegans_slice.gff.gz"),
    )
    genomes, draw, seen = read_fasta(fasta), Random(1), Counter[str]()
    genes, exact = set(), 0
    with Genome(fasta) as genome:
        transcripts = [t for t in read_transcripts(gff) if t.strand == strand and len(t.cds) > 2]
        annotation = Annotation(genome, transcripts)
        for transcript in transcripts:
            contig, bases = genome.contigs[transcript.contig], genomes[transcript.contig]
            if annotation.read(transcript, contig)[0].flaw:
                continue
            genes.add(transcript.gene)
            for _ in range(30):
                allele = random_allele(draw, transcript, bases)
                allele = left_align(allele, lambda low, high: bases[max(low, 0) : high])  # noqa: B023
                found = annotation.find_effects(contig, allele)
                effect = next((e for e in found if e.transcript == transcript), None)
                if effect is None or effect.change in ("", "p.?"):
                    continue  # at the border of an exon, or before the start codon
                exact += check_effect(
                    effect, translate_by_biopython(bases, transcript, allele), seen
                )
    assert len(genes) >= 40
    assert exact >= 1_500
    for term in (
        "missense_variant",
        "synonymous_variant",
        "stop_gained",
        "frameshift_variant",
        "inframe_deletion",
        "inframe_insertion",
        "stop_lost",
        "start_lost",
        "splice_region_variant",
    ):
        assert seen[term], term


def random_allele(draw: Random, transcript: Transcript, bases: str) -> Allele:
    """Mostly a single base of the coding parts, their ends more often than by chance."""
    low, high = draw.choice(transcript.cds)
    start = draw.choice(
        [draw.randrange(low, high), draw.randrange(low, min(low + 4, high)), high - 1]
    )
    kind = draw.random()
    if kind < 0.7:
        return Allele(start, bases[start], draw.choice([b for b in "ACGT" if b != bases[start]]))
    size = draw.choice([1, 2, 3, 3, 6])
    letters = "".join(draw.choices("ACGT", k=size))
    if kind < 0.85 and start + size <= high:
        return trim(start, bases[start - 1 : start + size], bases[start - 1])._replace(start=start)
    return Allele(start, "", letters)


def check_effect(effect: Effect, changed: str, seen: Counter[str]) -> int:
    """The term and the protein against a plain translation; 1 where the whole protein was compared."""
    seen.update(effect.terms)
    old, new = effect.protein, changed.split("*")[0]
    if "start_lost" in effect.terms:
        assert changed[0] != "M"
        return 0
    is_ended = "*" in changed
    if effect.mutant is not None and is_ended:
        mutated = apply_mutant(effect.mutant, old).split("*")[0]
        assert mutated == new, (effect, changed)
    if is_ended:
        if "stop_gained" in effect.terms:
            assert len(new) < len(old)
        if effect.change.endswith("="):
            assert new == old
        if "missense_variant" in effect.terms:
            assert (len(new), new != old) == (len(old), True)
        if "Ter" not in effect.change and "=" not in effect.change:
            # HGVS's text, read again, is the same change.
            assert apply_mutant(parse_mutant(effect.change), old) == new
    else:
        assert "stop_lost" in effect.terms or "frameshift_variant" in effect.terms
    return int(is_ended)


def test_ecoli_proteins_and_cds_are_those_of_the_shared_file():
    """Table 11, GTG and TTG starts, selenocysteine, ribosomal slips."""
    fasta = shared("data/genomes/ecoli_k12_mg1655_GCF_000005845.2.fna.gz")
    gff = shared("data/genomes/ecoli_k12_mg1655_GCF_000005845.2.gff.gz")
    expected = {}
    with gzip.open(shared("data/rna/ecoli_k12_cds.fna.gz"), "rt") as file:
        for name, bases in SimpleFastaParser(file):
            words = dict(word.split("=", 1) for word in name.split()[1:] if "=" in word)
            expected[words["protein_id"]] = bases
    same = 0
    with Genome(fasta) as genome:
        transcripts = read_transcripts(gff)
        annotation = Annotation(genome, transcripts)
        for transcript in transcripts:
            if transcript.name not in expected:
                continue
            coding, _ = annotation.read(transcript, genome.contigs[transcript.contig])
            bases = expected[transcript.name]
            protein = str(Seq(bases).translate(table=11))
            assert coding.bases == bases
            assert not coding.flaw, (transcript, coding.flaw)
            assert bases[:3] in unambiguous_dna_by_id[11].start_codons
            assert coding.protein == "M" + (protein[1:-1].replace("*", "U"))
            same += 1
        slip = next(t for t in transcripts if t.gene == "prfB")
        assert annotation.read(slip, genome.contigs[slip.contig])[0].protein.startswith(
            "MFEINPVNNRIQDLTERSDVLRGYLDYDAKKERLEEV"
        )
    assert same == len(expected) == 4295
