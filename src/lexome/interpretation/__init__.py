"""What a model looks at, and what it shows of a structure."""
