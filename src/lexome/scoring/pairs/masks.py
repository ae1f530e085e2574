"""Pairs of windows by masked marginals: what belongs where they differ, with that hidden."""

# Letters: R tokens asked about, V vocabulary, G groups of tokens, K tokens of the largest group.
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.errors import InputError
from lexome.inference.model import Model
from lexome.scoring.masked import Pick, Question, ask, check_encoder
from lexome.scoring.pairs.pair import Pair
from lexome.scoring.pairs.views import Views, find_changed, score_in_turns
from lexome.tokenizers.interface import Tokenizer
from lexome.tokenizers.kmers import BASES
from lexome.tokenizers.overlapping import OverlappingTokenizer
from lexome.tokenizers.six_mers import SixMerTokenizer

MOST_CHANGED = 10  # letters; where residues come or go, nearly all that follow differ


class Groups(NamedTuple):
    """All tokens that have a letter at an offset, by (length of the token, offset, letter)."""

    number_of: dict[tuple[int, int, str], int]
    tokens_GK: Tensor
    silent_GK: Tensor  # 0, or minus infinity behind the end of a group


def has_marginals(tokenizer: Tokenizer) -> bool:
    """Whether tokens stay where they are when a letter changes."""
    fixed = isinstance(tokenizer, SixMerTokenizer | OverlappingTokenizer)
    return fixed or tokenizer.is_per_letter


def score_by_marginal(model: Model, views: Views, pairs: Sequence[Pair]) -> list[float | str]:
    """log p(changed letters) - log p(reference's), all tokens over them hidden at once.

    Raises:
        InputError: no encoder, or one whose tokens move when a letter changes (BPE).
    """
    check_encoder(model, "masked marginals")
    tokenizer = model.tokenizer
    if not has_marginals(tokenizer):
        raise InputError(
            f"model {model.card.name}",
            "tokens whose borders move when a letter changes",
            "a model whose tokens are letters or k-mers",
            "the rule pseudo-log-likelihood",
        )
    groups = group_tokens(tokenizer)
    letters = {letter for _, _, letter in groups.number_of}

    def refuse(pair: Pair) -> str:
        changed = find_changed(pair)
        if len(changed) > MOST_CHANGED:
            return (
                f"{len(changed):,} letters differ, beyond the {MOST_CHANGED} of this rule: where "
                "letters come or go, pseudo-log-likelihood compares whole windows"
            )
        vague = [x for i in changed for x in (pair.ref[i], pair.alt[i]) if x not in letters]
        return f"{vague[0]} stands for no single residue" if vague else ""

    def compute(seen: Sequence[Pair]) -> Iterator[float]:
        questions = (_make_question(tokenizer, groups, one) for one in seen)
        for one, log_p in zip(seen, ask(model, questions, _sum_group(model, groups)), strict=True):
            yield _add_up(one, _find_covering(tokenizer, one), log_p)

    return score_in_turns(model, pairs, views, compute, refuse)


def group_tokens(tokenizer: Tokenizer) -> Groups:
    """The tokens that agree with a letter at each place of a token."""
    is_dna = isinstance(tokenizer, SixMerTokenizer | OverlappingTokenizer)
    standard = BASES if is_dna else "".join(sorted(t for t in tokenizer.id_of if len(t) == 1))
    known = [t for t in tokenizer.vocabulary if t and set(t) <= set(standard)]
    found: dict[tuple[int, int, str], list[int]] = {}
    for token in known:
        for offset, letter in enumerate(token):
            key = (len(token), offset, letter)
            found.setdefault(key, []).append(tokenizer.id_of[token])
    longest = max(map(len, found.values()))
    tokens = torch.zeros(len(found), longest, dtype=torch.int64)
    silent = torch.full((len(found), longest), float("-inf"))
    for row, ids in enumerate(found.values()):
        tokens[row, : len(ids)] = torch.tensor(ids)
        silent[row, : len(ids)] = 0
    return Groups({key: row for row, key in enumerate(found)}, tokens, silent)


def _sum_group(model: Model, groups: Groups) -> Pick:
    tokens_GK, silent_GK = groups.tokens_GK.to(model.device), groups.silent_GK.to(model.device)

    def pick(log_p_RV: Tensor, labels_R: Tensor) -> Tensor:
        chosen_RK = log_p_RV.gather(1, tokens_GK[labels_R]) + silent_GK[labels_R]
        return chosen_RK.logsumexp(-1)

    return pick


def _find_covering(tokenizer: Tokenizer, pair: Pair) -> list[list[tuple[int, int, int]]]:
    """Of each changed letter, the tokens over it: (place, first letter, length)."""
    spans = tokenizer.spans(pair.ref, "refuse", pair.name)
    starts = np.array([start for start, _ in spans])
    ends = np.array([end for _, end in spans])
    return [
        [
            (int(place), int(starts[place]), int(ends[place] - starts[place]))
            for place in np.flatnonzero((starts <= i) & (i < ends))
        ]
        for i in find_changed(pair)
    ]


def _make_question(tokenizer: Tokenizer, groups: Groups, pair: Pair) -> Question:
    """Of every token over every changed letter: the reference's letter, then the other one."""
    ids = np.array(tokenizer.encode(pair.ref, "refuse", pair.name), np.int64)
    places, labels = list[int](), list[int]()
    for i, covering in zip(find_changed(pair), _find_covering(tokenizer, pair), strict=True):
        for (place, start, length), text in product(covering, (pair.ref, pair.alt)):
            places.append(place)
            labels.append(groups.number_of[length, i - start, text[i]])
    ids[places] = tokenizer.mask_id
    return Question(pair.name, ids, np.array(places, np.int64), np.array(labels, np.int64))


def _add_up(
    pair: Pair, covering: list[list[tuple[int, int, int]]], log_p_R: NDArray[np.float32]
) -> float:
    """The sum over changed letters of the mean over the tokens that cover each."""
    ratios = log_p_R.reshape(-1, 2).astype(np.float64) @ [-1.0, 1.0]
    ends = np.cumsum([0, *map(len, covering)])
    return float(sum(ratios[start:end].mean() for start, end in pairwise(ends)))
