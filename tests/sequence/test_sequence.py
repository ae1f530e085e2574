"""Letters, their explicit replacements, names and compositions."""

import pickle

import numpy as np
import pytest

from lexome.errors import InputError
from lexome.sequence.alphabet import ALPHABETS, clean_sequence, map_letters
from lexome.sequence.composition import WHOLE_AND_START, compositions
from lexome.sequence.records import Record

PROTEIN = ALPHABETS["protein"]


def test_an_error_keeps_its_four_parts_through_pickling():
    error = InputError("here", "this", "that", "the other")
    again = pickle.loads(pickle.dumps(error))
    assert (again.where, again.seen, again.expected, again.remedy) == error.args
    assert str(again) == "here: saw this, expected that. Try the other."


def test_mapping_counts_each_letter_and_refuses_what_has_no_entry():
    assert map_letters("MJJk", PROTEIN, "P1").counts == {"J": 2, "k": 1}
    with pytest.raises(InputError, match="'1' at position 2"):
        map_letters("M1", PROTEIN, "P1")


def test_the_id_is_the_first_word():
    assert Record("", "MK").id == ""
    assert Record("a b", "MK").id == "a"


def test_composition_of_regions_by_hand():
    """AAAC: 3/4 A, 1/4 C in the whole and in the first 30; nothing in 30-60; log 4 at the end."""
    row = compositions(["AAAC"], WHOLE_AND_START)[0]
    assert row.shape == (61,)
    np.testing.assert_allclose(row[[0, 1, 20, 21]], [0.75, 0.25, 0.75, 0.25])
    assert row[40:60].sum() == 0
    np.testing.assert_allclose(row[-1], np.log(4), rtol=1e-6)


def test_nucleotides_are_refused_by_a_protein_model_although_their_letters_pass():
    with pytest.raises(InputError, match=r"P1: saw 40 letters.*translate"):
        clean_sequence("ACGT" * 10, PROTEIN, "refuse", "P1")
    with pytest.raises(InputError, match="translate"):
        clean_sequence("acgu" * 10, PROTEIN, "map", "P1")
    for harmless in ("ACGT", "GAGA" * 20, "ACGT" * 10 + "M"):
        assert clean_sequence(harmless, PROTEIN, "refuse", "P1").sequence == harmless
