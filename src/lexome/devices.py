"""Which device and number format a run uses, and why; and whether its memory ran out."""

import os
import platform
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from lexome.errors import EnvironmentProblem, InputError

if TYPE_CHECKING:
    import torch

DtypeName = Literal["fp32", "bf16"]
DTYPES: tuple[str, ...] = get_args(DtypeName)


class Reasoned(NamedTuple):
    """A choice and the reason for it."""

    choice: str
    reason: str


def choose_device(asked: str = "auto") -> Reasoned:
    """The device to run on: the one asked for, else a GPU where torch sees one, else the CPU."""
    import torch

    if asked == "auto":
        if torch.cuda.is_available():
            return Reasoned("cuda", f"torch sees {torch.cuda.get_device_name(0)}")
        return Reasoned("cpu", "torch sees no CUDA device")
    kind = asked.split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise InputError("device", repr(asked), "auto, cpu, cuda or cuda:N", "`--device auto`")
    if kind == "cuda" and not torch.cuda.is_available():
        raise EnvironmentProblem(
            "device", "no CUDA device in torch", "one, as asked for", "`--device cpu`"
        )
    return Reasoned(asked, "asked for")


@cache
def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bf16 natively (AVX-512 BF16, AMX, or Arm's bf16)."""
    import torch

    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and _has_bf16_instructions()


def _gpu_has_bf16() -> bool:
    import torch

    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


def _has_bf16_instructions() -> bool:
    # oneDNN also says yes to AVX-512 without native bf16, where it is slower than fp32.
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            flags = file.read()
    except OSError:
        return platform.machine() == "arm64"  # Apple silicon since M2; torch was asked above
    return any(name in flags for name in ("avx512_bf16", "amx_bf16", " bf16"))


def choose_training_dtype(asked: str, device: str, family: str) -> Reasoned:
    """fp32, or bf16 autocast where it is faster here and its error was measured for the family."""
    if asked not in ("auto", *DTYPES):
        raise InputError("dtype", repr(asked), "auto, fp32 or bf16", "`--dtype auto`")
    if asked != "auto":
        return Reasoned(asked, "asked for")
    if family not in MEASURED_IN_BF16:
        return Reasoned("fp32", f"bf16 was not measured for {family}")
    if not (cpu_has_bf16() if device == "cpu" else _gpu_has_bf16()):
        return Reasoned("fp32", "this device has no bf16 instructions")
    return Reasoned("bf16", f"native here; measured before: {MEASURED_IN_BF16[family]}")


# Families whose error in bf16 against fp32 was measured, with what was found.
MEASURED_IN_BF16 = {
    "encoder": "pooled vectors agree with fp32 to a cosine of 0.9999 (benchmarks/embedding.py)",
    # forward pass of the three networks of `make figures` on the 5,696 validation proteins
    "cnn": "moves a probability by 0.0003 on average, 0.013 at most, and AUROC by 0.0001",
}


def torch_dtype(name: str) -> "torch.dtype":
    """The torch type behind a name of ours."""
    import torch

    if name not in DTYPES:
        raise InputError("dtype", repr(name), "fp32 or bf16", "`--dtype fp32`, the reference")
    return {"fp32": torch.float32, "bf16": torch.bfloat16}[name]


def mixed_precision(device: str, dtype: str) -> AbstractContextManager[Any]:
    """A block that computes in bf16 over fp32 weights, or in plain fp32."""
    import torch

    if dtype == "bf16":
        return torch.autocast(device.split(":")[0], torch.bfloat16)
    return nullcontext()


def is_out_of_memory(problem: Exception) -> bool:
    """Whether NumPy or torch failed for want of memory, on a GPU or on the CPU."""
    import torch

    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    # The second is how oneDNN ends where it cannot have its scratch space; seen in a convolution.
    said = ("can't allocate memory", "could not create a primitive")
    return isinstance(problem, RuntimeError) and any(text in str(problem) for text in said)


def wait_politely() -> None:
    """Let threads that wait sleep instead of spinning; call it before torch is imported.

    Where other work runs on the machine, spinning threads hold the cores that the rest wait for:
    training with 2 threads on 2 busy cores went from 105 to 312 sequences/s. A setting of the
    user's own stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def product_ceiling(device: str, dtype: str, seconds: float = 0.3) -> float:
    """Operations a second of a large matrix product (4096 x 1024 by 1024 x 4096), best of several.

    What a training reaches is told as a share of it.
    """
    import time

    import torch

    kind = torch_dtype(dtype)
    left = torch.randn(4096, 1024, device=device).to(kind)
    right = torch.randn(1024, 4096, device=device).to(kind)
    best, until = 0.0, time.monotonic() + seconds
    rounds = 1 if device == "cpu" else 20
    while time.monotonic() < until or not best:
        began = time.monotonic()
        for _ in range(rounds):
            left @ right
        if device != "cpu":
            torch.cuda.synchronize(device)
        best = max(best, rounds * 2 * 4096 * 1024 * 4096 / (time.monotonic() - began))
    return best


def free_memory(device: str) -> int | None:
    """Bytes that could be taken now without swapping; None where the system does not tell."""
    if device != "cpu":
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as file:  # noqa: PTH123
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
