"""Whole VCF files: every row comes out, in order, as it was; killed runs go on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pysam
import pytest

from lexome.errors import InputError
from lexome.io.genome import Genome
from lexome.io.gff import read_transcripts
from lexome.io.vcf import open_vcf
from lexome.results.tables import read_provenance
from lexome.scoring.genomes.coding import Annotation
from lexome.scoring.genomes.vcf_file import VcfSummary, score_vcf_file
from lexome.scoring.genomes.vcf_rows import VcfScoring
from tests.scoring.test_coding import PAPER
from tests.scoring.toy_scorers import abc_scorer, gc_scorer

HEAD = """##fileformat=VCFv4.2
##contig=<ID=c>
##contig=<ID=17>
##INFO=<ID=DP,Number=1,Type=Integer,Description="depth">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""
# PAPER (tests/scoring/test_coding.py): MetAlaLys, an intron of 20 bases, TrpGluTer.
ROWS = [
    ("c", 9, "ala2pro", "G", "C", "DP=1"),
    ("c", 9, "three", "G", "C,<DEL>,A", "DP=2"),
    ("c", 15, "donor", "G", "A", "."),
    ("c", 6, "start", "A", "G", "."),  # unsorted
    ("17", 6, "lost", "A", "G", "."),
    ("c", 6, "wrong", "T", "G", "."),
    ("c", 9, "frame", "GC", "G", "."),
    ("c", 9, "nothing", "G", ".", "."),
    ("c", 25, "intron", "C", "G", "."),
    ("c", 12, "stop", "A", "T", "."),
    ("c", 12, "same", "AAG", "AAA", "."),
]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "g.fa").write_text(f">c\n{PAPER}\n")
    (tmp_path / "g.gff").write_text(
        "c\ts\tgene\t1\t50\t.\t+\t.\tID=g;Name=gene one\n"
        "c\ts\tmRNA\t1\t50\t.\t+\t.\tID=t;Parent=g\n"
        "c\ts\texon\t1\t14\t.\t+\t.\tParent=t\nc\ts\texon\t35\t50\t.\t+\t.\tParent=t\n"
        "c\ts\tCDS\t6\t14\t.\t+\t0\tParent=t;ID=p\nc\ts\tCDS\t35\t43\t.\t+\t0\tParent=t;ID=p\n"
    )
    lines = ("\t".join([c, str(p), i, r, a, ".", "PASS", info]) for c, p, i, r, a, info in ROWS)
    (tmp_path / "in.vcf").write_text(HEAD + "\n".join(lines) + "\n")
    return tmp_path


def run(files: Path, output: str, **options: Any) -> VcfSummary:
    settings: dict[str, Any] = {
        "pairs": gc_scorer(),
        "window": 6,
        "mutants": abc_scorer(),
        "gff": True,
    } | options
    with Genome(files / "g.fa") as genome:
        annotation = (
            Annotation(genome, read_transcripts(files / "g.gff")) if settings.pop("gff") else None
        )
        scoring = VcfScoring(genome=genome, annotation=annotation, **settings)
        return score_vcf_file(
            files / "in.vcf", files / output, scoring, {"model": "toy"}, quiet=True
        )


def read_info(path: Path) -> dict[str, dict[str, Any]]:
    with pysam.VariantFile(str(path)) as file:
        return {row.id: {k.removeprefix("LEXOME_"): v for k, v in row.info.items()} for row in file}


def test_dna_and_protein_scores_stand_side_by_side(files: Path):
    done = run(files, "out.vcf.gz")
    assert done == VcfSummary(11, 13, 9, 4, 4, 0)
    info = read_info(files / "out.vcf.gz")
    assert list(info) == [row[2] for row in ROWS]
    first = info["ala2pro"]
    assert (first["DP"], first["SCORE"], first["PROTEIN_SCORE"]) == (1, (0.0,), (15.0,))
    assert (first["PROTEIN_CHANGE"], first["CONSEQUENCE"]) == (
        ("p.Ala2Pro",),
        ("missense_variant",),
    )
    assert (first["GENE"], first["TRANSCRIPT"], first["WINDOW_BASES"]) == (
        ("gene%20one",),
        ("t",),
        (6,),
    )
    three = info["three"]
    assert three["SCORE"] == (0.0, None, -1.0)
    assert three["PROTEIN_CHANGE"] == ("p.Ala2Pro", ".", "p.Ala2Thr")
    assert three["REASON"] == (
        ".",
        "the%20allele%20<DEL>%20is%20symbolic:%20its%20bases%20are%20not%20given",
        ".",
    )
    assert info["donor"]["CONSEQUENCE"] == ("splice_donor_variant",)
    assert "splice%20site" in info["donor"]["PROTEIN_REASON"][0]
    assert info["frame"]["PROTEIN_CHANGE"] == ("p.Ala2GlufsTer?",)
    assert info["stop"]["PROTEIN_REASON"] == ("no%20rule%20for%20stops",)
    assert info["same"]["NORMALISED"] == ("14:G:A",)
    assert info["same"]["PROTEIN_SCORE"] == (0.0,)  # AAG and AAA are both lysine
    assert info["nothing"]["REASON"] == ("no%20alternate%20allele",)
    assert "no%20contig%2017" in info["lost"]["REASON"][0]
    assert info["wrong"]["REASON"][0].startswith("the%20FASTA%20has%20A%20at%206")


def test_all_else_of_the_file_is_kept(files: Path):
    run(files, "out.vcf")
    with open_vcf(files / "in.vcf") as before, open_vcf(files / "out.vcf") as after:
        assert after.header.lines[: len(before.header.lines)] == before.header.lines
        for old, new in zip(before.rows, after.rows, strict=True):
            assert new.fields[:7] == old.fields[:7]
            assert new.fields[7].startswith("" if old.fields[7] == "." else old.fields[7] + ";")
    notes = json.loads((files / "out.vcf.meta.json").read_text())
    assert (notes["rule"], notes["protein_rule"], notes["rows"], notes["model"]) == (
        "gc",
        "abc",
        11,
        "toy",
    )
    assert any(line == "##LEXOME_RULE=gc" for line in after.header.lines)


def test_the_table_has_a_row_an_allele(files: Path):
    run(files, "out.parquet")
    table = pl.read_parquet(files / "out.parquet")
    assert table.height == 13
    assert table["row"].to_list() == [1, 2, 2, 2, *range(3, 12)]
    assert table["alt"].to_list()[1:4] == ["C", "<DEL>", "A"]
    assert table["score"].to_list()[1:4] == [0.0, None, -1.0]
    assert table.filter(pl.col("id") == "ala2pro")["protein_change"].item() == "p.Ala2Pro"
    assert (table["score"].is_null() == (table["reason"] != "")).all()
    assert (table["protein_score"].is_null() == (table["protein_reason"] != "")).all()
    assert read_provenance(files / "out.parquet")["window"] == 6
    run(files, "out.csv")
    assert pl.read_csv(files / "out.csv", schema_overrides={"chromosome": pl.String}).height == 13


def test_either_model_may_be_left_out(files: Path):
    run(files, "dna.vcf", gff=False, mutants=None)
    assert set(read_info(files / "dna.vcf")["ala2pro"]) == {"DP", "SCORE", "WINDOW_BASES"}
    done = run(files, "protein.vcf", pairs=None, window=0)
    assert (done.scored, done.protein_scored) == (0, 4)
    assert "SCORE" not in read_info(files / "protein.vcf")["ala2pro"]
    run(files, "genes.vcf", pairs=None, window=0, mutants=None)
    assert read_info(files / "genes.vcf")["ala2pro"]["PROTEIN_CHANGE"] == ("p.Ala2Pro",)
    for wrong in ({"pairs": None, "gff": False}, {"gff": False}, {"window": 0}):
        with pytest.raises(InputError):
            run(files, "x.vcf", **wrong)


def test_a_protein_is_asked_for_once_with_all_its_mutants(files: Path):
    asked: list[str] = []
    run(files, "out.vcf", mutants=abc_scorer(asked))
    assert asked == ["MAKWE"]


def test_a_protein_that_the_model_does_not_take_is_a_reason(files: Path):
    def refuse(sequence: str, mutants: Any) -> list[float | str]:
        raise InputError("the reference", "5 residues", "at most 4", "`--long window`")

    done = run(files, "out.vcf", mutants=abc_scorer()._replace(compute=refuse))
    assert (done.scored, done.protein_scored) == (9, 0)
    found = read_info(files / "out.vcf")["ala2pro"]["PROTEIN_REASON"]
    assert found == ("the%20protein:%20saw%205%20residues%2C%20expected%20at%20most%204",)


def test_numbers_do_not_depend_on_the_company(files: Path, monkeypatch):
    run(files, "whole.parquet")
    monkeypatch.setattr("lexome.inference.parts.PART_RECORDS", 1)
    monkeypatch.setattr("lexome.scoring.genomes.vcf_rows.PAIR_BASES", 1)
    run(files, "single.parquet")
    assert pl.read_parquet(files / "whole.parquet").equals(
        pl.read_parquet(files / "single.parquet")
    )


def test_a_file_without_rows_makes_one_without_rows(files: Path):
    (files / "in.vcf").write_text(HEAD)
    assert run(files, "out.vcf").rows == 0
    assert read_info(files / "out.vcf") == {}
    run(files, "out.parquet")
    assert pl.read_parquet(files / "out.parquet").height == 0


def test_what_cannot_be_done_is_refused_before_the_work(files: Path):
    with pytest.raises(InputError, match="the input itself"):
        run(files, "in.vcf")
    with pytest.raises(InputError, match=r"the ending \.txt"):
        run(files, "out.txt")
    run(files, "out.vcf")
    (files / "in.vcf").write_text((files / "out.vcf").read_text())
    with pytest.raises(InputError, match=r"bcftools annotate -x .*INFO/LEXOME_SCORE"):
        run(files, "again.vcf")
    assert sorted(p.name for p in files.iterdir()) == [
        "g.fa",
        "g.gff",
        "in.vcf",
        "out.vcf",
        "out.vcf.meta.json",
    ]


SLOW_RUN = """
import sys, time
from pathlib import Path
import lexome.inference.parts
lexome.inference.parts.PART_RECORDS = 20
from lexome.io.genome import Genome
from lexome.scoring.pairs.pair import PairScorer
from lexome.scoring.genomes.vcf_file import score_vcf_file
from lexome.scoring.genomes.vcf_rows import VcfScoring
from tests.scoring.toy_scorers import gc_scorer

folder, pause = Path(sys.argv[1]), float(sys.argv[2])
plain = gc_scorer()
def compute(pairs):
    time.sleep(pause)
    return plain.compute(pairs)
with Genome(folder / "g.fa.gz") as genome:
    scoring = VcfScoring(genome=genome, pairs=plain._replace(compute=compute), window=12)
    done = score_vcf_file(folder / "in.vcf", folder / "out.vcf.gz", scoring, {}, quiet=True)
print(done.rows, done.resumed_rows)
"""


def test_a_run_that_is_killed_goes_on_to_the_same_file(tmp_path: Path):
    import gzip

    draw = Random(0)
    bases = "".join(draw.choices("ACGT", k=5_000))
    (tmp_path / "g.fa.gz").write_bytes(gzip.compress(f">c\n{bases}\n".encode()))
    lines = []
    for _ in range(600):
        start = draw.randrange(5_000)
        lines.append(f"c\t{start + 1}\t.\t{bases[start]}\t{draw.choice('ACGT')}\t.\t.\t.")
    (tmp_path / "in.vcf").write_text(HEAD + "\n".join(lines) + "\n")
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{root / 'src'}:{root}"}

    def start(pause: float) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", SLOW_RUN, str(tmp_path), str(pause)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    killed = start(0.05)
    began = time.monotonic()
    while len(list(tmp_path.glob(".out.vcf.gz.*.parts/*/part-*.parquet"))) < 6:
        assert time.monotonic() - began < 60
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "out.vcf.gz").exists()
    resumed, _ = start(0).communicate()
    rows, stood = map(int, resumed.split())
    assert (rows, stood >= 100) == (600, True)
    first = (tmp_path / "out.vcf.gz").read_bytes()
    assert not list(tmp_path.glob(".out*"))
    (tmp_path / "out.vcf.gz").unlink()
    again, _ = start(0).communicate()
    assert again.split() == ["600", "0"]
    assert (tmp_path / "out.vcf.gz").read_bytes() == first
