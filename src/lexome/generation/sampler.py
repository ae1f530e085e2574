"""Draws the next token of many rows: the settings of one generation, made ready for one model."""

# Letters: B rows, V vocabulary.
from collections.abc import Sequence

import torch
from torch import Tensor

from lexome.errors import InputError
from lexome.generation.draws import pick, uniforms
from lexome.generation.sampling import (
    FILTERS,
    NEVER,
    ORDERS,
    forbid_repeated_ngrams,
    penalize_repetition,
)
from lexome.generation.settings import Sampling
from lexome.inference.dialects import NEWLINE_TOKEN, Dialect
from lexome.tokenizers.interface import Tokenizer


class Sampler:
    """What may come, what ends a sequence, and the draw.

    A row's answer depends on its logits, its key and its own tokens only: everything that is
    computed over several rows at once works along a row.
    """

    def __init__(
        self,
        settings: Sampling,
        stops: Sequence[int] = (),
        allowed_V: Tensor | None = None,
        min_new: int = 0,
    ) -> None:
        self.settings, self.stops, self.min_new = settings, frozenset(stops), min_new
        self.allowed_V = allowed_V  # bool; None: every token
        self._stop_ids = sorted(self.stops)
        self._filters = [
            (FILTERS[name], value)
            for name in ORDERS[settings.order]
            if (value := getattr(settings, name)) != getattr(Sampling, name)
        ]
        self._looks_back = settings.repetition_penalty != 1 or settings.no_repeat_ngram > 0

    def draw(
        self,
        logits_BV: Tensor,
        keys: Sequence[int],
        new: Sequence[Sequence[int]],
        prompts: Sequence[Sequence[int]],
    ) -> tuple[list[int], list[float]]:
        """A token of each row, and its log-probability by the whole model.

        Args:
            logits_BV: as the network gave them, in fp32.
            keys: of each row's draws (`sample_key`).
            new: each row's tokens after its prompt.
        """
        scores_BV = self.filter(logits_BV, new, prompts)
        if self.settings.is_greedy:
            tokens_B = scores_BV.argmax(-1)
        else:
            numbers_B = uniforms(keys, [len(ids) for ids in new])
            tokens_B = pick(scores_BV.softmax(-1), numbers_B)
        chosen_B1 = logits_BV.log_softmax(-1).gather(-1, tokens_B[:, None])
        return tokens_B.tolist(), chosen_B1[:, 0].tolist()

    def filter(
        self,
        logits_BV: Tensor,
        new: Sequence[Sequence[int]],
        prompts: Sequence[Sequence[int]],
    ) -> Tensor:
        """Logits as the settings leave them; what cannot come is at minus infinity."""
        scores_BV = logits_BV
        if self._looks_back:
            seen = [[*prompt, *ids] for prompt, ids in zip(prompts, new, strict=True)]
            scores_BV = torch.stack(
                [self._look_back(row, ids) for row, ids in zip(scores_BV, seen, strict=True)]
            )
        if self.allowed_V is not None:
            scores_BV = scores_BV.masked_fill(~self.allowed_V, NEVER)
        if self.min_new and self._stop_ids:
            early = [row for row, ids in enumerate(new) if len(ids) < self.min_new]
            if early:
                scores_BV = scores_BV.clone()
                scores_BV[torch.tensor(early)[:, None], torch.tensor(self._stop_ids)] = NEVER
        if self.settings.is_greedy:
            return scores_BV
        for keep, value in self._filters:
            scores_BV = keep(scores_BV, value)
        return scores_BV

    def _look_back(self, logits_V: Tensor, seen: Sequence[int]) -> Tensor:
        settings = self.settings
        logits_V = penalize_repetition(logits_V, seen, settings.repetition_penalty)
        limited_V = forbid_repeated_ngrams(logits_V, seen, settings.no_repeat_ngram)
        # Where every token would repeat a run, forbidding all of them leaves nothing to draw.
        return limited_V if bool((limited_V > NEVER).any()) else logits_V


def allowed_tokens(
    settings: Sampling, dialect: Dialect, tokenizer: Tokenizer, rows: int, stops: Sequence[int]
) -> Tensor:
    """Which of the network's rows may be drawn at all (V,); those behind no token never are.

    Raises:
        InputError: a token that the model does not have, or settings that leave none.
    """
    for name in (*settings.only, *settings.forbid):
        if name not in tokenizer.id_of:
            raise InputError(
                f"token {name!r}", "no such token of this model", "one", "its spelling"
            )
    letters = {"standard": dialect.standard, "alphabet": dialect.letters, "any": ""}
    kept = set(letters[settings.letters])
    written = kept | {NEWLINE_TOKEN} if dialect.line else kept
    allowed_V = torch.zeros(rows, dtype=torch.bool)
    for id, token in enumerate(tokenizer.vocabulary[:rows]):
        allowed_V[id] = not kept or set(token) <= written
    if settings.only:
        only = {tokenizer.id_of[name] for name in settings.only}
        allowed_V &= torch.tensor([id in only for id in range(rows)])
    for name in settings.forbid:
        allowed_V[tokenizer.id_of[name]] = False
    if not allowed_V.any():
        raise InputError("settings", "no token that may be drawn", "at least one", "other letters")
    for id in stops:
        allowed_V[id] = True
    return allowed_V
