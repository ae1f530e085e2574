"""Measures how the memory of `lexome generate` grows with the length of what is made.

Run `python benchmarks/long_generation.py [--most 125000]`; the last table: long_generation.txt.
Two small random StripedHyenas, one without attention layers and one with one in four; four samples
at a time, each run in a process of its own. Peak is all that the process held, libraries counted.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from lexome.architectures.striped_hyena import StripedHyena, StripedHyenaConfig
from lexome.checkpoints.into_evo import save_evo
from lexome.generation.cost import plan_generation
from lexome.inference.model import load

ROWS, LAYERS, WIDTH, HEADS = 4, 4, 64, 2
TABLE = Path(__file__).with_suffix(".txt")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=125_000, help="tokens of a sample")
    asked = parser.parse_args()
    lines = [
        f"{ROWS} samples, {LAYERS} layers of width {WIDTH}, fp32, one thread",
        "",
        "| attention layers | tokens a sample | tokens in all | seconds | peak MB | of it cache "
        "(planned) | other states (planned) |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for attention, most in (((), asked.most), ((2,), asked.most // 4)):
        with tempfile.TemporaryDirectory() as folder:
            write_model(Path(folder), attention, 2 * asked.most)
            for tokens in (most // 25, most // 5, most):
                lines.append(measure(Path(folder), len(attention), tokens))
                print(lines[-1], flush=True)
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def write_model(folder: Path, attention: tuple[int, ...], context: int) -> None:
    """A random model in Evo's layout."""
    torch.manual_seed(0)
    config = StripedHyenaConfig(
        num_layers=LAYERS,
        width=WIDTH,
        num_heads=HEADS,
        inner_width=2 * WIDTH,
        attention_layers=attention,
        context=context,
        constrained_poles=True,
    )
    network = StripedHyena(config)
    network.initialize()
    save_evo(network, folder)


def measure(folder: Path, attention: int, tokens: int) -> str:
    """One run of the command; a line of the table."""
    cost = plan_generation(load(str(folder), device="cpu"), 1, ROWS, tokens)
    output = folder / f"{tokens}.fasta"
    command = [sys.executable, "-m", "lexome.cli.main", "generate", "-m", str(folder)]
    command += ["--prompt", "A", "-n", str(ROWS), "--max-new", str(tokens), "-o", str(output)]
    command += ["--letters", "standard", "--min-new", str(tokens), "--device", "cpu", "--quiet"]
    began = time.perf_counter()
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    peak = 0
    while process.poll() is None:
        peak = max(peak, held(process.pid))
        time.sleep(0.2)
    seconds = time.perf_counter() - began
    assert process.returncode == 0
    made = sum(len(line.strip()) for line in output.open() if not line.startswith(">"))
    assert made == ROWS * (tokens + 1), made
    return (
        f"| {attention} | {tokens:,} | {ROWS * tokens:,} | {seconds:,.0f} | {peak / 1e6:,.0f} | "
        f"{cost.cache / 1e6:,.1f} MB | {cost.fixed / 1e3:,.0f} kB |"
    )


def held(pid: int) -> int:
    """The most that a process has held so far."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return 0
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 if "VmHWM:" in status else 0


if __name__ == "__main__":
    main()
