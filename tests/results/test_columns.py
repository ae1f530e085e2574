"""Columns: each constant has its meaning, and a prefix needs something behind it."""

import pytest

from lexome.results import columns
from lexome.results.columns import MEANINGS, PREFIXES, find_meaning


def test_every_constant_has_a_meaning_and_every_meaning_a_constant():
    constants = {
        value for name, value in vars(columns).items() if name.isupper() and isinstance(value, str)
    }
    assert constants | set(columns.METRIC_COLUMNS) == set(MEANINGS)


def test_every_constant_is_called_as_the_column_is():
    for name, value in vars(columns).items():
        if name.isupper() and isinstance(value, str):
            assert name == value.upper()


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_needs_something_behind_it(prefix):
    assert find_meaning(prefix) is None
    assert find_meaning(f"{prefix}Golgi apparatus") == PREFIXES[prefix]


def test_a_name_that_is_not_ours_has_no_meaning():
    assert find_meaning("Probability") is None
