"""Any rule for pairs of windows as a rule for mutants: equal windows around the change."""

from collections.abc import Callable, Sequence

from lexome.scoring.mutants.marginals import find_obstacle
from lexome.scoring.mutants.scorer import MutantScorer
from lexome.scoring.pairs.pair import Pair, PairScorer
from lexome.scoring.pairs.views import find_start
from lexome.sequence.mutations import Mutant, apply_mutant


def as_mutant_scorer(
    scorer: PairScorer,
    limit: Callable[[int], int],
    find_reason: Callable[[Mutant], str] = lambda mutant: find_obstacle(mutant, takes_indels=True),
) -> MutantScorer:
    """A rule for pairs, asked about a sequence and its mutants.

    `limit` tells from a sequence's length how many residues a window may have at most.
    """

    def compute(sequence: str, mutants: Sequence[Mutant]) -> list[float | str]:
        size = limit(len(sequence))
        answers: list[float | str] = [find_reason(mutant) for mutant in mutants]
        pairs: dict[int, Pair] = {}
        for i, mutant in enumerate(mutants):
            if answers[i]:
                continue
            found = cut_pair(mutant, sequence, size)
            if isinstance(found, str):
                answers[i] = found
            elif found.ref == found.alt:
                answers[i] = 0.0
            else:
                pairs[i] = found
        for i, answer in zip(pairs, scorer.compute(list(pairs.values())), strict=True):
            answers[i] = answer
        return answers

    return MutantScorer(scorer.rule, scorer.definition, scorer.fingerprint, compute)


def cut_pair(mutant: Mutant, sequence: str, limit: int) -> Pair | str:
    """Windows of equal length on reference and mutant, or in words why there are none.

    As long as both allow, up to `limit`, with the change in their middle, moved inwards at the
    ends. Where residues come or go, the sequences beyond the change are shifted against each
    other; the windows are then counted from the end that lies further from the change's own side,
    so that what is cut off lies far from it.

    >>> from lexome.sequence.mutations import parse_mutant
    >>> cut_pair(parse_mutant("K2del"), "MKTAY", 100)[1:3]
    ('MKTA', 'MTAY')
    >>> cut_pair(parse_mutant("Y5del"), "MKTAY", 100)[1:3]
    ('KTAY', 'MKTA')
    """
    changed = apply_mutant(mutant, sequence)
    size = min(len(sequence), len(changed), limit)
    if not size:
        return f"{mutant}: nothing is left of the sequence"
    if not mutant.edits:
        return Pair(str(mutant), sequence[:size], sequence[:size], 0)
    first = mutant.edits[0].position - 1
    last = mutant.edits[-1].position - 1 + len(mutant.edits[-1].ref)
    shorter = min(len(sequence), len(changed))
    is_early = first + last <= len(sequence)
    if is_early:
        start = min(max((first + last - size) // 2, 0), shorter - size)
        starts = (start, start)
    else:  # counted from the end
        behind = len(sequence) - (first + last + size) // 2
        cut = min(max(behind, 0), shorter - size)
        starts = (len(sequence) - size - cut, len(changed) - size - cut)
    ref, alt = (text[at : at + size] for text, at in zip((sequence, changed), starts, strict=True))
    # Of a long deletion it is enough that it begins (late in the sequence: ends) in the window.
    begins = first if is_early else mutant.edits[0].position - 2 + len(mutant.edits[0].ref)
    ends = mutant.edits[-1].position - 1 if is_early else last - 1
    if begins < starts[0] or ends >= starts[0] + size:
        return f"{mutant}: changes further apart than a window of {size:,} residues"
    return Pair(str(mutant), ref, alt, find_start(ref, alt))
