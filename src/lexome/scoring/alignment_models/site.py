"""The site-independent rule: how much more a column's family likes one letter than another."""

# Letters: L residues of the protein, C columns, A letters (20).
import numpy as np

from lexome.scoring.alignment_models.family import FamilyModel
from lexome.scoring.alignment_models.placing import (
    Changes,
    column_positions,
    query_codes,
    scorer_of,
    spread_table,
)
from lexome.scoring.mutants.scorer import FloatArray, MutantScorer
from lexome.sequence.mutations import AMINO_ACIDS

DEFINITION = (
    "sum over the changed columns of log p(new) - log p(old), p being the family's weighted letter "
    "frequencies in the column, gaps left out, with half a count added to each letter (Jeffreys' "
    "prior). Natural logarithms; higher: more usual in the family. Source: the independent model "
    "of Hopf et al. 2017 (with another prior)."
)


def make_site_scorer(model: FamilyModel) -> MutantScorer:
    """The rule `site` from a fitted family model."""
    log_p_CA = model.tensors["log_frequencies"].double().numpy()
    query_C = query_codes(model)
    known_C = np.minimum(query_C, len(AMINO_ACIDS) - 1)  # others are refused row by row
    scores_CA: FloatArray = log_p_CA - log_p_CA[np.arange(len(known_C)), known_C][:, None]

    def score(mutants: list[Changes]) -> FloatArray:
        return np.array([sum(scores_CA[c, a] for c, a in changes) for changes in mutants], float)

    def table(sequence: str) -> FloatArray:
        positions = column_positions(model.focus, model.columns, sequence)
        return spread_table(scores_CA, positions, sequence)

    return scorer_of(model, DEFINITION, score)._replace(table=table)
