"""Lexome: language models of DNA, RNA and proteins."""

__version__ = "0.1.0"
