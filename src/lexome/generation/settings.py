"""The settings of a generation, checked when they are made."""

import math
from dataclasses import dataclass

from lexome.errors import InputError
from lexome.generation.sampling import ORDERS

LETTERS = ("standard", "alphabet", "any")
MOST = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is drawn; what is left as it is changes nothing.

    `temperature` 0 takes the most likely token. `letters` says which tokens can come at all:
    those of the 20 amino acids or ACGT ("standard"), of the model's "alphabet", or "any" token.
    Whatever is filtered, likelihoods are those of the whole model.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram: int = 0
    order: str = "published"
    letters: str = "alphabet"
    only: tuple[str, ...] = ()  # tokens that alone may come, beside those that end a sequence
    forbid: tuple[str, ...] = ()  # tokens that may not

    def __post_init__(self) -> None:
        for name, low, high, is_low_open in (
            ("temperature", 0, 100, False),
            ("top_k", 0, MOST, False),
            ("top_p", 0, 1, True),
            ("min_p", 0, 1, False),
            ("typical_p", 0, 1, True),
            ("repetition_penalty", 0, 100, True),
            ("no_repeat_ngram", 0, MOST, False),
        ):
            _check_range(name, getattr(self, name), low, high, is_low_open)
        for name, value, known in (
            ("order", self.order, tuple(ORDERS)),
            ("letters", self.letters, LETTERS),
        ):
            if value not in known:
                raise InputError(name, repr(value), " or ".join(known), f"`{known[0]}`")

    @property
    def is_greedy(self) -> bool:
        """Whether nothing is left to chance."""
        return self.temperature == 0 or self.top_k == 1


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much is made, and how long."""

    n: int = 1  # samples of each prompt
    seed: int = 0
    max_new: int = 256  # tokens after the prompt
    min_new: int = 0  # tokens before one that ends the sequence may come
    best: int = 0  # keep so many of n, by mean log-likelihood; 0 keeps all
    beams: int = 0  # beam search of this width instead of sampling
    length_penalty: float = 0.0  # beams are ranked by log-likelihood / length ** this

    def __post_init__(self) -> None:
        for name, low, high in (
            ("n", 1, 10_000_000),
            ("seed", 0, 2**63 - 1),
            ("max_new", 1, 10_000_000),
            ("min_new", 0, self.max_new),
            ("best", 0, self.n),
            ("beams", 0, 1024),
            ("length_penalty", -10, 10),
        ):
            value = getattr(self, name)
            if name != "length_penalty" and not isinstance(value, int):
                raise InputError(name, repr(value), "a whole number", f"`{name}={max(low, 1)}`")
            _check_range(name, value, low, high, False)
        if self.beams and self.n > self.beams:
            raise InputError(
                "n", str(self.n), f"at most the {self.beams} beams", f"`--beams {self.n}`"
            )


def _check_range(name: str, value: float, low: float, high: float, is_low_open: bool) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_inside = is_number and math.isfinite(value) and low <= value <= high
    if is_inside and not (is_low_open and value == low):
        return
    text = f"{'more than' if is_low_open else 'at least'} {low:,} and at most {high:,}"
    raise InputError(name, repr(value), text, f"`--{name.replace('_', '-')} {max(low, 1):g}`")
