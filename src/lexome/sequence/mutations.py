"""Changes of a protein as papers write them: A12G, A12G:C45D, p.Ala12Gly, A12del, K5_L6insGH."""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from lexome.errors import InputError
from lexome.sequence.alphabet import AMINO_ACIDS as AMINO_ACIDS

ONE_LETTER = {
    **{"Ala": "A", "Cys": "C", "Asp": "D", "Glu": "E", "Phe": "F", "Gly": "G", "His": "H"},
    **{"Ile": "I", "Lys": "K", "Leu": "L", "Met": "M", "Asn": "N", "Pro": "P", "Gln": "Q"},
    **{"Arg": "R", "Ser": "S", "Thr": "T", "Val": "V", "Trp": "W", "Tyr": "Y"},
    **{"Ter": "*", "Xaa": "X", "Asx": "B", "Glx": "Z", "Sec": "U", "Pyl": "O"},
}
UNTOLD = "?"  # a residue of the reference that the text does not spell
WILD_TYPES = ("=", "WT", "wt", "_wt", "p.=", "p.(=)")
_LETTER = r"[A-Z][a-z]{2}|[A-Z*]"
_SUBSTITUTION = re.compile(rf"({_LETTER})(-?\d+)({_LETTER}|=)")
_SPAN = re.compile(rf"({_LETTER})(-?\d+)(?:_({_LETTER})(-?\d+))?(delins|del|ins|dup)(.*)")
_SEPARATOR = re.compile(r"[:;,]")


class Edit(NamedTuple):
    """The residues `ref` from `position` (1-based) on become `alt`.

    One letter on both sides is a substitution; an insertion spells the residues on its both sides
    in `ref` and in `alt`. `?` in `ref` is a residue that the text did not spell.
    """

    ref: str
    position: int
    alt: str

    @property
    def is_substitution(self) -> bool:
        """Whether one residue takes the place of one."""
        return len(self.ref) == len(self.alt) == 1

    def __str__(self) -> str:
        if self.is_substitution:
            return f"{self.ref}{self.position}{self.alt}"
        last = self.position + len(self.ref) - 1
        span = f"{self.ref[0]}{self.position}"
        if len(self.ref) > 1:
            span += f"_{self.ref[-1]}{last}"
        return f"{span}delins{self.alt}" if self.alt else f"{span}del"


class Mutant(NamedTuple):
    """All that is changed at once, in the order of the sequence; nothing: the wild type itself."""

    edits: tuple[Edit, ...]

    @property
    def keeps_length(self) -> bool:
        """Whether every edit replaces one residue by one."""
        return all(edit.is_substitution for edit in self.edits)

    def __str__(self) -> str:
        return ":".join(map(str, self.edits)) or "="

    def shift(self, offset: int) -> "Mutant":
        """The same with `offset` added to every position."""
        return Mutant(tuple(e._replace(position=e.position + offset) for e in self.edits))


def parse_mutant(text: str) -> Mutant:
    """Read one mutant; several changes stand with `:`, `,` or `;` between them.

    One-letter or three-letter code, with or without HGVS's `p.`; deletions, insertions,
    duplications and delins in HGVS's spelling. Stops (`*`, `Ter`) and letters that stand for
    several residues are read as they are written: whether they can be scored is a rule's to say.

    Raises:
        InputError: a text that is no change, or two changes of one residue.

    >>> parse_mutant("C45D:A12G").edits
    (Edit(ref='A', position=12, alt='G'), Edit(ref='C', position=45, alt='D'))
    >>> parse_mutant("p.(Lys5_Leu6insGlyHis)").edits, parse_mutant("A12_C14del").edits
    ((Edit(ref='KL', position=5, alt='KGHL'),), (Edit(ref='A?C', position=12, alt=''),))
    """
    if text.strip() in WILD_TYPES:
        return Mutant(())
    body = text.strip().removeprefix("p.").strip("()[]")
    edits = [_parse_edit(part.strip().removeprefix("p."), text) for part in _SEPARATOR.split(body)]
    edits.sort(key=lambda edit: edit.position)
    for before, after in pairwise(edits):
        if before.position + len(before.ref) > after.position:
            raise InputError(
                f"mutant {text!r}",
                f"two changes of residue {after.position}",
                "one change a residue",
                "joining them into one",
            )
    return Mutant(tuple(edits))


def _parse_edit(part: str, text: str) -> Edit:
    if found := _SUBSTITUTION.fullmatch(part):
        ref, position, alt = _code(found[1], text), int(found[2]), found[3]
        return Edit(ref, position, ref if alt == "=" else _code(alt, text))
    if found := _SPAN.fullmatch(part):
        kind, start = found[5], int(found[2])
        first, end = _code(found[1], text), int(found[4] or start)
        last = _code(found[3], text) if found[3] else first
        letters = "".join(_code(x, text) for x in re.findall(_LETTER, found[6]))
        is_whole = "".join(re.findall(_LETTER, found[6])) == found[6]
        if is_whole and end >= start and (end > start) == bool(found[3]):
            ref = first + UNTOLD * (end - start - 1) + (last if end > start else "")
            if kind == "del" and (not letters or len(letters) == len(ref)):
                return Edit(letters or ref, start, "")
            if kind == "dup" and not letters:
                return Edit(ref, start, ref * 2)
            if kind == "delins" and letters:
                return Edit(ref, start, letters)
            if kind == "ins" and letters and end == start + 1:
                return Edit(ref, start, first + letters + last)
    raise InputError(
        f"mutant {text!r}",
        repr(part) if part else "nothing",
        "a change such as A12G, A12del, A12_C14del, K5_L6insGH or A12_C14delinsGH",
        "that spelling, `:` between several",
    )


def _code(letter: str, text: str) -> str:
    if len(letter) == 1:
        return letter
    if letter not in ONE_LETTER:
        raise InputError(
            f"mutant {text!r}", repr(letter), "an amino acid such as Ala", "the one-letter code"
        )
    return ONE_LETTER[letter]


def find_mismatch(mutant: Mutant, sequence: str) -> str:
    """What of the reference does not agree with the mutant, in words; empty: it agrees.

    >>> find_mismatch(parse_mutant("A2G"), "MKT")
    'the reference has K at 2, not A'
    """
    for edit in mutant.edits:
        end = edit.position - 1 + len(edit.ref)
        if edit.position < 1 or end > len(sequence):
            where = edit.position if edit.position < 1 else end
            return f"position {where} lies outside the reference's {len(sequence):,} residues"
        for i, letter in enumerate(edit.ref, start=edit.position):
            if letter not in (UNTOLD, sequence[i - 1]):
                return f"the reference has {sequence[i - 1]} at {i}, not {letter}"
    return ""


def fill_in(mutant: Mutant, sequence: str) -> Mutant:
    """The same with every residue of the reference spelled; it must agree (`find_mismatch`)."""
    if not any(UNTOLD in edit.ref for edit in mutant.edits):
        return mutant
    filled = []
    for edit in mutant.edits:
        ref = sequence[edit.position - 1 : edit.position - 1 + len(edit.ref)]
        filled.append(Edit(ref, edit.position, ref * 2 if UNTOLD in edit.alt else edit.alt))
    return Mutant(tuple(filled))


def apply_mutant(mutant: Mutant, sequence: str) -> str:
    """The mutated sequence; the mutant must agree with the sequence (`find_mismatch`).

    >>> apply_mutant(parse_mutant("M1del:T3A"), "MKT")
    'KA'
    """
    parts, at = [], 0
    for edit in fill_in(mutant, sequence).edits:
        parts += [sequence[at : edit.position - 1], edit.alt]
        at = edit.position - 1 + len(edit.ref)
    return "".join(parts) + sequence[at:]


def find_mutant(reference: str, mutated: str) -> Mutant:
    """What makes one sequence of another: substitutions at equal length, else one edit.

    The edit of unequal sequences is the shortest: what stands in common at both ends is left
    out, first at the front.

    >>> str(find_mutant("MKTAY", "MRTAF")), str(find_mutant("MKTAY", "MKY"))
    ('K2R:Y5F', 'T3_A4del')
    """
    if len(reference) == len(mutated):
        pairs = enumerate(zip(reference, mutated, strict=True), start=1)
        return Mutant(tuple(Edit(a, i, b) for i, (a, b) in pairs if a != b))
    shorter = min(len(reference), len(mutated))
    start = next((i for i in range(shorter) if reference[i] != mutated[i]), shorter)
    rest = shorter - start
    end = next((i for i in range(rest) if reference[-1 - i] != mutated[-1 - i]), rest)
    ref, alt = reference[start : len(reference) - end], mutated[start : len(mutated) - end]
    if not ref:  # an insertion is spelled with the residues beside it
        left, right = reference[max(start - 1, 0) : start], reference[start : start + 1]
        ref, alt, start = left + right, left + alt + right, start - len(left)
    return Mutant((Edit(ref, start + 1, alt),))


def find_offset(mutants: Iterable[Mutant], sequence: str) -> tuple[int, float]:
    """The number that, added to all positions, makes most references agree; and which share.

    Of equal ones the smallest shift is taken. Insertions and deletions count too.

    >>> find_offset([parse_mutant("K1R"), parse_mutant("T2A")], "MKT")
    (1, 1.0)
    """
    wanted = list(mutants)
    places: dict[str, list[int]] = {}
    for i, letter in enumerate(sequence, start=1):
        places.setdefault(letter, []).append(i)
    votes: Counter[int] = Counter()
    for (letter, position), times in Counter(
        (e.ref[0], e.position) for m in wanted for e in m.edits
    ).items():
        for place in places.get(letter, []):
            votes[place - position] += times
    if not votes or not wanted:
        return 0, 0.0
    most = votes.most_common(1)[0][1]
    offset = min((o for o, n in votes.items() if n == most), key=lambda o: (abs(o), o))
    agree = sum(not find_mismatch(m.shift(offset), sequence) for m in wanted)
    return offset, agree / len(wanted)
