"""What an encoder says of tokens that are asked about, most often ones that are hidden from it."""

# Letters: T tokens of a batch, R tokens asked about, V vocabulary, D width.
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.batches.packing import Packed
from lexome.errors import InputError
from lexome.inference.beside import has_source
from lexome.inference.causal import is_causal
from lexome.inference.model import Model
from lexome.inference.runner import Piece, run_batches
from lexome.scoring.likelihood import LOGITS_AT_ONCE

FloatArray = NDArray[np.float32]
FEW = 4  # times as many tokens as are asked about: then the last layer is computed at these alone


class Question(NamedTuple):
    """Tokens as a model reads them, and of which of them it is asked."""

    name: str  # what errors call it
    ids: NDArray[np.int64]  # with masks where something is hidden
    places: NDArray[np.int64]  # (R,) of the tokens asked about
    labels: NDArray[np.int64]  # (R,) what is asked of each, for `pick`


# (log p (R, V) among the whole vocabulary, labels (R,)) -> numbers (R, ...)
Pick = Callable[[Tensor, Tensor], Tensor]


def can_fill_in(network: Any) -> bool:
    """Whether a network says what may stand where something is hidden: an encoder with its head."""
    is_encoder = not is_causal(network) and not hasattr(network, "start_from")
    return is_encoder and network.language_model_head is not None


def check_encoder(model: Model, purpose: str) -> None:
    """Refuse what cannot fill in hidden residues.

    Raises:
        InputError: a causal model, an encoder-decoder, or weights without their head.
    """
    network, mask_id = model.network, model.tokenizer.mask_id
    if can_fill_in(network) and mask_id >= 0:
        return
    seen = "weights without the head that names tokens"
    if is_causal(network):
        seen = "a causal model, which was never shown what stands behind a residue"
    elif has_source(network) or hasattr(network, "start_from"):
        seen = "an encoder-decoder"
    raise InputError(
        f"model {model.card.name}",
        seen,
        f"an encoder that fills in masked residues, for {purpose}",
        "`--model protein-mini`, or a causal model with its likelihood",
    )


def check_context(model: Model, num_tokens: int, name: str, whole: bool = False) -> None:
    """Refuse more tokens than the context, or with `whole` than there are positions at all."""
    limit = model.most_tokens if whole else model.card.context
    if limit is not None and num_tokens > limit:
        raise InputError(
            name,
            f"{num_tokens:,} tokens",
            f"at most the context of {limit:,}",
            "a part of the sequence"
            if whole or model.most_tokens
            else "`--long whole`, or a part of the sequence",
        )


def ask(
    model: Model, questions: Iterable[Question], pick: Pick, max_tokens: int | None = None
) -> Iterator[FloatArray]:
    """What `pick` makes of each question's tokens (R, ...), in order.

    Questions lie packed in batches that are bounded in tokens; the head is computed at the tokens
    asked about alone, for a bounded number of them at a time.
    """
    waiting: list[Question] = []  # handed over, and without an answer yet

    def pieces() -> Iterator[Piece]:
        for one in questions:
            waiting.append(one)
            yield Piece(one.name, one.ids)

    def compute(packed: Packed) -> list[FloatArray]:
        bounds = packed.layout.bounds
        mine = waiting[: len(bounds) - 1]  # batches come in order
        rows = np.concatenate([q.places + b for q, b in zip(mine, bounds, strict=False)])
        labels = np.concatenate([q.labels for q in mine])
        counts = [len(q.places) for q in mine]
        rows_R = torch.from_numpy(rows).to(model.device)
        labels_R = torch.from_numpy(labels).to(model.device)
        if hasattr(model.network, "read_some") and len(rows) * FEW < bounds[-1]:
            hidden_RD = model.network.read_some(*packed, rows_R, counts)
        else:
            hidden_RD = model.network(*packed)[rows_R]
        size = max(LOGITS_AT_ONCE // model.network.config.vocabulary_size, 2)
        found = [
            pick(model.network.logits(part_RD).float().log_softmax(-1), part_R)
            for part_RD, part_R in zip(
                torch.split(hidden_RD, size), torch.split(labels_R, size), strict=True
            )
        ]
        del waiting[: len(mine)]  # at the end: a batch that does not fit comes again in halves
        return [part.numpy() for part in torch.split(torch.cat(found).cpu(), counts)]

    return run_batches(pieces(), compute, model.device, max_tokens)
