"""A folder in ProteinGym's layout with three assays of two tiny proteins."""

from pathlib import Path

import polars as pl

from lexome.sequence.blosum62 import BLOSUM62
from lexome.sequence.mutations import AMINO_ACIDS

PROTEINS = {"AAA_TOY": "MKTAYIAKQR", "BBB_TOY": "WCHEDLLK"}
ROWS = {"AAA_TOY_One_2000": "AAA_TOY", "AAA_TOY_Two_2001": "AAA_TOY", "BBB_TOY_One_2002": "BBB_TOY"}
CATEGORIES = {"AAA_TOY_One_2000": "Activity", "AAA_TOY_Two_2001": "Activity"}


def singles(protein: str) -> list[str]:
    """Every single substitution."""
    return [
        f"{old}{i}{new}"
        for i, old in enumerate(protein, start=1)
        for new in AMINO_ACIDS
        if new != old
    ]


def blosum(text: str) -> float:
    """What BLOSUM62 says of a single substitution."""
    return float(BLOSUM62[text[0], text[-1]] - BLOSUM62[text[0], text[0]])


def write_assays(folder: Path) -> Path:
    """Assays one and three measure just what BLOSUM62 says; the second the contrary."""
    folder.mkdir(parents=True)
    reference = []
    for name, protein in ROWS.items():
        texts = singles(PROTEINS[protein])
        sign = -1 if "Two" in name else 1
        truth = [sign * blosum(text) for text in texts]
        table = pl.DataFrame({"mutant": texts, "DMS_score": truth})
        table.write_csv(folder / f"{name}.csv")
        reference.append(
            {
                "DMS_id": name,
                "UniProt_ID": protein,
                "coarse_selection_type": CATEGORIES.get(name, "Stability"),
                "target_seq": PROTEINS[protein],
                "DMS_total_number_mutants": len(texts) + (3 if "Two" in name else 0),
                "DMS_binarization_cutoff": -5.0,
            }
        )
    pl.DataFrame(reference).write_csv(folder / "DMS_substitutions.csv")
    return folder
