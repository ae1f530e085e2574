"""Which letters a kind of sequence may hold, and what to do with the others."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Literal, NamedTuple, get_args

from lexome.errors import InputError

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"  # the standard ones, by their letters
UnknownPolicy = Literal["refuse", "map", "reference"]
UNKNOWN_POLICIES: tuple[str, ...] = get_args(UnknownPolicy)


class Alphabet(NamedTuple):
    """The letters of one kind of sequence and the explicit replacements for others.

    `replacements` is what `unknown="map"` applies, letter by letter, so that length is kept;
    a trailing stop sign `*` is the one letter that `map` removes (it is no residue). An alphabet
    without letters is open: any text.
    """

    name: str
    letters: str
    replacements: Mapping[str, str]

    @property
    def is_protein(self) -> bool:
        """Whether its letters are amino acids."""
        return self.name in ("protein", "progen")

    @property
    def kmers(self) -> Literal["protein", "dna"]:
        """How likeness is told in it: by the k-mers of DNA, on both strands, or of proteins."""
        return "dna" if self.is_nucleic else "protein"

    @property
    def is_nucleic(self) -> bool:
        """Whether its letters are bases of DNA or RNA."""
        return self.name.startswith(("dna", "rna"))


def _protein_replacements() -> dict[str, str]:
    lower = {letter.lower(): letter for letter in "ACDEFGHIKLMNPQRSTVWYXBUZO"}
    return lower | {"J": "X", "j": "X", "*": "X"}


def _dna_replacements(known: str, fourth: str = "T") -> dict[str, str]:
    """Capitals, U as T (or T as U), and every IUPAC code as N: no base is guessed."""
    bases = dict.fromkeys("TU", fourth) | dict.fromkeys("RYSWKMBDHVN", "N")
    every = {letter: letter for letter in "ACG"} | bases
    mapped = every | {letter.lower(): to for letter, to in every.items()}
    return {letter: to for letter, to in mapped.items() if letter not in known}


ALPHABETS = {
    "protein": Alphabet("protein", "LAGVSERTIDPKQNFYMHWCXBUZO.-", _protein_replacements()),
    # ProGen2's terminals stand in the text: `1` before the first residue, `2` behind the last.
    "progen": Alphabet("progen", "12ABCDEFGHIKLMNOPQRSTUVWXYZ", _protein_replacements()),
    "dna": Alphabet("dna", "ACGTN", _dna_replacements("ACGTN")),
    # For models that have no token for N: mapped to it, a letter becomes part of an unknown token.
    "dna-bases": Alphabet("dna-bases", "ACGT", _dna_replacements("ACGT")),
    "rna": Alphabet("rna", "ACGUN", _dna_replacements("ACGUN", "U")),
    "text": Alphabet("text", "", {}),
}


LOOKED_AT = 1000  # sequences that tell the alphabet
ENOUGH = 0.95  # share of bases in DNA and RNA; proteins have a third of such letters


def tell_alphabet(sequences: Sequence[str]) -> str:
    """ "dna", "rna" or "protein", by the letters of the first sequences.

    >>> tell_alphabet(["acgtNN", "GGT"]), tell_alphabet(["ACGU"]), tell_alphabet(["MKTAYIAK"])
    ('dna', 'rna', 'protein')
    """
    letters = "".join(sequences[:LOOKED_AT]).upper()
    if sum(letters.count(base) for base in "ACGTUN") < ENOUGH * max(len(letters), 1):
        return "protein"
    return "rna" if "U" in letters and "T" not in letters else "dna"


class Mapped(NamedTuple):
    """A sequence in the alphabet, and how often each foreign letter was replaced."""

    sequence: str
    counts: dict[str, int]


def foreign_letters(sequence: str, alphabet: Alphabet) -> list[tuple[int, str]]:
    """Every letter outside the alphabet as (1-based position, letter).

    >>> foreign_letters("MKJ1", ALPHABETS["protein"])
    [(3, 'J'), (4, '1')]
    """
    if not alphabet.letters:
        return []
    return [(i, c) for i, c in enumerate(sequence, start=1) if c not in alphabet.letters]


def check_letters(sequence: str, alphabet: Alphabet, where: str) -> None:
    """Raise InputError at the first letter outside the alphabet, counting the others."""
    foreign = foreign_letters(sequence, alphabet)
    if not foreign:
        return
    position, letter = foreign[0]
    more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
    mappable = all(c in alphabet.replacements for _, c in foreign)
    remedy = (
        "`--unknown map` (unknown='map' in Python), which replaces and counts such letters"
        if mappable
        else "to remove them: they stand for no residue"
    )
    raise InputError(
        where,
        f"the letter {letter!r} at position {position}{more}",
        f"letters of the {alphabet.name} alphabet ({alphabet.letters})",
        remedy,
    )


def map_letters(sequence: str, alphabet: Alphabet, where: str) -> Mapped:
    """Replace foreign letters by the alphabet's explicit table; what has no entry is refused.

    >>> map_letters("mkJ*", ALPHABETS["protein"], "toy")
    Mapped(sequence='MKX', counts={'m': 1, 'k': 1, 'J': 1, '*': 1})
    """
    foreign = foreign_letters(sequence, alphabet)
    if not foreign:
        return Mapped(sequence, {})
    hopeless = [(i, c) for i, c in foreign if c not in alphabet.replacements]
    if hopeless:
        check_letters(sequence, alphabet, where)
    counts = dict(Counter(c for _, c in foreign))
    body = sequence[:-1] if sequence.endswith("*") else sequence
    table = str.maketrans(dict(alphabet.replacements))
    return Mapped(body.translate(table), counts)


def clean_sequence(sequence: str, alphabet: Alphabet, unknown: UnknownPolicy, where: str) -> Mapped:
    """A sequence in the letters of a model, and those that were replaced; it may be empty.

    Raises:
        InputError: a letter outside the alphabet that `unknown` does not map; or
            nucleotides for a protein model, whose letters would all pass as amino acids.

    >>> clean_sequence("mkt", ALPHABETS["protein"], "map", "toy").sequence
    'MKT'
    """
    mapped = Mapped(sequence, {})
    if alphabet.letters and not _letters_of(alphabet.letters).issuperset(sequence):
        if unknown != "map":
            check_letters(sequence, alphabet, where)
        mapped = map_letters(sequence, alphabet, where)
    if alphabet.is_protein and looks_like_nucleotides(mapped.sequence):
        raise InputError(
            where,
            f"{len(mapped.sequence):,} letters of {{A, C, G, T, U, N}} only",
            "amino acids, for a protein model",
            "to translate the coding sequences first",
        )
    return mapped


# Four letters by chance alone make up fewer than one in 10^20 proteins of this length.
_SHORTEST_NUCLEOTIDES = 30


def looks_like_nucleotides(sequence: str) -> bool:
    """Whether a sequence is long, has nothing but nucleotides, and has all four of them.

    >>> looks_like_nucleotides("ACGT" * 10), looks_like_nucleotides("GAGA" * 10)
    (True, False)
    """
    if len(sequence) < _SHORTEST_NUCLEOTIDES:
        return False
    found = set(sequence)
    return found <= set("ACGTUN") and found >= set("ACG") and bool(found & {"T", "U"})


@cache
def _letters_of(letters: str) -> frozenset[str]:
    return frozenset(letters)
