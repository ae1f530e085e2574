"""The sum of the autoencoder's and the Potts model's scores, brought to one scale by no assay."""

# Letters: N mutants, C columns.
from functools import lru_cache

import numpy as np

from lexome.scoring.alignment_models.family import FamilyModel
from lexome.scoring.alignment_models.placing import Changes, query_codes, scorer_of
from lexome.scoring.alignment_models.potts import potts_score
from lexome.scoring.alignment_models.vae import vae_score
from lexome.scoring.mutants.scorer import FloatArray, MutantScorer
from lexome.sequence.mutations import AMINO_ACIDS

PARTS = {"vae": vae_score, "potts": potts_score}
DEFINITION = (
    "vae / s(vae) + potts / s(potts), s being a rule's standard deviation over all single "
    "substitutions of the wild type in the model's columns: the sum of z-scores, less the constant "
    "that would make the wild type score other than 0. No label is used. No unit; higher: more "
    "likely in the family."
)


def make_combined_scorer(model: FamilyModel) -> MutantScorer:
    """The rule `vae+potts` from a fitted family model that holds both."""
    scores = [make(part_of(model, rule)) for rule, make in PARTS.items()]
    query_C = query_codes(model).tolist()
    letters = range(len(AMINO_ACIDS))
    singles = [(c, a) for c, q in enumerate(query_C) if q in letters for a in letters if a != q]

    @lru_cache(maxsize=1)
    def scaled() -> tuple[list[float], dict[tuple[int, int], float]]:
        """Each rule's spread over the single substitutions, and the sum for each of them."""
        found = [score([[single] for single in singles]) for score in scores]
        spreads = [float(values.std()) or 1.0 for values in found]
        total = sum(values / s for values, s in zip(found, spreads, strict=True))
        return spreads, dict(zip(singles, np.asarray(total).tolist(), strict=True))

    def score(mutants: list[Changes]) -> FloatArray:
        spreads, of_single = scaled()
        made = np.zeros(len(mutants))
        several = [n for n, changes in enumerate(mutants) if len(changes) > 1]
        for n, changes in enumerate(mutants):
            if len(changes) == 1:
                made[n] = of_single[changes[0]]
        if several:
            for part, s in zip(scores, spreads, strict=True):
                made[several] += part([mutants[n] for n in several]) / s
        return made

    return scorer_of(model, DEFINITION, score)


def part_of(model: FamilyModel, rule: str) -> FamilyModel:
    """One of the two models that are saved together."""
    mark = f"{rule}."
    tensors = {k.removeprefix(mark): v for k, v in model.tensors.items() if k.startswith(mark)}
    return model._replace(rule=rule, tensors=tensors)
