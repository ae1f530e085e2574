"""From a VCF, a genome and its genes to scores by a real protein model, as the verb calls it."""

import gzip
import json
from pathlib import Path
from random import Random

import polars as pl
import pysam
import pytest

from lexome.cli.variants_vcf import annotate_vcf, find_window
from lexome.errors import InputError
from lexome.inference.model import Model, load
from lexome.scoring.mutants.scorer import MutantScorer
from lexome.scoring.pairs.pair import PairScorer
from tests.scoring.toy_scorers import abc_scorer, gc_scorer
from tests.shared_data import shared

HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def pairs(model: Model, rule: str | None) -> PairScorer:
    return gc_scorer()


def mutants(model: Model, rule: str | None, long: str) -> MutantScorer:
    return abc_scorer()


def worm_variants(path: Path, num: int) -> Path:
    """Changes of single bases of the slice's chromosome V, mostly in genes."""
    bases = ""
    with gzip.open(shared("data/genomes/C.elegans_slice.fa.gz"), "rt") as file:
        is_mine = False
        for line in file:
            if line.startswith(">"):
                is_mine = line.startswith(">V ")
            elif is_mine:
                bases += line.strip().upper()
    draw, rows = Random(5), []
    for i in range(num):
        start = draw.randrange(len(bases))
        alts = [b for b in "ACGT" if b != bases[start]]
        rows.append(f"V\t{start + 1}\tv{i}\t{bases[start]}\t{','.join(alts[: 1 + i % 2])}\t.\t.\t.")
    path.write_text(HEAD.replace("#CHROM", "##contig=<ID=V>\n#CHROM") + "\n".join(rows) + "\n")
    return path


def test_a_vcf_of_the_worm_is_annotated(tmp_path: Path, esm2: Path, capsys, monkeypatch):
    """By toys: the rules' own tests are elsewhere."""
    monkeypatch.setattr("lexome.scoring.pairs.rules.make_pair_scorer", pairs)
    monkeypatch.setattr("lexome.scoring.mutants.rules.make_mutant_scorer", mutants)
    source = worm_variants(tmp_path / "worm.vcf", 400)
    done = annotate_vcf(
        source,
        tmp_path / "out.vcf.gz",
        shared("data/genomes/C.elegans_slice.fa.gz"),
        gff=shared("data/genomes/C.elegans_slice.gff.gz"),
        model=str(esm2),
        protein_model=str(esm2),
        window=64,
        quiet=True,
        json=True,
    )
    assert json.loads(capsys.readouterr().out)["rows"] == 400
    assert (done.rows, done.alleles, done.scored) == (400, 600, 600)
    with pysam.VariantFile(str(tmp_path / "out.vcf.gz")) as file:
        rows = list(file)
        assert "LEXOME_RULE=gc" in str(file.header)
    assert [row.id for row in rows] == [f"v{i}" for i in range(400)]
    missense = [
        row for row in rows if "missense_variant" in str(row.info.get("LEXOME_CONSEQUENCE"))
    ]
    assert len(missense) > 30
    assert all(len(row.info["LEXOME_SCORE"]) == len(row.alts) for row in rows)
    notes = json.loads((tmp_path / "out.vcf.gz.meta.json").read_text())
    assert {"model", "protein_model", "fasta_sha256", "gff_sha256", "window"} <= set(notes)


def test_a_header_is_asked_for_and_a_region_placed(tmp_path: Path, capsys):
    fasta = shared("data/variants/brca1_region_GRCh38_chr17_42425000_43600000.fa.gz")
    source = shared("data/variants/gpn_msa_example_pathogenic_common.vcf.gz")
    inside = tmp_path / "inside.vcf"
    with gzip.open(source, "rt") as file:
        inside.write_text("".join(line for line in file if line.startswith("17\t")))
    gff = tmp_path / "none.gff"
    gff.write_text("17\ts\tCDS\t43000001\t43000009\t.\t+\t0\tID=p\n")
    with pytest.raises(InputError, match=r"line 1: saw a row .*`--no-header`"):
        annotate_vcf(inside, tmp_path / "out.csv", fasta, gff=gff, offset="17:42425000")
    annotate_vcf(inside, tmp_path / "out.csv", fasta, gff=gff, offset="17:42425000", no_header=True)
    table = pl.read_csv(tmp_path / "out.csv")
    assert table.height > 9
    outside = table["protein_reason"].str.contains("lies outside the FASTA's 17")
    assert table.height - outside.sum() == 9  # as the data's README says
    assert "Saved" in capsys.readouterr().err


def test_what_is_missing_is_said(tmp_path: Path):
    for output, fasta, words in [
        (tmp_path / "o.vcf", None, "without its genome"),
        (None, tmp_path / "g.fa", "no output"),
        (tmp_path / "o.vcf", tmp_path / "g.fa", "no such file"),
    ]:
        with pytest.raises(InputError, match=words):
            annotate_vcf(tmp_path / "a.vcf", output, fasta)


def test_the_window_is_what_the_model_reads(esm2: Path):
    model = load(str(esm2), offline=True)
    size = find_window(model)
    assert len(model.tokenizer.encode("A" * size)) == model.card.context
    six_mers = load(str(shared("reference/fixtures/nt-v2-tiny")), offline=True)
    size = find_window(six_mers)
    tokens = [len(six_mers.tokenizer.encode("A" * (size - cut))) for cut in range(6)]
    assert max(tokens) <= six_mers.card.context < max(tokens) + 6
    assert size > 6 * (six_mers.card.context - 8)
