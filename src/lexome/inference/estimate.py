"""What running a model forward costs on this machine, before it is fetched."""

from typing import NamedTuple

from lexome.checkpoints.catalogue import Entry
from lexome.devices import cpu_has_bf16, product_ceiling

LENGTH = 300  # tokens of the sequences that the time is told for
# Of the speed of large matrix products; 0.4 to 0.6 was measured (benchmarks/embedding.txt).
SHARE = 0.45
WORKING = 0.3e9  # bytes: the process, its libraries, and a batch of 2,048 tokens of a small model
BATCH_TOKENS = 2_048


class Estimate(NamedTuple):
    """Memory in bytes, time in seconds; the speed of matrix products was measured on the spot."""

    memory: float
    memory_bf16: float
    dtype: str
    tokens_per_second: float
    seconds_per_thousand: float
    length: int = LENGTH


def estimate(entry: Entry) -> Estimate:
    """The cost of vectors from a model on this CPU."""
    dtype = "bf16" if cpu_has_bf16() else "fp32"
    inner = entry.layers * entry.width * (4 * entry.inner_width + 2 * entry.ffn_width)
    if entry.layout in ("nt-v2", "dnabert-2", "ankh", "evo-1"):  # gated: three matrices
        inner += entry.layers * entry.width * entry.ffn_width
    work = 2 * inner + 4 * entry.layers * LENGTH * entry.inner_width
    speed = SHARE * product_ceiling("cpu", dtype, 0.3) / work
    working = WORKING + 4 * BATCH_TOKENS * (6 * entry.width + 2 * entry.ffn_width)
    return Estimate(
        # A tensor of the file is let go as soon as its reordered copy is made.
        memory=4 * entry.parameters + working,
        memory_bf16=2 * entry.parameters + working,
        dtype=dtype,
        tokens_per_second=speed,
        seconds_per_thousand=1000 * LENGTH / speed,
    )
