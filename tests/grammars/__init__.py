"""Tests of src/lexome/grammars."""
