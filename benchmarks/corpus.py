"""Measures memory and time of making a corpus and of reading it, as the corpus grows.

Run `python benchmarks/corpus.py [--base FILE] [--times 1 10 100]`; the last table is in corpus.txt.
The base is copied with a tenth of the residues of each copy drawn anew, so that no copy is one and
all are kept; "exact" are copies as they are, of which one is kept. Every stage runs in a process of
its own, which goes on from what the stage before has left, as after a kill. "peak" is all memory
that the system counts as the process's, "own" what it cannot take back (the rest are mapped files
and libraries), "imports" the same before anything is done; MMseqs2 is counted by itself.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from lexome.batches.shards import open_corpus, verify_shards
from lexome.batches.stream import Stream
from lexome.io.sources import read_records
from lexome.tokenizers.character import CharacterTokenizer
from lexome.training.pretraining import corpus as making
from lexome.training.pretraining import kinship
from lexome.training.pretraining.recipe import DataRecipe

PROTEOME = Path("data/proteomes/UP000000625-E.coli.fasta.gz")
RESIDUES = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)
SEEDS = 40  # held-out sequences, however large the corpus
SHARD = 1 << 23  # residues: a tenth of the largest corpus, as of a real one
BATCHES, TOKENS = 400, 16_384
STAGES = {"read": "find_kin", "search": "_write_shards", "write": ""}  # what comes behind


def write_source(base: list[str], times: int, exact: bool, path: Path) -> None:
    """The base and its copies as FASTA."""
    with path.open("w") as file:
        for copy in range(times):
            generator = np.random.default_rng(copy)
            for number, sequence in enumerate(base):
                letters = np.frombuffer(sequence.encode(), np.uint8).copy()
                if copy and not exact:
                    places = generator.random(len(letters)) < 0.1
                    letters[places] = RESIDUES[generator.integers(0, 20, int(places.sum()))]
                file.write(f">p{copy}_{number}\n{letters.tobytes().decode()}\n")


class OwnMemory(threading.Thread):
    """Watches what the process holds that no file backs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.stopped = 0.0, threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(0.02):
            self.most = max(self.most, self.now())

    def now(self) -> float:
        """MB at this moment."""
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def run_stage(stage: str, folder: Path) -> dict[str, Any]:
    """One stage in this process; what it took."""
    watch = OwnMemory()
    imports = watch.now()
    watch.start()
    wall, processor = time.perf_counter(), time.process_time()
    found = read_batches(folder) if stage == "batches" else make(stage, folder)
    watch.stopped.set()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found | {
        "seconds": time.perf_counter() - wall,
        "processor": time.process_time() - processor + children.ru_utime,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "own": max(watch.most, watch.now()),
        "imports": imports,
        "mmseqs": children.ru_maxrss / 1024,
    }


class Enough(Exception):
    """The stage is over."""


def make(stage: str, folder: Path) -> dict[str, Any]:
    """Make the corpus up to the end of a stage."""

    def stop(*anything: object) -> None:
        raise Enough

    if STAGES[stage]:
        setattr(making, STAGES[stage], stop)
    kinship.MOST_HELDOUT = SEEDS
    recipe = DataRecipe(sources=("source.fasta",), heldout=0.5, shard_residues=SHARD)
    try:
        corpus = making.make_corpus(recipe, folder / "corpus", folder, lambda w, t: None, True)
    except Enough:
        return {}
    return {"counts": corpus.manifest["counts"], "kept": corpus.train.residues}


def read_batches(folder: Path) -> dict[str, Any]:
    """Check the hashes, then read batches from all over an epoch."""
    corpus = open_corpus(folder / "corpus")
    verify_shards(corpus)
    stream, tokenizer = Stream(corpus.train, 1024, 1), CharacterTokenizer()
    wall, tokens, visit = time.perf_counter(), 0, 0
    for _ in range(BATCHES):
        windows = stream.next_batch(visit, TOKENS)
        tokens += len(stream.read(windows, tokenizer).ids_T)
        visit += len(windows.numbers_W)
    return {"rate": tokens / (time.perf_counter() - wall)}


def in_a_process(stage: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder)]
    # few arenas: with many, glibc keeps freed memory for threads that are gone
    environment = os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def report(base: list[str], times: int, exact: bool, lines: list[str]) -> None:
    """All stages at one size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_source(base, times, exact, folder / "source.fasta")
        size = (folder / "source.fasta").stat().st_size
        for stage in (*STAGES, "batches"):
            found = in_a_process(stage, folder)
            note = ""
            if "kept" in found:
                left_out = found["counts"]["copies"], found["counts"]["like a held-out one"]
                note = "kept {:,} residues; {:,} copies, {:,} kin left out".format(
                    found["kept"], *left_out
                )
            elif "rate" in found:
                note = f"{found['rate'] / 1e6:.1f} M tokens/s behind the hashing"
            mmseqs = f"{found['mmseqs']:>6.0f}" if stage == "search" else f"{'-':>6}"
            what = f"{times}x {'exact' if exact else 'mutated'}"
            lines.append(
                f"{what:<13} {size / 1e6:>6.1f}  {stage:<8} {found['peak']:>5.0f} "
                f"{found['own']:>5.0f} {found['imports']:>7.0f} {mmseqs} "
                f"{found['seconds']:>7.1f} {found['processor']:>6.1f}  {note}"
            )
            print(lines[-1], flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, help="sequences; else 2,000 proteins of E. coli")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(run_stage(options.stage, options.folder)))
        return
    root = Path(__file__).resolve().parents[1]
    shared = Path(os.environ.get("LEXOME_SHARED") or root.parent / "shared")
    records = read_records(str(options.base or shared / PROTEOME), proteins=True)
    base = [record.sequence for record in records]
    base = base if options.base else base[:2000]
    residues = sum(map(len, base))
    lines = [
        f"base: {len(base):,} proteins, {residues:,} residues; shards of {SHARD:,} residues; "
        f"{SEEDS} held-out sequences, their kin searched for by MMseqs2",
        f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "",
        f"{'corpus':<13} {'MB':>6}  {'stage':<8} {'peak':>5} {'own':>5} {'imports':>7} "
        f"{'mmseqs':>6} {'seconds':>7} {'CPU s':>6}   (memory in MB)",
    ]
    print("\n".join(lines), flush=True)
    for times in options.times:
        report(base, times, False, lines)
    for times in options.times[1:]:
        report(base, times, True, lines)
    Path(__file__).with_suffix(".txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
