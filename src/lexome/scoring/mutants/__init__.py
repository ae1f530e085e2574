"""Mutants of a sequence: the door that every rule has, and the rules of models."""
