"""Measures which of the kin that MMseqs2 aligns the built-in k-mer search finds, and how fast.

Run `python benchmarks/kin.py [--queries 1000] [--targets 15000]`; the last table is in kin.txt.
Proteins are drawn at random from the nine proteomes of shared/; "similar" is a pair of which
either protein is covered by half.
"""

import argparse
import os
import random
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from lexome.evaluation.kin import SEARCHES
from lexome.io.fasta import read_fasta
from lexome.search.mmseqs import mmseqs_version

STEPS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.9, 1.01)
LOWEST = {"mmseqs2": 0.3, "kmers": 0.45}
Pairs = dict[tuple[str, str], float]


def draw(folder: Path, num_queries: int, num_targets: int) -> tuple[Path, Path]:
    """Queries and targets as FASTA."""
    shared = os.environ.get("LEXOME_SHARED") or Path(__file__).resolve().parents[2] / "shared"
    paths = sorted((Path(shared) / "data" / "proteomes").glob("*.fasta.gz"))
    letters = [r.sequence for path in paths for r in read_fasta(path) if len(r.sequence) >= 30]
    random.Random(0).shuffle(letters)
    parts = letters[:num_queries], letters[num_queries : num_queries + num_targets]
    for name, part in zip("qt", parts, strict=True):
        lines = (f">{name}{i}\n{sequence}\n" for i, sequence in enumerate(part))
        (folder / name).write_text("".join(lines))
    return folder / "q", folder / "t"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--targets", type=int, default=15_000)
    options = parser.parse_args()
    found: dict[str, Pairs] = {}
    seconds = {}
    with tempfile.TemporaryDirectory() as name:
        queries, targets = draw(Path(name), options.queries, options.targets)
        for search, run in SEARCHES.items():
            began = time.perf_counter()
            hits = run(queries, targets, LOWEST[search], 0.5, Path(name) / search)
            found[search] = {(hit.query, hit.target): hit.identity for hit in hits}
            seconds[search] = time.perf_counter() - began
    aligned, by_kmers = found["mmseqs2"], set(found["kmers"])
    lines = [
        f"{options.queries:,} queries, {options.targets:,} targets, MMseqs2 {mmseqs_version()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        f"MMseqs2 {len(aligned):,} pairs in {seconds['mmseqs2']:.0f} s, k-mers "
        f"{len(by_kmers):,} in {seconds['kmers']:.0f} s, of which {len(by_kmers - set(aligned)):,} "
        "are not among the first",
        "",
        "identity     pairs  found by k-mers",
    ]
    for low, high in pairwise(STEPS):
        pairs = {pair for pair, identity in aligned.items() if low <= identity < high}
        shared = f"{len(pairs & by_kmers):>5}  {len(pairs & by_kmers) / max(len(pairs), 1):.0%}"
        lines.append(f"{low:.2f} - {min(high, 1):.2f} {len(pairs):>5}  {shared}")
    for low in (0.3, 0.45, 0.5):
        pairs = {pair for pair, identity in aligned.items() if identity >= low}
        lines.append(
            f">= {low:.2f}     {len(pairs):>5}  {len(pairs & by_kmers):>5}  "
            f"{len(pairs & by_kmers) / max(len(pairs), 1):.0%}"
        )
    print("\n".join(lines))
    Path(__file__).with_suffix(".txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
