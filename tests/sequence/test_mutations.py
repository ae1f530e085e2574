"""Changes as papers write them: read, checked, applied and found again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexome.errors import InputError
from lexome.sequence.mutations import (
    AMINO_ACIDS,
    Edit,
    Mutant,
    apply_mutant,
    fill_in,
    find_mismatch,
    find_mutant,
    find_offset,
    parse_mutant,
)

REFERENCE = "MKTAYIAKQR"
proteins = st.text(AMINO_ACIDS, min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "mutated"),
    [
        ("K2R", "MRTAYIAKQR"),
        ("p.Lys2Arg", "MRTAYIAKQR"),
        ("R10G:K2A", "MATAYIAKQG"),
        ("K2A,R10G", "MATAYIAKQG"),
        ("K2=", REFERENCE),
        ("K2del", "MTAYIAKQR"),
        ("K2_A4del", "MYIAKQR"),
        ("p.(Lys2_Thr3insGlyHis)", "MKGHTAYIAKQR"),
        ("K2_A4delinsW", "MWYIAKQR"),
        ("K2dup", "MKKTAYIAKQR"),
        ("K2_A4dup", "MKTAKTAYIAKQR"),
        ("WT", REFERENCE),
        ("M1del:R10del", "KTAYIAKQ"),
    ],
)
def test_a_change_gives_the_sequence_that_its_text_says(text, mutated):
    mutant = parse_mutant(text)
    assert find_mismatch(mutant, REFERENCE) == ""
    assert apply_mutant(mutant, REFERENCE) == mutated


@pytest.mark.parametrize(
    "text",
    [
        "",
        "K",
        "2R",
        "K2",
        "K2_A4",
        "K2_A4ins",
        "K4_K2del",
        "K2insG",
        "k2r",
        "Lyz2Arg",
        "K2A:",
        "K2A K3R",
    ],
)
def test_what_is_no_change_is_refused_with_what_one_looks_like(text):
    with pytest.raises(InputError, match="mutant"):
        parse_mutant(text)


def test_two_changes_of_one_residue_are_refused():
    with pytest.raises(InputError, match="two changes of residue 3"):
        parse_mutant("K2_A4del:T3A".replace("K2_A4del", "K2_T3del"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A2G", "the reference has K at 2, not A"),
        ("K20R", "position 20 lies outside the reference's 10 residues"),
        ("K0R", "position 0 lies outside"),
        ("K-3R", "position -3 lies outside"),
        ("R10_K11del", "position 11 lies outside"),
        ("K2_Q4del", "the reference has A at 4, not Q"),
    ],
)
def test_a_change_that_disagrees_with_the_reference_says_where(text, words):
    assert words in find_mismatch(parse_mutant(text), REFERENCE)


def test_residues_that_were_not_spelled_are_filled_in_from_the_reference():
    assert fill_in(parse_mutant("K2_A4del"), REFERENCE).edits == (Edit("KTA", 2, ""),)
    assert fill_in(parse_mutant("K2_A4dup"), REFERENCE).edits == (Edit("KTA", 2, "KTAKTA"),)


@given(proteins, proteins)
def test_what_makes_one_sequence_of_another_is_found(reference, mutated):
    mutant = find_mutant(reference, mutated)
    assert apply_mutant(mutant, reference) == mutated
    assert mutant.keeps_length == (len(reference) == len(mutated))


@given(proteins, proteins)
def test_a_found_change_is_read_back_from_its_text(reference, mutated):
    mutant = find_mutant(reference, mutated)
    if mutated and all(edit.ref for edit in mutant.edits):
        again = parse_mutant(str(mutant))
        assert apply_mutant(again, reference) == mutated


def test_the_offset_that_fits_is_found():
    mutants = [parse_mutant(f"{REFERENCE[i]}{i + 24}G") for i in range(10)]
    assert find_offset(mutants, REFERENCE) == (-23, 1.0)
    assert find_offset([*mutants[:9], parse_mutant("W1A")], REFERENCE) == (-23, 0.9)
    assert find_offset([], REFERENCE) == (0, 0.0)
    assert find_offset([Mutant(())], REFERENCE) == (0, 0.0)
