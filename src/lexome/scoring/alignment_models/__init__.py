"""Mutants by the proteins' own family: rules that need an alignment and no pretrained weights."""
