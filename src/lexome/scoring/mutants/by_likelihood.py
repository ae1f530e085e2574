"""Mutants by a causal model: how much likelier the whole changed sequence is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lexome.errors import InputError
from lexome.inference.causal import check_causal
from lexome.inference.dialects import Dialect, find_dialect
from lexome.inference.model import Model
from lexome.scoring.likelihood import Reading
from lexome.scoring.mutants.branches import read_branches
from lexome.scoring.mutants.scorer import MutantScorer
from lexome.scoring.rules import DIRECTIONS, Rule, Text, clean, find_directions, find_rule
from lexome.sequence.mutations import Mutant, apply_mutant

RULE = "log-likelihood-difference"
MUTANTS_AT_ONCE = 1000
DEFINITION = (
    "log p(mutant) - log p(reference) by a causal model, each the sum of log p of every residue "
    "given what the family writes in front and all residues before it, by a rule of `lexome score` "
    "(named behind); higher: the model finds the mutant likelier. Reverse reads from the "
    "C-terminus, or the other strand of DNA; both is the mean of the two. Insertions and deletions "
    "by the same terms, so that a residue more costs its own log p. Source: Notin et al. 2022 "
    "(Tranception), Nijkamp et al. 2023 (ProGen2), Nguyen et al. 2024 (Evo)."
)


class Reader(NamedTuple):
    """A causal model, and the rule by which it reads a sequence."""

    model: Model
    dialect: Dialect
    rule: Rule

    def read(self, sequence: str, against: bool = False) -> Reading:
        """The tokens of a sequence, from its other end if so."""
        return self.rule.read(self._write(sequence), against)

    def find_obstacle(self, sequence: str) -> str:
        """Why the model cannot score a sequence, in words; empty: it can."""
        model = self.model
        try:
            clean(self._write(sequence))
            reading = self.read(sequence)
        except InputError as problem:
            return f"{problem.seen}; the model takes {problem.expected}"
        if reading.last <= reading.first:
            return "too short: no residue is left to score"
        num, context = len(reading.ids), model.card.context
        return f"{num:,} tokens, beyond the model's context of {context:,}" * (num > context)

    def _write(self, sequence: str) -> Text:
        policy = self.rule.letters or "refuse"
        return Text("sequence", sequence, self.model.tokenizer, self.dialect, policy, None)


def make_decoder_scorer(
    model: Model, direction: str | None = None, likelihood: str | None = None
) -> MutantScorer:
    """The rule log-likelihood-difference of a causal model, for mutants of any kind.

    What a mutant shares with its reference, up to its first change, is read once for all of them.

    Args:
        direction: forward, reverse or both; the likelihood's own where not given.
        likelihood: the rule of `lexome score` by which each is read, such as "progen2", which is
            its published one; "lexome" where not given.

    Raises:
        InputError: no causal model, a rule of another family, or a direction that it does not
            read in.
    """
    check_causal(model.network, model.card.name, "likelihoods")
    dialect = find_dialect(model.tokenizer)
    read_by, rule = find_rule(likelihood, dialect)
    against = find_directions(direction, rule, dialect)
    name = "both" if len(against) > 1 else DIRECTIONS[against[0]]

    def compute(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
        return _score(Reader(model, dialect, rule), against, sequence, mutants)

    fingerprint = (RULE, model.card.sha256, model.dtype, name, read_by)
    definition = f"{DEFINITION} Here: {name}, by the rule {read_by}."
    return MutantScorer(RULE, definition, fingerprint, compute)


def _score(
    reader: Reader, against: tuple[bool, ...], sequence: str, mutants: Sequence[Mutant]
) -> list[float | str]:
    answers: list[float | str] = [0.0] * len(mutants)
    mutated = [apply_mutant(mutant, sequence) for mutant in mutants]
    for i, (mutant, changed) in enumerate(zip(mutants, mutated, strict=True)):
        answers[i] = find_vague(mutant, reader.dialect) or reader.find_obstacle(changed)
    if obstacle := reader.find_obstacle(sequence):
        return [f"of the reference, {obstacle}"] * len(mutants)
    scored = [i for i, answer in enumerate(answers) if not answer]
    # Neighbours lie in one batch, and of a long protein's mutants not all are held as tokens.
    scored.sort(key=lambda i: find_first(mutants[i]))
    for begin in range(0, len(scored), MUTANTS_AT_ONCE):
        part = scored[begin : begin + MUTANTS_AT_ONCE]
        sums = np.zeros(len(part))
        for backwards in against:
            trunk = reader.read(sequence, backwards)
            branches = [reader.read(mutated[i], backwards) for i in part]
            sums += read_branches(reader.model, trunk, branches)
        for i, total in zip(part, sums.tolist(), strict=True):
            answers[i] = total / len(against)
    return answers


def find_first(mutant: Mutant) -> int:
    """The position of a mutant's first change; 0 where there is none."""
    return mutant.edits[0].position if mutant.edits else 0


def find_vague(mutant: Mutant, dialect: Dialect) -> str:
    """A letter put in that stands for several residues, in words; empty: there is none."""
    vague = "RYSWKMBDHVN" if dialect.is_dna else "BJXZ"
    for edit in mutant.edits:
        for letter in edit.alt:
            if letter in vague and letter not in edit.ref:
                return f"{letter} stands for several residues, none of which is told"
    return ""
