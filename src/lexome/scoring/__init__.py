"""How likely a causal model finds a sequence, by a named rule that is written beside the number."""
