"""The wild type that a table of mutants and mutated sequences goes back to."""

from collections.abc import Iterable

from lexome.errors import InputError
from lexome.sequence.mutations import UNTOLD, Mutant


def undo_mutant(mutant: Mutant, mutated: str) -> str:
    """The sequence before the mutant's changes; what it does not spell stays `?`.

    Raises:
        InputError: a sequence that does not hold the mutant's new residues at their place.

    >>> from lexome.sequence.mutations import parse_mutant
    >>> undo_mutant(parse_mutant("K2R:Y5F"), "MRTAF")
    'MKTAY'
    """
    parts, at, grown = [], 0, 0
    for edit in mutant.edits:
        start = edit.position - 1 + grown
        seen = mutated[start : start + len(edit.alt)]
        if start < at or seen != edit.alt:
            raise InputError(
                f"mutant {mutant}",
                f"{seen or 'nothing'} at {start + 1} of the mutated sequence",
                f"{edit.alt or 'the residues after the deletion'}",
                "checking that both columns count from the same residue",
            )
        parts += [mutated[at:start], edit.ref]
        at = start + len(edit.alt)
        grown += len(edit.alt) - len(edit.ref)
    return "".join(parts) + mutated[at:]


def find_wild_type(rows: Iterable[tuple[Mutant, str]], where: str = "table") -> str:
    """The one sequence that all rows (mutant, mutated sequence) go back to.

    Raises:
        InputError: rows that go back to different ones, or no row.
    """
    found = ""
    for number, (mutant, mutated) in enumerate(rows, start=1):
        sequence = undo_mutant(mutant, mutated)
        if UNTOLD in sequence:
            continue
        if found and sequence != found:
            at = next(
                (i for i, (a, b) in enumerate(zip(found, sequence, strict=False), 1) if a != b),
                min(len(found), len(sequence)) + 1,
            )
            raise InputError(
                f"{where}, row {number}",
                f"{mutant}, which goes back to another wild type (from residue {at} on)",
                "mutants of one protein",
                "a table a protein",
            )
        found = sequence
    if not found:
        raise InputError(where, "no mutated sequence", "at least one", "a table with some")
    return found
