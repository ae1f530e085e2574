"""Rules that one can work out on paper: the share of G and C, and a residue's place in the ABC."""

from collections.abc import Sequence

from lexome.scoring.mutants.scorer import MutantScorer
from lexome.scoring.pairs.pair import Pair, PairScorer
from lexome.sequence.mutations import Mutant


def gc_scorer() -> PairScorer:
    """How many more G and C the alternate window has; refuses windows of one base."""

    def compute(pairs: Sequence[Pair]) -> list[float | str]:
        return [
            float(sum(p.alt.count(b) - p.ref.count(b) for b in "GC"))
            if len(p.ref) > 1
            else "one base"
            for p in pairs
        ]

    return PairScorer("gc", "G and C that came in; toy", ("gc", 1), compute)


def abc_scorer(asked: list[str] | None = None) -> MutantScorer:
    """Sum of the steps in the alphabet; no stops, no indels. `asked` notes each protein."""

    def compute(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
        if asked is not None:
            asked.append(sequence)
        return [_score(mutant) for mutant in mutants]

    return MutantScorer("abc", "steps in the alphabet; toy", ("abc", 1), compute)


def _score(mutant: Mutant) -> float | str:
    if not mutant.keeps_length:
        return "no rule for insertions and deletions"
    if any(edit.alt == "*" for edit in mutant.edits):
        return "no rule for stops"
    return float(sum(ord(edit.alt) - ord(edit.ref) for edit in mutant.edits))
