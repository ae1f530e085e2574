"""What a change of coding bases does to the protein: its term, its spelling in HGVS, the mutant."""

from typing import NamedTuple

from lexome.sequence.agreement import shared_end, shared_start
from lexome.sequence.codons import STOP, GeneticCode, translate
from lexome.sequence.mutations import ONE_LETTER, Edit, Mutant, find_mutant

THREE_LETTERS = {one: three for three, one in ONE_LETTER.items()}
UNKNOWN = "p.?"
NO_START = "the start codon is lost: where the protein begins is not known"
NO_END = "no stop codon was found behind the change"


class Coding(NamedTuple):
    """The coding bases of a transcript in its direction, from start codon to stop codon.

    `recoded` are codons (from 0) that are read as another amino acid than the code says. `flaw` is
    why no protein can be told, in words.
    """

    bases: str
    protein: str  # without the stop
    code: GeneticCode
    recoded: tuple[tuple[int, str], ...] = ()
    flaw: str = ""


class ProteinChange(NamedTuple):
    """A term of the Sequence Ontology (or several), HGVS's spelling, and the mutant of the protein.

    `mutant` is None where the new protein is not known: `reason` says why.
    """

    terms: tuple[str, ...]
    spelling: str
    mutant: Mutant | None
    reason: str = ""


def read_coding(bases: str, code: GeneticCode, recoded: tuple[tuple[int, str], ...] = ()) -> Coding:
    """Translate coding bases, and say what makes them no whole protein.

    >>> from lexome.sequence.codons import find_code
    >>> read_coding("ATGGCATAA", find_code(1)).protein
    'MA'
    >>> read_coding("ATGTAAGCATAA", find_code(1)).flaw
    'a stop within it, at residue 2'
    """
    protein = _read(bases, code, recoded)
    flaw = ""
    if len(bases) % 3:
        flaw = f"its {len(bases):,} coding bases are no multiple of 3"
    elif not code.is_start(bases[:3]):
        flaw = f"it begins with {bases[:3]}, no start codon of genetic code {code.number}"
    elif not code.is_stop(bases[-3:]):
        flaw = f"it ends with {bases[-3:]}, no stop codon of genetic code {code.number}"
    elif STOP in protein[:-1]:
        flaw = f"a stop within it, at residue {protein.index(STOP) + 1:,}"
    return Coding(bases, "" if flaw else protein[:-1], code, recoded, flaw)


def change_protein(coding: Coding, changed: str, tail: str) -> ProteinChange:
    """What becomes of the protein when its coding bases become `changed`.

    Args:
        coding: without a flaw.
        changed: the coding bases with the variant, the place of the old stop codon among them.
        tail: the bases that follow, through which a lost stop is read on.

    Spelled by HGVS's recommendations 21 (three letters, Ter for a stop, no brackets), as far to the
    end of the protein as a change can be written; a stop that is reached too early is the end.
    """
    old, code, bases = coding.protein, coding.code, coding.bases
    if changed[:3] != bases[:3] and not code.keeps_start(changed[:3]):
        return ProteinChange(("start_lost",), "p.Met1?", None, NO_START)
    shift = len(changed) - len(bases)
    new, is_ended = _read_to_stop(coding, changed, tail)
    at = shared_start(old, new)
    is_frameshift = shift % 3 != 0
    if new == old and is_ended:
        return _same(coding, changed, is_frameshift)
    keeps_stop = is_ended and not is_frameshift and len(new) == len(old) + shift // 3
    if at == len(old) and not keeps_stop:
        return _extended(old, new, is_ended, is_frameshift)
    if is_frameshift and (len(new) > at or not is_ended):
        return _shifted(old, new, at, is_ended)
    if is_frameshift:
        return _stopped(old, new, at, ("frameshift_variant", "stop_gained"))
    if not is_ended:
        return ProteinChange(("stop_lost",), UNKNOWN, None, NO_END)
    if len(new) < len(old) + shift // 3:
        return _stopped(old, new, at, ("stop_gained",))
    if not keeps_stop:
        return ProteinChange(("stop_lost",), UNKNOWN, _mutant(old, new))
    term = "missense_variant"
    if shift:
        term = "inframe_insertion" if shift > 0 else "inframe_deletion"
    return ProteinChange((term,), f"p.{_spell(old, new)}", _mutant(old, new))


def _read(bases: str, code: GeneticCode, recoded: tuple[tuple[int, str], ...]) -> str:
    """All codons translated: the first as methionine where it may begin a protein."""
    residues = list(translate(bases, code))
    if residues and code.is_start(bases[:3]):
        residues[0] = "M"
    for codon, residue in recoded:
        if codon < len(residues):
            residues[codon] = residue
    if residues and bases[-3:] in code.ends and len(bases) % 3 == 0:
        residues[-1] = STOP
    return "".join(residues)


def _read_to_stop(coding: Coding, changed: str, tail: str) -> tuple[str, bool]:
    """The new protein up to its stop, and whether there is one."""
    in_frame = (len(changed) - len(coding.bases)) % 3 == 0
    ends_both_ways = in_frame and changed[-3:] in coding.code.ends
    for text in (changed, changed + tail):
        residues = list(translate(text, coding.code))
        residues[0] = "M"
        for place, residue in _recoded(coding, changed):
            residues[place] = residue
        if ends_both_ways:
            residues[len(changed) // 3 - 1] = STOP
        new = "".join(residues)
        if (end := new.find(STOP)) >= 0:
            return new[:end], True
    return new, False


def _recoded(coding: Coding, changed: str) -> list[tuple[int, str]]:
    """Where recoded codons stand now: those before the change, and those behind it in its frame."""
    bases, shift = coding.bases, len(changed) - len(coding.bases)
    found = []
    for codon, residue in coding.recoded:
        start, end = 3 * codon, 3 * codon + 3
        if changed[:end] == bases[:end]:
            found.append((codon, residue))
        elif shift % 3 == 0 and changed[start + shift :] == bases[start:]:
            found.append((codon + shift // 3, residue))
    return found


def _same(coding: Coding, changed: str, is_frameshift: bool) -> ProteinChange:
    """No residue changed: which codon did tells the term."""
    first = shared_start(coding.bases, changed)
    codon = min(first // 3, len(coding.protein))
    residue = THREE_LETTERS.get((coding.protein + STOP)[codon], "Xaa")
    if codon == len(coding.protein):
        terms: tuple[str, ...] = ("stop_retained_variant",)
    elif codon == 0 and not is_frameshift:
        terms = ("start_retained_variant",)
    else:
        terms = ("synonymous_variant",)
    return ProteinChange(terms, f"p.{residue}{codon + 1}=", Mutant(()))


def _extended(old: str, new: str, is_ended: bool, is_frameshift: bool) -> ProteinChange:
    """The stop codon itself is read as a residue."""
    terms = ("frameshift_variant", "stop_lost") if is_frameshift else ("stop_lost",)
    first = THREE_LETTERS.get(new[len(old)], "Xaa") if len(new) > len(old) else "?"
    more = str(len(new) - len(old)) if is_ended else "?"
    spelling = f"p.Ter{len(old) + 1}{first}extTer{more}"
    if not is_ended:
        return ProteinChange(terms, spelling, None, NO_END)
    return ProteinChange(terms, spelling, _mutant(old, new))


def _shifted(old: str, new: str, at: int, is_ended: bool) -> ProteinChange:
    """Another reading frame from residue `at` (from 0) on."""
    first = THREE_LETTERS.get(new[at], "Xaa") if at < len(new) else "?"
    to_stop = str(len(new) - at + 1) if is_ended else "?"
    spelling = f"p.{_name(old, at)}{first}fsTer{to_stop}"
    mutant = _mutant(old, new) if is_ended else None
    return ProteinChange(("frameshift_variant",), spelling, mutant, "" if is_ended else NO_END)


def _stopped(old: str, new: str, at: int, terms: tuple[str, ...]) -> ProteinChange:
    """A stop before the old one; `at` is the first residue that changed."""
    if at == len(new):
        mutant = Mutant((Edit(old[at], at + 1, STOP),))
        return ProteinChange(terms, f"p.{_name(old, at)}Ter", mutant)
    end = min(len(new), len(old) - 1)
    letters = "".join(THREE_LETTERS.get(letter, "Xaa") for letter in new[at:])
    span = _name(old, at) if end == at else f"{_name(old, at)}_{_name(old, end)}"
    pairs = enumerate(zip(old[at:], new[at:], strict=False), start=at + 1)
    edits = [Edit(a, i, b) for i, (a, b) in pairs if a != b]
    if len(new) < len(old):
        edits.append(Edit(old[len(new)], len(new) + 1, STOP))
        return ProteinChange(terms, f"p.{span}delins{letters}Ter", Mutant(tuple(edits)))
    return ProteinChange(terms, f"p.{span}delins{letters}Ter", _mutant(old, new))


def _mutant(old: str, new: str) -> Mutant:
    """`find_mutant`, asked of the stretch that changed and a residue on both its sides."""
    at = shared_start(old, new)
    end = shared_end(old, new, min(len(old), len(new)) - at)
    low, high = max(at - 1, 0), max(end - 1, 0)
    return find_mutant(old[low : len(old) - high], new[low : len(new) - high]).shift(low)


def _name(protein: str, at: int) -> str:
    return f"{THREE_LETTERS.get(protein[at], 'Xaa')}{at + 1}"


def _spell(old: str, new: str) -> str:
    """One change in HGVS's words: what is common at both ends is left out, first at the front."""
    at = shared_start(old, new)
    end = shared_end(old, new, min(len(old), len(new)) - at)
    gone, come = old[at : len(old) - end], new[at : len(new) - end]
    letters = "".join(THREE_LETTERS.get(letter, "Xaa") for letter in come)
    if len(gone) == len(come) == 1:
        return f"{_name(old, at)}{letters}"
    if gone:
        last = at + len(gone) - 1
        span = _name(old, at) if last == at else f"{_name(old, at)}_{_name(old, last)}"
        return f"{span}delins{letters}" if come else f"{span}del"
    if old[max(at - len(come), 0) : at] == come:
        start = at - len(come)
        span = _name(old, start) if len(come) == 1 else f"{_name(old, start)}_{_name(old, at - 1)}"
        return f"{span}dup"
    if at == len(old):  # before the stop: beside it stands no residue
        return f"{_name(old, at - 1)}_Ter{at + 1}ins{letters}"
    return f"{_name(old, at - 1)}_{_name(old, at)}ins{letters}"
