"""Marginals: mutants scored by the probabilities of residues at their changed places."""

# Letters: L residues, A = 20 amino acids.
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import numpy as np

from lexome.inference.model import Model
from lexome.scoring.mutants.residue_rows import (
    Asked,
    RememberedRows,
    RowsOf,
    centre,
    check_masked,
    find_limit,
    hide,
    read_at,
    rows_hidden,
    rows_seen,
)
from lexome.scoring.mutants.scorer import FloatArray, MutantScorer
from lexome.sequence.mutations import AMINO_ACIDS, Edit, Mutant, apply_mutant

CODE_OF = {letter: code for code, letter in enumerate(AMINO_ACIDS)}


class Defined(Protocol):
    """The part of a rule that a scorer takes along."""

    @property
    def definition(self) -> str: ...


def find_obstacle(mutant: Mutant, takes_indels: bool = False, letters: str = AMINO_ACIDS) -> str:
    """Why no rule can score a mutant, in words; empty: it can.

    >>> from lexome.sequence.mutations import parse_mutant
    >>> find_obstacle(parse_mutant("K5*"))
    'K5*: a stop is no amino acid'
    """
    for edit in mutant.edits:
        foreign = next((a for a in edit.alt + edit.ref if a not in letters), "")
        if foreign == "*":
            return f"{edit}: a stop is no amino acid"
        if foreign:
            kind = "20 amino acids" if letters == AMINO_ACIDS else f"letters {letters}"
            return f"{edit}: {foreign} is none of the {kind}"
        if not takes_indels and not edit.is_substitution:
            return f"{edit}: only substitutions can be scored by this rule"
    if mutant.edits and all(edit.ref == edit.alt for edit in mutant.edits):
        return f"{mutant}: synonymous, the sequence stays as it is"
    return ""


def make_seen_marginal(model: Model, rule: Defined, name: str, long: str) -> MutantScorer:
    """The rule wt-marginal."""
    check_masked(model)
    return _additive(model, rule, name, long, RememberedRows(rows_seen(model, long), True))


def make_masked_marginal(model: Model, rule: Defined, name: str, long: str) -> MutantScorer:
    """The rule masked-marginal; only positions that some mutant changes are read."""
    check_masked(model)
    return _additive(model, rule, name, long, RememberedRows(rows_hidden(model, long), False))


def _additive(model: Model, rule: Defined, name: str, long: str, rows: RowsOf) -> MutantScorer:
    def compute(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
        obstacles = [find_obstacle(mutant) for mutant in mutants]
        good = [m for m, why in zip(mutants, obstacles, strict=True) if not why]
        places = sorted({edit.position - 1 for mutant in good for edit in mutant.edits})
        row_of = dict(zip(places, rows(sequence, places), strict=True))
        return [
            why or sum((_gain(row_of[e.position - 1], e) for e in mutant.edits), start=0.0)
            for mutant, why in zip(mutants, obstacles, strict=True)
        ]

    def table(sequence: str) -> FloatArray:
        rows_LA = rows(sequence, range(len(sequence)))
        own_L = np.array([CODE_OF.get(letter, -1) for letter in sequence])
        old_L = np.where(own_L < 0, np.nan, rows_LA[np.arange(len(sequence)), own_L])
        table_LA: FloatArray = rows_LA - old_L[:, None]
        return table_LA

    return MutantScorer(name, rule.definition, fingerprint(model, name, long), compute, table)


def make_joint_marginal(model: Model, rule: Defined, name: str, long: str) -> MutantScorer:
    """The rule masked-marginal-joint; mutants that change the same places share a reading."""
    check_masked(model)

    def ask(sequence: str, mutant: Mutant, window: range) -> Asked:
        return hide(model, model.tokenizer.encode(sequence), places_of(mutant), window)

    return _by_reading(model, rule, name, long, ask, places_of)


def make_mutant_marginal(model: Model, rule: Defined, name: str, long: str) -> MutantScorer:
    """The rule mutant-marginal; a reading a mutant."""
    check_masked(model)

    def ask(sequence: str, mutant: Mutant, window: range) -> Asked:
        part = apply_mutant(mutant, sequence)[window.start : window.stop]
        before = model.tokenizer.num_before - window.start
        ids = model.tokenizer.encode(part)
        return Asked(str(mutant), ids, [before + place for place in places_of(mutant)])

    return _by_reading(model, rule, name, long, ask, lambda mutant: mutant)


def places_of(mutant: Mutant) -> tuple[int, ...]:
    """The changed positions, from 0."""
    return tuple(edit.position - 1 for edit in mutant.edits)


def _by_reading(
    model: Model,
    rule: Defined,
    name: str,
    long: str,
    ask: Callable[[str, Mutant, range], Asked],
    share: Callable[[Mutant], Hashable],
) -> MutantScorer:
    """A rule that reads all changed places of a mutant off one window, the same for all of them."""

    def compute(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
        size = find_limit(model, len(sequence), long)
        answers: list[float | str] = [find_obstacle(mutant) for mutant in mutants]
        asked: dict[Hashable, Asked] = {}
        for i, mutant in enumerate(mutants):
            if answers[i] or not mutant.edits:
                continue
            places = places_of(mutant)
            window = centre((places[0] + places[-1]) // 2, len(sequence), size)
            if places[0] not in window or places[-1] not in window:
                answers[i] = f"{mutant}: changes further apart than a window of {size:,} residues"
            elif share(mutant) not in asked:
                asked[share(mutant)] = ask(sequence, mutant, window)
        found = dict(zip(asked, read_at(model, asked.values()), strict=True))
        for i, mutant in enumerate(mutants):
            if not answers[i]:
                rows_PA = found.get(share(mutant), np.empty((0, len(AMINO_ACIDS))))
                pairs = zip(rows_PA, mutant.edits, strict=True)
                answers[i] = sum((_gain(row_A, edit) for row_A, edit in pairs), start=0.0)
        return answers

    return MutantScorer(name, rule.definition, fingerprint(model, name, long), compute)


def _gain(row_A: FloatArray, edit: Edit) -> float:
    """log p(new) - log p(old) of one substitution."""
    return float(row_A[CODE_OF[edit.alt]] - row_A[CODE_OF[edit.ref]])


def fingerprint(model: Model, name: str, long: str) -> tuple[object, ...]:
    """All that a score depends on besides sequence and mutant."""
    return (name, model.card.sha256, model.dtype, long)
