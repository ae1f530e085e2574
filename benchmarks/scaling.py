"""Speed and memory of training steps on this CPU, beside what `lexome plan` says of them.

    python benchmarks/scaling.py [--shapes 3x96x4 6x320x20 12x480x20 ...] [--threads N]

Each shape (layers x width x heads) trains in a process of its own through the real step, on random
proteins. Before every step the machine's matrix product is measured, so that the share of it does
not drift with the machine; share and speed are medians over the steps. "peak" is the largest
resident memory less what the process held before it had a network, measured in one more
process: with proteins of one length, and an allocator that gives back what is freed. Otherwise a
process grows beyond what it uses: see docs/scaling.md. Prints the table, and writes it to
scaling.txt.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lexome.devices import choose_training_dtype, num_cores, product_ceiling, wait_politely

if TYPE_CHECKING:
    from lexome.training.pretraining.recipe import Recipe

SHAPES = ["3x96x4", "6x160x8", "6x320x10", "6x320x20", "12x480x20", "6x640x20"]
FITTED = (
    "3x96x4",
    "12x480x20",
)  # from these the CPU's numbers in training/pretraining/machines.py were taken
PROTEINS, TOKENS, STEPS, SEED = 400, 4_096, 5, 0
GIVING_BACK = {"MALLOC_MMAP_THRESHOLD_": "500000", "MALLOC_TRIM_THRESHOLD_": "500000"}  # glibc
TABLE = Path(__file__).with_suffix(".txt")
HEAD = (
    "| shape | parameters | tokens/s | share of ceiling | predicted | error | peak | predicted | "
    "error |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|"
)


def main() -> None:
    """Print the table, a line as soon as a shape is done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=SHAPES)
    parser.add_argument("--threads", type=int, default=num_cores())
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        print(json.dumps(measure(asked.shapes[0], Path(asked.worker), asked.steps)))
        return
    lines = []

    def tell(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    dtype = choose_training_dtype("auto", "cpu", "encoder").choice
    tell(
        f"{platform.platform()}, {asked.threads} thread(s) on {num_cores()} cores, "
        f"load {os.getloadavg()[0]:.1f}; {dtype}, AdamW, micro-batches of {TOKENS:,} tokens, "
        f"median of {STEPS} steps; * fitted to"
    )
    tell(f"\n{HEAD}")
    with tempfile.TemporaryDirectory() as folder:
        various, equal = Path(folder, "various"), Path(folder, "equal")
        write_corpus(various, 0.65)
        write_corpus(equal, 0.0)
        for shape in asked.shapes:
            found = run_worker(shape, various, STEPS, asked.threads, {})
            peak = run_worker(shape, equal, 1, asked.threads, GIVING_BACK)["peak"]
            tell(row(shape, found | {"peak": peak}))
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_worker(
    shape: str, folder: Path, steps: int, threads: int, settings: dict[str, str]
) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--worker", str(folder)]
    command += ["--shapes", shape, "--steps", str(steps)]
    environment = os.environ | settings | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def write_corpus(folder: Path, sigma: float) -> None:
    """Shards of random proteins with log-normal lengths."""
    folder.mkdir()
    from lexome.training.pretraining.corpus import make_corpus
    from lexome.training.pretraining.recipe import DataRecipe

    generator = np.random.default_rng(SEED)
    letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", np.uint8)
    lengths = np.exp(generator.normal(np.log(300), sigma, PROTEINS)).clip(30, 1022).astype(int)
    proteins = [letters[generator.integers(0, 20, n)].tobytes().decode() for n in lengths]
    text = "".join(f">p{i}\n{protein}\n" for i, protein in enumerate(proteins))
    (folder / "proteins.fasta").write_text(text)
    data = DataRecipe(sources=("proteins.fasta",), heldout=0.0)
    make_corpus(data, folder / "corpus", folder, lambda what, text: None, quiet=True)


def measure(shape: str, folder: Path, steps: int) -> dict[str, Any]:
    """Train some steps of a shape; what it took, and what the plan says."""
    wait_politely()
    import torch

    from lexome.batches.shards import open_corpus
    from lexome.batches.stream import Stream
    from lexome.distributed.ranks import Ranks
    from lexome.tokenizers.character import CharacterTokenizer
    from lexome.training.pretraining.loop import Learner
    from lexome.training.pretraining.machines import this_machine
    from lexome.training.pretraining.plan import (
        flops_per_token,
        forecast,
        memory_of,
        num_parameters,
    )
    from lexome.training.pretraining.pretrain import new_network
    from lexome.training.pretraining.steps import Plan, make_step

    recipe, tiny = recipe_of(shape), recipe_of("1x16x2")
    corpus = open_corpus(folder / "corpus")
    stream = Stream(corpus.train, recipe.training.context, SEED)
    plan = Plan(stream, CharacterTokenizer(), recipe.objective, TOKENS, TOKENS, SEED)
    dtype = choose_training_dtype("auto", "cpu", "encoder").choice
    ranks = Ranks(0, 1, "cpu")
    # What torch allocates once, whatever the shape, is not the network's.
    product_ceiling("cpu", dtype, 0.1)
    Learner(new_network(tiny), tiny, dtype, ranks, "ddp").take(make_step(plan, 0))
    before = resident()
    learner = Learner(new_network(recipe), recipe, dtype, ranks, "ddp")
    work = flops_per_token(recipe, corpus)
    speeds, shares, ceilings = [], [], []
    for number in range(1 + steps):
        batch = make_step(plan, learner.visit)
        ceiling = product_ceiling("cpu", dtype, 0.3)
        began = time.monotonic()
        learner.take(batch)
        speed = batch.tokens / (time.monotonic() - began)
        if number:  # the first one is slower: memory is asked for, kernels are chosen
            speeds.append(speed)
            ceilings.append(ceiling)
            shares.append(speed * work / ceiling)
    mean = corpus.train.residues / corpus.train.sequences
    machine = this_machine(statistics.median(ceilings), torch.get_num_threads())
    told = forecast(recipe, mean, machine)
    return {
        "parameters": num_parameters(recipe),
        "speed": statistics.median(speeds),
        "share": statistics.median(shares),
        "predicted_share": told.tokens_per_second * work / machine.ceiling,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before,
        "predicted_peak": memory_of(recipe, dtype, mean).total,
        "ceiling": machine.ceiling,
    }


def recipe_of(shape: str) -> "Recipe":
    """AdamW as ESM-2 had it, on LAYERSxWIDTHxHEADS."""
    from lexome.training.pretraining.recipe import parse_recipe

    num_layers, width, num_heads = map(int, shape.split("x"))
    return parse_recipe(
        {
            "name": shape,
            "model": {
                "num_layers": num_layers,
                "width": width,
                "num_heads": num_heads,
                "ffn_width": 4 * width,
            },
            "training": {"steps": 1000, "token_batch": TOKENS, "micro_tokens": TOKENS},
        }
    )


def resident() -> int:
    """Bytes of this process that lie in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def row(shape: str, found: dict[str, Any]) -> str:
    """A line of the table."""
    share, told = found["share"], found["predicted_share"]
    peak, expected = found["peak"], found["predicted_peak"]
    mark = " *" if shape in FITTED else ""
    return (
        f"| {shape}{mark} | {found['parameters']:,} | {found['speed']:,.0f} | {share:.1%} | "
        f"{told:.1%} | {told / share - 1:+.0%} | {peak / 1e9:.2f} GB | {expected / 1e9:.2f} GB | "
        f"{expected / peak - 1:+.0%} |"
    )


if __name__ == "__main__":
    main()
