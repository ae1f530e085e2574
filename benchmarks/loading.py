"""Measures how long a checkpoint of 650M takes to load, and the memory it takes, beside reading it.

Run `python benchmarks/loading.py [--runs 5]`; the last table is in loading.txt. The weights are
random, in the shape and layout of ESM-2 650M. Each way runs in processes of its own, in turns, with
the file in the page cache. Peak is what the process holds at most beyond the one that has only
imported the libraries, mapped pages counted.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

SHAPE = {"width": 1280, "num_layers": 33, "num_heads": 20}


def write_model(folder: Path) -> None:
    """A random ESM-2 650M as it lies on the hub."""
    from transformers import EsmConfig, EsmForMaskedLM

    from lexome.tokenizers.character import esm_vocabulary

    config = EsmConfig(
        vocab_size=33,
        mask_token_id=32,
        pad_token_id=1,
        hidden_size=SHAPE["width"],
        num_hidden_layers=SHAPE["num_layers"],
        num_attention_heads=SHAPE["num_heads"],
        intermediate_size=4 * SHAPE["width"],
        max_position_embeddings=1026,
        position_embedding_type="rotary",
        token_dropout=True,
        emb_layer_norm_before=False,
    )
    EsmForMaskedLM(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(esm_vocabulary()))


def read_into_memory(folder: Path) -> object:
    return (folder / "model.safetensors").read_bytes()


def load_strictly(folder: Path) -> object:
    from lexome.checkpoints.load import load_checkpoint

    return load_checkpoint(str(folder), offline=True)


def load_ready(folder: Path) -> object:
    import lexome

    return lexome.load(str(folder), device="cpu", offline=True)


def load_transformers(folder: Path) -> object:
    from transformers import EsmForMaskedLM

    return EsmForMaskedLM.from_pretrained(folder)


WAYS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "read": ("reading the file into memory", read_into_memory),
    "strict": ("lexome, strictly checked and mapped", load_strictly),
    "ready": ("lexome.load, ready to run", load_ready),
    "peer": ("transformers from_pretrained", load_transformers),
}


def measure_here(way: str, folder: Path) -> None:
    """One way, in this process; prints its seconds and bytes."""
    import transformers.models.esm.modeling_esm  # noqa: F401 - its time is no loading

    import lexome.inference.model  # noqa: F401
    from lexome.layers.kernels import has_packed_linear

    has_packed_linear()  # what torch sets up once belongs to its import
    before = peak_bytes()
    began = time.perf_counter()
    held = WAYS[way][1](folder)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "bytes": peak_bytes() - before}))
    del held


def peak_bytes() -> int:
    """The most that this process has held, mapped pages counted."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.way:
        measure_here(asked.way, asked.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder)
        size = (folder / "model.safetensors").stat().st_size
        time.sleep(3)  # a file is known as unchanged only when it was not just written
        first = measure("strict", folder)  # hashes the file; from then on that is remembered
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(asked.runs):
            for way in WAYS:
                found[way].append(measure(way, folder))
    print(f"Random ESM-2 650M, {size / 1e9:.2f} GB, fp32, medians of {asked.runs} runs in turns")
    load = f"load {os.getloadavg()[0]:.1f}"
    print(f"{platform.platform()}, {os.cpu_count()} cores, {load}\n")
    print(f"{'':42}{'seconds':>9}{'x reading':>11}{'peak GB':>9}{'x file':>8}")
    base = statistics.median(one["seconds"] for one in found["read"])
    for way, (label, _) in WAYS.items():
        seconds = statistics.median(one["seconds"] for one in found[way])
        peak = statistics.median(one["bytes"] for one in found[way])
        print(f"{label:42}{seconds:9.2f}{seconds / base:11.2f}{peak / 1e9:9.2f}{peak / size:8.2f}")
    print(f"\nThe first load of a file also makes its SHA-256: {first['seconds']:.2f} s.")


def measure(way: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return answer


if __name__ == "__main__":
    main()
