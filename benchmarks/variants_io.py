"""Measures how fast variants are read, checked and windowed, and whole VCF files are annotated.

Run `python benchmarks/variants_io.py [--variants 100000 200000]`; the last table is in
variants_io.txt. The variants are made from the genome of E. coli (LEXOME_SHARED, else ../shared):
nine of ten change a base, the others insert or delete up to four. No model is asked: the rule of
the whole files counts G and C. One thread; the speed is that of the processor's clock, as other
jobs may share the machine, the peak memory that of a process of its own.
"""

import argparse
import gzip
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from lexome.io.genome import Genome
from lexome.io.gff import read_transcripts
from lexome.io.vcf import open_vcf
from lexome.scoring.genomes.coding import Annotation
from lexome.scoring.genomes.variants import make_pair, read_variants
from lexome.scoring.genomes.vcf_file import score_vcf_file
from lexome.scoring.genomes.vcf_rows import VcfScoring
from lexome.scoring.mutants.scorer import MutantScorer
from lexome.scoring.pairs.pair import Pair, PairScorer
from lexome.sequence.mutations import Mutant

WINDOW = 8192
FASTA = "ecoli_k12_mg1655_GCF_000005845.2.fna.gz"
GFF = "ecoli_k12_mg1655_GCF_000005845.2.gff.gz"
HEAD = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
JOBS = {  # what is measured; the whole files come with their output
    "rows read": "split into columns",
    "and checked": "reference allele verified, trimmed, left-aligned",
    "and windowed": f"both windows of {WINDOW:,} bases cut",
    "whole file, DNA rule": "annotated .vcf.gz, windows and a toy rule, in parts that resume",
    "whole file, proteins": "annotated .vcf.gz with consequences and protein changes",
}


def make_vcf(path: Path, folder: Path, num: int) -> None:
    """Sorted variants of the real genome."""
    with gzip.open(folder / FASTA, "rt") as file:
        name = next(file).split()[0][1:]
        bases = "".join(line.strip() for line in file)
    draw = Random(0)
    with path.open("w") as out:
        out.write(HEAD)
        for start in sorted(draw.randrange(10, len(bases) - 10) for _ in range(num)):
            ref, kind = bases[start], draw.random()
            alt = draw.choice([base for base in "ACGT" if base != ref])
            if kind < 0.05:
                alt = ref + "".join(draw.choices("ACGT", k=draw.randint(1, 4)))
            elif kind < 0.1:
                ref = bases[start : start + draw.randint(2, 5)]
                alt = ref[0]
            out.write(f"{name}\t{start + 1}\t.\t{ref}\t{alt}\t.\t.\t.\n")


def measure(job: str, vcf: Path, folder: Path, output: Path) -> tuple[float, float]:
    """Seconds by the wall and by the processor."""
    with Genome(folder / FASTA) as genome:
        annotation = Annotation(genome, read_transcripts(folder / GFF), 11)
        wall, cpu = time.perf_counter(), time.process_time()
        if job.startswith("whole"):
            pairs = PairScorer("gc", "toy", (), count) if "DNA" in job else None
            mutants = MutantScorer("zero", "toy", (), zeros)
            scoring = VcfScoring(
                genome=genome,
                pairs=pairs,
                window=WINDOW if pairs else 0,
                annotation=None if pairs else annotation,
                mutants=None if pairs else mutants,
            )
            score_vcf_file(vcf, output, scoring, {}, quiet=True)
        else:
            read_all(job, vcf, genome)
        return time.perf_counter() - wall, time.process_time() - cpu


def read_all(job: str, vcf: Path, genome: Genome) -> None:
    """Read all rows, and do with them what the job says."""
    with open_vcf(vcf) as found:
        for row in found.rows:
            if job == "rows read":
                continue
            for variant in read_variants(genome, row):
                if job == "and windowed":
                    pair = make_pair(genome, variant, WINDOW)
                    assert isinstance(pair, Pair), pair


def count(pairs: Sequence[Pair]) -> list[float | str]:
    """G and C that came in."""
    return [
        float(p.alt.count("G") + p.alt.count("C") - p.ref.count("G") - p.ref.count("C"))
        for p in pairs
    ]


def zeros(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
    """A score for each, at no cost."""
    return [0.0] * len(mutants)


def main() -> None:
    """Each job of each size in a process of its own, so that its peak memory is its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--variants", type=int, nargs="+", default=[100_000, 200_000])
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    shared = Path(os.environ.get("LEXOME_SHARED") or Path(__file__).parents[2] / "shared")
    folder = shared / "data/genomes"
    if asked.job:
        job, vcf = asked.job
        wall, cpu = measure(job, Path(vcf), folder, Path(vcf).with_name("out.vcf.gz"))
        print(wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    print(f"E. coli K-12 (4,641,652 bases, gzipped FASTA), {platform.platform()}")
    print(f"{os.cpu_count()} cores, one used, load {os.getloadavg()[0]:.1f}\n")
    names = ("variants", "s wall", "s CPU", "per s CPU", "peak MB")
    print(f"{'what':<22}" + "".join(f"{name:>11}" for name in names))
    with tempfile.TemporaryDirectory() as place:
        for num in asked.variants:
            vcf = Path(place) / f"{num}.vcf"
            make_vcf(vcf, folder, num)
            for job in JOBS:
                command = [sys.executable, __file__, "--job", job, str(vcf)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                wall, cpu, peak = map(float, done.stdout.split())
                rest = f"{wall:>11.1f}{cpu:>11.1f}{num / cpu:>11,.0f}{peak:>11,.0f}"
                print(f"{job:<22}{num:>11,}{rest}", flush=True)
    print("\nthe parts of a DNA rule are small (30 windows of this size, seconds of a real model),")
    print("so that a kill costs little; writing them is most of the time of that line\n")
    for job, meaning in JOBS.items():
        print(f"{job:<22} {meaning}")


if __name__ == "__main__":
    main()
