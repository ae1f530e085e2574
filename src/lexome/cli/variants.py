"""`lexome variants`: what mutations do, from a table of them or a VCF."""

from pathlib import Path
from typing import Annotated

import typer

from lexome.cli import options

VCF_ENDINGS = (".vcf", ".vcf.gz", ".vcf.bgz")


def variants(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A table of mutations (CSV, TSV, ...), or a VCF.")
    ],
    fasta: Annotated[
        str | None,
        typer.Option(
            help="The reference: a protein or a FASTA of proteins; of a VCF, of the genome."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Of a table protein-mini; esm1v is five. Of a VCF: one of DNA."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A table by its ending; of a VCF also .vcf, .vcf.gz."),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            help="wt-marginal, masked-marginal, ...; of an alignment site, hmm, potts, vae, "
            "vae+potts; see docs/variants.md."
        ),
    ] = None,
    mutant: Annotated[
        str | None, typer.Option(help="The column of changes, such as A12G:C45D; else guessed.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The column that names each row's reference; else guessed.")
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option(
            help="Added to every position of a table; of a VCF CONTIG:POSITION, where the FASTA's "
            "one region begins."
        ),
    ] = None,
    alignment: Annotated[
        Path | None,
        typer.Option(help="A family's alignment (.a3m, .a2m, .sto) to score by, not by a model."),
    ] = None,
    family_model: Annotated[
        Path | None, typer.Option(help="A directory: where the fitted family is kept, and reused.")
    ] = None,
    gff: Annotated[
        Path | None, typer.Option(help="Genes (GFF3): coding variants are scored as proteins too.")
    ] = None,
    protein_model: Annotated[
        str | None, typer.Option(help="For these; protein-mini unless told otherwise.")
    ] = None,
    protein_rule: Annotated[str | None, typer.Option(help="Its rule; wt-marginal.")] = None,
    window: Annotated[
        int | None, typer.Option(help="Bases around a variant; what the model can read, to 8,192.")
    ] = None,
    contigs: Annotated[
        str, typer.Option(help="Names of a VCF in the FASTA: as-is, add-chr or remove-chr.")
    ] = "as-is",
    genetic_code: Annotated[
        int, typer.Option(help="Number of NCBI's table, where the GFF names none.")
    ] = 1,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="Take a VCF that has no header lines.")
    ] = False,
    long: options.Long = "refuse",
    dtype: options.Dtype = "fp32",
    device: options.Device = "auto",
    offline: options.Offline = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Score mutations: one row an input row, with a reason where there is no score.

    Every reference residue or allele is checked first. Killed at any moment, the same command goes
    on where it stopped.
    """
    from lexome.cli.variants_table import score_table
    from lexome.cli.variants_vcf import annotate_vcf

    is_vcf = source.lower().endswith(VCF_ENDINGS)
    refuse_foreign(
        is_vcf,
        {
            **{"--mutant": mutant, "--reference": reference, "--alignment": alignment},
            "--family-model": family_model,
            "--long": long if long != "refuse" else None,
        },
        {
            **{"--gff": gff, "--protein-model": protein_model, "--protein-rule": protein_rule},
            **{"--window": window, "--no-header": no_header or None},
            "--contigs": contigs if contigs != "as-is" else None,
            "--genetic-code": genetic_code if genetic_code != 1 else None,
        },
    )
    if is_vcf:
        without_score = annotate_vcf(
            Path(source),
            output,
            Path(fasta) if fasta is not None else None,
            gff,
            model,
            protein_model or ("protein-mini" if gff is not None else None),
            rule,
            protein_rule,
            window,
            offset,
            contigs,
            genetic_code,
            no_header,
            device,
            dtype,
            offline,
            quiet,
            json,
        ).without
    else:
        without_score = score_table(
            *(source, fasta, model, output, rule, mutant, reference, offset, alignment),
            *(family_model, long, dtype, device, offline, quiet, json),
        )
    if without_score:
        raise typer.Exit(4)


def refuse_foreign(is_vcf: bool, of_tables: dict[str, object], of_vcf: dict[str, object]) -> None:
    """Refuse an option that would be of no effect.

    Raises:
        InputError: naming it.
    """
    from lexome.errors import InputError

    given = [name for name, value in (of_tables if is_vcf else of_vcf).items() if value is not None]
    if given:
        kinds = ("a VCF", "tables") if is_vcf else ("a table", "VCF files")
        raise InputError(given[0], kinds[0], f"{kinds[1]} with this option", "leaving it out")


EXAMPLES = """\b
Examples:
  lexome variants mutants.csv --fasta MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQ
  lexome variants assay.csv --fasta protein.fa --alignment family.a2m --rule potts -o out.csv
  lexome variants calls.vcf.gz --fasta genome.fa --gff genes.gff -o annotated.vcf.gz
"""
