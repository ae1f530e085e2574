"""Fits what `scoring/alignment_models` scores with: one model a protein family."""
