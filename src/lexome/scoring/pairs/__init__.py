"""Pairs of windows of equal length, a reference and a changed one, and their rules."""
