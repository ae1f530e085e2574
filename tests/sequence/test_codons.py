"""Every genetic code against Biopython, codon by codon and over random bases."""

from random import Random

import pytest
from Bio.Data.CodonTable import unambiguous_dna_by_id
from Bio.Seq import Seq

from lexome.errors import InputError
from lexome.sequence.codons import CODES, CODONS, find_code, translate, translate_slowly
from lexome.sequence.complement import reverse_complement


@pytest.mark.parametrize("number", list(CODES))
def test_a_code_is_biopythons(number: int):
    code, theirs = CODES[number], unambiguous_dna_by_id[number]
    for codon, letter in zip(CODONS, code.amino_acids, strict=True):
        assert letter == theirs.forward_table.get(codon, "*")
        assert code.is_start(codon) == (codon in theirs.start_codons)
        assert code.is_stop(codon) == (codon in theirs.stop_codons)


def test_all_of_ncbis_codes_are_there():
    assert set(CODES) == set(unambiguous_dna_by_id)


@pytest.mark.parametrize("number", [1, 2, 6, 11, 33])
@pytest.mark.parametrize("letters", ["ACGT", "ACGTN", "ACGTRYSWKMBDHVN"])
def test_random_bases_are_translated_as_by_biopython(number: int, letters: str):
    draw = Random(number)
    for length in (0, 1, 3, 300, 3001):
        bases = "".join(draw.choices(letters, k=length))
        whole = bases[: length - length % 3]
        ours = translate(bases, find_code(number))
        # Biopython has letters for two amino acids (B, J, Z); here they are X
        theirs = str(Seq(whole).translate(table=number)).translate(str.maketrans("BJZ", "XXX"))
        assert ours == theirs == translate_slowly(bases, find_code(number))


def test_what_is_no_base_is_x_and_small_letters_are_read():
    assert translate("atg---GC!TGA", find_code(1)) == "MXX*"
    assert translate("AT\u00e9ATG", find_code(1)) == "XM"


def test_the_other_strand_is_biopythons():
    text = "ACGTRYSWKMBDHVNacgtryswkmbdhvn"
    assert reverse_complement(text) == str(Seq(text).reverse_complement())


def test_rare_starts_begin_proteins_but_do_not_rescue_a_lost_start():
    standard, bacterial = find_code(1), find_code(11)
    assert standard.is_start("CTG")
    assert not standard.keeps_start("CTG")
    assert bacterial.keeps_start("GTG")


def test_a_number_of_no_code_is_refused():
    with pytest.raises(InputError, match="genetic code: saw 7"):
        find_code(7)
