"""Bricks that every model is built from. Single device, no files, no names of families."""
