"""Residues to integers and back, exactly as the published models spell them."""
