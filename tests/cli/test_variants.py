"""The verb `lexome variants` as it is typed: tables, alignments and VCF files."""

import gzip
import json

import polars as pl
import pysam
import pytest

from tests.checkpoints.families import read_fixture
from tests.commands import call_main
from tests.shared_data import shared

UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


def write_alignment(path, length=76):
    """A family of 40 rows of which position 3 is always I and position 4 varies."""
    rows = [
        UBIQUITIN[:3] + "FYWLMV"[i % 6] + UBIQUITIN[4:30] + "AST"[i % 3] + UBIQUITIN[31:]
        for i in range(40)
    ]
    lines = [f">q/1-{length}\n{UBIQUITIN[:length]}"]
    lines += [f">r{i}\n{row[:length]}" for i, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("rule", ["site", "potts", "hmm"])
def test_an_alignment_scores_a_table_and_its_fit_is_used_again(tmp_path, capsys, monkeypatch, rule):
    source = tmp_path / "m.csv"
    source.write_text("mutant\nF4Y\nI3W\nA1G\n")
    alignment = write_alignment(tmp_path / "family.a2m")
    args = ("variants", source, "--fasta", UBIQUITIN, "--alignment", alignment, "--rule", rule)
    done = call_main(capsys, monkeypatch, *args, "-o", tmp_path / "out.csv")
    assert done.code == 4, done.err  # A1G disagrees with the reference
    first = pl.read_csv(tmp_path / "out.csv")
    assert first["score"][0] > first["score"][1], (
        "what the family has is likelier than what it has not"
    )
    assert first["reason"][2] == "the reference has M at 1, not A"
    kept = [p for p in tmp_path.iterdir() if p.is_dir()]
    assert len(kept) == 1, "the fit is kept"
    changed = kept[0].stat().st_mtime_ns
    again = call_main(capsys, monkeypatch, *args, "-o", tmp_path / "out.csv")
    assert again.code == 4
    assert pl.read_csv(tmp_path / "out.csv").equals(first)
    assert kept[0].stat().st_mtime_ns == changed


def test_the_msa_transformer_scores_a_table_too(tmp_path, capsys, monkeypatch):
    model = read_fixture_path("msa1b-fair-tiny")
    source = tmp_path / "m.csv"
    source.write_text("mutant\nF4Y\nI3W\nT14S\n")
    alignment = write_alignment(tmp_path / "family.a2m", 12)  # of the tiny model's 16 columns
    done = call_main(
        *(capsys, monkeypatch, "variants", source, "--fasta", UBIQUITIN, "--alignment", alignment),
        *("--rule", "masked-marginal", "-m", model, "-o", tmp_path / "out.csv", "--device", "cpu"),
    )
    assert done.code == 4, done.err
    table = pl.read_csv(tmp_path / "out.csv")
    assert [score is None for score in table["score"]] == [False, False, True]
    assert "outside" in table["reason"][2]


def read_fixture_path(name):
    return shared(f"reference/fixtures/{name}")


def test_dna_and_protein_stand_side_by_side_in_one_vcf(tmp_path, capsys, monkeypatch):
    """Real genes of the worm, a real (tiny) model of DNA, the shipped model of proteins."""
    fasta = shared("data/genomes/C.elegans_slice.fa.gz")
    gff = shared("data/genomes/C.elegans_slice.gff.gz")
    bases = ""
    with gzip.open(fasta, "rt") as file:
        is_mine = False
        for line in file:
            if line.startswith(">"):
                is_mine = line.startswith(">V ")
            elif is_mine:
                bases += line.strip().upper()
    rows = [
        f"V\t{at + 1}\tv{at}\t{bases[at]}\t{'ACGT'[('ACGT'.index(bases[at]) + 1) % 4]}\t.\t.\t."
        for at in range(10_000, 60_000, 997)
    ]
    source = tmp_path / "worm.vcf"
    head = "##fileformat=VCFv4.2\n##contig=<ID=V>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    source.write_text(head + "\n".join(rows) + "\n")
    model = read_fixture("nt-v2-tiny").path
    done = call_main(
        *(capsys, monkeypatch, "variants", source, "--fasta", fasta, "--gff", gff, "-m", model),
        *("--window", 48, "-o", tmp_path / "out.vcf.gz", "--device", "cpu", "--json"),
    )
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert summary["rows"] == len(rows)
    assert summary["scored"] == len(rows)
    with pysam.VariantFile(str(tmp_path / "out.vcf.gz")) as file:
        found = list(file)
    assert [row.id for row in found] == [row.split("\t")[2] for row in rows]
    both = [
        row for row in found if (row.info.get("LEXOME_PROTEIN_SCORE") or (None,))[0] is not None
    ]
    assert len(both) >= 3
    assert all(row.info["LEXOME_SCORE"][0] is not None for row in both)
    assert all("p." in str(row.info["LEXOME_PROTEIN_CHANGE"]) for row in both)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["t.csv"], "--fasta protein.fasta"),
        (["t.csv", "--fasta", "MKT", "--gff", "g.gff"], "VCF files with this option"),
        (["t.csv", "--fasta", "MKT", "--offset", "x"], "a whole number"),
        (["t.vcf", "--fasta", "g.fa", "--alignment", "a.a2m"], "tables with this option"),
        (["t.csv", "--fasta", "MKT", "--alignment", "a.a2m", "-m", "protein-mini"], "one of them"),
        (["t.csv", "--fasta", "MKT", "--alignment", "none.a2m"], "none.a2m"),
        (["t.csv", "--fasta", "MKT", "--rule", "potts"], "no such rule"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(
    args, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("mutant\nM1A\n")
    done = call_main(capsys, monkeypatch, "variants", *args, "-o", "out.csv")
    assert done.code == 2
    assert words in done.error
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]
