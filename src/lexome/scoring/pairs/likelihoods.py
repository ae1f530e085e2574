"""Pairs of windows by how likely each is, or by the pseudo-likelihood of each."""

from collections.abc import Iterator, Sequence

from lexome.inference.causal import check_causal
from lexome.inference.dialects import find_dialect
from lexome.inference.model import Model
from lexome.scoring.masked import check_encoder
from lexome.scoring.mutants.by_likelihood import Reader
from lexome.scoring.pairs.forks import Fork, read_forks
from lexome.scoring.pairs.pair import Pair
from lexome.scoring.pairs.views import Views, score_in_turns
from lexome.scoring.pseudo_likelihood import make_plan, read_plans
from lexome.scoring.rules import find_rule


def score_by_likelihood(
    model: Model, views: Views, pairs: Sequence[Pair], likelihood: str | None = None
) -> list[float | str]:
    """log p(changed window) - log p(reference window) by a causal model.

    Args:
        likelihood: the rule of `lexome score` by which each is read; "lexome" where not given.
    """
    check_causal(model.network, model.card.name, "likelihoods")
    dialect = find_dialect(model.tokenizer)
    reader = Reader(model, dialect, find_rule(likelihood, dialect)[1])

    def compute(seen: Sequence[Pair]) -> Iterator[float]:
        forks = [Fork(reader.read(one.ref), reader.read(one.alt)) for one in seen]
        return iter(read_forks(model, forks))

    def refuse(pair: Pair) -> str:
        return reader.find_obstacle(pair.ref) or reader.find_obstacle(pair.alt)

    return score_in_turns(model, pairs, views, compute, refuse)


def score_by_pseudo_likelihood(
    model: Model, views: Views, pairs: Sequence[Pair], one_pass: bool = False
) -> list[float | str]:
    """The difference of the sums of `pseudo_log_likelihoods` of both windows."""
    check_encoder(model, "pseudo-log-likelihoods")

    def compute(seen: Sequence[Pair]) -> Iterator[float]:
        # Mutants of one reference share its window: each text is read once.
        texts = dict.fromkeys(text for one in seen for text in (one.ref, one.alt))
        plans = (make_plan(model, text, "a window") for text in texts)
        found = (float(values.sum()) for values in read_plans(model, plans, one_pass))
        sum_of = dict(zip(texts, found, strict=True))
        return iter([sum_of[one.alt] - sum_of[one.ref] for one in seen])

    return score_in_turns(model, pairs, views, compute)
