"""What this machine offers and what Lexome makes of it."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import torch

from lexome import __version__
from lexome.checkpoints.catalogue import catalogue
from lexome.devices import choose_device, choose_training_dtype, cpu_has_bf16, num_cores
from lexome.layers.kernels import has_packed_linear

# What each optional package would add.
EXTRAS = {
    "transformers": "live comparison with the reference models (extra dev)",
    "pandas": "frames of pandas as input; nothing else needs it",
}
CORE = ("torch", "numpy", "polars", "pyarrow", "scikit-learn", "safetensors", "huggingface_hub")


class Finding(NamedTuple):
    """One line of the check-up."""

    what: str
    choice: str
    reason: str


def check_machine() -> list[Finding]:
    """Everything that decides how a model runs here."""
    device = choose_device()
    packed = has_packed_linear()
    training = choose_training_dtype("auto", device.choice, "cnn")
    found = [
        Finding(
            "lexome", __version__, f"Python {platform.python_version()}, {platform.platform()}"
        ),
        Finding("device", device.choice, device.reason),
        Finding(
            "threads",
            str(torch.get_num_threads()),
            f"this process may use {num_cores()} cores; OMP_NUM_THREADS changes it",
        ),
        Finding("inference dtype", "fp32", "the reference; --dtype bf16 is faster where native"),
        Finding("training dtype", training.choice, training.reason),
        Finding(
            "native bf16",
            "yes" if cpu_has_bf16() else "no",
            "instructions of this CPU, as torch and the system report them",
        ),
        Finding(
            "linear kernel",
            "oneDNN, reordered" if packed and device.choice == "cpu" else "torch F.linear",
            "tried out and equal to F.linear here"
            if packed
            else "oneDNN's reordered linear is not at hand in this torch",
        ),
        Finding("attention kernel", "torch SDPA", "per sequence on packed tokens"),
        Finding(
            "models known", str(len(catalogue())), "names for --model: " + ", ".join(catalogue())
        ),
    ]
    found += [Finding(name, _version(name), "core") for name in CORE]
    found += [Finding(name, _version(name), why) for name, why in EXTRAS.items()]
    return found


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
