"""Measures how fast sequences and tables are read, beside peers, on synthetic proteins.

Run `python benchmarks/reading.py [--megabytes 120] [--runs 5]`; the last table is in reading.txt.
Each speed is of the best run, by two clocks: wall (what one waits for) and CPU (what the reading
takes of a core, to go by while other jobs share the machine). Runs of the readers take turns.
"""

import argparse
import csv
import gzip
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from Bio.SeqIO.FastaIO import SimpleFastaParser

from lexome.io.fasta import read_fasta
from lexome.io.tables import read_table, read_table_records

RESIDUES = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)
LINE = 60


def make_proteins(total: int, seed: int) -> list[tuple[str, str]]:
    """Names and sequences of log-normal length (median 300, sigma 0.65), `total` in all."""
    random = np.random.default_rng(seed)
    proteins = []
    while total > 0:
        length = int(np.clip(random.lognormal(np.log(300), 0.65), 30, 5000))
        letters = RESIDUES[random.integers(0, 20, length)].tobytes().decode()
        name = (
            f"sp|Q{len(proteins):07d}|SYN{len(proteins)}_TEST Synthetic protein OS=None OX=0 PE=5"
        )
        proteins.append((name, letters))
        total -= length
    return proteins


def write_files(proteins: list[tuple[str, str]], folder: Path) -> None:
    with (folder / "p.fasta").open("w") as file:
        for name, letters in proteins:
            lines = (letters[i : i + LINE] for i in range(0, len(letters), LINE))
            file.write(f">{name}\n" + "\n".join(lines) + "\n")
    names, sequences = zip(*proteins, strict=True)
    ids = [name.split()[0] for name in names]
    frame = pl.DataFrame(
        {"id": ids, "sequence": sequences, "label": [i % 2 for i in range(len(ids))]}
    )
    frame.write_csv(folder / "p.csv")
    frame.write_parquet(folder / "p.parquet")
    for name in ("p.fasta", "p.csv"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes(), 1))


def read_plainly(path: Path) -> int:
    """Count records by splitting the file's bytes: no text, no joined lines, all in memory."""
    return len(path.read_bytes()[1:].split(b"\n>"))


def read_by_biopython(path: Path) -> int:
    with path.open() as file:
        return sum(1 for _ in SimpleFastaParser(file))


def read_by_csv_module(path: Path) -> int:
    with path.open(newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def read_by_pandas(path: Path) -> int:
    with pd.read_csv(path, dtype=str, chunksize=16_384) as chunks:
        return sum(len(chunk) for chunk in chunks)


READERS: list[tuple[str, str, Callable[[Path], int]]] = [
    ("p.fasta", "lexome read_fasta", lambda path: sum(1 for _ in read_fasta(path))),
    ("p.fasta", "Biopython SimpleFastaParser", read_by_biopython),
    ("p.fasta", "bytes.split, whole file", read_plainly),
    ("p.fasta.gz", "lexome read_fasta", lambda path: sum(1 for _ in read_fasta(path))),
    ("p.csv", "lexome read_table", lambda path: sum(b.height for b in read_table(path))),
    ("p.csv", "lexome read_table_records", lambda path: sum(1 for _ in read_table_records(path))),
    ("p.csv", "polars read_csv, whole file", lambda path: pl.read_csv(path).height),
    ("p.csv", "pandas read_csv in chunks", read_by_pandas),
    ("p.csv", "csv.DictReader", read_by_csv_module),
    ("p.csv.gz", "lexome read_table", lambda path: sum(b.height for b in read_table(path))),
    ("p.parquet", "lexome read_table", lambda path: sum(b.height for b in read_table(path))),
]


def measure(folder: Path, runs: int) -> list[tuple[int, float, float]]:
    """Records, and the best wall and CPU seconds, of each reader."""
    best = [(0, float("inf"), float("inf"))] * len(READERS)
    for _ in range(runs):
        for index, (file, _, read) in enumerate(READERS):
            wall, processor = time.perf_counter(), time.process_time()
            count = read(folder / file)
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
            best[index] = (count, min(best[index][1], wall), min(best[index][2], processor))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=120, help="of residues")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        proteins = make_proteins(options.megabytes * 1_000_000, options.seed)
        write_files(proteins, folder)
        median = np.median([len(letters) for _, letters in proteins])
        print(f"{len(proteins):,} proteins, median {median:.0f} residues, seed {options.seed}")
        print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
        print(f"{'file':<11} {'MB':>5}  {'reader':<28} MB/s wall  MB/s CPU   records/s")
        for (file, label, _), (count, wall, processor) in zip(
            READERS, measure(folder, options.runs), strict=True
        ):
            # a packed file is measured by the text that comes out of it
            unpacked = folder / file.removesuffix(".gz").replace("parquet", "csv")
            size = unpacked.stat().st_size / 1e6
            assert count == len(proteins), (label, count)
            speeds = f"{size / wall:>9.0f} {size / processor:>9.0f} {count / wall:>11,.0f}"
            print(f"{file:<11} {size:>5.0f}  {label:<28} {speeds}")


if __name__ == "__main__":
    main()
