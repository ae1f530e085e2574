"""Ways to make one vector a sequence of its tokens' vectors, for the probing of all layers."""

# Letters: L tokens of one sequence, D width.
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from lexome.batches.windows import parse_long
from lexome.errors import InputError
from lexome.inference.causal import is_causal

# What is computed, with what it is of; a sum of names is these vectors end to end.
PLAIN = {
    "mean": "mean over the residues",
    "max": "largest value over the residues, dimension by dimension",
    "cls": "first token: the special one in front, where the model has one",
    "last": "last token: of a causal model the one that has seen all others",
}
OVER_RESIDUES = ("mean", "max")  # those that windows can be joined in


class Pooling(NamedTuple):
    """One way, as it is spelled, and the plain ones that it is made of."""

    name: str
    parts: tuple[str, ...]


def parse_poolings(names: Sequence[str]) -> list[Pooling]:
    """The poolings of these names, each once and in this order.

    Raises:
        InputError: a name that is none, or no name.

    >>> parse_poolings(["mean", "mean+max"])[1].parts
    ('mean', 'max')
    """
    found = [Pooling(name, tuple(name.split("+"))) for name in dict.fromkeys(names)]
    known = ", ".join(PLAIN)
    if not found:
        raise InputError("poolings", "none", f"some of {known}", "`--poolings mean,max`")
    for name, parts in found:
        unknown = [part for part in parts if part not in PLAIN]
        if unknown or len(set(parts)) < len(parts):
            seen = repr(unknown[0]) if unknown else f"{name!r}, which names one twice"
            raise InputError(
                "poolings", seen, f"{known}, or several joined by +", "`--poolings mean,mean+max`"
            )
    return found


def usual_poolings(network: Any, long: str) -> list[str]:
    """The poolings that say something of this kind of model, where nobody chose.

    Of a causal model the last token instead of the first, which has seen no other; through windows
    only what is taken over residues.
    """
    names = ["mean", "max", "mean+max"]
    if parse_long(long).kind != "window":
        names.insert(2, "last" if is_causal(network) else "cls")
    return names


def check_windows(poolings: Sequence[Pooling], long: str) -> None:
    """Refuse what windows have several of.

    Raises:
        InputError: naming the pooling.
    """
    for pooling in poolings if parse_long(long).kind == "window" else ():
        if not set(pooling.parts) <= set(OVER_RESIDUES):
            raise InputError(
                "poolings", f"{pooling.name} with windows", " or ".join(OVER_RESIDUES),
                "`--poolings mean,max`, or another `--long`",
            )  # fmt: skip


def pool(tokens_LD: Tensor, inner: slice, name: str) -> Tensor:
    """One vector (D,) of a sequence's tokens, special ones among them; `inner` are the others."""
    if name == "cls":
        return tokens_LD[0]
    if name == "last":
        return tokens_LD[-1]
    return tokens_LD[inner].amax(0) if name == "max" else tokens_LD[inner].mean(0)
