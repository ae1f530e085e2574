"""The profile HMM's rule: the sum over all alignments of a mutant to the family; indels too."""

# Letters: L residues of the query, A letters (20).
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lexome.grammars.profile_hmm import ProfileHmm
from lexome.grammars.profile_search import (
    SearchMode,
    log_odds,
    prepare_search,
    substitution_log_odds,
)
from lexome.scoring.alignment_models.family import FamilyModel
from lexome.scoring.alignment_models.placing import LETTER_CODES, column_positions, find_reason
from lexome.scoring.mutants.scorer import FloatArray, MutantScorer
from lexome.sequence.family_rows import GAP_CODE, Codes
from lexome.sequence.mutations import Mutant, apply_mutant

DEFINITION = (
    "log P(mutant) - log P(wild type), each a sum over all ways (forward) through a profile HMM of "
    "the family's columns, from its first to its last, divided by the likelihood of the null "
    "model; of the stretch of the protein that the alignment's query is. Flanks expect the wild "
    "type's length. Insertions and deletions are scored too. Natural logarithms; higher: more like "
    "the family. Source: Eddy 2008, 2011 (HMMER 3's model and null model, aligned from end to end)."
)
BLOCK = 256  # sequences at a time: bounds memory


def make_hmm_scorer(model: FamilyModel) -> MutantScorer:
    """The rule `hmm` from a fitted family model."""
    search = prepare_search(profile_of(model), SearchMode())
    query = model.focus.query

    @lru_cache(maxsize=1)
    def substitutions() -> FloatArray:
        return substitution_log_odds(search, _codes(query))

    @lru_cache(maxsize=1)
    def wild_type() -> float:
        return float(log_odds(search, _codes(query)[None])[0])

    def compute(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
        positions = column_positions(model.focus, model.columns, sequence)
        start = min(positions) - model.focus.offsets[model.columns[0]] - 1
        answers: list[float | str] = []
        waiting: dict[int, list[tuple[int, Codes]]] = {}  # by length
        for n, mutant in enumerate(mutants):
            if reason := _reason(positions, mutant):
                answers.append(reason)
                continue
            answers.append(0.0)
            edits = mutant.edits
            if mutant.keeps_length and len(edits) < 2:
                for edit in edits:
                    place = edit.position - 1 - start
                    answers[n] = float(substitutions()[place, LETTER_CODES[edit.alt]])
                continue
            codes = _codes(apply_mutant(mutant.shift(-start), query))
            waiting.setdefault(len(codes), []).append((n, codes))
        for group in waiting.values():
            for begin in range(0, len(group), BLOCK):
                block = group[begin : begin + BLOCK]
                found = log_odds(search, np.stack([codes for _, codes in block]), len(query))
                for (n, _), value in zip(block, found, strict=True):
                    answers[n] = float(value) - wild_type()
        return answers

    return MutantScorer(model.rule, DEFINITION, model.fingerprint(), compute)


def profile_of(model: FamilyModel) -> ProfileHmm:
    """The profile of a fitted family model."""
    parts = (model.tensors[name].numpy() for name in ("match", "insert", "transitions"))
    return ProfileHmm(model.focus.name, *parts)


def _reason(positions: dict[int, int], mutant: Mutant) -> str:
    first, last = min(positions), max(positions)
    for edit in mutant.edits:
        if edit.is_substitution:
            if reason := find_reason(positions, edit):
                return reason
            continue
        for letter in edit.alt:
            if letter not in LETTER_CODES:
                return f"{letter} in {edit} is none of the 20 amino acids"
        end = edit.position + len(edit.ref) - 1
        if edit.position < first or end > last:
            return f"{edit} reaches outside the alignment's columns {first}-{last}"
        if end - edit.position == last - first and not edit.alt:
            return f"{edit} leaves nothing of the alignment's columns {first}-{last}"
    return ""


def _codes(sequence: str) -> Codes:
    return np.array([LETTER_CODES.get(letter, GAP_CODE) for letter in sequence], np.int8)
