"""The half of `lexome variants` that takes a VCF: annotates it, or makes a table of its alleles."""

from bisect import bisect_right
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from lexome.cli import options
from lexome.errors import InputError

if TYPE_CHECKING:
    from lexome.inference.model import Model
    from lexome.scoring.genomes.vcf_file import VcfSummary

PHASES = 6  # starts at which a window may be read
WIDEST = 8192  # bases around a variant where the model could read more (Evo 2's BRCA1 example)


def annotate_vcf(
    source: Path,
    output: Path | None,
    fasta: Path | None,
    gff: Path | None = None,
    model: str | None = None,
    protein_model: str | None = None,
    rule: str | None = None,
    protein_rule: str | None = None,
    window: int | None = None,
    offset: str | None = None,
    contigs: str = "as-is",
    genetic_code: int = 1,
    no_header: bool = False,
    device: str = "auto",
    dtype: str = "fp32",
    offline: bool = False,
    quiet: bool = False,
    json: bool = False,
) -> "VcfSummary":
    """Score every allele of a VCF by a DNA model, a protein model or both.

    Args:
        output: .vcf, .vcf.gz (as bgzip writes it), or a table by its ending.
        fasta: the reference genome; with `offset` a region of it.
        model: of DNA; scored by one of PAIR_RULES, both strands.
        protein_model: for coding variants of `gff`; scored by one of PROTEIN_RULES;
            long proteins go through in windows.
        window: bases around a variant; by default what the model can read, up to 8,192.
        offset: "CONTIG:POSITION" of the first base of a FASTA that is one region.
        contigs: how names of the VCF are looked up: as-is, add-chr or remove-chr.
        genetic_code: number of NCBI's table where the GFF names none.
    """
    from lexome.inference.model import load
    from lexome.io.genome import Genome
    from lexome.io.gff import read_transcripts
    from lexome.results.files import hash_file
    from lexome.scoring.genomes.coding import Annotation
    from lexome.scoring.genomes.vcf_file import score_vcf_file
    from lexome.scoring.genomes.vcf_rows import VcfScoring
    from lexome.scoring.mutants.rules import make_mutant_scorer
    from lexome.scoring.pairs.rules import make_pair_scorer

    fasta, output = _check(source, output, fasta)
    facts: dict[str, object] = {"input": source, "fasta": fasta, "offset": offset}
    with ExitStack() as open_files:
        genome = open_files.enter_context(Genome(fasta, offset, contigs))
        bases = sum(contig.length for contig in genome.contigs.values())
        options.say("Genome", f"{fasta}: {len(genome.contigs):,} contigs, {bases:,} bases", quiet)
        facts["fasta_sha256"] = hash_file(fasta)
        annotation = None
        if gff is not None:
            transcripts = read_transcripts(gff)
            annotation = Annotation(genome, transcripts, genetic_code)
            facts |= {"gff": gff, "gff_sha256": hash_file(gff)}
            options.say("Genes", f"{gff}: {len(transcripts):,} coding transcripts", quiet)
        pairs, size = None, 0
        if model is not None:
            loaded = load(model, dtype=dtype, device=device, offline=offline)
            pairs, size = make_pair_scorer(loaded, rule), window or find_window(loaded)
            facts |= _card(loaded)
            options.say("DNA", f"{model}: {pairs.rule}, windows of {size:,} bases", quiet)
        mutants = None
        if protein_model is not None:
            loaded = load(protein_model, dtype=dtype, device=device, offline=offline)
            mutants = make_mutant_scorer(loaded, protein_rule, "window")
            facts |= {f"protein_{key}": value for key, value in _card(loaded).items()}
            options.say("Protein", f"{protein_model}: {mutants.rule}", quiet)
        scoring = VcfScoring(
            genome=genome,
            pairs=pairs,
            window=size,
            annotation=annotation,
            mutants=mutants,
            needs_header=not no_header,
            inputs=(facts["fasta_sha256"], offset, contigs, facts.get("gff_sha256")),
        )
        notes = options.provenance(**facts)
        done = score_vcf_file(source, output, scoring, notes, quiet)
    if done.resumed_rows:
        options.say("Resumed", f"{done.resumed_rows:,} rows stood from an earlier run", quiet)
    told = [f"{done.scored:,} scored"] if pairs is not None else []
    told += [f"{done.protein_scored:,} scored as proteins"] if mutants is not None else []
    text = ", ".join([f"{done.rows:,} rows, {done.alleles:,} alleles", *told])
    options.say("Saved", f"{output}: {text}; {done.without:,} with a reason instead", quiet)
    options.answer(done._asdict() | {"output": output}, json)
    return done


def find_window(model: "Model") -> int:
    """How many bases a model can read at once, 8,192 at most.

    It is told by random bases, which are cut into more tokens than a genome's; and so that a
    window that begins some bases later fits too, as rules for models of six-mers read it: what is
    left over at its end may be up to five tokens of a base.
    """
    draw = Random(0)
    bases = "".join(draw.choices("ACGT", k=WIDEST))
    limit = model.card.context
    if limit is None:
        return WIDEST

    def most_tokens(size: int) -> int:
        return max(len(model.tokenizer.encode(bases[cut : size or 1])) for cut in range(PHASES))

    return max(bisect_right(range(WIDEST + 1), limit, key=most_tokens) - 1, 1)


def _check(source: Path, output: Path | None, fasta: Path | None) -> tuple[Path, Path]:
    if fasta is None:
        raise InputError(
            str(source), "a VCF without its genome", "a FASTA file", "`--fasta GENOME.fa.gz`"
        )
    if output is None:
        raise InputError(
            str(source), "no output", "a VCF or a table to write", "`-o annotated.vcf.gz`"
        )
    return fasta, output


def _card(model: "Model") -> dict[str, object]:
    card = model.card
    return {
        "model": card.name,
        "source": card.source,
        "revision": card.revision,
        "sha256": card.sha256,
        "licence": card.licence,
        "dtype": model.dtype,
        "device": model.device,
    }
