"""An endless stream of training windows: which stand in which step, for any number of devices."""

# Letters: W windows, T tokens over all of them.
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.batches.order import draw_below, shuffled
from lexome.batches.shards import Part
from lexome.errors import InputError
from lexome.tokenizers.interface import Tokenizer

SPECIAL = 2  # <cls> and <eos>


class Windows(NamedTuple):
    """Residues [start, stop) of sequences, in the order in which they are visited."""

    numbers_W: NDArray[np.int64]
    starts_W: NDArray[np.int64]
    stops_W: NDArray[np.int64]
    lengths_W: NDArray[np.int64]  # of the sequences
    visits_W: NDArray[np.int64]  # epoch x sequences + position: what draws are made from

    @property
    def tokens_W(self) -> NDArray[np.int64]:
        """Tokens of each window: its residues, `<cls>` at a true start, `<eos>` at a true end."""
        ends_W = (self.starts_W == 0).astype(np.int64) + (self.stops_W == self.lengths_W)
        tokens_W: NDArray[np.int64] = self.stops_W - self.starts_W + ends_W
        return tokens_W

    def take(self, which: slice) -> "Windows":
        """Some of the windows."""
        return Windows(*(column[which] for column in self))


class Tokens(NamedTuple):
    """Windows as tokens, end to end."""

    ids_T: NDArray[np.uint8]
    lengths: list[int]
    counters_T: NDArray[np.uint64]  # a number of its own for every token of every visit


class Stream(NamedTuple):
    """Every sequence once an epoch, in an order of the epoch's own, one window of each.

    A sequence longer than `context` tokens gives a window from a place drawn anew at each visit.
    As in ESM-2's training, `<cls>` and `<eos>` mark true ends only. What is drawn depends on the
    seed and on the number of the visit (epoch x sequences + position), on nothing else: so
    training goes on exactly from one number, on any number of devices.
    """

    part: Part
    context: int  # tokens
    seed: int

    def windows(self, first: int, count: int) -> Windows:
        """The windows of `count` visits from number `first` on."""
        n = self.part.sequences
        if not n:
            raise InputError(
                "corpus", "no sequences in this part", "at least one", "another data.heldout"
            )
        visits_W = np.arange(first, first + count)
        numbers_W = np.empty(count, np.int64)
        epochs_W = visits_W // n
        for epoch in np.unique(epochs_W):
            here = epochs_W == epoch
            numbers_W[here] = shuffled(visits_W[here] % n, n, self.seed, int(epoch))
        lengths_W = self.part.lengths(numbers_W)
        residues_W = np.minimum(lengths_W, self.context - SPECIAL)
        starts_W = draw_below(lengths_W - residues_W + 1, visits_W, "window", self.seed)
        return Windows(numbers_W, starts_W, starts_W + residues_W, lengths_W, visits_W)

    def next_batch(self, first: int, max_tokens: int) -> Windows:
        """As many windows from visit `first` on as fit into `max_tokens`, at least one."""
        guess = 2 + 2 * max_tokens * self.part.sequences // max(self.part.residues, 1)
        while True:
            windows = self.windows(first, guess)
            ends_W = np.cumsum(windows.tokens_W)
            if ends_W[-1] > max_tokens:
                fitting = int(np.searchsorted(ends_W, max_tokens, side="right"))
                return windows.take(slice(0, max(fitting, 1)))
            guess *= 2

    def read(self, windows: Windows, tokenizer: Tokenizer) -> Tokens:
        """The tokens of windows."""
        cls, eos = np.array([[tokenizer.cls_id], [tokenizer.eos_id]], np.uint8)
        pieces: list[NDArray[np.uint8]] = []
        columns = (windows.numbers_W, windows.starts_W, windows.stops_W, windows.lengths_W)
        for number, start, stop, length in zip(*(c.tolist() for c in columns), strict=True):
            if start == 0:
                pieces.append(cls)
            pieces.append(self.part.residues_of(number, start, stop))
            if stop == length:
                pieces.append(eos)
        tokens_W = windows.tokens_W
        ids_T, firsts_W = np.concatenate(pieces), np.cumsum(tokens_W) - tokens_W
        # visit x 2**24 + place in the window: no window is longer than that
        offsets_W = (windows.visits_W << 24) - firsts_W
        counters_T = np.arange(len(ids_T)) + np.repeat(offsets_W, tokens_W)
        return Tokens(ids_T, tokens_W.tolist(), counters_T.astype(np.uint64))


def split_evenly(windows: Windows, max_tokens: int) -> list[Windows]:
    """A step's windows in runs of at most `max_tokens`, as equal as order allows.

    A window longer than `max_tokens` raises the bound to its own length. The cut does not depend
    on how many devices share the runs.
    """
    ends_W = np.cumsum(windows.tokens_W)
    bound = max(max_tokens, int(windows.tokens_W.max()))
    for runs in range(max(-(-int(ends_W[-1]) // max_tokens), 1), len(ends_W) + 1):
        targets = ends_W[-1] * np.arange(1, runs) / runs
        cuts = np.searchsorted(ends_W, targets, side="right").tolist()
        parts = _cut(windows, [0, *cuts, len(ends_W)])
        if max(int(part.tokens_W.sum()) for part in parts) <= bound:
            return parts
    # Windows nearly as long as the bound: equal shares may never fit, full ones always do.
    cuts = [0]
    while cuts[-1] < len(ends_W):
        before = int(ends_W[cuts[-1] - 1]) if cuts[-1] else 0
        cuts.append(int(np.searchsorted(ends_W, before + bound, side="right")))
    return _cut(windows, cuts)


def _cut(windows: Windows, cuts: list[int]) -> list[Windows]:
    return [windows.take(slice(a, b)) for a, b in pairwise(cuts) if b > a]
