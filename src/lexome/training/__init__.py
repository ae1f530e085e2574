"""Changing weights: from a table of sequences with labels to a tested, saved model."""
