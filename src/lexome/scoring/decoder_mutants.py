"""Mutants by a causal model: how much likelier the whole changed sequence is."""

from collections.abc import Sequence

from lexome.errors import InputError
from lexome.inference.causal import check_causal
from lexome.inference.dialects import Dialect, find_dialect
from lexome.inference.model import Model
from lexome.scoring.branches import read_branches
from lexome.scoring.likelihood import Reading
from lexome.scoring.mutants import MutantScorer
from lexome.scoring.rules import DIRECTIONS, Text, clean, find_directions, find_rule
from lexome.sequence.mutations import Mutant, apply_mutant

RULE = "log-likelihood-difference"
DEFINITION = (
    "log p(mutant) - log p(reference) by a causal model, each the sum of log p of every residue "
    "given what the family writes in front and all residues before it (rule lexome of `lexome "
    "score`); higher: the model finds the mutant likelier. Reverse reads from the C-terminus, or "
    "the other strand of DNA; both is the mean of the two. Insertions and deletions by the same "
    "terms, so that a residue more costs its own log p. Source: Notin et al. 2022 (Tranception), "
    "Nijkamp et al. 2023 (ProGen2), Nguyen et al. 2024 (Evo)."
)


def make_decoder_scorer(model: Model, direction: str | None = None) -> MutantScorer:
    """The rule log-likelihood-difference of a causal model, for mutants of any kind.

    What a mutant shares with its reference, up to its first change, is read once for all of them.

    Args:
        direction: forward, reverse or both; forward where not given.

    Raises:
        InputError: no causal model, or a direction that the family does not read in.
    """
    check_causal(model.network, model.card.name, "likelihoods")
    dialect = find_dialect(model.tokenizer)
    against = find_directions(direction, find_rule(None, dialect)[1], dialect)
    name = "both" if len(against) > 1 else DIRECTIONS[against[0]]

    def compute(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
        return _score(model, dialect, against, sequence, mutants)

    fingerprint = (RULE, model.card.sha256, model.dtype, name)
    return MutantScorer(RULE, f"{DEFINITION} Direction here: {name}.", fingerprint, compute)


def _score(
    model: Model,
    dialect: Dialect,
    against: tuple[bool, ...],
    sequence: str,
    mutants: Sequence[Mutant],
) -> list[float | str]:
    answers: list[float | str] = [0.0] * len(mutants)
    mutated = [apply_mutant(mutant, sequence) for mutant in mutants]
    for i, (mutant, changed) in enumerate(zip(mutants, mutated, strict=True)):
        answers[i] = find_vague(mutant, dialect) or find_obstacle(model, dialect, changed)
    if obstacle := find_obstacle(model, dialect, sequence):
        return [f"of the reference, {obstacle}"] * len(mutants)
    scored = [i for i, answer in enumerate(answers) if not answer]
    sums = [0.0] * len(scored)
    for backwards in against:
        trunk = write_reading(model, dialect, sequence, backwards)
        branches = [write_reading(model, dialect, mutated[i], backwards) for i in scored]
        found = read_branches(model, trunk, branches)
        sums = [total + value for total, value in zip(sums, found, strict=True)]
    for i, total in zip(scored, sums, strict=True):
        answers[i] = total / len(against)
    return answers


def write_reading(model: Model, dialect: Dialect, sequence: str, against: bool) -> Reading:
    """A sequence as the rule `lexome` reads it."""
    _, rule = find_rule(None, dialect)
    text = Text("sequence", sequence, model.tokenizer, dialect, "refuse", None)
    return rule.read(text, against)


def find_vague(mutant: Mutant, dialect: Dialect) -> str:
    """A letter put in that stands for several residues, in words; empty: there is none."""
    vague = "RYSWKMBDHVN" if dialect.is_dna else "BJXZ"
    for edit in mutant.edits:
        for letter in edit.alt:
            if letter in vague and letter not in edit.ref:
                return f"{letter} stands for several residues, none of which is told"
    return ""


def find_obstacle(model: Model, dialect: Dialect, sequence: str) -> str:
    """Why a causal model cannot score a sequence, in words; empty: it can."""
    text = Text("sequence", sequence, model.tokenizer, dialect, "refuse", None)
    try:
        clean(text)
        reading = write_reading(model, dialect, sequence, False)
    except InputError as problem:
        return f"{problem.seen}; the model takes {problem.expected}"
    if reading.last <= reading.first:
        return "too short: no residue is left to score"
    if len(reading.ids) > model.card.context:
        return f"{len(reading.ids):,} tokens, beyond the model's context of {model.card.context:,}"
    return ""
