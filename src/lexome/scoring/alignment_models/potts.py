"""The Potts rule: how the family's energy changes, its columns' pairs taken together."""

# Letters: N mutants, C columns, A letters (20), D = C * A.
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lexome.scoring.alignment_models.family import FamilyModel
from lexome.scoring.alignment_models.placing import Changes, query_codes, scorer_of
from lexome.scoring.mutants.scorer import FloatArray, MutantScorer
from lexome.sequence.mutations import AMINO_ACIDS

DEFINITION = (
    "E(mutant) - E(wild type), E(x) = sum of fields h_c(x_c) + sum over pairs c < d of couplings "
    "J_cd(x_c, x_d): the change in log probability of a Potts model of the family, its normaliser "
    "being the same for both. Fitted by L2-regularised pseudo-likelihood, gaps left out. Natural "
    "logarithms; higher: more likely in the family. Source: Hopf et al. 2017 (EVmutation)."
)
LETTERS = len(AMINO_ACIDS)


def make_potts_scorer(model: FamilyModel) -> MutantScorer:
    """The rule `potts` from a fitted family model."""
    return scorer_of(model, DEFINITION, potts_score(model))


def potts_score(model: FamilyModel) -> Callable[[list[Changes]], FloatArray]:
    """What scores changed columns."""
    fields_CA, couplings_DD = model.tensors["fields"], model.tensors["couplings"]
    query_C = query_codes(model)
    local_CA = local_fields(fields_CA, couplings_DD, query_C)

    def score(mutants: list[Changes]) -> FloatArray:
        return energy_changes(local_CA, couplings_DD, query_C, mutants)

    return score


def local_fields(fields_CA: Tensor, couplings_DD: Tensor, query_C: NDArray[np.int64]) -> FloatArray:
    """Each letter's field in each column (C, A), all other columns being the query's."""
    query_D = one_hot(query_C)
    total = couplings_DD.double() @ query_D + fields_CA.double().flatten()
    made: FloatArray = total.view(-1, LETTERS).numpy()
    return made


def energy_changes(
    local_CA: FloatArray,
    couplings_DD: Tensor,
    query_C: NDArray[np.int64],
    mutants: Sequence[Changes],
) -> FloatArray:
    """What each mutant changes of the energy (N,): its letters' local fields, and its pairs.

    Changed columns must have one of the 20 letters in the query (`placing` sees to that).
    A single change costs two look-ups, as everything around it stays; among several, each pair
    is mended by what its two columns say of each other.
    """
    made = np.zeros(len(mutants))
    for n, changes in enumerate(mutants):
        total = 0.0
        for c, a in changes:
            total += local_CA[c, a] - local_CA[c, query_C[c]]
        for (c, a), (d, b) in combinations(changes, 2):
            p, q = c * LETTERS + query_C[c], d * LETTERS + query_C[d]
            new_c, new_d = c * LETTERS + a, d * LETTERS + b
            total += float(couplings_DD[new_c, new_d] - couplings_DD[new_c, q])
            total += float(couplings_DD[p, q] - couplings_DD[p, new_d])
        made[n] = total
    return made


def energies_plain(
    fields_CA: Tensor, couplings_DD: Tensor, codes_NC: NDArray[np.int64]
) -> FloatArray:
    """The slow twin: the whole energy of each sequence (N,), pair by pair."""
    columns = len(fields_CA)
    made = np.zeros(len(codes_NC))
    for n, codes in enumerate(codes_NC):
        for c in range(columns):
            made[n] += float(fields_CA[c, codes[c]])
            for d in range(c + 1, columns):
                made[n] += float(couplings_DD[c * LETTERS + codes[c], d * LETTERS + codes[d]])
    return made


def one_hot(codes_C: NDArray[np.int64]) -> Tensor:
    """Letters as zeros and ones (D,), zeros for what is none of the 20."""
    made = torch.zeros(len(codes_C), LETTERS + 1, dtype=torch.float64)
    made[torch.arange(len(codes_C)), torch.from_numpy(codes_C)] = 1
    return made[:, :LETTERS].flatten()
