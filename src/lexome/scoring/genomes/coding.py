"""What a variant of the genome does to the transcripts over it, and to their proteins."""

from collections import OrderedDict
from typing import NamedTuple

from lexome.errors import InputError
from lexome.io.genome import Contig, Genome
from lexome.sequence.alleles import Allele
from lexome.sequence.codons import find_code
from lexome.sequence.complement import reverse_complement
from lexome.sequence.mutations import Mutant
from lexome.sequence.protein_changes import UNKNOWN, Coding, change_protein, read_coding
from lexome.sequence.transcripts import Span, Transcript, TranscriptIndex, touches

# Terms of the Sequence Ontology from the gravest on, in the order of Ensembl's VEP.
TERMS = (
    *("splice_acceptor_variant", "splice_donor_variant", "stop_gained", "frameshift_variant"),
    *("stop_lost", "start_lost", "inframe_insertion", "inframe_deletion", "missense_variant"),
    *("splice_region_variant", "start_retained_variant", "stop_retained_variant"),
    *("synonymous_variant", "coding_sequence_variant", "5_prime_UTR_variant"),
    *("3_prime_UTR_variant", "intron_variant"),
)
RANK = {term: i for i, term in enumerate(TERMS)}
SITE, REGION, EXON_EDGE = 2, 8, 3  # bases of an intron's sites, of their surroundings, of an exon
LONGEST_TAIL = 6_000  # bases behind a stop through which a lost one is read on
NOT_CODING = "it lies outside of the coding bases"
MOST_HELD = 512  # transcripts whose bases are held


class Effect(NamedTuple):
    """What a variant does to one transcript; `reason` is why the protein's mutant is not known."""

    transcript: Transcript
    terms: tuple[str, ...]
    change: str  # HGVS, such as p.Ala12Gly; empty where the protein is not reached
    protein: str  # the whole reference protein; empty where it is not known
    mutant: Mutant | None
    reason: str = ""

    @property
    def consequence(self) -> str:
        """The terms from the gravest on, `&` between them as VEP writes."""
        return "&".join(sorted(self.terms, key=lambda term: RANK[term]))

    @property
    def rank(self) -> int:
        """How grave the gravest is; 0 is the worst."""
        return min(RANK[term] for term in self.terms)


class Annotation:
    """Transcripts on a genome. The bases of those met last are held, and no more.

    Args:
        transcripts: their contigs named as the genome's.
        code: the genetic code of those whose annotation names none.

    Raises:
        InputError: not one transcript lies on a contig of the genome.
    """

    def __init__(self, genome: Genome, transcripts: list[Transcript], code: int = 1) -> None:
        self.genome, self.index, self.code = genome, TranscriptIndex(transcripts), find_code(code)
        self._held: OrderedDict[Transcript, tuple[Coding, str]] = OrderedDict()
        if transcripts and not self.index.contigs & set(genome.contigs):
            raise InputError(
                "the GFF",
                f"contigs such as {min(self.index.contigs)!r}",
                f"those of the FASTA, such as {next(iter(genome.contigs))!r}",
                "a GFF and a FASTA file of the same source",
            )

    def find_effects(self, contig: Contig, allele: Allele) -> list[Effect]:
        """One effect a transcript that the variant touches, the gravest first.

        Of equally grave ones that on the longest protein comes first, then the first of the GFF.
        The allele must be trimmed; where an indel can be written in several places it counts where
        it stands.
        """
        found = self.index.find(contig.name, allele.start, allele.end)
        effects = [self._effect(one, contig, allele) for one in found]
        return sorted(effects, key=lambda effect: (effect.rank, -len(effect.protein)))

    def read(self, transcript: Transcript, contig: Contig) -> tuple[Coding, str]:
        """The coding bases with the protein, and the bases behind them in the transcript."""
        if transcript in self._held:
            self._held.move_to_end(transcript)
            return self._held[transcript]
        read = self._read(transcript, contig)
        self._held[transcript] = read
        if len(self._held) > MOST_HELD:
            self._held.popitem(last=False)
        return read

    def _read(self, transcript: Transcript, contig: Contig) -> tuple[Coding, str]:
        code = self.code if transcript.code is None else find_code(transcript.code)
        flaw = transcript.flaw
        if transcript.cds[0][0] < contig.first or transcript.cds[-1][1] > contig.last:
            flaw = "its coding parts reach beyond the FASTA's record"
        elif transcript.phase:
            flaw = f"its first codon is cut off (phase {transcript.phase})"
        if flaw:
            return Coding("", "", code, (), flaw), ""
        bases = self._splice(transcript, contig, transcript.cds)
        places = (
            (transcript.coding_place(start, start + 3), letter)
            for start, letter in transcript.recoded
        )
        recoded = tuple((at[0][0] // 3, letter) for at, letter in places if at)
        coding, tail = read_coding(bases, code, recoded), self._tail(transcript, contig)
        if coding.flaw and code.is_stop(tail[:3]) and not code.is_stop(bases[-3:]):
            coding = coding._replace(
                flaw="its coding parts leave out the stop codon, which GFF3 counts in"
            )
        return coding, tail

    def _splice(self, transcript: Transcript, contig: Contig, spans: tuple[Span, ...]) -> str:
        bases = "".join(self.genome.fetch(contig, start, end) for start, end in spans)
        return bases if transcript.strand == "+" else reverse_complement(bases)

    def _tail(self, transcript: Transcript, contig: Contig) -> str:
        """What follows the stop: the rest of the exons, or of the genome where none are told."""
        is_forward = transcript.strand == "+"
        if transcript.exons == transcript.cds:
            end, start = transcript.cds[-1][1], transcript.cds[0][0]
            span = (end, end + LONGEST_TAIL) if is_forward else (start - LONGEST_TAIL, start)
            return self._splice(transcript, contig, (span,))
        if is_forward:
            end = transcript.cds[-1][1]
            rest = tuple((max(low, end), high) for low, high in transcript.exons if high > end)
        else:
            end = transcript.cds[0][0]
            rest = tuple((low, min(high, end)) for low, high in transcript.exons if low < end)
        return self._splice(transcript, contig, rest)[:LONGEST_TAIL]

    def _effect(self, transcript: Transcript, contig: Contig, allele: Allele) -> Effect:
        terms = _find_places(transcript, allele)
        is_coding = any(touches(span, allele.start, allele.end) for span in transcript.cds)
        at_border, at_site = _is_at_border(transcript, allele), _is_at_site(transcript, allele)
        if not is_coding and not at_border and not at_site:
            # Outside of every exon, and in no intron: where the ribosome or the assembly slips.
            return Effect(transcript, terms or ("intron_variant",), "", "", None, NOT_CODING)
        coding, tail = self.read(transcript, contig)
        if coding.flaw:
            told = "coding_sequence_variant"
            reason = f"no protein of {transcript.name}: {coding.flaw}"
            more = (told,) if is_coding or not terms else ()
            return Effect(transcript, (*terms, *more), "", "", None, reason)
        places = transcript.coding_place(allele.start, allele.end)
        reason = ""
        if at_site:
            reason = "it changes a splice site: the protein is not known"
        elif at_border and not places:
            reason = "it lies at the border of an exon: the protein is not known"
        if reason:
            more = ("coding_sequence_variant",) if is_coding else ()
            return Effect(transcript, (*terms, *more), UNKNOWN, coding.protein, None, reason)
        if not places:
            return self._cut_end(transcript, allele, terms, coding)
        alt = allele.alt if transcript.strand == "+" else reverse_complement(allele.alt)
        changed = coding.bases
        for first, length in sorted(places, reverse=True):
            changed = changed[:first] + alt + changed[first + length :]
        found = change_protein(coding, changed, tail)
        return Effect(
            transcript,
            (*terms, *found.terms),
            found.spelling,
            coding.protein,
            found.mutant,
            found.reason,
        )

    def _cut_end(
        self, transcript: Transcript, allele: Allele, terms: tuple[str, ...], coding: Coding
    ) -> Effect:
        """A variant that reaches out of the coding bases into an untranslated end."""
        first, last = transcript.cds[0][0], transcript.cds[-1][1]
        at_start = allele.start < first if transcript.strand == "+" else allele.end > last
        term, spelling = ("start_lost", "p.Met1?") if at_start else ("stop_lost", UNKNOWN)
        reason = f"it takes away the {'start' if at_start else 'end'} of the coding bases"
        return Effect(transcript, (*terms, term), spelling, coding.protein, None, reason)


_SITES = frozenset(("splice_donor_variant", "splice_acceptor_variant"))


def _find_places(transcript: Transcript, allele: Allele) -> tuple[str, ...]:
    """Terms for where a variant lies: splice sites and their surroundings, introns, both UTRs."""
    start, end = allele.start, allele.end
    terms: set[str] = set()
    edges: tuple[Span, ...]
    donor, acceptor = "splice_donor_variant", "splice_acceptor_variant"
    if transcript.strand == "-":
        donor, acceptor = acceptor, donor
    for low, high in transcript.introns():
        if end < low - EXON_EDGE or start > high + EXON_EDGE:
            continue
        if touches((low, low + SITE), start, end):
            terms.add(donor)
        if touches((high - SITE, high), start, end):
            terms.add(acceptor)
        if touches((low + SITE, high - SITE), start, end):
            terms.add("intron_variant")
        edges = ((low - EXON_EDGE, low), (low + SITE, low + REGION))
        edges = (*edges, (high - REGION, high - SITE), (high, high + EXON_EDGE))
        if any(_reaches(edge, start, end) for edge in edges):
            terms.add("splice_region_variant")
    if terms & _SITES:
        terms.discard("splice_region_variant")
    coding = (transcript.cds[0][0], transcript.cds[-1][1])
    for low, high in transcript.exons:
        before = (low, min(high, coding[0]))
        behind = (max(low, coding[1]), high)
        for span, at_front in ((before, True), (behind, False)):
            if span[0] < span[1] and _reaches_utr(span, coding, start, end):
                is_five = at_front == (transcript.strand == "+")
                terms.add("5_prime_UTR_variant" if is_five else "3_prime_UTR_variant")
    return tuple(terms)


def _reaches(span: Span, start: int, end: int) -> bool:
    """As `touches`, but an insertion counts at the borders too."""
    return touches(span, start, end) or (start == end and span[0] <= start <= span[1])


def _reaches_utr(span: Span, coding: Span, start: int, end: int) -> bool:
    """As `touches`, but an insertion just before the start codon, or behind the stop, counts."""
    return touches(span, start, end) or (start == end and start in coding and start in span)


def _is_at_site(transcript: Transcript, allele: Allele) -> bool:
    """Whether a variant changes a splice site between two coding parts."""
    first, last = transcript.cds[0][0], transcript.cds[-1][1]
    return any(
        first < low
        and high < last
        and (
            touches((low, low + SITE), allele.start, allele.end)
            or touches((high - SITE, high), allele.start, allele.end)
        )
        for low, high in transcript.introns()
    )


def _is_at_border(transcript: Transcript, allele: Allele) -> bool:
    """Whether a variant reaches over, or stands just at, a border between an exon and an intron."""
    start, end = allele.start, allele.end
    for low, high in transcript.introns():
        for border in (low, high):
            is_coding = transcript.cds[0][0] < border < transcript.cds[-1][1]
            if is_coding and (start < border < end or start == end == border):
                return True
    return False
