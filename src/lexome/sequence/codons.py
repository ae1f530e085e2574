"""Codons into amino acids by the genetic codes of NCBI."""

from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lexome.errors import InputError

BASES = "TCAG"  # the order in which NCBI writes its tables
CODONS = tuple("".join(codon) for codon in product(BASES, repeat=3))
STOP = "*"
ANY = "X"  # an amino acid that is not known
IUPAC = {
    **{"A": "A", "C": "C", "G": "G", "T": "T", "U": "T", "R": "AG", "Y": "CT", "S": "CG"},
    **{"W": "AT", "K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG"},
    "N": "ACGT",
}
# Bases as the digits of a number in base 4 (BASES), every other letter as a blank.
_DIGITS = bytes(48 + BASES.index(chr(i)) if chr(i) in BASES else 32 for i in range(256))
_PLACES = np.array([16, 4, 1], np.uint8)


class GeneticCode(NamedTuple):
    """One of NCBI's translation tables.

    `amino_acids` and `starts` have a sign for each of CODONS; `M` in `starts` is a codon that may
    begin a protein (and is then read as methionine). `ends` are codons that are an amino acid
    within a protein and a stop at its end.
    """

    number: int
    name: str
    amino_acids: str
    starts: str
    ends: tuple[str, ...] = ()

    def is_start(self, codon: str) -> bool:
        """Whether a protein may begin with the codon."""
        return codon in _starts(self.number)

    def is_stop(self, codon: str) -> bool:
        """Whether the codon may end a protein."""
        return _amino_acids(self.number).get(codon) == STOP or codon in self.ends

    def keeps_start(self, codon: str) -> bool:
        """Whether a start codon that became this one still begins the protein.

        Codons that begin but a few proteins of a code (RARE_STARTS) do not count.
        """
        return self.is_start(codon) and codon not in RARE_STARTS.get(self.number, ())


# A change of ATG into one of these is called a lost start, as Ensembl's VEP does.
RARE_STARTS = {1: ("TTG", "CTG"), 12: ("CTG",), 26: ("CTG",)}


def find_code(number: int) -> GeneticCode:
    """The genetic code of a number of NCBI's.

    Raises:
        InputError: a number that stands for none.

    >>> find_code(11).name
    'Bacterial'
    """
    if number not in CODES:
        raise InputError(
            "genetic code",
            str(number),
            f"the number of a table of NCBI's: {', '.join(map(str, CODES))}",
            "1 (standard), 11 (bacteria, plastids) or 2 (vertebrate mitochondria)",
        )
    return CODES[number]


def translate(bases: str, code: GeneticCode) -> str:
    """The amino acids of whole codons, in capitals; bases left over at the end are not read.

    A codon with an IUPAC code for several bases is the amino acid that all its meanings share,
    else X; what is no base (a gap) is X too.

    >>> translate("ATGGCNTAAAT", find_code(1))
    'MA*'
    """
    text = bases[: len(bases) - len(bases) % 3].upper()
    digits = text.encode("latin-1", "replace").translate(_DIGITS)
    if digits.isalnum():  # no letter but the four bases
        parts = np.frombuffer(digits, np.uint8).reshape(-1, 3) - ord("0")
        return bytes(_as_bytes(code.number)[parts @ _PLACES]).decode()
    return translate_slowly(text, code)


def translate_slowly(bases: str, code: GeneticCode) -> str:
    """The same, a codon after the other: the plain twin, and the way of codons with other letters.

    >>> translate_slowly("ATGGCNTAAAT", find_code(1))
    'MA*'
    """
    known = _amino_acids(code.number)
    text, length = bases.upper(), len(bases) - len(bases) % 3
    codons = (text[i : i + 3] for i in range(0, length, 3))
    return "".join(known.get(codon) or _resolve(codon, code.number) for codon in codons)


@cache
def _amino_acids(number: int) -> dict[str, str]:
    return dict(zip(CODONS, CODES[number].amino_acids, strict=True))


@cache
def _as_bytes(number: int) -> NDArray[np.uint8]:
    return np.frombuffer(CODES[number].amino_acids.encode(), np.uint8)


@cache
def _starts(number: int) -> frozenset[str]:
    code = CODES[number]
    return frozenset(c for c, sign in zip(CODONS, code.starts, strict=True) if sign == "M")


@cache
def _resolve(codon: str, number: int) -> str:
    """The amino acid of a codon that is not spelled by A, C, G and T alone."""
    if not all(letter in IUPAC for letter in codon):
        return ANY
    known = _amino_acids(number)
    meanings = {known["".join(one)] for one in product(*(IUPAC[x] for x in codon))}
    return meanings.pop() if len(meanings) == 1 else ANY


# Source: NCBI's gc.prt, https://www.ncbi.nlm.nih.gov/Taxonomy/Utils/wprintgc.cgi
CODES = {
    code.number: code
    for code in (
        GeneticCode(
            1,
            "Standard",
            "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "---M---------------M---------------M----------------------------",
        ),
        GeneticCode(
            2,
            "Vertebrate Mitochondrial",
            "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSS**VVVVAAAADDEEGGGG",
            "--------------------------------MMMM---------------M------------",
        ),
        GeneticCode(
            3,
            "Yeast Mitochondrial",
            "FFLLSSSSYY**CCWWTTTTPPPPHHQQRRRRIIMMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "----------------------------------MM---------------M------------",
        ),
        GeneticCode(
            4,
            "Mold Mitochondrial",
            "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "--MM---------------M------------MMMM---------------M------------",
        ),
        GeneticCode(
            5,
            "Invertebrate Mitochondrial",
            "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSSSSVVVVAAAADDEEGGGG",
            "---M----------------------------MMMM---------------M------------",
        ),
        GeneticCode(
            6,
            "Ciliate Nuclear",
            "FFLLSSSSYYQQCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "-----------------------------------M----------------------------",
        ),
        GeneticCode(
            9,
            "Echinoderm Mitochondrial",
            "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNNKSSSSVVVVAAAADDEEGGGG",
            "-----------------------------------M---------------M------------",
        ),
        GeneticCode(
            10,
            "Euplotid Nuclear",
            "FFLLSSSSYY**CCCWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "-----------------------------------M----------------------------",
        ),
        GeneticCode(
            11,
            "Bacterial",
            "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "---M---------------M------------MMMM---------------M------------",
        ),
        GeneticCode(
            12,
            "Alternative Yeast Nuclear",
            "FFLLSSSSYY**CC*WLLLSPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "-------------------M---------------M----------------------------",
        ),
        GeneticCode(
            13,
            "Ascidian Mitochondrial",
            "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNKKSSGGVVVVAAAADDEEGGGG",
            "---M------------------------------MM---------------M------------",
        ),
        GeneticCode(
            14,
            "Alternative Flatworm Mitochondrial",
            "FFLLSSSSYYY*CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNNKSSSSVVVVAAAADDEEGGGG",
            "-----------------------------------M----------------------------",
        ),
        GeneticCode(
            15,
            "Blepharisma Macronuclear",
            "FFLLSSSSYY*QCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "-----------------------------------M----------------------------",
        ),
        GeneticCode(
            16,
            "Chlorophycean Mitochondrial",
            "FFLLSSSSYY*LCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "-----------------------------------M----------------------------",
        ),
        GeneticCode(
            21,
            "Trematode Mitochondrial",
            "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIMMTTTTNNNKSSSSVVVVAAAADDEEGGGG",
            "-----------------------------------M---------------M------------",
        ),
        GeneticCode(
            22,
            "Scenedesmus obliquus Mitochondrial",
            "FFLLSS*SYY*LCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "-----------------------------------M----------------------------",
        ),
        GeneticCode(
            23,
            "Thraustochytrium Mitochondrial",
            "FF*LSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "--------------------------------M--M---------------M------------",
        ),
        GeneticCode(
            24,
            "Pterobranchia Mitochondrial",
            "FFLLSSSSYY**CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSSKVVVVAAAADDEEGGGG",
            "---M---------------M---------------M---------------M------------",
        ),
        GeneticCode(
            25,
            "Candidate Division SR1",
            "FFLLSSSSYY**CCGWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "---M-------------------------------M---------------M------------",
        ),
        GeneticCode(
            26,
            "Pachysolen tannophilus Nuclear",
            "FFLLSSSSYY**CC*WLLLAPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "-------------------M---------------M----------------------------",
        ),
        GeneticCode(
            27,
            "Karyorelict Nuclear",
            "FFLLSSSSYYQQCCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "-----------------------------------M----------------------------",
            ("TGA",),
        ),
        GeneticCode(
            28,
            "Condylostoma Nuclear",
            "FFLLSSSSYYQQCCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "-----------------------------------M----------------------------",
            ("TAA", "TAG", "TGA"),
        ),
        GeneticCode(
            29,
            "Mesodinium Nuclear",
            "FFLLSSSSYYYYCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "-----------------------------------M----------------------------",
        ),
        GeneticCode(
            30,
            "Peritrich Nuclear",
            "FFLLSSSSYYEECC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "-----------------------------------M----------------------------",
        ),
        GeneticCode(
            31,
            "Blastocrithidia Nuclear",
            "FFLLSSSSYYEECCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "-----------------------------------M----------------------------",
            ("TAA", "TAG"),
        ),
        GeneticCode(
            32,
            "Balanophoraceae Plastid",
            "FFLLSSSSYY*WCC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG",
            "---M---------------M------------MMMM---------------M------------",
        ),
        GeneticCode(
            33,
            "Cephalodiscidae Mitochondrial",
            "FFLLSSSSYYY*CCWWLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSSKVVVVAAAADDEEGGGG",
            "---M---------------M---------------M---------------M------------",
        ),
    )
}
