"""The rules by which a protein model scores mutants, each with its definition and source."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lexome.batches.windows import parse_long
from lexome.errors import InputError
from lexome.inference.causal import is_causal
from lexome.inference.dialects import find_dialect
from lexome.inference.ensemble import Ensemble
from lexome.inference.model import Model
from lexome.scoring.mutants.by_likelihood import DEFINITION as DECODER_DEFINITION
from lexome.scoring.mutants.by_likelihood import make_decoder_scorer
from lexome.scoring.mutants.by_pairs import as_mutant_scorer
from lexome.scoring.mutants.marginals import (
    find_obstacle,
    make_joint_marginal,
    make_masked_marginal,
    make_mutant_marginal,
    make_seen_marginal,
)
from lexome.scoring.mutants.residue_rows import find_limit
from lexome.scoring.mutants.scorer import FloatArray, MutantScorer
from lexome.scoring.pairs.rules import PAIR_RULES, make_pair_scorer
from lexome.sequence.mutations import AMINO_ACIDS, Mutant

Maker = Callable[[Model, "ProteinRule", str, str], MutantScorer]  # model, rule, its name, long


class ProteinRule(NamedTuple):
    """How mutants are scored. The definition goes to every output."""

    make: Maker
    definition: str


def find_protein_rule(name: str | None, model: Model) -> str:
    """The name of a rule; where none is asked for the cheapest of the model's kind.

    Raises:
        InputError: no such rule.
    """
    if name is None:
        return "log-likelihood-difference" if is_causal(model.network) else "wt-marginal"
    if name not in PROTEIN_RULES:
        known = ", ".join(PROTEIN_RULES)
        raise InputError(f"rule {name!r}", "no such rule", known, "`--rule wt-marginal`")
    return name


def make_mutant_scorer(
    model: Model | Ensemble, rule: str | None = None, long: str = "refuse"
) -> MutantScorer:
    """A rule made ready for a model, or for the mean of several.

    Args:
        model: from `lexome.load` or `lexome.load_ensemble`. A model of DNA has the rules of
            `lexome.scoring.pairs.rules.PAIR_RULES`, on both strands.
        rule: one of PROTEIN_RULES; by default wt-marginal, of causal models
            log-likelihood-difference.
        long: what becomes of sequences beyond the context: refuse, whole or window.

    Raises:
        InputError: no such rule, or a model that it is not for.
    """
    if isinstance(model, Ensemble):
        return mean_scorer([make_mutant_scorer(one, rule, long) for one in model.models])
    if not model.tokenizer.alphabet.is_protein and find_dialect(model.tokenizer).is_dna:
        return _by_pairs(model, rule, long)
    name = find_protein_rule(rule, model)
    found = PROTEIN_RULES[name]
    return found.make(model, found, name, long)


def _by_pairs(model: Model, name: str | None, long: str) -> MutantScorer:
    """A rule for pairs of windows, asked about mutants of proteins or of DNA."""
    letters = find_dialect(model.tokenizer).standard
    scorer = as_mutant_scorer(
        make_pair_scorer(model, name),
        lambda length: find_limit(model, length, long),
        lambda mutant: find_obstacle(mutant, takes_indels=True, letters=letters or AMINO_ACIDS),
    )
    return scorer._replace(fingerprint=(*scorer.fingerprint, long))


def _make_pairs(model: Model, rule: ProteinRule, name: str, long: str) -> MutantScorer:
    return _by_pairs(model, name, long)


def _make_likelihood(model: Model, rule: ProteinRule, name: str, long: str) -> MutantScorer:
    if parse_long(long).kind == "window":
        return _by_pairs(model, name, long)
    scorer = make_decoder_scorer(model)

    def compute(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
        find_limit(model, len(sequence), long)
        return scorer.compute(sequence, mutants)

    return scorer._replace(compute=compute, fingerprint=(*scorer.fingerprint, long))


def mean_scorer(scorers: Sequence[MutantScorer]) -> MutantScorer:
    """The mean of several models' scores by one rule, as the five of ESM-1v are published."""
    first = scorers[0]

    def compute(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
        columns = [scorer.compute(sequence, mutants) for scorer in scorers]
        means = list[float | str]()
        for answers in zip(*columns, strict=True):
            reason = next((answer for answer in answers if isinstance(answer, str)), "")
            means.append(reason or float(np.mean(answers)))
        return means

    tables = [scorer.table for scorer in scorers if scorer.table is not None]

    def table(sequence: str) -> FloatArray:
        mean: FloatArray = np.mean([one(sequence) for one in tables], axis=0)
        return mean

    return MutantScorer(
        first.rule,
        f"Mean over {len(scorers)} models of: {first.definition}",
        tuple(scorer.fingerprint for scorer in scorers),
        compute,
        table if len(tables) == len(scorers) else None,
    )


PROTEIN_RULES = {
    "wt-marginal": ProteinRule(
        make_seen_marginal,
        "Sum over the changed residues of log p(new) - log p(old) at their place, read off one "
        "pass over the wild type as it is; probabilities among the whole vocabulary, natural "
        "logarithms. Higher: more likely than the wild type. Source: Meier et al. 2021 "
        "(wild-type marginals); facebookresearch/esm examples/variant-prediction.",
    ),
    "masked-marginal": ProteinRule(
        make_masked_marginal,
        "Sum over the changed residues of log p(new) - log p(old) at their place, that place alone "
        "masked in the wild type; probabilities among the whole vocabulary, natural logarithms. "
        "Higher: more likely than the wild type. Source: facebookresearch/esm examples/"
        "variant-prediction (masked-marginals) and ProteinGym, both with one mask at a time.",
    ),
    "masked-marginal-joint": ProteinRule(
        make_joint_marginal,
        "As masked-marginal, with all changed places of a mutant masked at once; the same for one "
        "change. Higher: more likely than the wild type. Source: Meier et al. 2021 (equation of "
        "the masked marginals).",
    ),
    "mutant-marginal": ProteinRule(
        make_mutant_marginal,
        "Sum over the changed residues of log p(new) - log p(old) at their place, read off one "
        "pass over the mutant as it is; probabilities among the whole vocabulary, natural "
        "logarithms. Higher: more likely than the wild type. Source: Meier et al. 2021 (mutant "
        "marginals).",
    ),
    "log-likelihood-difference": ProteinRule(_make_likelihood, DECODER_DEFINITION),
    **{
        name: ProteinRule(_make_pairs, PAIR_RULES[name].definition)
        for name in (
            *("pseudo-log-likelihood", "pseudo-log-likelihood-one-pass"),
            *("cosine", "l1", "l2", "dot"),
        )
    },
}
