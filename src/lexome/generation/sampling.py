"""What may be drawn next: each control a plain function on rows of logits, and their order.

The default order, "published", is the one of StripedHyena's sampler (Evo): top-k, then
temperature, then top-p among the survivors. transformers divides by the temperature first; as that
keeps the ranks, top-k leaves the same tokens either way, so both references give the same
distribution, and so does ours. min-p and typical come after, as in transformers. In
"temperature-last" every filter looks at the model's own distribution and the temperature comes
after, so a high temperature does not let the tail in.
"""

# Letters: B rows, V vocabulary.
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

NEVER = float("-inf")  # the logit of what may not be drawn
ORDERS = {
    "published": ("top_k", "temperature", "top_p", "min_p", "typical_p"),
    "temperature-last": ("top_k", "top_p", "min_p", "typical_p", "temperature"),
}


def divide_by_temperature(logits_BV: Tensor, temperature: float) -> Tensor:
    """Flatter above 1, sharper below."""
    return logits_BV / temperature


def keep_top_k(logits_BV: Tensor, k: int) -> Tensor:
    """Only the k largest, and what is as large as the last of them; 0 keeps all."""
    if not 0 < k < logits_BV.shape[-1]:
        return logits_BV
    least_B1 = logits_BV.topk(k).values[..., -1:]
    return logits_BV.masked_fill(logits_BV < least_B1, NEVER)


def keep_top_p(logits_BV: Tensor, p: float) -> Tensor:
    """The nucleus: the fewest most likely tokens that hold p of the probability, at least one.

    From the least likely up, what sums to at most 1 - p is left out. Source: Holtzman et al. 2020;
    agrees with StripedHyena's and transformers' code.
    """
    if p >= 1:
        return logits_BV
    values_BV, order_BV = logits_BV.sort(descending=False, stable=True)
    dropped_BV = values_BV.softmax(-1).cumsum(-1) <= 1 - p
    dropped_BV[..., -1] = False
    return logits_BV.masked_fill(dropped_BV.scatter(-1, order_BV, dropped_BV), NEVER)


def keep_min_p(logits_BV: Tensor, p: float) -> Tensor:
    """What has at least p times the probability of the most likely token. Nguyen et al. 2024."""
    if p <= 0:
        return logits_BV
    probabilities_BV = logits_BV.softmax(-1)
    least_B1 = probabilities_BV.amax(-1, keepdim=True) * p
    return logits_BV.masked_fill(probabilities_BV < least_B1, NEVER)


def keep_typical(logits_BV: Tensor, p: float) -> Tensor:
    """The tokens nearest to the expected information, until they hold p. Meister et al. 2023."""
    if p >= 1:
        return logits_BV
    log_p_BV = logits_BV.log_softmax(-1)
    entropy_B1 = -(log_p_BV * log_p_BV.exp()).nansum(-1, keepdim=True)
    distance_BV = (-log_p_BV - entropy_B1).abs()
    sorted_BV, order_BV = distance_BV.sort(descending=False, stable=True)
    held_BV = logits_BV.gather(-1, order_BV).softmax(-1).cumsum(-1)
    last_B1 = (held_BV < p).sum(-1, keepdim=True).clamp(max=logits_BV.shape[-1] - 1)
    dropped_BV = sorted_BV > sorted_BV.gather(-1, last_B1)
    return logits_BV.masked_fill(dropped_BV.scatter(-1, order_BV, dropped_BV), NEVER)


def penalize_repetition(logits_V: Tensor, seen: Sequence[int], penalty: float) -> Tensor:
    """Tokens that came before (prompt counted) made less likely. Keskar et al. 2019.

    A positive logit is divided by the penalty, a negative one multiplied.
    """
    if penalty == 1 or not seen:
        return logits_V
    ids = torch.tensor(sorted(set(seen)), device=logits_V.device)
    met = logits_V[ids]
    return logits_V.index_copy(0, ids, torch.where(met < 0, met * penalty, met / penalty))


def forbid_repeated_ngrams(logits_V: Tensor, seen: Sequence[int], size: int) -> Tensor:
    """Without the tokens that would make the last `size` tokens a run that came before."""
    if size < 1 or len(seen) < size:
        return logits_V
    ending = tuple(seen[len(seen) - size + 1 :])
    starts = range(len(seen) - size + 1)
    banned = {seen[i + size - 1] for i in starts if tuple(seen[i : i + size - 1]) == ending}
    if not banned:
        return logits_V
    ids = torch.tensor(sorted(banned), device=logits_V.device)
    return logits_V.index_fill(0, ids, NEVER)


FILTERS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "temperature": divide_by_temperature,
    "top_k": lambda logits_BV, k: keep_top_k(logits_BV, int(k)),
    "top_p": keep_top_p,
    "min_p": keep_min_p,
    "typical_p": keep_typical,
}
