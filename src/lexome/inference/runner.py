"""Batches through a network, halved and retried where memory runs out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from numpy.typing import NDArray

from lexome.batches.packing import Packed, in_batches, pack
from lexome.devices import is_out_of_memory
from lexome.errors import EnvironmentProblem, InputError

Result = TypeVar("Result")
# On a CPU small batches stay in the caches; the linears reach full speed from about 1,000 tokens.
CPU_BATCH_TOKENS, GPU_BATCH_TOKENS = 2048, 32768


class Piece(NamedTuple):
    """Token ids of one sequence or window, with the name that errors give it."""

    name: str
    ids: NDArray[Any] | list[int]


def refuse_padding(ids: Sequence[int], pad_id: int, name: str) -> None:
    """Padding inside of a sequence, where the published codes do not agree on what it is.

    transformers attends to it, but no learned position counts it; fair-esm hides it.

    Raises:
        InputError: naming the token.
    """
    if pad_id in ids:
        raise InputError(
            name,
            f"padding (id {pad_id}) as token {ids.index(pad_id) + 1}",
            "the sequence's own tokens",
            "leaving it out; sequences of any length run together",
        )


def batch_tokens(device: str) -> int:
    """How many tokens a batch holds where nobody says otherwise."""
    return CPU_BATCH_TOKENS if device == "cpu" else GPU_BATCH_TOKENS


def run_batches(
    pieces: Iterable[Piece],
    compute: Callable[[Packed], list[Result]],
    device: str,
    max_tokens: int | None = None,
) -> Iterator[Result]:
    """One result a piece, in order. `compute` gets a packed batch and returns one result a piece.

    Raises:
        EnvironmentProblem: a single sequence does not fit into memory.
    """
    limit = max_tokens or batch_tokens(device)
    for batch in in_batches(((piece, len(piece.ids)) for piece in pieces), limit):
        yield from _run(batch, compute, device)


def _run(
    batch: list[Piece], compute: Callable[[Packed], list[Result]], device: str
) -> Iterator[Result]:
    try:
        with torch.inference_mode():
            results = compute(pack([piece.ids for piece in batch], device))
    except (RuntimeError, MemoryError) as problem:
        if not is_out_of_memory(problem):
            raise
        if len(batch) == 1:
            raise EnvironmentProblem(
                batch[0].name,
                f"not enough memory for its {len(batch[0].ids):,} tokens",
                "a sequence that fits on the device",
                "`--long window`, or a machine with more memory",
            ) from problem
        results = None
    if results is not None:
        yield from results
        return
    half = len(batch) // 2
    if device != "cpu":
        torch.cuda.empty_cache()
    yield from _run(batch[:half], compute, device)
    yield from _run(batch[half:], compute, device)
