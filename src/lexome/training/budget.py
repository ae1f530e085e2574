"""How many tokens lie in memory at once: fewer for the rest of a run once memory ran out."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch

from lexome.devices import is_out_of_memory
from lexome.errors import EnvironmentProblem
from lexome.training.examples import Examples, Rows, micro_batches

Result = TypeVar("Result")
# Vectors of residues at once: a recipe for one vector a sequence names no bound for them.
MOST_VECTORS = 65_536
Announce = Callable[[str, str], None]  # what it is about, and what is to be said


def say_nothing(what: str, text: str) -> None:
    """Where nobody listens."""


class TokenBudget:
    """Tokens in memory at once: as many as a recipe asks for, halved where they do not fit.

    All that a run computes shares one budget, so what did not fit is not tried again.
    """

    def __init__(self, tokens: int, announce: Announce = say_nothing) -> None:
        self.tokens = self.asked = tokens
        self.announce = announce
        self._at_work: tuple[list[str], int] = ([], 0)  # names and tokens of the rows in work

    def limit(self, tokens: int) -> None:
        """Ask for at most so many."""
        self.tokens = self.asked = min(self.tokens, tokens)

    def micro_batches(self, examples: Examples, rows: Rows) -> Iterator[Rows]:
        """Places in `rows` in runs that keep to the budget."""
        lengths = examples.lengths[rows]
        for some in micro_batches(lengths, np.arange(len(rows)), self.tokens, examples.as_rows):
            longest, total = int(lengths[some].max()), int(lengths[some].sum())
            held = len(some) * longest if examples.as_rows else total
            self._at_work = ([examples.name(row) for row in rows[some[:2]]], held)
            yield some

    def retry(self, compute: Callable[[], Result], device: str) -> Result:
        """What `compute` gives; it begins anew with half the tokens where memory runs out.

        Raises:
            EnvironmentProblem: a single row does not fit.
        """
        while True:
            try:
                return compute()
            except (RuntimeError, MemoryError) as problem:
                if not is_out_of_memory(problem):
                    raise
                self._halve(problem)
            # Out here, where the problem no longer holds on to the tensors of the attempt.
            if device != "cpu":
                torch.cuda.empty_cache()

    def _halve(self, problem: Exception) -> None:
        names, held = self._at_work
        if len(names) < 2:
            raise EnvironmentProblem(
                names[0] if names else "a batch",
                f"not enough memory for its {held:,} tokens, though alone",
                "a sequence that fits on the device",
                "`--long crop:511+511`, a smaller model, or a machine with more memory",
            ) from problem
        if self.tokens == self.asked:
            self.announce(
                "Memory",
                f"{held:,} tokens at once do not fit: from here on half as many, and again half "
                "where that is too much; it is slower, and the same up to rounding",
            )
        # A budget may be far above what any batch holds: half of what was tried is less for sure.
        self.tokens = max(min(self.tokens, held) // 2, 1)


def no_room_for_update(problem: RuntimeError) -> EnvironmentProblem:
    """The error for a model whose weights and their gradients alone are too much."""
    return EnvironmentProblem(
        "training",
        f"not enough memory to change the weights ({str(problem).splitlines()[0]})",
        "room for the weights three times over",
        "a smaller model, or a machine with more memory",
    )
