"""Windows cover each residue once; crops keep both ends; nothing is cut quietly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexome.batches.windows import check_length, crop, parse_long, plan_windows
from lexome.errors import InputError


@given(st.integers(1, 400), st.integers(2, 60))
def test_every_residue_is_kept_from_exactly_one_window(length, size):
    windows = plan_windows(length, size)
    kept = [i for w in windows for i in range(w.keep_start, w.keep_end)]
    assert kept == list(range(length))
    for w in windows:
        assert 0 <= w.start <= w.keep_start <= w.keep_end <= w.end <= length
        assert w.end - w.start <= size


@given(st.integers(20, 400))
def test_kept_residues_stand_at_least_a_quarter_window_from_a_cut_edge(length):
    size = 20
    for w in plan_windows(length, size):
        assert w.start == 0 or w.keep_start - w.start >= size // 4
        assert w.end == length or w.end - w.keep_end >= size // 4


def test_a_crop_keeps_the_ends_and_short_sequences_whole():
    assert crop("ABCDEFGH", 3, 0) == "ABC"
    assert crop("ABCDE", 3, 2) == "ABCDE"
    assert crop("ABCDEF", 3, 2) == "ABCEF"


@pytest.mark.parametrize("text", ["cut", "crop", "crop:5", "crop:0+0", "window:3", "crop:a+b", ""])
def test_a_policy_that_is_none_lists_those_there_are(text):
    with pytest.raises(InputError, match="refuse, whole, window or crop"):
        parse_long(text)


def test_too_long_names_the_limit_and_the_ways_out():
    with pytest.raises(InputError, match=r"P1: saw 1,100 residues, expected at most 1,022.*window"):
        check_length(1100, 1022, "P1")
    check_length(1022, 1022, "P1")
