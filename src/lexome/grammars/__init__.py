"""Models of sequences that one can draw: states, arrows, and exact sums over all paths."""
