"""Whether the same command gives the same numbers again, and what on this device does not."""

from typing import Any

from lexome.training.setup import Setup

# CUDA adds from many threads at once, in whatever order they come: the last digits differ, and
# training carries them on. Nothing of this is switched off, as its ordered twins are slower.
CUDA = (
    "sums over the tokens of a sequence (index_add, atomic additions)",
    "gradients of rows that are gathered or scattered (the same)",
    "the backward pass of fused attention",
    "the backward pass of convolutions, by the algorithm that cuDNN picks",
)


def describe_determinism(setup: Setup, threads: int) -> dict[str, Any]:
    """For run.json: `repeats` (bit for bit on this machine), why, and which operations do not.

    The list for CUDA is of operations known to add up in any order; it was not measured here.
    """
    device, dtype, tokens = setup.device.choice, setup.dtype.choice, setup.budget.tokens
    if not device.startswith("cpu"):
        said = (
            f"Not bit for bit: on {device} in {dtype} some sums are added in another order each "
            "time. Split, first weights, order of rows and dropout are the same; figures differ "
            "by about as much as rounding grows in training, which the spread of seeds exceeds."
        )
        return {"repeats": False, "said": said, "not_deterministic": list(CUDA)}
    said = (
        f"The same command on this machine gives the same numbers bit for bit, with {threads} "
        f"thread{'s' * (threads > 1)} and {tokens:,} tokens in memory at once. Another number of "
        "threads, another kind of processor or another PyTorch rounds otherwise in the last digits."
    )
    return {"repeats": True, "said": said, "not_deterministic": []}
