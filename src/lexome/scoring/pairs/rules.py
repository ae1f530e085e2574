"""The rules that compare a changed window with its reference, each with its source."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from lexome.errors import InputError
from lexome.inference.causal import check_causal, is_causal
from lexome.inference.dialects import find_dialect
from lexome.inference.model import Model
from lexome.scoring.masked import can_fill_in, check_encoder
from lexome.scoring.pairs.distances import score_by_distance
from lexome.scoring.pairs.likelihoods import score_by_likelihood, score_by_pseudo_likelihood
from lexome.scoring.pairs.masks import has_marginals, score_by_marginal
from lexome.scoring.pairs.pair import Pair, PairScorer
from lexome.scoring.pairs.views import Views, find_views
from lexome.scoring.pseudo_likelihood import DEFINITION, ONE_PASS_DEFINITION
from lexome.scoring.rules import find_rule
from lexome.tokenizers.overlapping import OverlappingTokenizer

Compute = Callable[[Model, Views, Sequence[Pair]], list[float | str]]


class PairRule(NamedTuple):
    """How a pair is scored. The definition goes to every output."""

    definition: str
    models: str  # which it is for, in words
    compute: Compute
    fits: Callable[[Model], bool]
    in_phases: bool = True  # whether six-mers are read from each of six first letters


def _fills_in(model: Model) -> bool:
    return can_fill_in(model.network) and model.tokenizer.mask_id >= 0


def _distance(kind: str, what: str) -> PairRule:
    return PairRule(
        f"{what} of the mean vectors of the reference's and the changed window (over all tokens "
        "but special ones, after the final norm); higher: more alike. Source: Dalla-Torre et al. "
        "2023 (Nucleotide Transformer, zero-shot scores).",
        "every model",
        partial(score_by_distance, kind=kind),
        lambda model: True,
    )


# The first that fits a model is its default.
PAIR_RULES = {
    "log-likelihood-difference": PairRule(
        "log p(changed window) - log p(reference window) by a causal model, each read whole by a "
        "rule of `lexome score` (named behind); higher: the change is likelier than what was "
        "there. Source: Nguyen et al. 2024 (Evo), Brixi et al. 2025 (Evo 2, BRCA1).",
        "causal models",
        score_by_likelihood,
        lambda model: is_causal(model.network),
    ),
    "masked-marginal": PairRule(
        "log p(changed letter) - log p(reference's letter), summed over the letters that differ, "
        "all tokens over any of them hidden at once. Of k-mers a letter's p is the sum over all "
        "k-mers with it at that place; where k-mers overlap (DNABERT), the mean of log p over all "
        "that cover the letter. Higher: the change is likelier than what was there. Source: Meier "
        "et al. 2021 (masked marginals); for k-mers our own, as given here.",
        "encoders whose tokens are letters or k-mers; substitutions",
        score_by_marginal,
        lambda model: _fills_in(model) and has_marginals(model.tokenizer),
    ),
    "pseudo-log-likelihood": PairRule(
        "the pseudo-log-likelihood of the changed window less that of the reference's; higher: "
        f"the change is likelier. Pseudo-log-likelihood: {DEFINITION}",
        "encoders; also where letters come or go, by windows of equal length",
        score_by_pseudo_likelihood,
        _fills_in,
    ),
    "pseudo-log-likelihood-one-pass": PairRule(
        "the one-pass estimate of the changed window's pseudo-log-likelihood less that of the "
        f"reference's; higher: the change is likelier. {ONE_PASS_DEFINITION[0].upper()}"
        f"{ONE_PASS_DEFINITION[1:]}",
        "encoders whose tokens do not overlap",
        partial(score_by_pseudo_likelihood, one_pass=True),
        lambda model: _fills_in(model) and not isinstance(model.tokenizer, OverlappingTokenizer),
    ),
    "cosine": _distance("cosine", "the cosine of the angle"),
    "l1": _distance("l1", "minus the sum of absolute differences"),
    "l2": _distance("l2", "minus the Euclidean distance"),
    "dot": _distance("dot", "the dot product"),
}


def make_pair_scorer(
    model: Model,
    rule: str | None = None,
    strands: str | None = None,
    likelihood: str | None = None,
) -> PairScorer:
    """A rule made ready for pairs of windows, such as those around a variant.

    A score is the mean over the strands, and over the six phases of a model of six-mers: the
    window then begins 0 to 5 letters later. A pair that cannot be scored gets the reason in words.

    Args:
        rule: a name of PAIR_RULES; where not given, the first there that fits the model.
        strands: forward, reverse or both; DNA is read on both where not given.
        likelihood: the rule of `lexome score` by which a causal model reads; "lexome".

    Raises:
        InputError: no such rule, or one that is not for this model.
    """
    name = rule or next(name for name, one in PAIR_RULES.items() if one.fits(model))
    if name not in PAIR_RULES:
        raise InputError(f"rule {name!r}", "no such rule", ", ".join(PAIR_RULES), "one of these")
    chosen = PAIR_RULES[name]
    if not chosen.fits(model):
        _refuse(model, name, chosen)
    views = find_views(model, strands, chosen.in_phases)
    compute, read_by = chosen.compute, ""
    if name == "log-likelihood-difference":
        read_by = find_rule(likelihood, find_dialect(model.tokenizer))[0]
        compute = partial(score_by_likelihood, likelihood=read_by)
    elif likelihood is not None:
        raise InputError(
            "likelihood", f"{likelihood!r} with the rule {name}", "a causal model", "leaving it out"
        )
    phases = f", {views.num_phases} phases" if views.num_phases > 1 else ""
    read = f", each window by the rule {read_by}" if read_by else ""
    definition = f"{chosen.definition} Here: {views.strands}{phases}{read}; the mean of them."
    fingerprint = (name, model.card.sha256, model.dtype, *views, read_by)
    return PairScorer(name, definition, fingerprint, lambda pairs: compute(model, views, pairs))


def _refuse(model: Model, name: str, rule: PairRule) -> None:
    """Say why a rule is not for a model."""
    if name == "log-likelihood-difference":
        check_causal(model.network, model.card.name, name)
    check_encoder(model, name)
    own = [other for other, one in PAIR_RULES.items() if one.fits(model)]
    raise InputError(
        f"rule {name}", f"the model {model.card.name}", rule.models, f"`--rule {own[0]}`"
    )
